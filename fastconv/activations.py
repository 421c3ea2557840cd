"""Activation functions by name: what ``activation="relu"`` stands for.

`softmax` and `sigmoid` leave what they were computed from in the result's `logits`, so that a loss on probabilities can be
computed from logits, which is exact where probabilities are rounded to 0 or 1.
"""

from . import ops
from .autograd import as_tensor
from .errors import ArgumentError
from .ops._activations import TABLE

# Activations that a kernel applies as it stores, by name alone, and that a gradient goes through. Not sigmoid: a loss may
# want what it is computed from.
FUSED = {name for name, f in TABLE.items() if f.reads == "y" and f.numbers is not None} - {"sigmoid"}


def linear(x):
    """Return `x` as it is."""
    return as_tensor(x)


def relu(x, negative_slope=0.0, max_value=None, threshold=0.0):
    """Return ``max(x, 0)``, and its variants.

    Parameters
    ----------
    x : Tensor or array_like
    negative_slope : float
        Factor of ``x - threshold`` below the threshold.
    max_value : float, optional
        The largest value that comes out: 6 makes a ReLU6.
    threshold : float
        Where x begins to go through; ``negative_slope * (x - threshold)`` below it.

    Returns
    -------
    Tensor
    """
    if max_value is not None and max_value >= 0 and not threshold and not negative_slope:
        return ops.relu6(x) if max_value == 6 else ops.clip(x, 0.0, max_value)
    if threshold:
        y = ops.threshold(x, threshold, negative_slope)
    else:
        y = ops.leaky_relu(x, negative_slope) if negative_slope else ops.relu(x)
    return y if max_value is None else ops.minimum(y, float(max_value))


def relu6(x):
    """Return ``min(max(x, 0), 6)``."""
    return ops.relu6(x)


def leaky_relu(x, negative_slope=0.2):
    """Return `x` where positive, else ``negative_slope * x``."""
    return ops.leaky_relu(x, negative_slope)


def sigmoid(x):
    """Return ``1 / (1 + exp(-x))``."""
    x = as_tensor(x)
    y = ops.sigmoid(x)
    y.logits, y.logits_of = x, "sigmoid"
    return y


def tanh(x):
    """Return the hyperbolic tangent of `x`."""
    return ops.tanh(x)


def elu(x, alpha=1.0):
    """Return `x` where positive, else ``alpha * (exp(x) - 1)``."""
    return ops.elu(x, alpha)


def selu(x):
    """Return ``1.0507 * elu(x, 1.6733)``."""
    return ops.selu(x)


def softplus(x):
    """Return ``log(1 + exp(x))``."""
    return ops.softplus(x)


def softsign(x):
    """Return ``x / (1 + abs(x))``."""
    return ops.softsign(x)


def hard_sigmoid(x):
    """Return ``relu6(x + 3) / 6``."""
    return ops.hard_sigmoid(x)


def hard_silu(x):
    """Return ``x * hard_sigmoid(x)``, also called hard swish."""
    return ops.hard_swish(x)


def silu(x):
    """Return ``x * sigmoid(x)``, also called swish."""
    return ops.silu(x)


def gelu(x, approximate=False):
    """Return `x` times the share of the normal distribution below `x`, or its approximation by tanh."""
    return ops.gelu(x, approximate)


def mish(x):
    """Return ``x * tanh(softplus(x))``."""
    return ops.mish(x)


def softmax(x, axis=-1):
    """Return ``exp(x) / sum(exp(x))`` along an axis."""
    x = as_tensor(x)
    axes = range(-x.ndim, x.ndim)
    if axis not in axes or x.ndim < 1:
        raise ArgumentError(
            f"softmax: axis must be from {axes.start} to {axes.stop - 1} for {x.ndim} dimensions, got {axis!r}"
        )
    if axis % x.ndim != x.ndim - 1:
        order = [*range(x.ndim)]
        order[axis], order[-1] = order[-1], order[axis]
        return ops.softmax(x.transpose(*order)).transpose(*order)
    y = ops.softmax(x)
    y.logits, y.logits_of = x, "softmax"
    return y


FUNCTIONS = {
    function.__name__: function
    for function in (
        *(linear, relu, relu6, leaky_relu, sigmoid, tanh, softmax, elu, selu, softplus, softsign),
        *(hard_sigmoid, hard_silu, silu, gelu, mish),
    )
}
# Keras's second names.
swish, hard_swish = silu, hard_silu
_ALIASES = {"swish": silu, "hard_swish": hard_silu}


def get(identifier):
    """Return the activation function that a name or callable stands for; None is `linear`."""
    if identifier is None:
        return linear
    if isinstance(identifier, str) and identifier in FUNCTIONS | _ALIASES:
        return (FUNCTIONS | _ALIASES)[identifier]
    if callable(identifier):
        return identifier
    raise ArgumentError(
        f"no activation is named {identifier!r}; known are {', '.join(sorted(FUNCTIONS | _ALIASES))}, or give a function"
    )


def name_of(function):
    """Return the name of one of this module's functions, or None for another."""
    return next((name for name, known in FUNCTIONS.items() if known is function), None)


def fused_name(activation):
    """Return the name of an activation that a kernel applies as it stores, else None."""
    name = name_of(activation)
    return name if name in FUSED else None


def serialize(function):
    """Return the name of an activation, for JSON."""
    name = name_of(function)
    if name is None:
        raise ArgumentError(
            f"{function!r} is not one of fastconv's activations: register it with register_serializable"
        )
    return name


deserialize = get
