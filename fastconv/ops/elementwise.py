"""Pointwise functions and arithmetic with NumPy's broadcasting, as one table.

Forward they are kernels. The gradients of plain arithmetic are kernels, too (`GRADIENTS`), the others host steps. What networks
spend most time on (activations, residual sums) has kernels and files of its own.
"""

import functools
import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from .. import shapes
from .._kernels import pointwise
from .._kernels import reduce as kernels
from ..autograd import Tensor, apply
from ..autograd.tensor import FLOATS, as_tensor
from ..errors import ArgumentError
from ..op import Case, Op, Plan, Spec, register
from ._checks import check_floats
from ._plans import side_by_side
from .add import add_n


class Attrs(NamedTuple):
    """Pointwise functions have none."""


class Partial(NamedTuple):
    """The derivative with respect to one input: ``derivative(**{name: array for name in reads})``."""

    reads: tuple[str, ...]
    derivative: Callable


class Function(NamedTuple):
    """A pointwise function of `partials`' keys."""

    doc: str
    value: Callable
    partials: dict[str, Partial]
    linear: bool = False
    draws: tuple[dict, ...] = ({},)  # of the cases: input -> how to draw it, where normal numbers will not do


def _partial(reads, derivative):
    return Partial(tuple(reads), derivative)


def _positive(rng, shape):
    return rng.uniform(0.5, 2.0, shape)


def _fraction(rng, shape):
    return rng.uniform(-0.9, 0.9, shape)


def _between_steps(rng, shape):
    """Both signs, away from 0, from whole numbers and from halves: where a function has a kink or jumps."""
    return rng.choice([-1, 1], shape) * (rng.integers(0, 3, shape) + rng.uniform(0.05, 0.45, shape))


def _with_zeros(rng, shape):
    values = np.array(_positive(rng, shape))
    values.reshape(-1)[::3] = 0
    return values


def _power_by_exponent(a, y):
    # 0 ** b is 0 for every b > 0, so b does not move it: not 0 * log(0), which is NaN.
    return y * np.log(np.where((a == 0) & (y == 0), 1, a))


def _power_by_base(a, b):
    # a ** 0 is 1 for every a, so a does not move it: 0 * a ** 0, not 0 * a ** -1, which is NaN where a is 0.
    return b * a ** np.where(b == 0, 0, b - 1)


def _share(wins, ties):
    return wins + 0.5 * ties  # equal inputs share the gradient


_FLAT = _partial("", lambda: 0.0)  # the gradient of a step function, where it has one

