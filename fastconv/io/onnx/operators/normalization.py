"""Normalisations."""

import numpy as np

from .... import ops
from ..operand import channels_first
from ._arrays import in_float32
from ._registry import evaluates, lowers


def _per_channel(vector, ndim):
    """Return a vector of numbers for each channel so that it broadcasts with (N, C, ...)."""
    return vector.reshape(-1, *(1,) * (ndim - 2))


def _scaled_back(x, centred, variance, epsilon):
    return (centred / np.sqrt(variance + x.dtype.type(epsilon))).astype(x.dtype)


def _standardised(x, axes, epsilon):
    """Return x less its mean over axes, divided by its standard deviation over them."""
    centred = x - x.mean(axes, keepdims=True)
    return _scaled_back(x, centred, np.mean(centred * centred, axes, keepdims=True), epsilon)


# ---- batch normalisation


def _is_training(call):
    if call.version >= 14:
        return bool(call.attribute("training_mode", 0))
    return any(call.wanted[1:]) or (call.version < 7 and not call.attribute("is_test", 0) and len(call.wanted) > 1)


@lowers("BatchNormalization")
def batch_normalization(call, x, scale, bias, mean, variance):
    per_element = call.version < 9 and not call.attribute("spatial", 1)
    if x.ndim < 2 or per_element or x.dtype != np.float32 or _is_training(call):
        return NotImplemented
    vectors = [call.weight(vector) for vector in (scale, bias, mean, variance)]
    epsilon = call.attribute("epsilon", 1e-5)
    return channels_first(ops.batch_normalization(x.channels_last(), *vectors, training=False, epsilon=epsilon))


@evaluates("BatchNormalization")
@in_float32
def batch_normalization_arrays(call, x, scale, bias, mean, variance):
    epsilon = call.attribute("epsilon", 1e-5)
    if call.version < 9 and not call.attribute("spatial", 1):  # statistics of each element of an image
        return (x - mean) / np.sqrt(variance + epsilon) * scale + bias
    results = []
    if _is_training(call):
        axes, momentum = (0, *range(2, x.ndim)), x.dtype.type(call.attribute("momentum", 0.9))
        batch = x.mean(axes), x.var(axes)
        kept = momentum * mean + (1 - momentum) * batch[0], momentum * variance + (1 - momentum) * batch[1]
        mean, variance = batch
        results = [*kept, mean, variance]
    if x.ndim == 1:
        mean, variance, scale, bias = mean[0], variance[0], scale[0], bias[0]
    else:
        mean, variance, scale, bias = (_per_channel(vector, x.ndim) for vector in (mean, variance, scale, bias))
    y = (x - mean) / np.sqrt(variance + x.dtype.type(epsilon)) * scale + bias
    return [y.astype(x.dtype), *results]


# ---- statistics of one image


@evaluates("InstanceNormalization")
@in_float32
def instance_normalization(call, x, scale, bias):
    y = _standardised(x, tuple(range(2, x.ndim)), call.attribute("epsilon", 1e-5))
    return y * _per_channel(scale, x.ndim) + _per_channel(bias, x.ndim)


@evaluates("GroupNormalization")
@in_float32
def group_normalization(call, x, scale, bias):
    groups = call.required("num_groups")
    y = _standardised(x.reshape(x.shape[0], groups, -1), (2,), call.attribute("epsilon", 1e-5)).reshape(x.shape)
    if call.version < 21:  # a number per group
        scale, bias = (np.repeat(vector, x.shape[1] // groups) for vector in (scale, bias))
    return y * _per_channel(scale, x.ndim) + _per_channel(bias, x.ndim)


def _last_axes(call, ndim):
    axis = call.attribute("axis", -1)
    return tuple(range(axis + ndim if axis < 0 else axis, ndim))


@evaluates("LayerNormalization")
@in_float32
def layer_normalization(call, x, scale, bias=None):
    axes = _last_axes(call, x.ndim)
    mean = x.mean(axes, keepdims=True)
    centred = x - mean
    inverse = 1 / np.sqrt(
        np.mean(centred * centred, axes, keepdims=True) + x.dtype.type(call.attribute("epsilon", 1e-5))
    )
    y = centred * inverse * scale
    return y if bias is None else y + bias, mean, inverse


@evaluates("RMSNormalization")
@in_float32
def rms_normalization(call, x, scale):
    square = np.mean(x * x, _last_axes(call, x.ndim), keepdims=True)
    return _scaled_back(x, x, square, call.attribute("epsilon", 1e-5)) * scale


@evaluates("MeanVarianceNormalization")
@in_float32
def mean_variance_normalization(call, x):
    default = [0, 2, 3]
    if call.version < 9:
        default = [0, 2, 3] if call.attribute("across_channels", 0) == 0 else [0, 1, 2, 3]
    return _standardised(x, tuple(call.attribute("axes", default)), 1e-9)


# ---- norms


@evaluates("LRN")
@in_float32
def local_response_normalization(call, x):
    size = call.required("size")
    alpha, beta, bias = (
        x.dtype.type(call.attribute(name, default)) for name, default in (("alpha", 1e-4), ("beta", 0.75), ("bias", 1))
    )
    around = [(0, 0)] * x.ndim
    around[1] = ((size - 1) // 2, size // 2)
    squares = np.pad(x * x, around)
    total = sum(squares[:, i : i + x.shape[1]] for i in range(size))
    return x / (bias + alpha / size * total) ** beta


@evaluates("LpNormalization")
@in_float32
def lp_normalization(call, x):
    axis = call.attribute("axis", -1)
    if call.attribute("p", 2) == 1:
        norm = np.abs(x).sum(axis, keepdims=True)
    else:
        norm = np.sqrt((x * x).sum(axis, keepdims=True))
    return np.where(norm == 0, 0, x / norm).astype(x.dtype)
