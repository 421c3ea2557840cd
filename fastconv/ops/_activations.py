"""The activations that kernels know, alone and fused into another operation's last step: one table.

Where the derivative is a function of the value y, that is what the backward reads: a network keeps one array for each, ReLU
can run in place, and the gradient goes through a fused activation. The others read x, which a fused step does not leave.
A NaN in what is read makes the gradient NaN.
"""

from collections.abc import Callable
from math import erfc, inf, pi, sqrt
from typing import NamedTuple

import numpy as np

from ..errors import ArgumentError


class Function(NamedTuple):
    """A function of x, and the gradient dx from what it `reads`, "y" or "x", and dy; both of two numbers besides."""

    value: Callable  # (x, alpha, beta)
    backward: Callable  # (y or x, dy, alpha, beta)
    reads: str = "y"
    numbers: tuple | None = (0.0, 0.0)  # alpha and beta where only the name is given; None: they must be
    refuses: Callable = lambda alpha, beta: None  # -> what is wrong with them


def _sigmoid(x):
    # exp of a negative number only: no overflow on either side.
    e = np.exp(-np.abs(x))
    return np.where(x < 0, e, 1) / (1 + e)


def _kinked(y, above, below):
    """Return `above` where y > 0, `below` where y <= 0, and NaN where y is."""
    return np.where(y > 0, above, np.where(y <= 0, below, np.nan))


def _between(y, low, high, dy):
    """Return `dy` where low < y < high, else 0, and NaN where y is."""
    return np.where(np.isnan(y), np.nan, np.where((y > low) & (y < high), dy, 0))


def _ramp(x, alpha, beta):
    return np.clip(alpha * x + beta, 0, 1)


def _hard_swish_backward(x, dy, alpha, beta):
    inside = (alpha * x + beta > 0) & (alpha * x + beta < 1)
    return dy * (_ramp(x, alpha, beta) + np.where(inside, alpha * x, 0))


def _silu_backward(x, dy, alpha, beta):
    s = _sigmoid(x)
    return dy * (s * (1 + x * (1 - s)))


_erfc = np.vectorize(erfc, otypes=[float])


def _normal(x):
    """Return the share of the normal distribution below x."""
    return 0.5 * _erfc(-x / sqrt(2))


def _gelu_backward(x, dy, alpha, beta):
    return dy * (_normal(x) + x * np.exp(-x * x / 2) / sqrt(2 * pi))


def _gelu_tanh(x, alpha, beta):
    return x * _sigmoid(2 * sqrt(2 / pi) * (x + 0.044715 * x**3))


def _gelu_tanh_backward(x, dy, alpha, beta):
    s = _sigmoid(2 * sqrt(2 / pi) * (x + 0.044715 * x**3))
    return dy * (s + x * (s * (1 - s)) * (2 * sqrt(2 / pi) * (1 + 3 * 0.044715 * x**2)))


def _mish(x, alpha, beta):
    return x * np.tanh(np.logaddexp(0, x))


def _mish_backward(x, dy, alpha, beta):
    t = np.tanh(np.logaddexp(0, x))
    return dy * (t + x * (1 - t * t) * _sigmoid(x))


def _refuses_slope(alpha, beta):
    return None if 0 <= alpha < inf else f"a finite negative_slope >= 0, got {alpha!r}"


def _refuses_limits(low, high):
    return None if low <= high else f"low <= high, got {low!r} and {high!r}"


def _refuses_elu(alpha, scale):
    return None if 0 <= alpha < inf and 0 < scale < inf else f"alpha >= 0 and scale > 0, got {alpha!r} and {scale!r}"


def _refuses_infinity(alpha, beta):
    return None if abs(alpha) < inf and abs(beta) < inf else f"finite numbers, got {alpha!r} and {beta!r}"


