"""Matrix product, in all four transpositions."""

from typing import NamedTuple

import numpy as np

from .._kernels import chunks
from ..autograd import apply
from ..errors import ShapeError
from ..op import Case, Op, Plan, Spec, register
from ..shapes import size
from ._checks import check_floats, check_rank
from ._plans import in_turn, side_by_side
from ._product import plan_product


class Attrs(NamedTuple):
    """Whether an operand's last two axes are swapped first."""

    transpose_a: bool = False
    transpose_b: bool = False


def infer(specs, attrs):
    a, b = specs["a"], specs["b"]
    check_floats("matmul", specs)
    for name, spec in specs.items():
        check_rank("matmul", name, spec, "(..., rows, columns)")
    a_batch, b_batch = a.shape[:-2], b.shape[:-2]
    if a_batch and b_batch and a_batch != b_batch:
        raise ShapeError(
            f"matmul: the leading dimensions of a {a.shape} and b {b.shape} must be equal, or one operand 2-D"
        )
    m, k = a.shape[-2:][:: -1 if attrs.transpose_a else 1]
    k_b, n = b.shape[-2:][:: -1 if attrs.transpose_b else 1]
    if k != k_b and None not in (k, k_b):
        raise ShapeError(
            f"matmul: the inner dimensions differ: a {a.shape}{' transposed' * attrs.transpose_a} has {k} columns, "
            f"b {b.shape}{' transposed' * attrs.transpose_b} has {k_b} rows"
        )
    return {"y": Spec((*(a_batch or b_batch), m, n), a.dtype)}


def _swap(x, wanted):
    return np.swapaxes(x, -1, -2) if wanted else x


def reference(arrays, attrs):
    return {"y": _swap(arrays["a"], attrs.transpose_a) @ _swap(arrays["b"], attrs.transpose_b)}


def _unbroadcast(x, shape):
    return x.sum(tuple(range(x.ndim - len(shape))))


def reference_backward(arrays, attrs, needs):
    a, b, dy = arrays["a"], arrays["b"], arrays["dy"]
    result = {}
    if "a" in needs:
        da = dy @ np.swapaxes(_swap(b, attrs.transpose_b), -1, -2)
        result["da"] = _unbroadcast(_swap(da, attrs.transpose_a), a.shape)
    if "b" in needs:
        db = np.swapaxes(_swap(a, attrs.transpose_a), -1, -2) @ dy
        result["db"] = _unbroadcast(_swap(db, attrs.transpose_b), b.shape)
    return result


def _sizes(specs, attrs):
    """Return (m, k, n, batches, is a batched, is b batched), many rows instead of batches where b is one matrix."""
    a, b = specs["a"].shape, specs["b"].shape
    m, k = a[-2:][:: -1 if attrs.transpose_a else 1]
    n = b[-2] if attrs.transpose_b else b[-1]
    a_batched, b_batched = len(a) > 2, len(b) > 2
    batches = size(a[:-2] or b[:-2])
    if a_batched and not b_batched and not attrs.transpose_a:
        return batches * m, k, n, 1, True, True
    return m, k, n, batches, a_batched or batches == 1, b_batched or batches == 1


def plan(specs, attrs):
    m, k, n, batches, a_batched, b_batched = _sizes(specs, attrs)
    flags = attrs._asdict() | {"a_batched": a_batched, "b_batched": b_batched}
    return plan_product("a", "b", "y", m, k, n, batches=batches, **flags)


