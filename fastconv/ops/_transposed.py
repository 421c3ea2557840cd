"""What conv1d_transpose, conv2d_transpose and conv3d_transpose share: all but their cases.

A transposed convolution is the gradient of a convolution with respect to its input: its forward pass is that backward
pass, with bias and activation, and its gradients are a forward pass and a gradient of the kernel with x and dy swapped. No
zeros are put between the pixels of x.
"""

from functools import partial
from math import prod
from typing import NamedTuple

from .. import shapes
from ..autograd import apply
from ..errors import ArgumentError, ShapeError
from ..op import Epilogue, Op, Spec, register
from . import _convolution as common
from ._epilogue import (
    DECLARATION,
    after_epilogue,
    epilogue_backward,
    epilogue_of,
    finish,
    plan_epilogue_backward,
)
from .conv2d import reference as convolutions
from .conv2d.call import Call
from .conv2d.plan import ALGORITHMS


class Attrs(NamedTuple):
    """Attributes of a transposed convolution: `padding` is "same" or pairs (before, after), `output_padding` may be None."""

    strides: tuple[int, ...]
    padding: str | tuple
    output_padding: tuple[int, ...] | None
    dilation_rate: tuple[int, ...]
    groups: int = 1
    epilogue: Epilogue = Epilogue()

    # As in _convolution.Attrs. The gradient of the kernel multiplies x with the padding of dz.
    meets_padding = frozenset({"kernel", "x"})


def declare(name, cases):
    """Register a transposed convolution; `cases` are of `case`."""
    return register(
        Op(
            name=name,
            attrs=Attrs,
            infer=partial(infer, name),
            reference=reference,
            reference_backward=reference_backward,
            plan=plan,
            plan_backward=plan_backward,
            cases=cases,
            flops=flops,
            reduction=reduction,
            **DECLARATION | {"inputs": ("x", "kernel", "bias?"), "differentiable": frozenset({"x", "kernel", "bias"})},
        )
    )


def case(
    x, kernel, bias=True, padding="valid", strides=1, output_padding=None, dilation_rate=1, groups=1, activation=None
):
    """Return a sample call."""
    attrs = attributes("case", len(x) - 2, strides, padding, output_padding, dilation_rate, groups, activation)
    return common.case(x, kernel, kernel[-2] * groups, bias, attrs)


def transpose(op, operands, rank, strides, padding, output_padding, dilation_rate, groups, activation):
    """Apply `op` to (x, kernel, bias), from what a user wrote."""
    return apply(
        op,
        operands,
        attributes(op.name, rank, strides, padding, output_padding, dilation_rate, groups, activation),
    )


def attributes(name, rank, strides, padding, output_padding, dilation_rate, groups, activation):
    """Return `Attrs` from the arguments of a public function."""
    common.check_groups(name, groups)
    return Attrs(
        shapes.per_axis(strides, "strides", rank),
        shapes.normalize_padding(padding, rank=rank),
        normalize_output_padding(output_padding, rank),
        shapes.per_axis(dilation_rate, "dilation_rate", rank),
        groups,
        epilogue_of(activation),
    )


def normalize_output_padding(output_padding, rank):
    """Return None, or an int >= 0 per axis.

    Raises
    ------
    ArgumentError
    """
    if output_padding is None:
        return None
    try:
        numbers = (output_padding,) * rank if isinstance(output_padding, int) else tuple(output_padding)
        if len(numbers) == rank and all(isinstance(n, int) and 0 <= n <= shapes.MAX_POSITIONS for n in numbers):
            return numbers
    except TypeError:
        pass
    raise ArgumentError(
        f"output_padding must be None, an integer from 0 to {shapes.MAX_POSITIONS} or {rank} of them, "
        f"got {output_padding!r}"
    )


