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


def check_floats(op, specs):
    """Raise DTypeError unless all of `specs`, by name, are of one float type, that of the first."""
    first = next(iter(specs.values())).dtype
    for name, spec in specs.items():
        check_float(op, name, spec, first if first in FLOATS else None)


def check_rank(op, name, spec, axes):
    """Raise ShapeError unless `spec` has the dimensions that `axes` lists: "(N, H, W, C)", or any number at "..."."""
    names = axes.strip("()").split(", ")
    more, count = "..." in names, len(names) - names.count("...")
    if len(spec.shape) != count and not (more and len(spec.shape) > count):
        raise ShapeError(
            f"{op} needs {name} with {'at least ' * more}{count} dimensions {axes}, got shape {spec.shape}; reshape it first"
        )


def check_not_empty(op, name, spec, axes):
    """Raise ShapeError where one of the dimensions of `spec` that `axes`, {dimension: what it is}, names is 0."""
    for axis, what in axes.items():
        if spec.shape[axis] == 0:
            raise ShapeError(f"{op} needs {name} with at least one {what}, got shape {spec.shape}")


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


# By the number of spatial axes: all axes, and what there must be at least one of along each but the first.
IMAGE_AXES = {1: "(N, L, C)", 2: "(N, H, W, C)", 3: "(N, D, H, W, C)"}
_ROWS = {2: ("row of pixels", "column of pixels"), 3: ("plane of pixels", "row of pixels", "column of pixels")}


def check_images(op, name, spec, rank=2):
    """Raise unless `spec` is of floating images with `rank` spatial axes; the batch may be empty, an image not."""
    check_float(op, name, spec)
    check_rank(op, name, spec, IMAGE_AXES[rank])
    check_not_empty(op, name, spec, dict(enumerate((*_ROWS.get(rank, ("position",)), "channel"), 1)))