# y = A B with A = a or a^T, B = b or b^T, so dA = dy B^T and dB = A^T dy: each again one of the four products.
#
#   da   = dy B^T      da^T = B dy^T
#   db   = A^T dy      db^T = dy^T A
def plan_backward(specs, attrs, needs):
    m, k, n, batches, a_batched, b_batched = _sizes(specs, attrs)
    ta, tb = attrs.transpose_a, attrs.transpose_b
    plans = []

    def add(result, left, right, m, k, n, transpose_left, transpose_right, batched):
        target = result if batched else f"{result}_parts"
        flags = {"a": a_batched, "b": b_batched, "dy": True}
        plan = plan_product(
            left,
            right,
            target,
            m,
            k,
            n,
            transpose_a=transpose_left,
            transpose_b=transpose_right,
            batches=batches,
            a_batched=flags[left],
            b_batched=flags[right],
        )
        if not batched:
            step = chunks.sum_parts(target, result, batches, m * n)
            plan = in_turn(plan, Plan(phases=((step,),), workspace={target: 4 * batches * m * n}))
        plans.append(plan)

    if "a" in needs and ta:
        add("da", "b", "dy", k, n, m, tb, True, a_batched)
    elif "a" in needs:
        add("da", "dy", "b", m, n, k, False, not tb, a_batched)
    if "b" in needs and tb:
        add("db", "dy", "a", n, m, k, True, ta, b_batched)
    elif "b" in needs:
        add("db", "a", "dy", k, m, n, not ta, False, b_batched)
    return side_by_side(*plans)


def keeps(attrs, needs):
    return tuple(name for name, other in (("a", "b"), ("b", "a")) if other in needs)


def flops(specs, attrs):
    m, k, n, batches, *_ = _sizes(specs, attrs)
    return 2 * m * k * n * batches


def reduction(specs, attrs):
    m, k, n, batches, *_ = _sizes(specs, attrs)
    return max(k, m * batches, n * batches)


def _case(a, b, *attrs):
    return Case({"a": Spec(a), "b": Spec(b)}, Attrs(*attrs))


CASES = (
    _case((1, 1), (1, 1)),
    _case((7, 5), (5, 17)),
    _case((6, 13), (16, 13), False, True),
    _case((11, 7), (11, 33), True),
    _case((5, 12), (9, 5), True, True),
    _case((3, 4, 5), (5, 6)),
    _case((2, 4, 5), (2, 5, 17)),
    _case((4, 5), (3, 7, 5), False, True),
    _case((2, 3, 6, 4), (6, 5), True),
    _case((2, 5, 3), (2, 4, 5), True, True),
    _case((2, 800), (800, 3)),
    # One row and two: several panels at once, and some left over.
    _case((1, 20), (20, 150)),
    _case((2, 20), (20, 113)),
    _case((98, 20), (20, 18)),
    # More rows, and a longer sum, than one block; rows 4 KiB apart.
    _case((150, 261), (150, 49), True),
    _case((35, 1024), (35, 80), True),
    _case((16, 1024), (1024, 33)),
)

OP = register(
    Op(
        name="matmul",
        inputs=("a", "b"),
        outputs=("y",),
        attrs=Attrs,
        infer=infer,
        reference=reference,
        reference_backward=reference_backward,
        plan=plan,
        plan_backward=plan_backward,
        keeps=keeps,
        differentiable=frozenset({"a", "b"}),
        linear=("a", "b"),
        cases=CASES,
        flops=flops,
        reduction=reduction,
    )
)


def matmul(a, b, transpose_a=False, transpose_b=False):
    """Matrix product of the last two axes.

    Parameters
    ----------
    a : Tensor or array, (..., M, K), or (..., K, M) with `transpose_a`
    b : Tensor or array, (..., K, N), or (..., N, K) with `transpose_b`
        The leading dimensions of a and b are the same, or one of them has none.

    Returns
    -------
    Tensor, (..., M, N)

    Raises
    ------
    ShapeError, DTypeError
        When ranks, inner or leading dimensions, or dtypes do not fit.

    Examples
    --------
    >>> import numpy as np
    >>> matmul(np.eye(2, dtype="float32"), np.array([[1, 2], [3, 4]], "float32")).numpy().tolist()
    [[1.0, 2.0], [3.0, 4.0]]
    """
    return apply(OP, (a, b), Attrs(bool(transpose_a), bool(transpose_b)))
