"""Several inputs become one: element by element, or one after another along an axis. For products of vectors see `dot.py`."""

import functools

from .. import ops
from ..autograd import Tensor
from ..errors import ArgumentError, ShapeError
from .arguments import check_integer
from .base import Layer
from .docstring import fill_in


def check_list(inputs, least=1, most=None):
    """Refuse what is no list of `least` to `most` tensors."""
    tensors = isinstance(inputs, (list, tuple)) and all(isinstance(x, Tensor) for x in inputs)
    if not tensors or len(inputs) < least or (most is not None and len(inputs) > most):
        count = f"exactly {least} tensors" if least == most else f"at least {least} tensor{'s' * (least > 1)}"
        raise ArgumentError(f"inputs must be a list of {count}, got {_described(inputs)}")


def _described(inputs):
    if isinstance(inputs, Tensor):
        return f"one of shape {inputs.shape}"
    if isinstance(inputs, (list, tuple)):
        return f"[{', '.join(f'shape {x.shape}' if isinstance(x, Tensor) else repr(x) for x in inputs)}]"
    return f"{inputs!r:.200}"


class _Merge(Layer):
    """WHAT of a list of inputs, element by element.

    Notes
    -----
    Inputs (N, ...) of one shape, or of shapes that broadcast; one of fewer axes gets axes of size 1 after the batch: (N, C)
    counts as (N, 1, 1, C) beside images (N, H, W, C).

    Examples
    --------
    EXAMPLE
    """

    least, most = 1, None  # how many inputs there may be

    def call(self, inputs):
        """Compute the outputs."""
        check_list(inputs, self.least, self.most)
        ndim = max(x.ndim for x in inputs)
        return self.merge([x if x.ndim in (0, ndim) else x[_widened(x.ndim, ndim)] for x in inputs])

    def merge(self, inputs):
        """Merge tensors that have one number of axes."""
        raise NotImplementedError(f"{type(self).__name__} must define merge")


def _widened(ndim, wanted):
    """Return the index that puts axes of size 1 after the first."""
    return (slice(None), *[None] * (wanted - ndim), Ellipsis)


def _doc(what, example):
    return fill_in(_Merge, WHAT=what, EXAMPLE=example.strip())


def _example(name, result):
    return f"""
    >>> {name}()([np.array([[1.0, 5.0]]), np.array([[3.0, 2.0]])]).numpy()
    array([[{result}]], dtype=float32)"""


class Add(_Merge):
    __doc__ = _doc("The sum", _example("Add", "4., 7."))

    def merge(self, inputs):
        """Return the sum."""
        if all(x.shape == inputs[0].shape for x in inputs):
            return ops.add_n(inputs) if len(inputs) > 1 else inputs[0]
        return functools.reduce(ops.add, inputs)


class Subtract(_Merge):
    __doc__ = _doc("The first less the second", _example("Subtract", "-2.,  3."))
    least, most = 2, 2

    def merge(self, inputs):
        """Return the difference."""
        return ops.subtract(*inputs)


class Multiply(_Merge):
    __doc__ = _doc("The product", _example("Multiply", " 3., 10."))

    def merge(self, inputs):
        """Return the product."""
        return functools.reduce(ops.multiply, inputs)


class Average(Add):
    __doc__ = _doc("The mean", _example("Average", "2. , 3.5"))

    def merge(self, inputs):
        """Return the mean."""
        return ops.divide(super().merge(inputs), float(len(inputs)))


class Maximum(_Merge):
    __doc__ = _doc("The largest", _example("Maximum", "3., 5."))

    def merge(self, inputs):
        """Return the largest."""
        return functools.reduce(ops.maximum, inputs)


class Minimum(_Merge):
    __doc__ = _doc("The smallest", _example("Minimum", "1., 2."))

    def merge(self, inputs):
        """Return the smallest."""
        return functools.reduce(ops.minimum, inputs)


class Concatenate(Layer):
    """A list of inputs, one after another along an axis.

    Parameters
    ----------
    axis : int
    """

    def __init__(self, axis=-1, **kwargs):
        super().__init__(**kwargs)
        self.axis = check_integer(self, axis, "axis")

    def call(self, inputs):
        """Compute the outputs."""
        check_list(inputs)
        first = inputs[0]
        if not -first.ndim <= self.axis < first.ndim:
            raise ShapeError(f"axis={self.axis} is not an axis of inputs of shape {first.shape}")
        return inputs[0] if len(inputs) == 1 else ops.concatenate(inputs, axis=self.axis)


def add(inputs, **kwargs):
    """Return the sum of a list of inputs: `Add` as a function."""
    return Add(**kwargs)(inputs)


def subtract(inputs, **kwargs):
    """Return the first of two inputs less the second: `Subtract` as a function."""
    return Subtract(**kwargs)(inputs)


def multiply(inputs, **kwargs):
    """Return the product of a list of inputs: `Multiply` as a function."""
    return Multiply(**kwargs)(inputs)


def average(inputs, **kwargs):
    """Return the mean of a list of inputs: `Average` as a function."""
    return Average(**kwargs)(inputs)


def maximum(inputs, **kwargs):
    """Return the largest of a list of inputs: `Maximum` as a function."""
    return Maximum(**kwargs)(inputs)


def minimum(inputs, **kwargs):
    """Return the smallest of a list of inputs: `Minimum` as a function."""
    return Minimum(**kwargs)(inputs)


def concatenate(inputs, axis=-1, **kwargs):
    """Return a list of inputs, one after another along an axis: `Concatenate` as a function."""
    return Concatenate(axis=axis, **kwargs)(inputs)
