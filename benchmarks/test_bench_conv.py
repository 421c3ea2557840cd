"""Convolution: layers of the tutorials' networks and of ResNet and MobileNet, with neither bias nor activation.

Those fuse into fastconv's kernels and would cost NumPy passes of their own.
"""

from typing import NamedTuple

import baseline
import numpy as np
import pytest
from rows import Operation

from fastconv.autograd.eager import spec_of
from fastconv.ops._convolution import Attrs
from fastconv.ops.conv2d import OP as CONV2D
from fastconv.ops.depthwise_conv2d import OP as DEPTHWISE


class Layer(NamedTuple):
    """A convolution of (N, size, size, channels)."""

    n: int
    size: int
    channels: int
    outputs: int
    kernel: int
    padding: str | tuple = "same"
    stride: int = 1
    groups: int = 1  # equal to channels and outputs: depthwise

    def __str__(self):
        name = f"{self.kernel}x{self.kernel} {self.size}x{self.size}x{self.channels} -> {self.outputs}"
        if self.groups == self.channels > 1:
            name = f"depthwise {self.kernel}x{self.kernel} {self.size}x{self.size}x{self.channels}"
        elif self.groups > 1:
            name += f", {self.groups} groups"
        return name + (f", stride {self.stride}" if self.stride > 1 else "") + f", batch {self.n}"


VALID = ((0, 0), (0, 0))
LAYERS = (
    Layer(32, 28, 1, 32, 3, VALID),
    Layer(32, 13, 32, 64, 3, VALID),
    Layer(32, 32, 3, 32, 3),
    Layer(16, 32, 32, 32, 3),
    Layer(16, 16, 64, 64, 3),
    Layer(16, 8, 128, 128, 3),
    Layer(4, 28, 128, 128, 3),
    Layer(4, 14, 256, 256, 3),
    Layer(4, 56, 64, 256, 1),
    Layer(2, 224, 3, 64, 7, ((3, 3), (3, 3)), 2),
    Layer(4, 28, 256, 256, 3, groups=32),
    Layer(4, 56, 144, 144, 3, groups=144),
)
SHORT = (LAYERS[1], Layer(1, 16, 24, 24, 3, groups=24))
CASES = [pytest.param(layer, id=str(layer), marks=pytest.mark.short if layer in SHORT else ()) for layer in LAYERS]
CASES.append(pytest.param(SHORT[1], id=str(SHORT[1]), marks=pytest.mark.short))


def operation(layer):
    """Return the `Operation` of a layer, and the prefix of its baselines."""
    rng = np.random.default_rng(0)
    depthwise = layer.groups == layer.channels == layer.outputs and layer.channels > 1
    depth = layer.channels if depthwise else layer.channels // layer.groups
    shape = (layer.kernel, layer.kernel, depth, 1 if depthwise else layer.outputs)
    inputs = {
        "x": rng.standard_normal((layer.n, layer.size, layer.size, layer.channels), np.float32),
        "kernel": rng.standard_normal(shape, np.float32),
    }
    attrs = Attrs(2 * (layer.stride,), layer.padding, (1, 1), 1 if depthwise else layer.groups)
    return Operation(DEPTHWISE if depthwise else CONV2D, inputs, attrs)


def flops(operation):
    """Return the arithmetic of one direction, padding counted as pixels."""
    specs = {name: spec_of(array) for name, array in operation.inputs.items()}
    return operation.op.flops(specs, operation.attrs)


@pytest.mark.parametrize("layer", CASES)
def test_forward(row, layer):
    o = operation(layer)
    ways = getattr(baseline, o.op.name)(o.arrays, o.attrs)
    row.measure("convolution", str(layer), "forward", o.forward, ways, o.reference(), flops=flops(o))


@pytest.mark.parametrize("layer", CASES)
def test_backward_data(row, layer):
    o = operation(layer)
    ways = getattr(baseline, f"{o.op.name}_backward_data")(o.arrays, o.attrs)
    row.measure("convolution", str(layer), "backward data", o.backward("x"), ways, o.reference("x"), flops=flops(o))


@pytest.mark.parametrize("layer", CASES)
def test_backward_kernel(row, layer):
    o = operation(layer)
    ways = getattr(baseline, f"{o.op.name}_backward_kernel")(o.arrays, o.attrs)
    call, reference = o.backward("kernel"), o.reference("kernel")
    row.measure("convolution", str(layer), "backward kernel", call, ways, reference, flops=flops(o))
