"""Arrays joined along one axis."""

from typing import NamedTuple

import numpy as np

from .. import shapes
from .._kernels import eltwise
from ..autograd import apply, as_tensor
from ..errors import ArgumentError, DTypeError, ShapeError
from ..op import Case, Op, Plan, Spec, register


class Attrs(NamedTuple):
    """`axis`: counted from the front."""

    axis: int


def _infer(specs, attrs):
    if not specs:
        raise ArgumentError("concatenate needs at least one array, got none")
    first, axis = specs["x0"], attrs.axis
    if not 0 <= axis < len(first.shape):
        raise ArgumentError(f"concatenate needs an axis of x0, whose shape is {first.shape}; got axis {axis}")
    shape, total = list(first.shape), 0
    for name, spec in specs.items():
        if spec.dtype != first.dtype:
            raise DTypeError(f"concatenate needs arrays of one dtype; x0 is {first.dtype}, {name} is {spec.dtype}")
        others = zip(shape, spec.shape, strict=False)
        if len(spec.shape) != len(shape) or any(
            i != axis and None not in (m, n) and m != n for i, (m, n) in enumerate(others)
        ):
            raise ShapeError(
                f"concatenate needs shapes equal but for axis {axis}; x0 has {first.shape}, {name} has {spec.shape}"
            )
        shape = [n if m is None else m for m, n in zip(shape, spec.shape, strict=True)]
        total = None if total is None or spec.shape[axis] is None else total + spec.shape[axis]
    shape[axis] = total
    return {"y": Spec(tuple(shape), first.dtype)}


def _inputs(named):
    """Return the operands x0, x1, ... among `named`, in order."""
    return {f"x{i}": named[f"x{i}"] for i in range(sum(name[0] == "x" and name[1:].isdigit() for name in named))}


def _reference(arrays, attrs):
    return {"y": np.concatenate(list(_inputs(arrays).values()), attrs.axis)}


# y holds the inputs side by side, so each dx is its own part of dy.
def _reference_backward(arrays, attrs, needs):
    results, start = {}, 0
    for name, x in _inputs(arrays).items():
        end = start + x.shape[attrs.axis]
        if name in needs:
            results["d" + name] = np.take(arrays["dy"], range(start, end), attrs.axis)
        start = end
    return results


def _blocks(specs, attrs):
    """Return [(input, length of its rows, where they start in those of y)], the rows of y, and their length."""
    inputs = _inputs(specs)
    inner = shapes.size(specs["x0"].shape[attrs.axis + 1 :])
    rows = shapes.size(specs["x0"].shape[: attrs.axis])
    widths = {name: spec.shape[attrs.axis] * inner for name, spec in inputs.items()}
    start, blocks = 0, []
    for name, width in widths.items():
        blocks.append((name, width, start))
        start += width
    return blocks, rows, start


def _plan(specs, attrs):
    if specs["x0"].dtype not in ("float32", "int32"):
        return None  # the copy moves four-byte elements
    blocks, rows, length = _blocks(specs, attrs)
    return Plan(
        phases=(
            tuple(
                eltwise.copy_rows(name, 0, width, "y", start, length, rows, width)
                for name, width, start in blocks
                if width
            ),
        ),
        parts={name: ("y", 4 * start) for name, width, start in blocks if width} if rows == 1 else {},
    )


def _plan_backward(specs, attrs, needs):
    blocks, rows, length = _blocks(specs, attrs)
    return Plan(
        phases=(
            tuple(
                eltwise.copy_rows("dy", start, length, "d" + name, 0, width, rows, width)
                for name, width, start in blocks
                if width and name in needs
            ),
        )
    )


def _case(axis, *shape_list):
    return Case({f"x{i}": Spec(shape) for i, shape in enumerate(shape_list)}, Attrs(axis))


OP = register(
    Op(
        name="concatenate",
        inputs=("*x",),
        outputs=("y",),
        infer=_infer,
        reference=_reference,
        reference_backward=_reference_backward,
        plan=_plan,
        plan_backward=_plan_backward,
        differentiable=frozenset({"*x"}),
        attrs=Attrs,
        cases=(
            _case(0, (1,)),
            _case(0, (3, 5), (1, 5)),
            _case(1, (3, 5), (3, 1), (3, 17)),
            _case(3, (2, 3, 3, 8), (2, 3, 3, 3), (2, 3, 3, 1)),
            _case(1, (2, 1, 3, 4), (2, 3, 3, 4)),
            _case(2, (2, 2, 5, 1), (2, 2, 0, 1), (2, 2, 2, 1)),
            _case(1, (3, 150), (3, 131)),
            _case(0, (16390,), (5,)),
        ),
    )
)


def concatenate(xs, axis=-1):
    """Join arrays along one axis.

    Parameters
    ----------
    xs : sequence of Tensor or array_like
        One or more, of one dtype, their shapes equal but for `axis`.
    axis : int
        Negative counts from the back.

    Returns
    -------
    Tensor

    Raises
    ------
    ArgumentError
        When there is no array, or no such axis.
    ShapeError, DTypeError
        When two arrays do not fit.

    Examples
    --------
    >>> fastconv.ops.concatenate([[[1.0], [2.0]], [[3.0], [4.0]]]).numpy()
    array([[1., 3.],
           [2., 4.]], dtype=float32)
    """
    tensors = tuple(as_tensor(x) for x in xs)
    if tensors and not -len(tensors[0].shape) <= axis < len(tensors[0].shape):
        raise ArgumentError(f"concatenate needs an axis of x0, whose shape is {tensors[0].shape}; got axis {axis}")
    return apply(OP, tensors, Attrs(axis % len(tensors[0].shape) if tensors else axis))