# f(x), and dx = dy f'(x), from y = f(x) as far as it will do:
#   relu          dy where y > 0, else 0: a choice, no product, so 0 also where dy is infinite
#   leaky_relu    alpha x for x < 0: dy where y > 0, else alpha dy
#   relu6, clip   between 0 and 6, or alpha and beta: dy where y is strictly between, else 0
#   sigmoid       dy y (1 - y)
#   tanh          dy (1 - y^2)
#   elu           beta x, or beta alpha (e^x - 1) for x <= 0, whose slope is y + beta alpha
#   softplus      log(1 + e^x), with the slope e^x / (1 + e^x) = 1 - e^-y
#   hard_sigmoid  alpha x + beta between 0 and 1: alpha dy where y is strictly between, else 0
# and from x:
#   hard_swish    x times that
#   silu          x sigmoid(x)
#   gelu          x times the normal distribution; gelu_tanh: its approximation
#   mish          x tanh(softplus(x))
#   softsign      x / (1 + |x|)
TABLE = {
    "relu": Function(lambda x, a, b: np.where(x < 0, 0, x), lambda y, dy, a, b: _kinked(y, dy, 0)),
    "leaky_relu": Function(
        lambda x, a, b: np.where(x < 0, a * x, x),
        lambda y, dy, a, b: _kinked(y, dy, a * dy),
        numbers=(0.2, 0.0),
        refuses=_refuses_slope,
    ),
    "relu6": Function(lambda x, a, b: np.clip(x, 0, 6), lambda y, dy, a, b: _between(y, 0, 6, dy)),
    "clip": Function(
        lambda x, low, high: np.clip(x, low, high),
        lambda y, dy, low, high: _between(y, low, high, dy),
        numbers=None,
        refuses=_refuses_limits,
    ),
    "sigmoid": Function(lambda x, a, b: _sigmoid(x), lambda y, dy, a, b: dy * (y * (1 - y))),
    "tanh": Function(lambda x, a, b: np.tanh(x), lambda y, dy, a, b: dy * (1 - y * y)),
    "elu": Function(
        lambda x, a, b: b * np.where(x > 0, x, a * np.expm1(np.minimum(x, 0))),
        lambda y, dy, a, b: dy * np.where(y > 0, b, y + a * b),
        numbers=(1.0, 1.0),
        refuses=_refuses_elu,
    ),
    "softplus": Function(lambda x, a, b: np.logaddexp(0, x), lambda y, dy, a, b: dy * -np.expm1(-y)),
    "hard_sigmoid": Function(
        _ramp, lambda y, dy, a, b: _between(y, 0, 1, a * dy), numbers=(1 / 6, 0.5), refuses=_refuses_infinity
    ),
    "hard_swish": Function(
        lambda x, a, b: x * _ramp(x, a, b), _hard_swish_backward, "x", (1 / 6, 0.5), _refuses_infinity
    ),
    "silu": Function(lambda x, a, b: x * _sigmoid(x), _silu_backward, "x"),
    "gelu": Function(lambda x, a, b: x * _normal(x), _gelu_backward, "x"),
    "gelu_tanh": Function(_gelu_tanh, _gelu_tanh_backward, "x"),
    "mish": Function(_mish, _mish_backward, "x"),
    "softsign": Function(lambda x, a, b: x / (1 + np.abs(x)), lambda x, dy, a, b: dy / (1 + np.abs(x)) ** 2, "x"),
}


def activate(epilogue, x):
    """Return the activation of x, in the dtype of x."""
    return TABLE[epilogue.activation].value(x, epilogue.alpha, epilogue.beta).astype(x.dtype)


def activate_backward(epilogue, v, dy):
    """Return dx, from dy and what the activation's derivative reads."""
    return TABLE[epilogue.activation].backward(v, dy, epilogue.alpha, epilogue.beta).astype(dy.dtype)


def check_numbers(op, epilogue):
    """Raise ArgumentError unless the numbers suit the activation; of some they must let y tell the sign of x."""
    if wrong := TABLE[epilogue.activation].refuses(epilogue.alpha, epilogue.beta):
        raise ArgumentError(f"{op} needs {wrong}")
