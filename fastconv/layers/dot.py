"""Dot: products of the vectors of two inputs."""

import math

from .. import ops
from ..errors import ArgumentError, ShapeError
from .base import Layer
from .merging import check_list
from .unit_normalization import unit

EPSILON = 1e-7  # the shortest vector that is made one of length 1


class Dot(Layer):
    """The dot product of two inputs along one axis of each, for each of the batch.

    Parameters
    ----------
    axes : int, or (int, int)
        The axis of both, or of the first and the second; not the batch.
    normalize : bool
        Make the vectors along these axes 1 long first: the result is the cosine of the angle between them.

    Notes
    -----
    Inputs (N, ...) and (N, ...); the output has the batch, the other axes of the first and then those of the second, (N, 1)
    where there are none.

    Examples
    --------
    >>> Dot(axes=1)([np.array([[1.0, 2.0]]), np.array([[3.0, 4.0]])]).numpy()
    array([[11.]], dtype=float32)
    >>> Dot(axes=(1, 2))([np.ones((2, 3, 5)), np.ones((2, 10, 3))]).shape
    (2, 5, 10)
    """

    def __init__(self, axes, normalize=False, **kwargs):
        super().__init__(**kwargs)
        pair = axes if isinstance(axes, (list, tuple)) else (axes, axes)
        if len(pair) != 2 or not all(isinstance(axis, int) and not isinstance(axis, bool) for axis in pair):
            raise ArgumentError(f"{self._title()}: axes must be an integer or two of them, got {axes!r}")
        if 0 in pair:
            raise ArgumentError(f"{self._title()}: axes must not be 0, the batch, got {axes!r}")
        self.axes = axes if isinstance(axes, int) else tuple(axes)
        self.normalize = bool(normalize)

    def call(self, inputs):
        """Compute the outputs."""
        check_list(inputs, 2, 2)
        pair = (self.axes,) * 2 if isinstance(self.axes, int) else self.axes
        axes = [_axis(axis, x.shape) for axis, x in zip(pair, inputs, strict=True)]
        a, b = inputs
        m, n = a.shape[axes[0]], b.shape[axes[1]]
        if m != n and None not in (m, n):
            raise ShapeError(
                f"axes={self.axes} must have one size in both inputs, got {m} and {n} of shapes {a.shape} and {b.shape}"
            )
        if self.normalize:
            a, b = (unit(x, axis, EPSILON) for x, axis in zip((a, b), axes, strict=True))
        left, right = (_as_rows(x, axis) for x, axis in zip((a, b), axes, strict=True))
        y = ops.matmul(left, right, transpose_b=True)
        if max(a.ndim, b.ndim) <= 3:
            return y[:, 0] if a.ndim == 2 else y[:, :, 0] if b.ndim == 2 else y
        rest = [n for x, axis in zip((a, b), axes, strict=True) for n in _others(x.shape, axis)]
        return y.reshape(-1 if y.shape[0] is None else y.shape[0], *rest)


def _axis(axis, shape):
    if len(shape) < 2 or not -len(shape) <= axis < len(shape) or axis % len(shape) == 0:
        raise ShapeError(f"{axis} is not an axis beside the batch of an input of shape {tuple(shape)}")
    return axis % len(shape)


def _others(shape, axis):
    return [n for i, n in enumerate(shape) if i not in (0, axis)]


def _as_rows(x, axis):
    """Return x (N, ...) as (N, rows, size of the axis)."""
    others = [i for i in range(1, x.ndim) if i != axis]
    if axis != x.ndim - 1:
        x = x.transpose(0, *others, axis)
    if x.ndim == 2:
        return x[:, None]
    if x.ndim == 3:
        return x
    *rows, size = x.shape[1:]
    if None in rows or size is None:
        raise ShapeError(f"all but the batch must be known of an input of more than 3 dimensions, got shape {x.shape}")
    return x.reshape(-1 if x.shape[0] is None else x.shape[0], math.prod(rows), size)


def dot(inputs, axes=-1, **kwargs):
    """Return the dot product of two inputs along an axis of each: `Dot` as a function."""
    return Dot(axes=axes, **kwargs)(inputs)
