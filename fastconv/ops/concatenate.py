"""Arrays joined along one axis."""

from typing import NamedTuple

import numpy as np

from .. import shapes
from .._kernels import move
from ..autograd import apply, as_tensor
from ..errors import ArgumentError, DTypeError, ShapeError
from ..op import STORED_SIZE, Case, Op, Part, Plan, Spec, register


class Attrs(NamedTuple):
    """`axis`: counted from the front."""

    axis: int


def infer(specs, attrs):
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


def reference(arrays, attrs):
    return {"y": np.concatenate(list(_inputs(arrays).values()), attrs.axis)}


# y holds the inputs side by side, so each dx is its own part of dy.
def reference_backward(arrays, attrs, needs):
    results, start = {}, 0
    for name, x in _inputs(arrays).items():
        end = start + x.shape[attrs.axis]
        if name in needs:
            results["d" + name] = np.take(arrays["dy"], range(start, end), attrs.axis)
        start = end
    return results


def _parts(specs, attrs):
    """Yield (input, its shape, where it starts in y, the strides of y) of the inputs that are not empty."""
    y, start = infer(_inputs(specs), attrs)["y"], 0
    strides = move.strides_of(y.shape)
    for name, spec in _inputs(specs).items():
        if 0 not in spec.shape:
            yield name, spec.shape, start * strides[attrs.axis], strides
        start += spec.shape[attrs.axis]


def plan(specs, attrs):
    dtype = specs["x0"].dtype
    copies = tuple(
        move.copy(name, "y", shape, move.strides_of(shape), strides, 0, start, dtype)
        for name, shape, start, strides in _parts(specs, attrs)
    )
    # Whoever makes an input can write it where it lies in y: one run of bytes if y's rows are whole, else runs of channels.
    rows, item = shapes.size(specs["x0"].shape[: attrs.axis]), STORED_SIZE[dtype]
    parts, last = {}, attrs.axis == len(specs["x0"].shape) - 1
    for name, _, start, strides in _parts(specs, attrs) if rows == 1 or last else ():
        parts[name] = Part("y", item * start, 0 if rows == 1 else strides[-2])
    return Plan(phases=(copies,), parts=parts)


def plan_backward(specs, attrs, needs):
    copies = tuple(
        move.copy("dy", "d" + name, shape, strides, move.strides_of(shape), start)
        for name, shape, start, strides in _parts(specs, attrs)
        if name in needs
    )
    return Plan(phases=(copies,))


def _case(axis, *shape_list):
    return Case({f"x{i}": Spec(shape) for i, shape in enumerate(shape_list)}, Attrs(axis))


OP = register(
    Op(
        name="concatenate",
        inputs=("*x",),
        outputs=("y",),
        infer=infer,
        reference=reference,
        reference_backward=reference_backward,
        plan=plan,
        plan_backward=plan_backward,
        differentiable=frozenset({"*x"}),
        bfloat16=lambda specs, attrs: [(*_inputs(specs), "y")],
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
