"""Checks of constructor arguments that many layers take: whole numbers, numbers, lists of numbers."""

import numpy as np

from ..errors import ArgumentError


def is_integer(value):
    """Tell whether an argument is a whole number, which True is not."""
    return isinstance(value, int) and not isinstance(value, bool)


def check_integer(layer, value, name):
    """Return an int."""
    if not is_integer(value):
        raise ArgumentError(f"{layer._title()}: {name} must be an integer, got {value!r}")
    return value


def check_number(layer, value, name, what, fits):
    """Return a float for which `fits` holds; `what` says so in words: "a positive number"."""
    if isinstance(value, bool) or not isinstance(value, (int, float, np.number)) or not fits(value):
        raise ArgumentError(f"{layer._title()}: {name} must be {what}, got {value!r}")
    return float(value)


def check_numbers(layer, value, name):
    """Return a number, or numbers in nested lists."""
    try:
        array = np.asarray(value)
    except ValueError:  # lists of different lengths
        array = np.array(None)
    if array.dtype.kind not in "fiu":
        raise ArgumentError(f"{layer._title()}: {name} must be a number or a list of them, got {value!r:.100}")
    return array.tolist()
