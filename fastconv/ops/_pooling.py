"""What max, average and sum pooling share: attributes, shapes, the walk over window positions, plans, sample calls."""

from math import prod
from typing import NamedTuple

import numpy as np

from .. import shapes
from .._kernels import pool as kernels
from ..errors import ArgumentError
from ..op import Case, Op, Plan, Spec, register
from ._checks import check_images


class Attrs(NamedTuple):
    """Attributes of a pooling over windows."""

    pool_size: tuple[int, ...]
    strides: tuple[int, ...]
    padding: str | tuple[tuple[int, int], ...]  # "same", or ((top, bottom), (left, right))


def attributes(pool_size, strides, padding, rank=2):
    """Return `Attrs` from what a user wrote; `strides` None means `pool_size`.

    Raises
    ------
    ArgumentError
        When one of them is not understood, or a window could lie wholly in the padding.
    """
    pool_size = shapes.per_axis(pool_size, "pool_size", rank)
    strides = pool_size if strides is None else shapes.per_axis(strides, "strides", rank)
    padding = shapes.normalize_padding(padding, rank=rank)
    if padding != "same":
        for axis, pads in enumerate(padding):
            if max(pads) >= pool_size[axis]:
                raise ArgumentError(
                    f"padding must be smaller than pool_size, so that every window holds a pixel; got padding "
                    f"{pads} with pool_size {pool_size[axis]} along the {shapes.AXES[rank][axis]}"
                )
    return Attrs(pool_size, strides, padding)


def infer(specs, attrs, what):
    """Return the `Spec` of y."""
    x = specs["x"]
    check_images(what, "x", x, len(attrs.pool_size))
    n, *size, c = x.shape
    out = shapes.output_sizes(size, attrs.pool_size, attrs.strides, attrs.padding, what="pooling window")
    return Spec((n, *out, c), x.dtype)


def geometry(x_shape, attrs):
    """Return (output sizes, ((top, bottom), (left, right))) for a known shape of x."""
    sizes = x_shape[1:3]
    pads = shapes.resolve_padding(attrs.padding, sizes, attrs.pool_size, attrs.strides)
    return shapes.output_sizes(sizes, attrs.pool_size, attrs.strides, attrs.padding), pads


def pad(x, pads, value):
    """Return x with `value` around its height and width."""
    return np.pad(x, ((0, 0), *pads, (0, 0)), constant_values=value)


def taps(x_shape, attrs):
    """Yield (number, slices) of each position in the window: what it sees in a padded x, for all windows at once."""
    (oh, ow), _ = geometry(x_shape, attrs)
    (kh, kw), (sh, sw) = attrs.pool_size, attrs.strides
    for r in range(kh):
        for s in range(kw):
            rows = slice(r, r + (oh - 1) * sh + 1, sh)
            columns = slice(s, s + (ow - 1) * sw + 1, sw)
            yield r * kw + s, (slice(None), rows, columns)


def sums(x, attrs):
    """Return the sum of each window."""
    _, pads = geometry(x.shape, attrs)
    padded = pad(x, pads, 0)
    return sum(padded[region] for _, region in taps(x.shape, attrs))


def spread(x_shape, attrs, share):
    """Return an array of `x_shape` in which each pixel has the sum of ``share(tap)`` over the windows that see it."""
    _, pads = geometry(x_shape, attrs)
    (top, _), (left, _) = pads
    dx = pad(np.zeros(x_shape, share(0).dtype), pads, 0)
    for tap, region in taps(x_shape, attrs):
        dx[region] += share(tap)
    return dx[:, top : top + x_shape[1], left : left + x_shape[2]]


def index_dtype(attrs):
    """Return the dtype that can count the positions of a window."""
    return "uint8" if prod(attrs.pool_size) <= 255 else "int32"


def plan(specs, attrs, kind, wide_index=None):
    """Return the forward plan of `kind`: "max" (which saves `index`), "average" or "sum"."""
    dtype = specs["x"].dtype
    return Plan(phases=((kernels.pool(*_arguments(kind, "x", "y", specs, attrs, wide_index), dtype=dtype),),))


def bfloat16(specs, attrs):
    """Return the operands that may be bfloat16, where no index is saved: see `Op.bfloat16`."""
    return [("x", "y")]


# Windows of at least so many positions are pooled along rows, then along columns, where no index is wanted.
SEPARABLE = 16