def _axis(n, kernel, stride, padding, output_padding, dilation):
    """Return (size of y, what is cut off before it) along one axis, for n positions of x."""
    extent = shapes.effective_kernel(kernel, dilation)
    if padding == "same" and output_padding is None:
        return n * stride, max(extent - stride, 0) // 2
    if padding == "same":
        # Keras: the size of half a kernel less on both sides, what is added goes half to each.
        cut = extent - 1 - -(-(extent + extent % 2 - 2 + output_padding) // 2)
        return (n - 1) * stride + extent % 2 + output_padding, max(cut, 0)
    more = max(stride - extent, 0) if output_padding is None else output_padding
    return (n - 1) * stride + extent - sum(padding) + more, padding[0]


def geometry(x_shape, kernel_shape, attrs):
    """Return the `Geometry` of the convolution whose input has the size of y and whose output that of x."""
    rank = len(attrs.strides)
    out, kernel = tuple(x_shape[1 : 1 + rank]), tuple(kernel_shape[:rank])
    size, padding = [], []
    for axis, n in enumerate(out):
        pads = "same" if attrs.padding == "same" else attrs.padding[axis]
        added = attrs.output_padding and attrs.output_padding[axis]
        # Of a size that is not known, neither is what follows from it.
        result, before = _axis(
            1 if n is None else n, kernel[axis], attrs.strides[axis], pads, added, attrs.dilation_rate[axis]
        )
        if result < 1 and n is not None:
            raise ShapeError(
                f"nothing would be left of {n} positions along the {shapes.AXES[rank][axis]} under a kernel of "
                f"{kernel[axis]}, strides {attrs.strides[axis]}, padding {pads} and output_padding {added}"
            )
        size.append(None if n is None else result)
        padding.append((before, 0))
    return common.Geometry(tuple(size), kernel, out, tuple(padding))


def infer(name, specs, attrs):
    common.check_operands(specs, name, len(attrs.strides), "O // groups, C")
    x, kernel = specs["x"], specs["kernel"].shape
    if kernel[-1] != x.shape[-1]:
        raise ShapeError(
            f"{name}: kernel {kernel} is for {kernel[-1]} channels, but x {x.shape} has {x.shape[-1]}; its last "
            f"dimension must be {x.shape[-1]}"
        )
    if kernel[-1] % attrs.groups:
        raise ShapeError(f"{name}: groups={attrs.groups} must divide the {kernel[-1]} channels of x")
    outputs = kernel[-2] * attrs.groups
    common.check_bias(specs, name, outputs)
    return {"y": Spec((x.shape[0], *geometry(x.shape, kernel, attrs).size, outputs), x.dtype)}


def reference(arrays, attrs):
    x, kernel = arrays["x"], arrays["kernel"]
    y = convolutions.correlate_backward_x(x, kernel, geometry(x.shape, kernel.shape, attrs), attrs)
    return {"y": finish(y, arrays, attrs.epilogue)}


def reference_backward(arrays, attrs, needs):
    x, kernel = arrays["x"], arrays["kernel"]
    sizes = geometry(x.shape, kernel.shape, attrs)
    dz = epilogue_backward(arrays["dy"], arrays["y"], attrs.epilogue)
    result = {}
    if "bias" in needs:
        result["dbias"] = dz.sum(tuple(range(dz.ndim - 1)))
    if "kernel" in needs:
        result["dkernel"] = convolutions.correlate_backward_kernel(dz, x, kernel.shape, sizes, attrs)
    if "x" in needs:
        result["dx"] = convolutions.correlate(dz, kernel, sizes, attrs)
    return result


def _call(specs, attrs):
    x, kernel = specs["x"].shape, specs["kernel"].shape
    return Call(x[0], kernel[-2] * attrs.groups, kernel[-1], geometry(x, kernel, attrs), attrs, transposed=True)


def plan(specs, attrs):
    call, bias = _call(specs, attrs), "bias" if "bias" in specs else None
    return ALGORITHMS[call.algorithm].backward_data(call, "x", "y", bias, attrs.epilogue)


# y = activation(z), z[a] = bias + sum over i, t with i s + t d - p = a of x[i] kernel[t]^T, so
#
#   dz         = dy * activation'(z)
#   dx[i]      = sum over t of dz[i s + t d - p] kernel[t]           the convolution of dz
#   dkernel[t] = sum over i of dz[i s + t d - p] x[i]^T              its gradient, x in the place of dy
def plan_backward(specs, attrs, needs):
    call = _call(specs, attrs)
    dz, epilogue = plan_epilogue_backward(specs["y"], attrs.epilogue, needs)
    plans = []
    if "kernel" in needs:
        plans.append(ALGORITHMS[call.gradient_algorithm].backward_kernel(call, dz, "x", "dkernel"))
    if "x" in needs:
        plans.append(ALGORITHMS[call.algorithm].forward(call, dz, "dx"))
    return after_epilogue(dz, epilogue, *plans)


def flops(specs, attrs):
    return 2 * prod(specs["x"].shape[:-1]) * prod(specs["kernel"].shape)


def reduction(specs, attrs):
    x, (*size, outputs, channels) = specs["x"].shape, specs["kernel"].shape
    y = geometry(x, (*size,), attrs).size
    return max(prod(size) * max(channels // attrs.groups, outputs), x[0] * max(prod(x[1:-1]), prod(y)))
