"""Conversions between types."""

import numpy as np

from ....errors import UnsupportedOpError
from .. import proto
from ..host import cast
from ..tensors import DTYPES
from ._registry import evaluates, lowers


def _target(call):
    code = call.required("to")
    if code not in DTYPES:
        raise UnsupportedOpError(f"NumPy has no {proto.DATA_TYPES.get(code, f'data type {code}')} to cast to")
    return code


def round_to_bfloat16(x):
    """Return float32 numbers rounded to those that bfloat16 has, halves to even."""
    bits = np.ascontiguousarray(x, np.float32).view(np.uint32)
    rounded = (bits + (0x7FFF + ((bits >> 16) & 1))) & 0xFFFF0000
    return np.where(np.isnan(x), np.float32(np.nan), rounded.astype(np.uint32).view(np.float32).reshape(np.shape(x)))


def _text(x):
    """Return what numbers look like, as an array of strings."""
    return np.array([str(value) for value in x.reshape(-1)], object).reshape(x.shape)


def _numbers(x, dtype):
    """Return the numbers that strings show."""
    strings = [value.decode() if isinstance(value, bytes) else str(value) for value in x.reshape(-1).tolist()]
    values = [float(s) for s in strings] if dtype.kind == "f" else [int(s) for s in strings]
    return np.array(values, dtype).reshape(x.shape)


def cast_array(x, dtype):
    """Return an array in another dtype."""
    if x.dtype.kind in "OSU":
        return x if dtype.kind == "O" else _numbers(x, dtype)
    return _text(x) if dtype.kind == "O" else x.astype(dtype)


@evaluates("Cast")
def cast_to(call, x):
    code = _target(call)
    y = cast_array(x, DTYPES[code])
    return round_to_bfloat16(y) if code == proto.BFLOAT16 else y


@lowers("Cast")
def lower_cast(call, x):
    code = _target(call)
    if code in (proto.BFLOAT16, proto.STRING) or x.dtype == np.float16:
        return NotImplemented
    return cast(x, DTYPES[code])


@evaluates("CastLike")
def cast_like(call, x, like):
    return cast_array(x, like.dtype)


@lowers("CastLike")
def lower_cast_like(call, x, like):
    return cast(x, like.dtype)


@evaluates("BitCast")
def bit_cast(call, x):
    return np.ascontiguousarray(x).view(DTYPES[_target(call)]).reshape(x.shape)
