"""The activations that kernels know, alone and fused into another operation's last step: one table.

Every derivative is written in the function's own value y, so that a network keeps one array for each and ReLU can run
in place. A NaN in y makes the gradient NaN.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from ..errors import ArgumentError


class Function(NamedTuple):
    """A function of (x, slope), and the gradient dx as a function of (y, dy, slope)."""

    value: Callable
    backward: Callable


def _sigmoid(x, slope):
    # exp of a negative number only: no overflow on either side.
    e = np.exp(-np.abs(x))
    return np.where(x < 0, e, 1) / (1 + e)


def _kinked(y, above, below):
    """Return `above` where y > 0, `below` where y <= 0, and NaN where y is."""
    return np.where(y > 0, above, np.where(y <= 0, below, np.nan))


# y = f(x), and dx = dy f'(x) from y:
#   relu        dy where y > 0, else 0: a choice, no product, so 0 also where dy is infinite
#   leaky_relu  dy where y > 0, else slope dy
#   relu6       dy where 0 < y < 6, else 0
#   sigmoid     dy y (1 - y)
#   tanh        dy (1 - y^2)
TABLE = {
    "relu": Function(lambda x, slope: np.where(x < 0, 0, x), lambda y, dy, slope: _kinked(y, dy, 0)),
    "leaky_relu": Function(
        lambda x, slope: np.where(x < 0, slope * x, x), lambda y, dy, slope: _kinked(y, dy, slope * dy)
    ),
    "relu6": Function(lambda x, slope: np.clip(x, 0, 6), lambda y, dy, slope: _kinked(y, np.where(y < 6, dy, 0), 0)),
    "sigmoid": Function(_sigmoid, lambda y, dy, slope: dy * (y * (1 - y))),
    "tanh": Function(lambda x, slope: np.tanh(x), lambda y, dy, slope: dy * (1 - y * y)),
}


def activate(name, x, slope=0.0):
    """Return the activation `name` of x, in the dtype of x."""
    return TABLE[name].value(x, slope).astype(x.dtype)


def activate_backward(name, y, dy, slope=0.0):
    """Return dx, from y = activation(x) and dy."""
    return TABLE[name].backward(y, dy, slope).astype(dy.dtype)


def check_slope(op, slope):
    """Raise ArgumentError unless `slope` is finite and not negative, or y would not tell the sign of x."""
    if not 0 <= slope < float("inf"):
        raise ArgumentError(f"{op} needs a finite negative_slope >= 0, got {slope!r}")
