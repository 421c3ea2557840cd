"""Normalisations."""

import numpy as np

from .... import ops
from ....autograd import Tensor
from ....errors import ModelFormatError
from ..operand import Operand, channels_first, invert
from ._arrays import in_float32
from ._registry import evaluates, lowers
from ._shapes import axis_of, positive


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


def _groups(call, channels):
    """Return the attribute "num_groups"."""
    groups = positive(call, "num_groups")
    if channels % groups:
        raise ModelFormatError(f"num_groups is {groups}, expected a number that divides the {channels} channels")
    return groups


def _by_groups(call, x, scale, bias, groups):
    if x.dtype != np.float32 or not 3 <= x.ndim <= 5 or 0 in x.shape:
        return NotImplemented
    epsilon = call.attribute("epsilon", 1e-5)
    return channels_first(ops.group_normalization(x.channels_last(), scale, bias, groups, epsilon))


@lowers("InstanceNormalization")
def instance_normalization(call, x, scale, bias):
    return _by_groups(call, x, call.weight(scale), call.weight(bias), x.shape[1])


@lowers("GroupNormalization")
def group_normalization(call, x, scale, bias):
    channels = x.shape[1]
    groups = _groups(call, channels)
    vectors = [call.weight(vector) for vector in (scale, bias)]
    if call.version < 21:  # a number per group
        repeat = Tensor(np.kron(np.eye(groups), np.ones((1, channels // groups))).astype(np.float32))
        vectors = [ops.matmul(vector.reshape((1, groups)), repeat).reshape((channels,)) for vector in vectors]
    return _by_groups(call, x, *vectors, groups)


@evaluates("InstanceNormalization")
@in_float32
def instance_normalization_arrays(call, x, scale, bias):
    y = _standardised(x, tuple(range(2, x.ndim)), call.attribute("epsilon", 1e-5))
    return y * _per_channel(scale, x.ndim) + _per_channel(bias, x.ndim)


@evaluates("GroupNormalization")
@in_float32
def group_normalization_arrays(call, x, scale, bias):
    groups = _groups(call, x.shape[1])
    y = _standardised(x.reshape(x.shape[0], groups, -1), (2,), call.attribute("epsilon", 1e-5)).reshape(x.shape)
    if call.version < 21:
        scale, bias = (np.repeat(vector, x.shape[1] // groups) for vector in (scale, bias))
    return y * _per_channel(scale, x.ndim) + _per_channel(bias, x.ndim)


# ---- statistics of the last axes


def _last_axes(call, ndim):
    return tuple(range(axis_of(call.attribute("axis", -1), ndim), ndim))


def _row_means(rows):
    """Return the mean of each row, (R, 1), as a product."""
    return ops.matmul(rows, Tensor(np.full((rows.shape[1], 1), 1 / rows.shape[1], np.float32)))


def _normalise_rows(call, x, scale, bias, centre):
    axes = _last_axes(call, x.ndim)
    inner = x.shape[axes[0] :]
    operands = [operand for operand in (scale, bias) if operand is not None]
    if any(call.wanted[1:]) or x.dtype != np.float32 or 0 in x.shape or any(o.shape != inner for o in operands):
        return NotImplemented
    size = int(np.prod(inner))
    rows = x.tensor().reshape((-1, size))
    if centre:
        rows = ops.subtract(rows, _row_means(rows))
    deviation = ops.sqrt(ops.add(_row_means(ops.square(rows)), call.attribute("epsilon", 1e-5)))
    y = ops.multiply(ops.divide(rows, deviation), call.weight(scale).reshape((size,)))
    if bias is not None:
        y = ops.add(y, call.weight(bias).reshape((size,)))
    return Operand(y.reshape(x.shape))


@lowers("LayerNormalization")
def layer_normalization(call, x, scale, bias=None):
    return _normalise_rows(call, x, scale, bias, centre=True)


@lowers("RMSNormalization")
def rms_normalization(call, x, scale):
    return _normalise_rows(call, x, scale, None, centre=False)


@evaluates("LayerNormalization")
@in_float32
def layer_normalization_arrays(call, x, scale, bias=None):
    axes = _last_axes(call, x.ndim)
    mean = x.mean(axes, keepdims=True)
    centred = x - mean
    variance = np.mean(centred * centred, axes, keepdims=True)
    inverse = 1 / np.sqrt(variance + x.dtype.type(call.attribute("epsilon", 1e-5)))
    y = centred * inverse * scale
    return y if bias is None else y + bias, mean, inverse


@evaluates("RMSNormalization")
@in_float32
def rms_normalization_arrays(call, x, scale):
    square = np.mean(x * x, _last_axes(call, x.ndim), keepdims=True)
    return _scaled_back(x, x, square, call.attribute("epsilon", 1e-5)) * scale


@evaluates("MeanVarianceNormalization")
@in_float32
def mean_variance_normalization(call, x):
    default = [0, 1, 2, 3] if call.version < 9 and call.attribute("across_channels", 0) else [0, 2, 3]
    return _standardised(x, tuple(call.attribute("axes", default)), 1e-9)


# ---- norms


def _response(call):
    """Return (size, alpha, beta, bias) of an LRN."""
    numbers = (call.attribute(name, default) for name, default in (("alpha", 1e-4), ("beta", 0.75), ("bias", 1.0)))
    return positive(call, "size"), *numbers


@lowers("LRN")
def local_response_normalization(call, x):
    size, alpha, beta, bias = _response(call)
    if x.dtype != np.float32 or x.ndim < 2 or 0 in x.shape:
        return NotImplemented
    order = (0, *range(2, x.ndim), 1)
    x = x.tensor(order)
    lines = ops.square(x).reshape((1, -1, x.shape[-1], 1))  # channels side by side are the pixels of a line
    sums = ops.sum_pool2d(lines, (1, size), 1, ((0, 0), ((size - 1) // 2, size // 2))).reshape(x.shape)
    base = ops.add(ops.multiply(sums, alpha / size), bias)
    if beta == 0.75:  # that of all networks; roots are quicker than powers
        root = ops.sqrt(base)
        power = ops.multiply(root, ops.sqrt(root))
    else:
        power = ops.power(base, beta)
    return Operand(ops.divide(x, power), invert(order))


@evaluates("LRN")
@in_float32
def local_response_normalization_array(call, x):
    size, alpha, beta, bias = _response(call)
    around = [(0, 0)] * x.ndim
    around[1] = ((size - 1) // 2, size // 2)
    squares = np.pad(x * x, around)
    total = sum(squares[:, i : i + x.shape[1]] for i in range(size))
    return (x / (bias + alpha / size * total) ** beta).astype(x.dtype)


@lowers("LpNormalization")
def lp_normalization(call, x):
    axis = axis_of(call.attribute("axis", -1), x.ndim)
    if x.dtype != np.float32 or call.attribute("p", 2) != 2 or 0 in x.shape:
        return NotImplemented
    order = (*(i for i in range(x.ndim) if i != axis), axis)
    x = x.tensor(order)
    rows = x.reshape((-1, x.shape[-1]))
    square = ops.multiply(_row_means(ops.square(rows)), float(x.shape[-1]))
    norm = ops.maximum(ops.sqrt(square), float(np.finfo(np.float32).tiny))  # 0 / tiny is the 0 that is asked for
    return Operand(ops.divide(rows, norm).reshape(x.shape), invert(order))


@evaluates("LpNormalization")
@in_float32
def lp_normalization_array(call, x):
    axis = axis_of(call.attribute("axis", -1), x.ndim)
    if call.attribute("p", 2) == 1:
        norm = np.abs(x).sum(axis, keepdims=True)
    else:
        norm = np.sqrt((x * x).sum(axis, keepdims=True))
    return np.where(norm == 0, 0, x / norm).astype(x.dtype)
