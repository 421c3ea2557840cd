"""Arithmetic on the constants of layers, channel by channel: nodes that `hoist` takes out, so they run once, in float64."""

from typing import NamedTuple

import numpy as np

from ...op import Op, Spec
from ..graph import Node
from .rewrite import temporary

CONVOLUTIONS = ("conv1d", "conv2d", "conv3d")
DEPTHWISE = ("depthwise_conv1d", "depthwise_conv2d")
TRANSPOSED = ("conv1d_transpose", "conv2d_transpose", "conv3d_transpose")
# y = activation(x * kernel + bias), whatever * is: what takes over a scale and a shift of its outputs.
LINEAR = (*CONVOLUTIONS, *DEPTHWISE, *TRANSPOSED, "dense")


class NormAttrs(NamedTuple):
    """`epsilon`: what is added to the variance."""

    epsilon: float


class KernelAttrs(NamedTuple):
    """How the channels of a kernel (..., A, B) correspond to those of y.

    `kind`: "last" (B), "both" (A B, depthwise), "transposed" (A in groups of B).
    """

    kind: str
    groups: int = 1


class VectorAttrs(NamedTuple):
    """`channels`: the length that a number, or an array of one axis that is not 1, is repeated to."""

    channels: int
    sign: int = 1
    inverse: bool = False


class NoAttrs(NamedTuple):
    """None."""


def _wide(arrays, name, default):
    return arrays[name].astype(np.float64) if name in arrays else default


def _norm_scale(arrays, attrs):
    return {"y": _wide(arrays, "gamma", 1.0) / np.sqrt(arrays["variance"].astype(np.float64) + attrs.epsilon)}


def _norm_shift(arrays, attrs):
    return {"y": _wide(arrays, "beta", 0.0) - arrays["mean"] * arrays["scale"]}


def _vector(arrays, attrs):
    values = np.broadcast_to(arrays["x"].astype(np.float64).reshape(-1), (attrs.channels,))
    return {"y": attrs.sign * (1 / values if attrs.inverse else values)}


