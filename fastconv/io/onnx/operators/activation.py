"""Activations, and Softmax."""

import math
from functools import cache

import numpy as np

from .... import ops
from ..operand import Operand, invert
from ._arrays import check_types, in_float32, of_one_type
from ._registry import NotConstant, evaluates, lowers
from ._shapes import axis_of
from ._unary import unary
from .arithmetic import along, broadcast


@cache
def _erf_series():
    """Return the Chebyshev series of erf(x) / x as a function of x squared, from 0 to 36."""
    return np.polynomial.Chebyshev.interpolate(
        np.vectorize(lambda u: math.erf(math.sqrt(u)) / math.sqrt(u) if u > 0 else 2 / math.sqrt(math.pi)), 60, (0, 36)
    )


def erf(x):
    """Return the error function of an array: to the last digits of float64, then in the type of x."""
    wide = np.clip(x.astype(np.float64), -6, 6)  # erf(6) is 1 but for 2e-17
    return (wide * _erf_series()(wide * wide)).astype(x.dtype)


def sigmoid(x):
    """Return 1 / (1 + exp(-x)) of an array, where exp does not overflow."""
    small = np.exp(-np.abs(x))
    return np.where(x < 0, small, 1) / (1 + small)


def softplus(x):
    """Return log(1 + exp(x)) of an array, where exp does not overflow."""
    return np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))


def _gelu(x, approximate):
    if approximate == "tanh":
        return 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x * x * x)))
    return 0.5 * x * (1 + erf(x * math.sqrt(0.5)))


# ---- the same by fastconv.ops, as far as their numbers go


def _celu(x, alpha):
    if alpha == 1:
        return ops.elu(x)
    return ops.multiply(ops.elu(ops.multiply(x, 1 / alpha)), alpha) if alpha > 0 else NotImplemented


def _elu(x, alpha):
    return ops.elu(x, alpha) if alpha >= 0 else NotImplemented


def _leaky_relu(x, alpha):
    return ops.leaky_relu(x, alpha) if alpha >= 0 else NotImplemented


def _swish(x, alpha):
    return ops.silu(x) if alpha == 1 else ops.multiply(x, ops.sigmoid(ops.multiply(x, alpha)))


unary("Celu", lambda x, alpha: np.maximum(x, 0) + np.minimum(0, alpha * np.expm1(x / alpha)), _celu, alpha=1.0)
unary("Elu", lambda x, alpha: np.where(x < 0, alpha * np.expm1(x), x), _elu, alpha=1.0)
unary("Erf", erf, "erf")
unary("Gelu", _gelu, lambda x, approximate: ops.gelu(x, approximate == "tanh"), approximate="none")
unary("Gelu", lambda x: _gelu(x, "none"), "gelu", domain="com.microsoft")
unary("HardSigmoid", lambda x, alpha, beta: np.clip(alpha * x + beta, 0, 1), "hard_sigmoid", alpha=0.2, beta=0.5)
unary("HardSwish", lambda x: x * np.clip(x / 6 + 0.5, 0, 1), "hard_swish")
unary("LeakyRelu", lambda x, alpha: np.where(x < 0, alpha * x, x), _leaky_relu, alpha=0.01)
unary("Mish", lambda x: x * np.tanh(softplus(x)), "mish")
unary("QuickGelu", lambda x, alpha: x * sigmoid(alpha * x), _swish, domain="com.microsoft", alpha=1.702)
unary("Relu", lambda x: np.maximum(x, 0), "relu")
unary("Sigmoid", sigmoid, "sigmoid")
unary("Softplus", softplus, "softplus")
unary("Softsign", lambda x: x / (1 + np.abs(x)), "softsign")
unary("Swish", lambda x, alpha: x * sigmoid(alpha * x), _swish, alpha=1.0)
unary("Tanh", np.tanh, "tanh")
unary("ThresholdedRelu", lambda x, alpha: np.where(x > alpha, x, 0), alpha=1.0)


def _selu_numbers(call):
    first = call.version < 6
    alpha = call.attribute("alpha", 1.6732 if first else 1.67326319217681884765625)
    return alpha, call.attribute("gamma", 1.0507 if first else 1.05070102214813232421875)


@lowers("Selu")
def selu(call, x):
    alpha, gamma = _selu_numbers(call)
    if x.dtype != np.float32 or alpha < 0 or gamma <= 0:
        return NotImplemented
    return call.pointwise(lambda tensor: ops.elu(tensor, alpha, gamma), x)


