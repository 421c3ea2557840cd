"""Activation functions: ReLU, ReLU6, leaky ReLU, sigmoid, tanh. What they compute is in `_activations.py`."""

from functools import partial
from typing import NamedTuple

from .._kernels import eltwise
from ..autograd import apply
from ..op import Case, Op, Plan, Spec, register
from ._activations import TABLE, activate, activate_backward, check_slope
from ._checks import check_float


class Attrs(NamedTuple):
    """`negative_slope`: of "leaky_relu" for x < 0; not negative, or y would not tell the sign of x."""

    negative_slope: float = 0.0


def _infer(name, specs, attrs):
    check_float(name, "x", specs["x"])
    check_slope(name, attrs.negative_slope)
    return {"y": specs["x"]}


def _reference(name, arrays, attrs):
    return {"y": activate(name, arrays["x"], attrs.negative_slope)}


# y = f(x): every derivative is a function of y, see `_activations.TABLE`.
def _reference_backward(name, arrays, attrs, needs):
    return {"dx": activate_backward(name, arrays["y"], arrays["dy"], attrs.negative_slope)}


def _plan(name, specs, attrs):
    step = eltwise.activate(name, attrs.negative_slope, "x", "y", specs["x"].size)
    return Plan(phases=((step,),), inplace={"y": "x"})


def _plan_backward(name, specs, attrs, needs):
    step = eltwise.activate_backward(name, attrs.negative_slope, "y", "dy", "dx", specs["dy"].size)
    return Plan(phases=((step,),), inplace={"dx": "dy"})


# Vector tails, and a size of more than one chunk.
_SHAPES = ((1,), (3, 5), (2, 4, 4), (17,), (3, 1, 11), (4099,))


def _make(name):
    attrs = Attrs(0.2 if name == "leaky_relu" else 0.0)
    draw = {"x": lambda rng, shape: 5 * rng.standard_normal(shape)} if name == "relu6" else {}  # to both sides of 6
    return register(
        Op(
            name=name,
            inputs=("x",),
            outputs=("y",),
            infer=partial(_infer, name),
            reference=partial(_reference, name),
            reference_backward=partial(_reference_backward, name),
            plan=partial(_plan, name),
            plan_backward=partial(_plan_backward, name),
            keeps=lambda attrs, needs: ("y",),
            differentiable=frozenset({"x"}),
            attrs=Attrs,
            cases=tuple(Case({"x": Spec(shape)}, attrs, draw) for shape in _SHAPES),
            flops=lambda specs, attrs: specs["x"].size,
        )
    )


OPS = {name: _make(name) for name in TABLE}


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
    return apply(OPS["relu"], (x,), Attrs())


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
    return apply(OPS["relu6"], (x,), Attrs())


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
    return apply(OPS["leaky_relu"], (x,), Attrs(float(negative_slope)))


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
    return apply(OPS["sigmoid"], (x,), Attrs())


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
    return apply(OPS["tanh"], (x,), Attrs())