def _scale_kernel(arrays, attrs):
    kernel, scale = arrays["kernel"], arrays["scale"]
    if attrs.kind == "both":
        scale = scale.reshape(kernel.shape[-2:])
    elif attrs.kind == "transposed":  # (O / groups, C): of each group of channels C, its part of the outputs
        scale = np.repeat(scale.reshape(attrs.groups, -1).T, kernel.shape[-1] // attrs.groups, axis=1)
    return {"y": kernel * scale}


def _scale_bias(arrays, attrs):
    return {"y": _wide(arrays, "bias", 0.0) * arrays.get("scale", 1.0) + arrays.get("shift", 0.0)}


def _scale_rows(arrays, attrs):
    return {"y": arrays["kernel"] * arrays["scale"][:, None]}


def _shift_through(arrays, attrs):
    kernel = arrays["kernel"].astype(np.float64)
    total = kernel.sum(tuple(range(kernel.ndim - 2)))  # (C, O)
    return {"y": _wide(arrays, "bias", 0.0) + arrays["shift"] @ total}


def _op(name, inputs, reference, attrs):
    return Op(name, inputs, ("y",), None, reference, attrs)  # never applied to Tensors: nobody asks what it infers


NORM_SCALE = _op("norm_scale", ("gamma?", "variance"), _norm_scale, NormAttrs)
NORM_SHIFT = _op("norm_shift", ("beta?", "mean", "scale"), _norm_shift, NoAttrs)
VECTOR = _op("channel_vector", ("x",), _vector, VectorAttrs)
SCALE_KERNEL = _op("scale_kernel", ("kernel", "scale"), _scale_kernel, KernelAttrs)
SCALE_BIAS = _op("scale_bias", ("bias?", "scale?", "shift?"), _scale_bias, NoAttrs)
SCALE_ROWS = _op("scale_kernel_rows", ("kernel", "scale"), _scale_rows, NoAttrs)
SHIFT_THROUGH = _op("shift_through_kernel", ("kernel", "bias?", "shift"), _shift_through, NoAttrs)


class Affine(NamedTuple):
    """y = scale x + shift for each channel, as values of float64; what is None does nothing. `nodes` make them."""

    scale: object
    shift: object
    nodes: list


def constant_node(op, attrs, spec, name, **inputs):
    """Return (node, its value): one of the operations above, on those of `inputs` that are not None."""
    value = temporary(spec, name)
    inputs = {operand: v for operand, v in inputs.items() if v is not None}
    return Node(op, attrs, inputs, {"y": value}, {operand: v.spec for operand, v in inputs.items()}), value


def is_per_channel(spec, channels):
    """Tell whether an array broadcasts along the last axis alone: one number, or (1, ..., 1, channels)."""
    return spec.size == 1 or (spec.size == channels and spec.shape[-1] == channels)


def norm_affine(node):
    """Return the `Affine` that a batch normalisation in inference is."""
    inputs, spec = node.inputs, Spec(node.inputs["moving_mean"].shape, "float64")
    name = node.outputs["y"].name
    first, scale = constant_node(
        NORM_SCALE, NormAttrs(node.attrs.epsilon), spec, f"{name}.scale",
        gamma=inputs.get("gamma"), variance=inputs["moving_variance"],
    )  # fmt: skip
    second, shift = constant_node(
        NORM_SHIFT, NoAttrs(), spec, f"{name}.shift", beta=inputs.get("beta"), mean=inputs["moving_mean"], scale=scale
    )
    return Affine(scale, shift, [first, second])


def arithmetic_affine(node, x, constant):
    """Return the `Affine` of x that node = x op constant is, or None."""
    channels, kind = x.spec.shape[-1], node.op.name
    if not is_per_channel(constant.spec, channels) or node.outputs["y"].spec != x.spec:
        return None
    if kind in ("divide", "subtract") and node.inputs["b"] is x:
        return None
    name = node.outputs["y"].name

    def vector(**attrs):
        return constant_node(
            VECTOR, VectorAttrs(channels, **attrs), Spec((channels,), "float64"), f"{name}.{kind}", x=constant
        )

    if kind in ("multiply", "divide"):
        made, scale = vector(inverse=kind == "divide")
        return Affine(scale, None, [made])
    made, shift = vector(sign=-1 if kind == "subtract" else 1)
    return Affine(None, shift, [made])


def fold_outputs(node, affine):
    """Return (nodes, kernel, bias) of a linear operation whose outputs are scaled and shifted."""
    nodes, kernel, bias = list(affine.nodes), node.inputs["kernel"], node.inputs.get("bias")
    name = node.outputs["y"].name
    if affine.scale is not None:
        kind = "both" if node.op.name in DEPTHWISE else "transposed" if node.op.name in TRANSPOSED else "last"
        attrs = KernelAttrs(kind, node.attrs.groups if kind == "transposed" else 1)
        made, kernel = constant_node(
            SCALE_KERNEL, attrs, kernel.spec, f"{name}.kernel", kernel=kernel, scale=affine.scale
        )
        nodes.append(made)
    if bias is not None or affine.shift is not None:
        spec = Spec(node.outputs["y"].spec.shape[-1:], node.inputs["kernel"].spec.dtype)
        made, bias = constant_node(
            SCALE_BIAS, NoAttrs(), spec, f"{name}.bias", bias=bias, scale=affine.scale, shift=affine.shift
        )
        nodes.append(made)
    return nodes, kernel, bias


def fold_inputs(node, affine):
    """Return (nodes, kernel, bias) of a linear operation whose inputs were scaled and shifted."""
    nodes, kernel, bias = list(affine.nodes), node.inputs["kernel"], node.inputs.get("bias")
    name = node.outputs["y"].name
    if affine.shift is not None:
        spec = Spec(kernel.spec.shape[-1:], kernel.spec.dtype)
        made, bias = constant_node(
            SHIFT_THROUGH, NoAttrs(), spec, f"{name}.bias", kernel=kernel, bias=bias, shift=affine.shift
        )
        nodes.append(made)
    if affine.scale is not None:
        made, kernel = constant_node(
            SCALE_ROWS, NoAttrs(), kernel.spec, f"{name}.kernel", kernel=kernel, scale=affine.scale
        )
        nodes.append(made)
    return nodes, kernel, bias