TABLE = {
    "add": Function("a + b", np.add, {"a": _partial("", lambda: 1.0), "b": _partial("", lambda: 1.0)}, linear=True),
    "subtract": Function(
        "a - b", np.subtract, {"a": _partial("", lambda: 1.0), "b": _partial("", lambda: -1.0)}, linear=True
    ),
    "multiply": Function(
        "a * b", np.multiply, {"a": _partial("b", lambda b: b), "b": _partial("a", lambda a: a)}, linear=True
    ),
    "divide": Function(
        "a / b",
        np.divide,
        {"a": _partial("b", lambda b: 1 / b), "b": _partial("by", lambda b, y: -y / b)},
        draws=({"b": _positive},),
    ),
    "power": Function(
        "a ** b",
        np.power,
        {"a": _partial("ab", _power_by_base), "b": _partial("ay", _power_by_exponent)},
        # Where a is 0, whole exponents: near it the gradient exists for negative a too.
        draws=(
            {"a": _positive, "b": _with_zeros},
            {"a": _with_zeros, "b": lambda rng, shape: rng.integers(1, 4, shape)},
        ),
    ),
    "maximum": Function(
        "the larger of a and b; equal ones share the gradient",
        np.maximum,
        {
            "a": _partial("ab", lambda a, b: _share(a > b, a == b)),
            "b": _partial("ab", lambda a, b: _share(b > a, a == b)),
        },
    ),
    "minimum": Function(
        "the smaller of a and b; equal ones share the gradient",
        np.minimum,
        {
            "a": _partial("ab", lambda a, b: _share(a < b, a == b)),
            "b": _partial("ab", lambda a, b: _share(b < a, a == b)),
        },
    ),
    "prelu": Function(
        "a where it is not negative, else a * b",
        lambda a, b: np.where(a < 0, a * b, a),
        {
            "a": _partial("ab", lambda a, b: np.where(a < 0, b, 1)),
            "b": _partial("a", lambda a: np.where(a < 0, a, 0)),
        },
        draws=({"a": _between_steps},),
    ),
    "negative": Function("-x", np.negative, {"x": _partial("", lambda: -1.0)}, linear=True),
    "exp": Function("e to the power of x", np.exp, {"x": _partial("y", lambda y: y)}),
    "log": Function(
        "the natural logarithm of x", np.log, {"x": _partial("x", lambda x: 1 / x)}, draws=({"x": _positive},)
    ),
    "sqrt": Function(
        "the square root of x", np.sqrt, {"x": _partial("y", lambda y: 0.5 / y)}, draws=({"x": _positive},)
    ),
    "square": Function("x squared", np.square, {"x": _partial("x", lambda x: 2 * x)}),
    "abs": Function(
        "|x|; the gradient at 0 is 0",
        np.abs,
        {"x": _partial("x", lambda x: np.sign(x))},
        draws=({"x": _between_steps},),
    ),
    "reciprocal": Function("1 / x", np.reciprocal, {"x": _partial("y", lambda y: -y * y)}, draws=({"x": _positive},)),
    "floor": Function(
        "the largest whole number that is not above x", np.floor, {"x": _FLAT}, draws=({"x": _between_steps},)
    ),
    "ceil": Function(
        "the smallest whole number that is not below x", np.ceil, {"x": _FLAT}, draws=({"x": _between_steps},)
    ),
    "round": Function(
        "the nearest whole number, of two the even one", np.rint, {"x": _FLAT}, draws=({"x": _between_steps},)
    ),
    "sign": Function("the sign of x: -1, 0 or 1", np.sign, {"x": _FLAT}, draws=({"x": _between_steps},)),
    "erf": Function(
        "the error function of x",
        lambda x: np.vectorize(math.erf, [x.dtype])(x),
        {"x": _partial("x", lambda x: 2 / math.sqrt(math.pi) * np.exp(-x * x))},
    ),
    "sin": Function("the sine of x", np.sin, {"x": _partial("x", lambda x: np.cos(x))}),
    "cos": Function("the cosine of x", np.cos, {"x": _partial("x", lambda x: -np.sin(x))}),
    "tan": Function("the tangent of x", np.tan, {"x": _partial("y", lambda y: 1 + y * y)}, draws=({"x": _fraction},)),
    "arcsin": Function(
        "the inverse sine of x",
        np.arcsin,
        {"x": _partial("x", lambda x: 1 / np.sqrt(1 - x * x))},
        draws=({"x": _fraction},),
    ),
    "arccos": Function(
        "the inverse cosine of x",
        np.arccos,
        {"x": _partial("x", lambda x: -1 / np.sqrt(1 - x * x))},
        draws=({"x": _fraction},),
    ),
    "arctan": Function("the inverse tangent of x", np.arctan, {"x": _partial("x", lambda x: 1 / (1 + x * x))}),
    "sinh": Function("the hyperbolic sine of x", np.sinh, {"x": _partial("x", lambda x: np.cosh(x))}),
    "cosh": Function("the hyperbolic cosine of x", np.cosh, {"x": _partial("x", lambda x: np.sinh(x))}),
    "arcsinh": Function(
        "the inverse hyperbolic sine of x", np.arcsinh, {"x": _partial("x", lambda x: 1 / np.sqrt(1 + x * x))}
    ),
    "arccosh": Function(
        "the inverse hyperbolic cosine of x",
        np.arccosh,
        {"x": _partial("x", lambda x: 1 / np.sqrt(x * x - 1))},
        draws=({"x": lambda rng, shape: rng.uniform(1.5, 4.0, shape)},),
    ),
    "arctanh": Function(
        "the inverse hyperbolic tangent of x",
        np.arctanh,
        {"x": _partial("x", lambda x: 1 / (1 - x * x))},
        draws=({"x": _fraction},),
    ),
}


class Gradient(NamedTuple):
    """What of dy is the gradient of an input, before it is summed over the axes along which that was repeated.

    `steps`: (function, operand, operand), one after another, each of which writes "t". `negated`: its sign is turned at last.
    """

    steps: tuple = ()
    negated: bool = False


