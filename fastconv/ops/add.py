"""The sum of any number of arrays of one shape: residual connections."""

from typing import NamedTuple

from .._kernels import eltwise
from ..autograd import apply
from ..errors import ArgumentError
from ..op import Case, Op, Plan, Spec, register
from ._checks import check_float, check_shape


class Attrs(NamedTuple):
    """A sum has none."""


def infer(specs, attrs):
    if not specs:
        raise ArgumentError("add_n needs at least one array, got none")
    first = specs["x0"]
    check_float("add_n", "x0", first)
    shape = first.shape
    for name, spec in specs.items():
        check_float("add_n", name, spec, first.dtype)
        check_shape("add_n", name, spec.shape, shape)
        shape = tuple(n if m is None else m for m, n in zip(shape, spec.shape, strict=True))
    return {"y": Spec(shape, first.dtype)}


def reference(arrays, attrs):
    y, *others = arrays.values()
    for x in others:
        y = y + x
    return {"y": y.copy()}


# y = x0 + x1 + ..., so every dx is dy: the same bytes.
def reference_backward(arrays, attrs, needs):
    return {"d" + name: arrays["dy"].copy() for name in needs}


def plan(specs, attrs):
    step = eltwise.add_n(tuple(specs), "y", specs["x0"].size)
    return Plan(phases=((step,),), inplace={"y": "x0"})


def plan_backward(specs, attrs, needs):
    return Plan(alias={"d" + name: "dy" for name in needs})


OP = register(
    Op(
        name="add_n",
        inputs=("*x",),
        outputs=("y",),
        infer=infer,
        reference=reference,
        reference_backward=reference_backward,
        plan=plan,
        plan_backward=plan_backward,
        differentiable=frozenset({"*x"}),
        attrs=Attrs,
        cases=tuple(
            Case({f"x{i}": Spec(shape) for i in range(count)}, Attrs())
            for shape, count in (((1,), 2), ((3, 5), 1), ((2, 3, 7), 3), ((17,), 2), ((2, 4, 4), 5), ((16387,), 2))
        ),
        flops=lambda specs, attrs: (len(specs) - 1) * specs["x0"].size,
        reduction=lambda specs, attrs: len(specs),
    )
)


def add_n(xs):
    """Return the sum of the arrays in `xs`, from left to right.

    Parameters
    ----------
    xs : sequence of Tensor or array_like
        One or more, of one shape and float type; there is no broadcasting.

    Returns
    -------
    Tensor

    Raises
    ------
    ArgumentError
        When there is none.
    ShapeError, DTypeError
        When two differ.

    Examples
    --------
    >>> fastconv.ops.add_n([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]).numpy()
    array([ 9., 12.], dtype=float32)
    """
    return apply(OP, tuple(xs), Attrs())
