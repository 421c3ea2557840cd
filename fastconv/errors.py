"""Every error that fastconv raises on purpose.

All derive from `FastconvError`, and from the built-in class that a caller would expect.
"""


class FastconvError(Exception):
    """Root of fastconv's errors."""


class ArgumentError(FastconvError, ValueError):
    """An argument has a value that the function cannot use."""


class ShapeError(ArgumentError):
    """An array has the wrong rank, or a dimension that does not fit."""


class DTypeError(FastconvError, TypeError):
    """An array or value has a type that cannot be used or cast safely."""


class GradientError(FastconvError, RuntimeError):
    """A gradient cannot be computed: a freed tape, or a saved tensor that was changed since."""


class ModelFormatError(FastconvError, ValueError):
    """A model file is damaged, foreign, or of a version that is not known."""


class NotBuiltError(FastconvError, ValueError):
    """A layer or model was asked for weights that it does not have yet."""


class UnsupportedOpError(FastconvError, NotImplementedError):
    """An operation, or a way of using it, that the engine does not have."""


class ConfigError(FastconvError, ValueError):
    """A setting (instruction set, thread count, precision) that this machine or build cannot honour."""
