"""Conversion to another dtype."""

from typing import NamedTuple

from .._kernels import move
from ..autograd import apply, as_tensor
from ..errors import DTypeError
from ..op import ITEM_SIZE, Case, Op, Plan, Spec, register


class Attrs(NamedTuple):
    """`dtype`: of y."""

    dtype: str


def infer(specs, attrs):
    if attrs.dtype not in ITEM_SIZE:
        raise DTypeError(f"cast knows the dtypes {', '.join(ITEM_SIZE)}; got {attrs.dtype!r}")
    return {"y": Spec(specs["x"].shape, attrs.dtype)}


def plan(specs, attrs):
    x = specs["x"]
    if x.dtype == attrs.dtype:
        return Plan(alias={"y": "x"})
    if not {x.dtype, attrs.dtype} <= move.TYPES.keys():
        return None
    return Plan(phases=((move.cast("x", "y", x.size, x.dtype, attrs.dtype),),))


def _numbers(rng, shape):
    return rng.integers(0, 3, shape) * rng.uniform(1, 60, shape)


OP = register(
    Op(
        name="cast",
        inputs=("x",),
        outputs=("y",),
        infer=infer,
        reference=lambda arrays, attrs: {"y": arrays["x"].astype(attrs.dtype)},
        plan=plan,
        attrs=Attrs,
        cases=(
            *(
                Case({"x": Spec((3, 7), source)}, Attrs(target), {"x": _numbers})
                for source in move.TYPES
                for target in move.TYPES
            ),
            Case({"x": Spec((17000,), "uint8")}, Attrs("float32"), {"x": _numbers}),
        ),
    )
)


def cast(x, dtype):
    """Return `x` converted; floats go towards zero, and what is not 0 is true. There is no gradient.

    Parameters
    ----------
    x : Tensor or array_like
    dtype : str
        float32, float64, int32, int64, uint8, uint64 or bool. What does not fit into it has no defined value.

    Returns
    -------
    Tensor

    Raises
    ------
    DTypeError
        When there is no such dtype.

    Examples
    --------
    >>> fastconv.ops.cast([1.7, -1.7, 0.0], "int32").numpy()
    array([ 1, -1,  0], dtype=int32)
    """
    return apply(OP, (as_tensor(x),), Attrs(str(dtype)))
