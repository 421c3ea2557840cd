"""Numbers as small integers, a scale and a zero point: for a tensor, for each entry of an axis, or for blocks along one."""

import numpy as np

from ....errors import UnsupportedOpError
from .. import proto
from ..tensors import DTYPES
from ._arrays import quantize
from ._registry import evaluates
from ._shapes import axis_of


def _spread(call, parameter, x):
    """Return a scale or zero point so that it broadcasts against x."""
    if parameter is None or parameter.size == 1 and parameter.ndim < 2:
        return None if parameter is None else parameter.reshape(())
    axis = axis_of(call.attribute("axis", 1), x.ndim)
    if parameter.ndim == 1:
        return parameter.reshape([-1 if i == axis else 1 for i in range(x.ndim)])
    block = call.attribute("block_size", 0) or -(-x.shape[axis] // parameter.shape[axis])
    return np.repeat(parameter, block, axis)[(slice(None),) * axis + (slice(x.shape[axis]),)]


def _dtype(code):
    if code not in DTYPES:
        raise UnsupportedOpError(f"NumPy has no {proto.DATA_TYPES.get(code, f'data type {code}')} to quantise to")
    return DTYPES[code]


@evaluates("QuantizeLinear")
@evaluates("QuantizeLinear", domain="com.microsoft")  # for 16 bits, before the standard had them
def quantize_linear(call, x, scale, zero_point=None):
    if zero_point is None:
        zero_point = np.zeros((), _dtype(call.attribute("output_dtype", 0) or proto.UINT8))
    precision = call.attribute("precision", 0)
    dtype = DTYPES[precision] if precision else scale.dtype
    return quantize(x.astype(dtype), _spread(call, scale, x).astype(dtype), _spread(call, zero_point, x))


@evaluates("DequantizeLinear")
@evaluates("DequantizeLinear", domain="com.microsoft")
def dequantize_linear(call, x, scale, zero_point=None):
    code = call.attribute("output_dtype", 0)
    dtype = _dtype(code) if code else scale.dtype
    # In integers wide enough, so that the difference is exact.
    difference = x.astype(np.int64) if zero_point is None else x.astype(np.int64) - _spread(call, zero_point, x)
    return (difference.astype(np.float32) * _spread(call, scale, x).astype(np.float32)).astype(dtype)


@evaluates("DynamicQuantizeLinear")
def dynamic_quantize_linear(call, x):
    low, high = min(np.float32(0), x.min(initial=0)), max(np.float32(0), x.max(initial=0))
    scale = np.float32((high - low) / 255) or np.float32(1)
    zero_point = np.clip(np.rint(-low / scale), 0, 255).astype(np.uint8)
    return quantize(x, scale, zero_point), scale, zero_point