GRADIENTS = {
    "add": {"a": Gradient(), "b": Gradient()},
    "subtract": {"a": Gradient(), "b": Gradient(negated=True)},
    "multiply": {"a": Gradient((("multiply", "dy", "b"),)), "b": Gradient((("multiply", "dy", "a"),))},
    "divide": {
        "a": Gradient((("divide", "dy", "b"),)),
        "b": Gradient((("multiply", "dy", "y"), ("divide", "t", "b")), negated=True),
    },
    "negative": {"x": Gradient(negated=True)},
    "square": {"x": Gradient((("multiply", "dy", "x"), ("add", "t", "t")))},
    "sqrt": {"x": Gradient((("add", "y", "y"), ("divide", "dy", "t")))},
}


def _plan_gradient(name, gradient, specs):
    """Return the plan of one such gradient, or None where a kernel lacks the loops."""
    result, shape, y = "d" + name, specs[name].shape, specs["dy"].shape
    added = len(y) - len(shape)
    axes = [i for i, n in enumerate(y) if n != 1 and (i < added or shape[i - added] == 1)]
    target, last, steps = f"product_{name}" if axes else result, "dy", []
    for kind, *operands in gradient.steps:
        sizes = [specs[operand].shape if operand in specs else y for operand in operands]
        operands = [target if operand == "t" else operand for operand in operands]
        steps.append(pointwise.binary(kind, *operands, target, *sizes, y))
        last = target
    workspace = {target: 4 * shapes.size(y)} if axes and steps else {}
    if axes:
        steps.append(kernels.reduce("sum", last, result, y, axes))
        last = result
    if gradient.negated:
        steps.append(pointwise.unary("negative", last, result, shapes.size(shape)))
        last = result
    if None in steps:
        return None
    return Plan(
        phases=tuple((step,) for step in steps), workspace=workspace, alias={} if last == result else {result: "dy"}
    )


def _plan_gradients(gradients, specs, needs):
    if 0 in specs["dy"].shape:
        return None  # sums of nothing: the reference makes them
    plans = [_plan_gradient(name, gradients[name], specs) for name in sorted(needs)]
    return None if None in plans else side_by_side(*plans)


def infer(specs, attrs):
    check_floats("arithmetic", specs)
    shape = functools.reduce(shapes.broadcast, (spec.shape for spec in specs.values()))
    return {"y": Spec(shape, next(iter(specs.values())).dtype)}


def unbroadcast(array, shape):
    """Sum over the axes along which broadcasting repeated an array of `shape`."""
    extra = array.ndim - len(shape)
    axes = tuple(range(extra)) + tuple(i + extra for i, n in enumerate(shape) if n == 1 and array.shape[i + extra] != 1)
    return array.sum(axes, keepdims=True).reshape(shape) if axes else array.reshape(shape)


def _cases(function):
    names = tuple(function.partials)
    # Of two: scalars, one shape, channels (few, many), squeeze-excite, one number a pixel, outer product, axes in between.
    shape_lists = [((1,),), ((2, 3, 5),), ((4111,),), ((0, 4),)] if len(names) == 1 else [
        ((), ()), ((3, 5), (3, 5)), ((3, 1, 5), (2, 1)), ((4,), (2, 3, 4)), ((2, 3), ()), ((1, 3), (4, 3)), ((0, 3), (3,)),
        ((2, 5, 7, 3), (3,)), ((2, 3, 3, 33), (33,)), ((2, 1, 1, 17), (2, 3, 5, 17)), ((2, 3, 4, 9), (2, 3, 4, 1)),
        ((9, 1), (1, 40)), ((2, 1, 3, 1, 4), (5, 1, 6, 4)), ((3, 5500), (5500,)),
    ]  # fmt: skip
    return tuple(
        Case({name: Spec(shape) for name, shape in zip(names, shape_list, strict=True)}, Attrs(), draw)
        for shape_list in shape_lists
        for draw in function.draws
    )


