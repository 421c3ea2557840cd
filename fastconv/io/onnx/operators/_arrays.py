"""What several families do to NumPy arrays."""

import functools

import numpy as np

from ....errors import ArgumentError, ModelFormatError


def in_float32(function):
    """Let a function of arrays compute with float32 what it is given in half precision; it returns halves again."""

    @functools.wraps(function)
    def widened(call, *arrays):
        if all(array is None or array.dtype != np.float16 for array in arrays):
            return function(call, *arrays)
        wide = [
            array.astype(np.float32) if array is not None and array.dtype == np.float16 else array for array in arrays
        ]
        results = function(call, *wide)
        many = isinstance(results, (tuple, list))
        halves = [
            np.asarray(r).astype(np.float16) if np.asarray(r).dtype == np.float32 else r
            for r in (results if many else [results])
        ]
        return halves if many else halves[0]

    return widened


def check_types(*arrays):
    """Raise unless arrays, or operands, but for those that are None, are of one type: NumPy would widen them to another."""
    types = list(dict.fromkeys(array.dtype for array in arrays if array is not None))
    if len(types) > 1:
        raise ModelFormatError(
            f"has inputs of {' and '.join(map(str, types))}, expected one type: put a Cast before it"
        )


def of_one_type(function):
    """Let a function of arrays refuse arrays of several types."""

    @functools.wraps(function)
    def checked(call, *arrays):
        check_types(*arrays)
        return function(call, *arrays)

    return checked


def whole(indices):
    """Return indices, operand or array; raise unless they are integers, as NumPy would cut off others."""
    if indices.dtype not in (np.int32, np.int64):
        raise ModelFormatError(f"has indices of {indices.dtype}, expected int32 or int64")
    return indices


def inside(indices, size, where, lowest=None):
    """Return an array of indices; raise unless they are integers from `lowest`, -size unless said, to below `size`."""
    if whole(indices).size:
        low, high = int(indices.min()), int(indices.max())
        lowest = -size if lowest is None else lowest
        if low < lowest or high >= size:
            wrong = low if low < lowest else high
            raise ArgumentError(f"index {wrong} is out of bounds for {where}, of {size} elements")
    return indices


def quantize(values, scale, zero_point):
    """Return round(values / scale) + zero_point in the type of the zero point: halves to even, saturated."""
    limits = np.iinfo(zero_point.dtype)
    numbers = np.rint(values / scale) + zero_point.astype(np.float64)
    return np.clip(numbers, limits.min, limits.max).astype(zero_point.dtype)


def dequantize(x, scale, zero_point=None):
    """Return (x - zero_point) * scale in float32."""
    return exact(x, zero_point).astype(np.float32) * scale


def exact(x, zero_point=None):
    """Return integers less their zero point in float64, which holds their products and sums exactly."""
    x = x.astype(np.float64)
    return x if zero_point is None else x - zero_point.astype(np.float64)