@evaluates("Selu")
@in_float32
def selu_array(call, x):
    alpha, gamma = _selu_numbers(call)
    return gamma * np.where(x > 0, x, alpha * np.expm1(x))


@lowers("BiasGelu", domain="com.microsoft")
def bias_gelu(call, x, bias):
    if not x.dtype == bias.dtype == np.float32:
        return NotImplemented
    return call.pointwise(ops.gelu, broadcast(call, ops.add, x, bias))


@evaluates("BiasGelu", domain="com.microsoft")
@in_float32
def bias_gelu_arrays(call, x, bias):
    return _gelu(x + bias, "none")


@lowers("PRelu")
def prelu(call, x, slope):
    if not x.dtype == slope.dtype == np.float32:
        return NotImplemented
    return broadcast(call, ops.prelu, x, per_channel(call, x, slope))


@evaluates("PRelu")
@of_one_type
@in_float32
def prelu_arrays(call, x, slope):
    return np.where(x < 0, x * per_channel(call, x, slope), x)


def per_channel(call, x, slope):
    """Return the slopes as they broadcast; before version 7, a number for each channel."""
    return along(x, slope, 1) if call.version < 7 and slope.size > 1 else slope


# ---- clipping


def _limits(call, low, high):
    if call.version >= 11:
        return low, high
    return call.attribute("min"), call.attribute("max")


@lowers("Clip")
def clip(call, x, low=None, high=None):
    check_types(x, low, high)
    if x.dtype != np.float32:
        return NotImplemented
    try:
        low, high = _limits(call, call.known(low), call.known(high))
    except NotConstant:
        return NotImplemented
    low = -math.inf if low is None else float(low)
    high = math.inf if high is None else float(high)
    if (low, high) == (0, 6):
        return call.pointwise(ops.relu6, x)
    if (low, high) == (0, math.inf):
        return call.pointwise(ops.relu, x)
    return call.pointwise(lambda tensor: ops.clip(tensor, low, high), x) if low <= high else NotImplemented


@evaluates("Clip")
@of_one_type
def clip_array(call, x, low=None, high=None):
    low, high = _limits(call, low, high)
    x = x if low is None else np.maximum(x, x.dtype.type(low))
    return x if high is None else np.minimum(x, x.dtype.type(high))


# ---- along an axis


def _axis(call, ndim):
    return axis_of(call.attribute("axis", -1 if call.version >= 13 else 1), ndim)


def _lower_along_axis(function):
    def lower(call, x):
        if x.dtype != np.float32 or not x.ndim:
            return NotImplemented
        axis = _axis(call, x.ndim)
        if call.version < 13:  # the axes from `axis` on as one
            rows = x.tensor().reshape((math.prod(x.shape[:axis]), math.prod(x.shape[axis:])))
            return Operand(getattr(ops, function)(rows).reshape(x.shape))
        order = (*(i for i in range(x.ndim) if i != axis), axis)
        return Operand(getattr(ops, function)(x.tensor(order)), invert(order))

    return lower


def _evaluate_along_axis(function):
    """`function` of an array takes its last axis."""

    @in_float32
    def evaluate(call, x):
        axis = _axis(call, x.ndim)
        if call.version < 13:
            return function(x.reshape(math.prod(x.shape[:axis]), -1)).reshape(x.shape)
        return np.moveaxis(function(np.moveaxis(x, axis, -1)), -1, axis)

    return evaluate


def softmax_array(x):
    """Return the softmax of an array over its last axis."""
    powers = np.exp(x - x.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


def log_softmax_array(x):
    """Return the logarithm of the softmax of an array over its last axis."""
    x = x - x.max(-1, keepdims=True)
    return x - np.log(np.exp(x).sum(-1, keepdims=True))


def _hardmax(x):
    return (np.arange(x.shape[-1]) == x.argmax(-1)[..., None]).astype(x.dtype)


lowers("Softmax")(_lower_along_axis("softmax"))
lowers("LogSoftmax")(_lower_along_axis("log_softmax"))
softmax_of = evaluates("Softmax")(_evaluate_along_axis(softmax_array))
evaluates("LogSoftmax")(_evaluate_along_axis(log_softmax_array))
evaluates("Hardmax")(_evaluate_along_axis(_hardmax))