def _make(name, function):
    def reference(arrays, attrs):
        return {"y": function.value(*(arrays[operand] for operand in function.partials))}

    # y = f(a, b) pointwise, so da = dy * df/da, summed over the axes along which a was repeated.
    def reference_backward(arrays, attrs, needs):
        results = {}
        for operand in needs:
            reads, derivative = function.partials[operand]
            product = arrays["dy"] * derivative(**{read: arrays[read] for read in reads})
            results["d" + operand] = unbroadcast(product, arrays[operand].shape)
        return results

    def plan(specs, attrs):
        y = infer(specs, attrs)["y"]
        operands = tuple(specs.items())
        if len(operands) == 1:
            step = pointwise.unary(name, "x", "y", y.size)
        else:
            step = pointwise.binary(name, *specs, "y", *(spec.shape for spec in specs.values()), y.shape)
        whole = [operand for operand, spec in operands if spec.shape == y.shape]
        return step and Plan(phases=((step,),), inplace={"y": whole[0]} if whole else {})

    def plan_backward(specs, attrs, needs):
        return _plan_gradients(GRADIENTS[name], specs, needs)

    def keeps(attrs, needs):
        return tuple(sorted({read for operand in needs for read in function.partials[operand].reads}))

    return register(
        Op(
            name=name,
            inputs=tuple(function.partials),
            outputs=("y",),
            infer=infer,
            reference=reference,
            reference_backward=reference_backward,
            plan=plan,
            **({"plan_backward": plan_backward} if name in GRADIENTS else {}),
            keeps=keeps,
            attrs=Attrs,
            differentiable=frozenset(function.partials),
            linear=tuple(function.partials) if function.linear else (),
            cases=_cases(function),
            reduction=lambda specs, attrs: max(spec.size for spec in specs.values()),
            flops=lambda specs, attrs: infer(specs, attrs)["y"].size,
        )
    )


OPS = {name: _make(name, function) for name, function in TABLE.items()}


def operand(value, dtype):
    """Numbers, and arrays of integers or booleans, take the float type of the other operand."""
    if isinstance(value, Tensor):
        return value
    if not isinstance(value, np.ndarray) or value.dtype.kind in "iub":
        return as_tensor(value, dtype)
    return as_tensor(value)


def common_dtype(inputs):
    """Return the float type of the first tensor; without one, float64 if there is a float64 array."""
    for value in inputs:
        if isinstance(value, Tensor) and value.dtype in FLOATS:
            return value.dtype
    return "float64" if any(isinstance(v, np.ndarray) and v.dtype == np.float64 for v in inputs) else "float32"


def _public(name):
    names = ", ".join(TABLE[name].partials)

    def function(*inputs):
        if len(inputs) != len(TABLE[name].partials):
            raise TypeError(f"{name}() takes the operands {names}, got {len(inputs)} of them")
        dtype = common_dtype(inputs)
        return apply(OPS[name], [operand(value, dtype) for value in inputs], Attrs())

    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"""Return {TABLE[name].doc}, element by element.

    Parameters
    ----------
    {names} : Tensor or array_like
        Of any shapes that broadcast as in NumPy; float32 or float64, not mixed.

    Returns
    -------
    Tensor

    Raises
    ------
    ShapeError
        When the shapes do not broadcast.
    DTypeError
        When a tensor holds integers, or float32 meets float64.

    Examples
    --------
    >>> fastconv.ops.{name}({", ".join(["[1.0, 4.0]"] * len(TABLE[name].partials))}).shape
    (2,)
    """
    return function


globals().update({name: _public(name) for name in TABLE})
_add_two = globals()["add"]


def add(*inputs):
    """Return the sum of two or more arrays, element by element.

    Arrays of one shape run as one kernel (`add_n`); others are broadcast as in NumPy.

    Parameters
    ----------
    *inputs : Tensor or array_like
        Of any shapes that broadcast; float32 or float64, not mixed.

    Returns
    -------
    Tensor

    Raises
    ------
    ShapeError
        When the shapes do not broadcast.
    DTypeError
        When a tensor holds integers, or float32 meets float64.

    Examples
    --------
    >>> fastconv.ops.add([1.0, 4.0], [1.0, 1.0], 10.0).numpy()
    array([12., 15.], dtype=float32)
    """
    if len(inputs) < 2:
        raise ArgumentError(f"add() takes two or more arrays, got {len(inputs)}")
    dtype = common_dtype(inputs)
    operands = [operand(value, dtype) for value in inputs]
    if len({operand.shape for operand in operands}) == 1:
        return add_n(operands)
    return functools.reduce(_add_two, operands)
