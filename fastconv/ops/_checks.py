"""Checks that many operations make of their operands; a dimension that is ``None`` (not known yet) fits any."""

from ..errors import ArgumentError, DTypeError, ShapeError

FLOATS = ("float32", "float64")


def check_float(op, name, spec, like=None):
    """Raise DTypeError unless `spec` is float32 or float64, and of the dtype `like` where one is given."""
    if spec.dtype not in FLOATS or (like is not None and spec.dtype != like):
        wanted = like or "float32 or float64"
        raise DTypeError(
            f"{op} needs {name} of {wanted}, got {spec.dtype}; convert it with fastconv.tensor(..., dtype=)"
        )


def check_shape(op, name, shape, expected):
    """Raise ShapeError unless `shape` fits `expected`."""
    if len(shape) != len(expected) or any(
        m != n for m, n in zip(shape, expected, strict=True) if m is not None and n is not None
    ):
        raise ShapeError(f"{op} needs {name} of shape {tuple(expected)}, got {tuple(shape)}; reshape it first")


def check_range(op, name, value, low, high):
    """Raise ArgumentError unless low <= value < high."""
    if not low <= value < high:
        raise ArgumentError(f"{op} needs {name} of at least {low} and below {high}, got {value!r}")
