"""conv1d, conv2d and conv3d: what is declared of a convolution, whatever the number of its spatial axes."""

from functools import partial
from math import prod

from ...autograd import apply
from ...errors import ShapeError
from ...op import Op, register
from .. import _convolution as common
from .._checks import IMAGE_AXES
from .._convolution import Attrs, attributes
from .._epilogue import DECLARATION, check_residual
from .plan import bfloat16, pitched, plan, plan_backward
from .reference import reference, reference_backward


def declare(name, cases):
    """Register a convolution; `cases` are of `case`."""
    return register(
        Op(
            name=name,
            attrs=Attrs,
            infer=partial(infer, name),
            reference=reference,
            reference_backward=reference_backward,
            plan=plan,
            plan_backward=plan_backward,
            pitched=pitched,
            cases=cases,
            bfloat16=bfloat16,
            flops=flops,
            reduction=reduction,
            **DECLARATION,
        )
    )


def case(x, kernel, bias=True, residual=False, **attrs):
    """Return a sample call; strides and so on are 1 where they are not given."""
    ones, none = (1,) * (len(x) - 2), ((0, 0),) * (len(x) - 2)
    attrs = {"strides": ones, "padding": none, "dilation_rate": ones, **attrs}
    return common.case(x, kernel, kernel[-1], bias, Attrs(**attrs), residual)


def convolve(op, operands, rank, strides, padding, dilation_rate, groups, activation):
    """Apply `op` to (x, kernel, bias, residual), from what a user wrote."""
    return apply(op, operands, attributes(op.name, rank, strides, padding, dilation_rate, groups, activation))


def infer(name, specs, attrs):
    rank = len(attrs.strides)
    common.check_operands(specs, name, rank, "C // groups, O")
    x, kernel = specs["x"].shape, specs["kernel"].shape
    channels, (*_, depth, outputs) = x[-1], kernel
    if channels % attrs.groups or outputs % attrs.groups:
        raise ShapeError(
            f"{name}: groups={attrs.groups} must divide the {channels} channels of x and the {outputs} of the kernel"
        )
    if depth * attrs.groups != channels:
        raise ShapeError(
            f"{name}: kernel {kernel} reads {depth} channels per group, but x {x} has "
            f"{channels} in {attrs.groups} group(s): expected {channels // attrs.groups}; the layouts are x "
            f"{IMAGE_AXES[rank]} and kernel ({common.KERNEL_AXES[rank]}, C // groups, O)"
        )
    y = common.infer_output(specs, attrs, name, outputs)
    check_residual(name, specs, y)
    return {"y": y}


def _positions(specs, attrs):
    """Return the number of output pixels of all images."""
    n, *size = specs["x"].shape[:-1]
    return n * prod(common.geometry((n, *size), specs["kernel"].shape, attrs).out)


def flops(specs, attrs):
    return 2 * _positions(specs, attrs) * prod(specs["kernel"].shape)


def reduction(specs, attrs):
    *size, depth, outputs = specs["kernel"].shape
    return max(prod(size) * max(depth, outputs // attrs.groups), _positions(specs, attrs))
