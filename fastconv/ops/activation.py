"""Activation functions, element by element. What they compute is in `_activations.py`."""

from functools import partial
from typing import NamedTuple

from .._kernels import eltwise
from ..autograd import apply
from ..op import Case, Epilogue, Op, Plan, Spec, register
from ._activations import TABLE, activate, activate_backward, check_numbers
from ._checks import check_float


class Attrs(NamedTuple):
    """The two numbers of an activation, as in `Epilogue`; what they mean is in `_activations.TABLE`."""

    alpha: float = 0.0
    beta: float = 0.0


def infer(name, specs, attrs):
    check_float(name, "x", specs["x"])
    check_numbers(name, Epilogue(name, *attrs))
    return {"y": specs["x"]}


def reference(name, arrays, attrs):
    return {"y": activate(Epilogue(name, *attrs), arrays["x"])}


# y = f(x), dx = dy f'(x), from y or from x: see `_activations.TABLE`.
def reference_backward(name, arrays, attrs, needs):
    return {"dx": activate_backward(Epilogue(name, *attrs), arrays[TABLE[name].reads], arrays["dy"])}


def plan(name, specs, attrs):
    step = eltwise.activate(Epilogue(name, *attrs), "x", "y", specs["x"].size)
    return Plan(phases=((step,),), inplace={"y": "x"})


def plan_backward(name, specs, attrs, needs):
    step = eltwise.activate_backward(Epilogue(name, *attrs), TABLE[name].reads, "dy", "dx", specs["dy"].size)
    return Plan(phases=((step,),), inplace={"dx": "dy"})


# Vector tails, and a size of more than one chunk.
_SHAPES = ((1,), (3, 5), (2, 4, 4), (17,), (3, 1, 11), (4099,))
# Other numbers than the usual ones: x of a few units is to both sides of what they limit.
_NUMBERS = {"clip": (-1.5, 2.5), "elu": (1.6, 1.1), "hard_sigmoid": (0.2, 0.5)}


def _wide(rng, shape):
    return 5 * rng.standard_normal(shape)


def _within(rng, shape):
    # At a limit the gradient jumps: a tolerance that allows for a rounding of y there tells nothing.
    return rng.uniform(-1.4, 1.4, shape)


def _make(name):
    attrs = Attrs(*_NUMBERS.get(name, TABLE[name].numbers))
    cases = [Case({"x": Spec(shape)}, attrs, {"x": _wide}) for shape in _SHAPES]
    cases.append(Case({"x": Spec((37,))}, attrs, {"x": _within}))
    return register(
        Op(
            name=name,
            inputs=("x",),
            outputs=("y",),
            infer=partial(infer, name),
            reference=partial(reference, name),
            reference_backward=partial(reference_backward, name),
            plan=partial(plan, name),
            plan_backward=partial(plan_backward, name),
            keeps=lambda attrs, needs: (TABLE[name].reads,),
            differentiable=frozenset({"x"}),
            attrs=Attrs,
            cases=tuple(cases),
            flops=lambda specs, attrs: specs["x"].size,
        )
    )


OPS = {name: _make(name) for name in TABLE}
# Klambauer et al., "Self-Normalizing Neural Networks", 2017.
SELU = Attrs(1.6732632423543772, 1.0507009873554805)


def _apply(name, x, *numbers):
    return apply(OPS[name], (x,), Attrs(*map(float, numbers or TABLE[name].numbers)))


def relu(x):
    """Return max(x, 0), element by element; NaN stays NaN. The gradient at 0 is 0.

    Parameters
    ----------
    x : Tensor or array_like
        Of any shape; float32 or float64.

    Returns
    -------
    Tensor
        Of the shape and dtype of `x`.

    Examples
    --------
    >>> fastconv.ops.relu([-1.0, 2.0]).numpy()
    array([0., 2.], dtype=float32)
    """
    return _apply("relu", x)


def relu6(x):
    """Return min(max(x, 0), 6), element by element (Howard et al., "MobileNets", 2017). The gradient at 0 and 6 is 0.

    Parameters
    ----------
    x : Tensor or array_like
        Of any shape; float32 or float64.

    Returns
    -------
    Tensor

    Examples
    --------
    >>> fastconv.ops.relu6([-1.0, 2.0, 7.0]).numpy()
    array([0., 2., 6.], dtype=float32)
    """
    return _apply("relu6", x)


def leaky_relu(x, negative_slope=0.2):
    """Return x where x >= 0 and negative_slope * x elsewhere (Maas, Hannun, Ng, 2013).

    Parameters
    ----------
    x : Tensor or array_like
        Of any shape; float32 or float64.
    negative_slope : float
        At least 0. The gradient at 0 is `negative_slope`.

    Returns
    -------
    Tensor

    Raises
    ------
    ArgumentError
        When the slope is negative: the gradient is computed from the result, whose sign must be that of `x`.

    Examples
    --------
    >>> fastconv.ops.leaky_relu([-1.0, 2.0], negative_slope=0.5).numpy()
    array([-0.5,  2. ], dtype=float32)
    """
    return _apply("leaky_relu", x, negative_slope)


def sigmoid(x):
    """Return 1 / (1 + exp(-x)), element by element.

    Parameters
    ----------
    x : Tensor or array_like
        Of any shape; float32 or float64.

    Returns
    -------
    Tensor

    Examples
    --------
    >>> fastconv.ops.sigmoid([0.0]).numpy()
    array([0.5], dtype=float32)
    """
    return _apply("sigmoid", x)