def plan_inference(specs, attrs):
    """Return the plan of max pooling that makes no index."""
    x, dtype = specs["x"]
    out, (vertical, horizontal) = geometry(x, attrs)
    y = (x[0], *out, x[-1])
    (kh, kw), (sh, sw) = attrs.pool_size, attrs.strides
    if min(kh, kw) == 1 or kh * kw < SEPARABLE:
        step = kernels.pool("max", "x", "y", "", x, y, (kh, kw), (sh, sw), (vertical, horizontal), dtype=dtype)
        return Plan(phases=((step,),))
    rows = (*x[:2], *y[2:])
    along_rows = kernels.pool("max", "x", "rows", "", x, rows, (1, kw), (1, sw), ((0, 0), horizontal), dtype=dtype)
    along_columns = kernels.pool("max", "rows", "y", "", rows, y, (kh, 1), (sh, 1), (vertical, (0, 0)), dtype=dtype)
    return Plan(phases=((along_rows,), (along_columns,)), workspace={"rows": Spec(rows, dtype).nbytes})


def plan_backward(specs, attrs, kind, wide_index=None):
    """Return the plan that makes dx from dy: each pixel of dx asks the windows that cover it."""
    return Plan(phases=((kernels.pool_backward(*_arguments(kind, "dy", "dx", specs, attrs, wide_index)),),))


def _arguments(kind, source, target, specs, attrs, wide_index):
    n, h, w, c = specs["x"].shape
    out, pads = geometry((n, h, w, c), attrs)
    index = "index" if kind == "max" else ""
    wide_index = index_dtype(attrs) == "int32" if wide_index is None else wide_index
    return kind, source, target, index, (n, h, w, c), (n, *out, c), attrs.pool_size, attrs.strides, pads, wide_index


def reads_per_pixel(specs, attrs):
    """Return the most terms that one element of y or dx is a sum of."""
    return prod(attrs.pool_size)


def flops(specs, attrs):
    """Return the arithmetic of a forward call: one operation for each position of each window."""
    n, *size, c = specs["x"].shape
    return n * c * prod(attrs.pool_size) * prod(shapes.output_sizes(size, *attrs))


def case(x_shape, pool_size, strides=None, padding="valid"):
    """Return a sample call."""
    return Case({"x": Spec(x_shape)}, attributes(pool_size, strides, padding, len(x_shape) - 2))


CASES = (
    case((1, 1, 1, 1), 1),
    case((3, 4, 6, 32), 2),  # the common case: whole blocks of channels
    case((1, 5, 7, 9), 2),  # odd sizes: a row and a column that no window sees
    case((1, 5, 7, 17), 2, padding="same"),
    case((3, 5, 5, 1), 3, 2),  # overlap, one channel
    case((1, 7, 6, 31), 3, 2, "same"),
    case((2, 6, 5, 3), 3, 1, "same"),
    case((1, 5, 4, 65), (2, 3), (1, 2), ((1, 0), (0, 2))),  # asymmetric
    case((1, 7, 8, 7), 2, 3),  # gaps between windows
    case((2, 4, 5, 8), (4, 5)),  # one window
    # Few channels, several windows in a vector: more than one vector, edges, overlap, gaps, and a step too long for it.
    case((2, 5, 70, 1), 2),
    case((1, 4, 37, 1), 3, 1, "same"),
    case((2, 7, 41, 3), 3, 2, ((1, 1), (1, 1))),
    case((1, 6, 37, 2), (2, 5), (1, 2), "same"),
    case((1, 5, 43, 3), 2, 3),
    case((1, 6, 45, 4), (3, 4), (2, 4), ((0, 0), (3, 0))),
    case((1, 4, 40, 2), (2, 3), (2, 5)),
    case((1, 17, 16, 5), (17, 16), 1, "same"),  # 272 positions: more than a byte counts
)


def declare(name, kind, **details):
    """Register a pooling of images, a `kind` of the kernels; `details` are what is its own, and the kernels know nothing of."""
    return register(
        Op(
            name=name,
            inputs=("x",),
            outputs=("y",),
            attrs=Attrs,
            plan=lambda specs, attrs: plan(specs, attrs, kind),
            plan_backward=lambda specs, attrs, needs: plan_backward(specs, attrs, kind),
            differentiable=frozenset({"x"}),
            cases=CASES,
            flops=flops,
            reduction=reads_per_pixel,
            **details,
        )
    )
