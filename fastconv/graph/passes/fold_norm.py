"""Batch normalisation in inference, and other scales and shifts per channel, become part of a linear neighbour's weights.

    y = conv(x, kernel, bias)                       y = conv(x, kernel * s, bias * s + t)
    z = batch_norm(y) = y s + t

after a convolution (depthwise, transposed), or `dense`; before one, where no padding mixes zeros in. The weights have to be
constants; the new ones are computed in float64 and rounded once, when the program first runs and again after one of them was
written to.

The bits change: the separate operations round s and t, the product and the sum. Both results are within a few roundings of
the exact one, relative to the sum of the magnitudes that were added. Where a scale is infinite (a division by zero), sums of
infinities of both signs are NaN that were infinite before.
"""

from itertools import permutations

from .channels import CONVOLUTIONS, LINEAR, arithmetic_affine, fold_inputs, fold_outputs, norm_affine
from .rewrite import Rewriter, fused

NORM = "batch_norm_inference"
ARITHMETIC = ("multiply", "divide", "add", "subtract", "add_n")


def fold_norm(graph):
    """Return the graph with such nodes folded into weights."""
    rewriter = Rewriter(graph)
    for node in rewriter.forward_nodes(NORM, *ARITHMETIC):
        _fold_backward(rewriter, node) or _fold_forward(rewriter, node)
    return rewriter.graph(graph)


def _affine(rewriter, node):
    """Return (x, `Affine`, the parameters) of a node that is one per channel of its last axis; else three None."""
    if node.op.name == NORM:
        rest = [value for name, value in node.inputs.items() if name != "x"]
        if all(rewriter.is_constant(value) for value in rest):
            return node.inputs["x"], norm_affine(node)
        return None, None
    for x, constant in permutations(node.inputs.values()) if len(node.inputs) == 2 else ():
        if rewriter.is_constant(constant) and not rewriter.is_constant(x) and x.spec.shape:
            return x, arithmetic_affine(node, x, constant)
    return None, None


def _foldable(rewriter, linear):
    """Tell whether the weights of a linear node can be replaced, and nothing comes between them and y."""
    weights = [linear.inputs[name] for name in ("kernel", "bias") if name in linear.inputs]
    return (
        linear.attrs.epilogue.activation is None
        and "residual" not in linear.inputs
        and all(rewriter.is_constant(value) for value in weights)
        and linear.inputs["kernel"].spec.dtype == "float32"
    )


def _put(rewriter, folded, linear, old, last, **operands):
    nodes, kernel, bias = folded
    weights = {"kernel": kernel} | ({} if bias is None else {"bias": bias})
    rewriter.put([*nodes, fused(linear, last, **weights, **operands)], old)


def _fold_backward(rewriter, node):
    """Fold a node into the linear one before it; tell whether that was possible."""
    x, affine = _affine(rewriter, node)
    linear = rewriter.maker(x, *LINEAR) if affine else None
    if linear is None or not rewriter.read_only_by(x, node) or not _foldable(rewriter, linear):
        return False
    if affine.scale is None and "bias" not in linear.inputs:
        return False  # `fuse_bias` does that, and keeps the bits
    _put(rewriter, fold_outputs(linear, affine), linear, [linear, node], node)
    return True


def _fold_forward(rewriter, node):
    """Fold a node into the linear one after it."""
    x, affine = _affine(rewriter, node)
    y = node.outputs["y"]
    linear = rewriter.only_reader(y)
    if not affine or linear is None or linear.needs is not None or linear.inputs.get("x") is not y:
        return
    if linear.op.name == "dense" or (
        linear.op.name in CONVOLUTIONS
        and linear.attrs.groups == 1
        and not isinstance(linear.attrs.padding, str)
        and not any(map(any, linear.attrs.padding))
    ):
        weights = [linear.inputs[name] for name in ("kernel", "bias") if name in linear.inputs]
        if all(map(rewriter.is_constant, weights)) and linear.inputs["kernel"].spec.dtype == "float32":
            _put(rewriter, fold_inputs(linear, affine), linear, [node, linear], linear, x=x)
