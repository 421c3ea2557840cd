"""A 1x1 convolution of an image whose channels are scaled first, each image by its own numbers: the end of squeeze-excite.

    y = activation((x * scale) * kernel + residual + bias)

The rows of the kernel are scaled, and x is read as it is: where an image has more pixels than y has channels, that is less
work than scaling x, and the largest array is neither read nor written once more. `graph/passes/squeeze_excite.py` makes it.
"""

from math import prod
from typing import NamedTuple

from ..._kernels import gemm, pointwise
from ...op import Case, Epilogue, Op, Plan, Spec, register
from .. import _convolution as common
from .._checks import check_float, check_shape
from .._epilogue import finish
from .._pairs import multiplies_pairs
from .._plans import in_turn
from .._product import pack_right
from . import family
from .call import call_of


class Attrs(NamedTuple):
    """Attributes of conv2d_excite."""

    epilogue: Epilogue = Epilogue()


def fits(specs, attrs):
    """Tell whether a convolution with these operands and attributes should take over the scaling of its x."""
    if len(attrs.strides) != 2 or any(spec.dtype != "float32" for spec in specs.values()):
        return False
    call = call_of(specs, attrs)
    geometry = call.geometry
    return (
        call.algorithm == "direct"
        and attrs.groups == prod(geometry.kernel) == prod(attrs.strides) == 1
        and not any(map(any, geometry.padding))
        and prod(geometry.out) >= call.outputs
        and not multiplies_pairs(call.channels)  # weights of bfloat16 would be rounded twice
    )


def infer(specs, attrs):
    y = family.infer("conv2d_excite", _convolved(specs), common.Attrs())["y"]
    x = specs["x"]
    check_float("conv2d_excite", "scale", specs["scale"], x.dtype)
    check_shape("conv2d_excite", "scale", specs["scale"].shape, (x.shape[0], 1, 1, x.shape[3]))
    check_shape("conv2d_excite", "kernel", specs["kernel"].shape[:2], (1, 1))
    return {"y": y}


def _convolved(specs):
    return {name: spec for name, spec in specs.items() if name != "scale"}


def reference(arrays, attrs):
    return {"y": finish((arrays["x"] * arrays["scale"]) @ arrays["kernel"][0, 0], arrays, attrs.epilogue)}


def plan(specs, attrs):
    images, *size, depth = specs["x"].shape
    columns, rows = specs["kernel"].shape[3], prod(size)
    bias, residual = (name if name in specs else None for name in ("bias", "residual"))
    packed, packing = pack_right("kernel", depth, columns)
    panels = gemm.panels_shape(depth, columns)
    shapes = (1, *panels), (images, 1, depth, 1), (images, *panels)
    scale = pointwise.binary("multiply", packed, "scale", "scaled", *shapes)
    pitch = attrs.epilogue.pitch or columns
    step = gemm.product(
        "x",
        "scaled",
        bias,
        residual,
        "y",
        rows=rows,
        depth=depth,
        columns=columns,
        a_row=depth,
        y_row=pitch,
        epilogue=attrs.epilogue,
        batches=images,
        a_batch=rows * depth,
        packed_batch=prod(panels),
        y_batch=rows * pitch,
    )
    scaling = Plan(phases=((scale,),), workspace={"scaled": 4 * images * prod(panels)})
    return in_turn(packing, scaling, Plan(phases=((step,),), inplace={"y": "residual"} if residual else {}))


def _case(x, outputs, bias=True, residual=False, epilogue=Epilogue()):
    n, *size, channels = x
    specs = {"x": Spec(x), "scale": Spec((n, 1, 1, channels)), "kernel": Spec((1, 1, channels, outputs))}
    specs |= {"bias": Spec((outputs,))} if bias else {}
    specs |= {"residual": Spec((n, *size, outputs))} if residual else {}
    return Case(specs, Attrs(epilogue))


OP = register(
    Op(
        name="conv2d_excite",
        inputs=("x", "scale", "kernel", "bias?", "residual?"),
        outputs=("y",),
        attrs=Attrs,
        infer=infer,
        reference=reference,
        plan=plan,
        pitched=lambda specs, attrs: "residual" not in specs,  # a residual would have to lie as y does
        # Channels around vectors and panels, rows around tiles and bands, several blocks of the sum.
        cases=(
            _case((1, 1, 1, 1), 1),
            _case((2, 5, 7, 13), 33, residual=True),
            _case((3, 12, 11, 33), 17, bias=False, epilogue=Epilogue("relu")),
            _case((2, 15, 14, 48), 70, epilogue=Epilogue("silu")),
            _case((1, 4, 4, 700), 18, bias=False, residual=True),
            _case((2, 3, 5, 1024), 40, epilogue=Epilogue("relu6")),
        ),
        flops=lambda specs, attrs: family.flops(_convolved(specs), common.Attrs()),
        reduction=lambda specs, attrs: specs["x"].shape[3] + 2,
    )
)
