"""The argument ``axis`` of the layers that take one axis or several."""

from ..errors import ArgumentError, ShapeError
from .arguments import is_integer


def check_axes(layer, axis):
    """Return an int as it is, and several as a list."""
    if is_integer(axis):
        return axis
    if isinstance(axis, (list, tuple)) and axis and all(is_integer(a) for a in axis):
        return list(axis)
    raise ArgumentError(f"{layer._title()}: axis must be an integer or a list of them, got {axis!r}")


def resolve_axes(axis, shape):
    """Return the axes of an input shape that `axis` names, ascending from 0."""
    axes = [axis] if isinstance(axis, int) else axis
    if not all(-len(shape) <= a < len(shape) for a in axes):
        raise ShapeError(f"axis={axis} names an axis that inputs of shape {tuple(shape)} do not have")
    found = sorted({a % len(shape) for a in axes})
    if len(found) < len(axes):
        raise ShapeError(f"axis={axis} names an axis of inputs of shape {tuple(shape)} twice")
    return tuple(found)
