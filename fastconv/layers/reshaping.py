"""Flatten, Reshape, Permute and RepeatVector: the same numbers under another shape, in another order, several times."""

import math

from .. import ops
from ..errors import ArgumentError, ShapeError
from .base import Layer
from .images import check_count, check_data_format


class Flatten(Layer):
    """Inputs (N, ...) as (N, product of the rest).

    Parameters
    ----------
    data_format : {"channels_last", "channels_first"}, optional
        With channels first the order of the outputs is as if the input were channels last.
    """

    def __init__(self, data_format=None, **kwargs):
        super().__init__(**kwargs)
        self.data_format = check_data_format(self, data_format)

    def call(self, inputs):
        """Compute the outputs."""
        if inputs.ndim < 1:
            raise ShapeError("inputs must have a batch axis, got a number")
        if self.data_format == "channels_first" and inputs.ndim > 2:
            inputs = inputs.transpose(0, *range(2, inputs.ndim), 1)
        return ops.flatten(inputs) if inputs.ndim > 1 else inputs.reshape(-1, 1)


class Reshape(Layer):
    """Inputs (N, ...) as (N, *target_shape).

    Parameters
    ----------
    target_shape : tuple of int
        Without the batch; one of them may be -1, which takes what is left.
    """

    def __init__(self, target_shape, **kwargs):
        super().__init__(**kwargs)
        target_shape = (target_shape,) if isinstance(target_shape, int) else target_shape
        try:
            self.target_shape = tuple(int(n) for n in target_shape)
        except (TypeError, ValueError):
            raise ArgumentError(f"{self._title()}: target_shape must be integers, got {target_shape!r}") from None
        if self.target_shape.count(-1) > 1 or any(n < 1 and n != -1 for n in self.target_shape):
            raise ArgumentError(
                f"{self._title()}: target_shape must hold positive integers and at most one -1, got {target_shape!r}"
            )

    def _target(self, shape):
        """Return the target with its -1 worked out; -1 stays where the input is not known."""
        if None in shape[1:]:
            if -1 not in self.target_shape:
                return self.target_shape
            raise ShapeError(f"-1 in target_shape needs an input whose every dimension is known, got {shape}")
        size, known = math.prod(shape[1:]), math.prod(n for n in self.target_shape if n != -1)
        if size != known if -1 not in self.target_shape else size % known:
            raise ShapeError(
                f"inputs of shape {shape}, {size} elements each, do not fit target_shape={self.target_shape}"
            )
        return tuple(size // known if n == -1 else n for n in self.target_shape)

    def call(self, inputs):
        """Compute the outputs."""
        return inputs.reshape(-1 if inputs.shape[0] is None else inputs.shape[0], *self._target(inputs.shape))


class Permute(Layer):
    """Axes in another order.

    Parameters
    ----------
    dims : tuple of int
        The axes of the input, from 1 on, without the batch: (2, 1) swaps two.

    Notes
    -----
    Outputs (N, ...) have the axis ``dims[i]`` of the inputs as their axis i + 1.

    Examples
    --------
    >>> Permute((3, 1, 2))(np.zeros((2, 5, 6, 4))).shape
    (2, 4, 5, 6)
    """

    def __init__(self, dims, **kwargs):
        super().__init__(**kwargs)
        if not isinstance(dims, (list, tuple)) or sorted(dims) != list(range(1, len(dims) + 1)):
            raise ArgumentError(f"{self._title()}: dims must be the numbers from 1 on in any order, got {dims!r}")
        self.dims = tuple(dims)

    def call(self, inputs):
        """Compute the outputs."""
        if inputs.ndim != len(self.dims) + 1:
            raise ShapeError(
                f"inputs must have {len(self.dims) + 1} dimensions for dims={self.dims}, got shape {inputs.shape}"
            )
        return ops.transpose(inputs, 0, *self.dims)


class RepeatVector(Layer):
    """Inputs (N, C) as (N, n, C): every vector n times.

    Parameters
    ----------
    n : int

    Examples
    --------
    >>> RepeatVector(3)(np.array([[1.0, 2.0]])).numpy().tolist()
    [[[1.0, 2.0], [1.0, 2.0], [1.0, 2.0]]]
    """

    def __init__(self, n, **kwargs):
        super().__init__(**kwargs)
        self.n = check_count(self, n, "n")

    def call(self, inputs):
        """Compute the outputs."""
        if inputs.ndim != 2:
            raise ShapeError(f"inputs must be (batch, features), got shape {inputs.shape}")
        return ops.tile(inputs[:, None], (1, self.n, 1))