def tanh(x):
    """Return the hyperbolic tangent, element by element.

    Parameters
    ----------
    x : Tensor or array_like
        Of any shape; float32 or float64.

    Returns
    -------
    Tensor

    Examples
    --------
    >>> fastconv.ops.tanh([0.0]).numpy()
    array([0.], dtype=float32)
    """
    return _apply("tanh", x)


def clip(x, low, high):
    """Return min(max(x, low), high), element by element. The gradient at the limits is 0.

    Parameters
    ----------
    x : Tensor or array_like
        Of any shape; float32 or float64.
    low, high : float
        May be infinite.

    Returns
    -------
    Tensor

    Raises
    ------
    ArgumentError
        When low > high.

    Examples
    --------
    >>> fastconv.ops.clip([-3.0, 0.5, 2.0], -1, 1).numpy()
    array([-1. ,  0.5,  1. ], dtype=float32)
    """
    return _apply("clip", x, low, high)


def elu(x, alpha=1.0, scale=1.0):
    """Return scale * x where x > 0, else scale * alpha * (exp(x) - 1) (Clevert et al., 2015).

    Parameters
    ----------
    x : Tensor or array_like
        Of any shape; float32 or float64.
    alpha, scale : float
        alpha at least 0, scale greater.

    Returns
    -------
    Tensor

    Raises
    ------
    ArgumentError
        When the numbers are out of range: the gradient is computed from the result, whose sign must be that of `x`.

    Examples
    --------
    >>> fastconv.ops.elu([-1.0, 2.0]).numpy().round(4)
    array([-0.6321,  2.    ], dtype=float32)
    """
    return _apply("elu", x, alpha, scale)


def selu(x):
    """Return 1.0507 * elu(x, 1.6733): self-normalizing (Klambauer et al., 2017).

    Parameters
    ----------
    x : Tensor or array_like
        Of any shape; float32 or float64.

    Returns
    -------
    Tensor

    Examples
    --------
    >>> fastconv.ops.selu([0.0, 1.0]).numpy()
    array([0.      , 1.050701], dtype=float32)
    """
    return _apply("elu", x, *SELU)


def softplus(x):
    """Return log(1 + exp(x)), element by element.

    Parameters
    ----------
    x : Tensor or array_like
        Of any shape; float32 or float64.

    Returns
    -------
    Tensor

    Examples
    --------
    >>> fastconv.ops.softplus([0.0, 100.0]).numpy().round(4)
    array([  0.6931, 100.    ], dtype=float32)
    """
    return _apply("softplus", x)


def hard_sigmoid(x, alpha=1 / 6, beta=0.5):
    """Return min(max(alpha * x + beta, 0), 1), element by element.

    Parameters
    ----------
    x : Tensor or array_like
        Of any shape; float32 or float64.
    alpha, beta : float
        Those of Keras and PyTorch by default; ONNX has alpha = 0.2.

    Returns
    -------
    Tensor

    Examples
    --------
    >>> fastconv.ops.hard_sigmoid([-4.0, 0.0, 1.5]).numpy()
    array([0.  , 0.5 , 0.75], dtype=float32)
    """
    return _apply("hard_sigmoid", x, alpha, beta)


def hard_swish(x):
    """Return x * hard_sigmoid(x) (Howard et al., "Searching for MobileNetV3", 2019).

    Parameters
    ----------
    x : Tensor or array_like
        Of any shape; float32 or float64.

    Returns
    -------
    Tensor

    Examples
    --------
    >>> fastconv.ops.hard_swish([-1.5, 0.0, 1.5]).numpy()
    array([-0.375,  0.   ,  1.125], dtype=float32)
    """
    return _apply("hard_swish", x)


def silu(x):
    """Return x * sigmoid(x), also called swish.

    Parameters
    ----------
    x : Tensor or array_like
        Of any shape; float32 or float64.

    Returns
    -------
    Tensor

    Examples
    --------
    >>> fastconv.ops.silu([0.0, 1.0]).numpy().round(4)
    array([0.    , 0.7311], dtype=float32)
    """
    return _apply("silu", x)


def gelu(x, approximate=False):
    """Return x times the share of the normal distribution below x (Hendrycks and Gimpel, 2016).

    Parameters
    ----------
    x : Tensor or array_like
        Of any shape; float32 or float64.
    approximate : bool
        Compute 0.5 x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) instead.

    Returns
    -------
    Tensor

    Examples
    --------
    >>> fastconv.ops.gelu([0.0, 1.0]).numpy().round(4)
    array([0.    , 0.8413], dtype=float32)
    """
    return _apply("gelu_tanh" if approximate else "gelu", x)


def mish(x):
    """Return x * tanh(softplus(x)) (Misra, 2019).

    Parameters
    ----------
    x : Tensor or array_like
        Of any shape; float32 or float64.

    Returns
    -------
    Tensor

    Examples
    --------
    >>> fastconv.ops.mish([0.0, 1.0]).numpy().round(4)
    array([0.    , 0.8651], dtype=float32)
    """
    return _apply("mish", x)


def softsign(x):
    """Return x / (1 + abs(x)), element by element.

    Parameters
    ----------
    x : Tensor or array_like
        Of any shape; float32 or float64.

    Returns
    -------
    Tensor

    Examples
    --------
    >>> fastconv.ops.softsign([-3.0, 1.0]).numpy()
    array([-0.75,  0.5 ], dtype=float32)
    """
    return _apply("softsign", x)
