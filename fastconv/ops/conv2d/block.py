"""A convolution with what inference has after it in one step: activation, a scale and shift per channel, maxima of 2 x 2.

    y = max over 2 x 2 of (activation(x * kernel + bias) * scale + shift)

Graph passes make it, see `graph/passes/fuse_block.py`. Its results are never written at full size, and what maximum pooling
leaves out at odd edges is not computed.
"""

from typing import NamedTuple

import numpy as np

from ...errors import ArgumentError, ShapeError
from ...op import Case, Epilogue, Op, Spec, register
from .. import _convolution as common
from .._epilogue import SHORT
from . import family
from .call import call_of
from .plan import ALGORITHMS, bfloat16, plan_forward
from .reference import reference as convolution

# The algorithms whose last step can do it.
FINISHING = ("shallow", "winograd_2x2", "winograd_2x4", "winograd_4x4")
VECTORS = ("scale", "shift")


class Attrs(NamedTuple):
    """`conv`: the attributes of the convolution; `pool`: whether the largest of 2 x 2 neighbours are kept."""

    conv: common.Attrs
    pool: bool = False

    meets_padding = frozenset({"kernel"})


def fits(specs, attrs):
    """Tell whether a convolution with these operands and attributes can be one."""
    return (
        len(attrs.strides) == 2
        and attrs.epilogue.activation in SHORT
        and "residual" not in specs
        and all(spec.dtype == "float32" for spec in specs.values())
        and call_of(specs, attrs).algorithm in FINISHING
    )


def infer(specs, attrs):
    y = family.infer("conv2d_block", specs, attrs.conv)["y"]
    if attrs.conv.epilogue.activation not in SHORT:
        raise ArgumentError(
            f"conv2d_block: the activation must be one of {SHORT}, got {attrs.conv.epilogue.activation}"
        )
    given = [specs[name].shape for name in VECTORS if name in specs]
    if given and given != [y.shape[-1:]] * 2:
        raise ShapeError(f"conv2d_block: scale and shift must both have shape {y.shape[-1:]}, got {given}")
    if not attrs.pool:
        return {"y": y}
    n, *size, c = y.shape
    return {"y": Spec((n, *(m if m is None else m // 2 for m in size), c), y.dtype)}


def reference(arrays, attrs):
    y = convolution(arrays, attrs.conv)["y"]
    if "scale" in arrays:
        y = y * arrays["scale"] + arrays["shift"]
    if attrs.pool:
        n, h, w, c = y.shape
        y = y[:, : h // 2 * 2, : w // 2 * 2].reshape(n, h // 2, 2, w // 2, 2, c).max((2, 4))
    return {"y": y}


def plan(specs, attrs):
    call = call_of(specs, attrs.conv)
    if call.algorithm not in FINISHING:
        return None
    scale, shift = (name if name in specs else None for name in VECTORS)
    return plan_forward(specs, call, ALGORITHMS[call.algorithm], scale=scale, shift=shift, pool=attrs.pool)


def _case(x, kernel, padding="same", activation="relu", bias=True, affine=True, pool=True, **attrs):
    vector = Spec(kernel[-1:])
    specs = {"x": Spec(x), "kernel": Spec(kernel)}
    specs |= {"bias": vector} if bias else {}
    specs |= dict.fromkeys(VECTORS, vector) if affine else {}
    return Case(specs, Attrs(common.Attrs(padding=padding, epilogue=Epilogue(activation), **attrs), pool))


VALID = ((0, 0), (0, 0))
CASES = (
    # Winograd: odd edges that no window sees, channels around vectors and panels, several panels, images and blocks.
    _case((2, 13, 12, 12), (3, 3, 12, 31), VALID),
    _case((1, 9, 8, 16), (3, 3, 16, 64), affine=False),
    _case((3, 8, 6, 17), (3, 3, 17, 33), activation="relu6", bias=False),
    _case((1, 5, 7, 13), (3, 3, 13, 18), pool=False),
    _case((2, 20, 22, 12), (3, 3, 12, 40), pool=False, activation=None, bias=False),
    _case((2, 24, 21, 12), (3, 3, 12, 13), ((2, 0), (1, 2)), activation=None),
    _case((2, 10, 8, 256), (3, 3, 256, 40)),
    _case((1, 13, 14, 260), (3, 3, 260, 33), VALID, activation="relu6", pool=False),
    # First layers: several boxes, rows of one tile and of several, odd sizes, strides.
    _case((2, 29, 28, 1), (3, 3, 1, 32), VALID, affine=False),
    _case((1, 9, 300, 3), (3, 3, 3, 40)),
    _case((3, 31, 17, 4), (5, 3, 4, 7), strides=(2, 1)),
    _case((2, 45, 45, 3), (3, 3, 3, 33), pool=False),
    # Pooling of a single row leaves nothing.
    _case((1, 1, 9, 3), (1, 3, 3, 5), affine=False),
)


OP = register(
    Op(
        name="conv2d_block",
        inputs=("x", "kernel", "bias?", "scale?", "shift?"),
        outputs=("y",),
        attrs=Attrs,
        infer=infer,
        reference=reference,
        plan=plan,
        cases=CASES,
        bfloat16=lambda specs, attrs: bfloat16(specs, attrs.conv),
        flops=lambda specs, attrs: family.flops(specs, attrs.conv),
        reduction=lambda specs, attrs: int(np.prod(specs["kernel"].shape[:-1])) + 2,
    )
)
