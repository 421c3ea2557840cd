"""Pooling."""

from .... import ops
from ..operand import channels_first
from ._registry import lowers
from .convolution import window_padding


@lowers("MaxPool")
def max_pool(call, x):
    kernel, strides = tuple(call.required("kernel_shape")), tuple(call.attribute("strides", [1, 1]))
    padding = window_padding(call, x.shape[2:], kernel, strides, [1, 1])
    return channels_first(ops.max_pool2d(x.channels_last(), kernel, strides, padding))


@lowers("GlobalAveragePool")
def global_average_pool(call, x):
    return channels_first(ops.global_avg_pool2d(x.channels_last(), keepdims=True))
