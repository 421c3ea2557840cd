"""Axes and shapes, as operators name them."""

import math

import numpy as np

from ....errors import ModelFormatError, ShapeError
from ..host import MAX_HOST_ELEMENTS
from ..operand import Operand
from ._registry import evaluates, lowers


def within(shape):
    """Return a shape as a tuple, if an array of it may be made: a few numbers in a file must not fill the memory."""
    shape = tuple(shape)
    if min(shape, default=0) < 0 or math.prod(shape) > MAX_HOST_ELEMENTS:
        raise ShapeError(f"an array of shape {shape} cannot be made: no size may be negative, nor all of it too large")
    return shape


def numbers(call, x, attribute=None):
    """Return the numbers that an input holds as a list, those of an attribute where there is no such input, or None.

    Operator sets turned one attribute after the other into an input. Raises NotConstant where the input is not known yet.
    """
    if x is None:
        return call.attribute(attribute) if attribute else None
    return np.atleast_1d(call.known(x) if isinstance(x, Operand) else x).tolist()


def axis_of(axis, ndim, behind=0):
    """Return an axis, counted from the front. It may be that `behind` the last, where operators cut a shape in two."""
    if not -ndim <= axis < max(ndim + behind, 1):
        raise ModelFormatError(f"names axis {axis} of a value with {ndim} axes")
    return axis + ndim if axis < 0 else axis


def axes_of(axes, ndim):
    """Return axes, counted from the front; all for None."""
    if axes is None:
        return tuple(range(ndim))
    found = tuple(axis_of(axis, ndim) for axis in axes)
    if len(set(found)) < len(found):
        twice = next(axis for i, axis in enumerate(found) if axis in found[:i])
        raise ModelFormatError(f"names axis {twice} twice: {list(axes)}")
    return found


def positive(call, name):
    """Return an attribute that has to be there, and a positive integer."""
    number = call.required(name)
    if not isinstance(number, int) or number < 1:
        raise ModelFormatError(f"{name} is {number!r}, expected a positive integer")
    return number


def resolve(shape, size):
    """Return a shape of `size` elements, its -1 replaced."""
    if list(shape).count(-1) > 1 or min(shape, default=0) < -1:
        raise ShapeError(f"the shape {tuple(shape)} has to hold sizes of at least 0, and -1 once at most")
    known = math.prod(n for n in shape if n != -1)
    if -1 in shape and known:
        shape = [size // known if n == -1 else n for n in shape]
    if math.prod(shape) != size:
        raise ShapeError(f"{size} elements do not fit the shape {tuple(shape)}")
    return tuple(shape)


def reshapes(*names):
    """Register operators that give their first input another shape: ``(call, shape, *inputs) -> shape``."""

    def register(function):
        @lowers(*names)
        def lower(call, x, *rest):
            return x.reshaped(function(call, x.shape, *rest))

        @evaluates(*names, shaping=(1,))
        def evaluate(call, x, *rest):
            return x.reshape(function(call, x.shape, *rest))

        return function

    return register
