"""A convolution with few channels per group, depthwise above all, and the mean of each channel of its result.

    y = conv2d(x, kernel, bias, residual),   mean = the mean of y over its pixels, (N, 1, 1, O)

The means are taken of rows of y that were just stored, which is then not read again from afar: how squeeze-excite begins.
`graph/passes/squeeze_excite.py` makes it.
"""

from ..._kernels import pool
from ...op import Case, Epilogue, Op, Plan, Spec, register
from .. import _convolution as common
from .._epilogue import DECLARATION
from .._pairs import enabled
from .._plans import in_turn
from . import depthwise, family
from .call import call_of
from .plan import plan_forward
from .reference import reference as convolution


def fits(specs, attrs):
    """Tell whether a convolution with these operands and attributes should give the means, too."""
    return (
        len(attrs.strides) == 2
        and all(spec.dtype == "float32" for spec in specs.values())
        and not enabled()  # y may be stored as bfloat16 then
        and (call := call_of(specs, attrs)).algorithm in ("depthwise", "grouped")
        and call.channels == call.outputs
    )


def infer(specs, attrs):
    y = family.infer("conv2d_squeeze", specs, attrs)["y"]
    return {"y": y, "mean": Spec((y.shape[0], 1, 1, y.shape[3]), y.dtype)}


def reference(arrays, attrs):
    y = convolution(arrays, attrs)["y"]
    return {"y": y, "mean": y.mean((1, 2), keepdims=True)}


def plan(specs, attrs):
    call = call_of(specs, attrs)
    if call.algorithm not in ("depthwise", "grouped"):
        return None
    means = plan_forward(specs, call, depthwise, means="row_means")
    rows, one = (call.images, call.geometry.out[0], 1, call.outputs), (call.images, 1, 1, call.outputs)
    mean = pool.pool("average", "row_means", "mean", "", rows, one, (rows[1], 1), (1, 1), ((0, 0), (0, 0)))
    return in_turn(means, Plan(phases=((mean,),), workspace={"row_means": 4 * rows[0] * rows[1] * rows[3]}))


def _case(x, kernel, groups, bias=True, residual=None, **attrs):
    outputs = kernel[-1]
    specs = {"x": Spec(x), "kernel": Spec(kernel)}
    specs |= {"bias": Spec((outputs,))} if bias else {}
    specs |= {"residual": Spec((*residual, outputs))} if residual else {}
    return Case(specs, common.Attrs(groups=groups, **attrs))


OP = register(
    Op(
        name="conv2d_squeeze",
        inputs=DECLARATION["inputs"],
        outputs=("y", "mean"),
        attrs=common.Attrs,
        infer=infer,
        reference=reference,
        plan=plan,
        # Channels around one vector and four, rows around the sums that run side by side, several bands and blocks.
        cases=(
            _case((1, 1, 1, 2), (1, 1, 1, 2), 2),
            _case((2, 9, 14, 33), (3, 3, 1, 33), 33, padding="same", epilogue=Epilogue("silu")),
            _case((3, 7, 5, 70), (5, 5, 1, 70), 70, padding="same", strides=(2, 2), bias=False),
            _case((1, 40, 37, 130), (3, 3, 1, 130), 130, epilogue=Epilogue("relu"), residual=(1, 38, 35)),
            _case((2, 6, 9, 5), (3, 3, 1, 10), 5, padding="same", epilogue=Epilogue("relu6")),
            _case((2, 5, 9, 32), (3, 3, 8, 32), 4, padding="same", epilogue=Epilogue("relu")),
        ),
        flops=family.flops,
        reduction=family.reduction,
    )
)
