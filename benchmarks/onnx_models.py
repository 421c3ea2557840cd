"""Write the networks of the benchmarks as ONNX files, the way PyTorch's exporter writes them, with random weights.

    python benchmarks/onnx_models.py --out DIR                      all of them
    python benchmarks/onnx_models.py --out DIR resnet50 vgg16       some
    python benchmarks/onnx_models.py --out DIR --batch-norm         BatchNormalization kept as nodes of its own

Inputs are NCHW with a dynamic batch. The weights are drawn from a seed, scaled as He et al. do and with statistics that
fit what comes in, so that activations neither vanish nor grow; both forms of a network compute the same. Every file's
number of weights is checked against the published one. Needs the package `onnx`.
"""

import argparse
import math
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
from onnx import TensorProto, helper, numpy_helper, save_model

sys.path.insert(0, str(Path(__file__).parent / "peers"))
from networks import (  # noqa: E402
    INFERENCE,
    AdaptiveAverage,
    Branches,
    Conv,
    Dense,
    Depthwise,
    Dropout,
    Flatten,
    GlobalAverage,
    MaxPool,
    Norm,
    Residual,
    Softmax,
    SqueezeExcite,
)

OPSET = 17
EPSILON = 1e-5
SEED = 20261121


class Value(NamedTuple):
    """A tensor of the graph: its name, its shape without the batch, and about the mean of its squares, rather too much."""

    name: str
    shape: tuple
    power: float


class Writer:
    """The nodes and weights of a graph as they are added, one method for each kind of part."""

    def __init__(self, batch_norm, seed=SEED):
        self.nodes, self.initializers, self.parameters = [], [], 0
        self._batch_norm, self._rng = batch_norm, np.random.default_rng(seed)

    # ---- nodes and weights

    def node(self, op, *inputs, **attributes):
        """Add a node and return the name of its output."""
        name = f"{op}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, list(inputs), [name], name, **attributes))
        return name

    def weight(self, name, array):
        self.initializers.append(numpy_helper.from_array(array.astype(np.float32, copy=False), name))
        return name

    def constant(self, value):
        return self.node("Constant", value=numpy_helper.from_array(np.float32(value)))

    def draw(self, *shape, scale):
        array = self._rng.standard_normal(shape, np.float32)
        array *= np.float32(scale)
        return array

    # ---- parts

    def apply(self, parts, x):
        """Add the parts of a network one after another. A convolution and its norm are one step, to be folded."""
        i = 0
        while i < len(parts):
            part = parts[i]
            if isinstance(part, (Conv, Depthwise)):
                norm = parts[i + 1] if i + 1 < len(parts) and isinstance(parts[i + 1], Norm) else None
                norm = None if getattr(part, "activation", None) else norm
                x = self.convolution(part, norm, x)
                i += norm is not None
            else:
                x = self.part(part, x)
            i += 1
        return x

    def part(self, part, x):
        match part:
            case Norm():
                return self.activation(part.activation, self.norm(x))
            case Residual():
                return self.residual(part, x)
            case Branches():
                results = [self.apply(branch, x) for branch in part.branches]
                channels = sum(result.shape[0] for result in results)
                name = self.node("Concat", *(result.name for result in results), axis=1)
                power = sum(result.power * result.shape[0] for result in results) / channels
                return Value(name, (channels, *x.shape[1:]), power)
            case SqueezeExcite():
                return self.squeeze_excite(part, x)
            case MaxPool():
                return self.max_pool(part, x)
            case AdaptiveAverage():
                window = [size // part.size for size in x.shape[1:]]
                name = self.node("AveragePool", x.name, kernel_shape=window, strides=window)
                return Value(name, (x.shape[0], part.size, part.size), x.power)
            case GlobalAverage():
                pooled = self.node("GlobalAveragePool", x.name)
                return Value(self.node("Flatten", pooled, axis=1), x.shape[:1], x.power)
            case Flatten():
                return Value(self.node("Flatten", x.name, axis=1), (math.prod(x.shape),), x.power)
            case Dense():
                return self.dense(part, x)
            case Softmax():
                return x._replace(name=self.node("Softmax", x.name, axis=1))
            case Dropout():  # the exporter leaves it out
                return x
        raise TypeError(f"unknown part {part!r}")

    def activation(self, name, x):
        match name:
            case None:
                return x
            case "relu":
                return x._replace(name=self.node("Relu", x.name), power=x.power / 2)
            case "relu6":
                bounds = self.constant(0), self.constant(6)
                return x._replace(name=self.node("Clip", x.name, *bounds), power=x.power / 2)
            case "sigmoid":
                return x._replace(name=self.node("Sigmoid", x.name), power=0.35)
            case "silu":
                gate = self.node("Sigmoid", x.name)
                return x._replace(name=self.node("Mul", x.name, gate), power=0.45 * x.power)
        raise TypeError(f"unknown activation {name!r}")

    def convolution(self, part, norm, x):
        """Add a convolution; its norm is folded into weights and bias unless such nodes are wanted."""
        channels = x.shape[0]
        groups, filters = (channels, channels) if isinstance(part, Depthwise) else (1, part.filters)
        padding = part.kernel // 2 if isinstance(part, Depthwise) else part.padding
        fan_in = channels // groups * part.kernel**2
        weight = self.draw(filters, channels // groups, part.kernel, part.kernel, scale=math.sqrt(2 / fan_in))
        self.parameters += weight.size
        size = tuple((length + 2 * padding - part.kernel) // part.stride + 1 for length in x.shape[1:])
        name = f"conv{len(self.nodes)}"
        result = Value(name, (filters, *size), 2 * x.power)
        bias, statistics = None, None
        if norm is None:
            bias = self.draw(filters, scale=0.1)
            self.parameters += filters
        else:
            statistics = self.statistics(result)
            if not self._batch_norm:
                gamma, beta, mean, variance = statistics
                factor = gamma / np.sqrt(variance + np.float32(EPSILON))
                weight *= factor[:, None, None, None]
                bias = beta - mean * factor
        weights = [self.weight(f"{name}.weight", weight)]
        if bias is not None:
            weights.append(self.weight(f"{name}.bias", bias))
        geometry = {"kernel_shape": [part.kernel] * 2, "pads": [padding] * 4, "strides": [part.stride] * 2}
        attributes = {"dilations": [1, 1], "group": groups, **geometry}
        result = result._replace(name=self.node("Conv", x.name, *weights, **attributes))
        if norm is None:
            return self.activation(part.activation, result)
        result = self.norm(result, statistics) if self._batch_norm else result._replace(power=1.0)
        return self.activation(norm.activation, result)

    def statistics(self, x):
        """Return gamma, beta, mean and variance of a batch normalisation, as training might leave them."""
        channels = x.shape[0]
        self.parameters += 2 * channels
        spread = self._rng.uniform(0.7, 1.4, (2, channels)).astype(np.float32)
        variance = x.power * spread[1]
        return spread[0], self.draw(channels, scale=0.2), self.draw(channels, scale=0.2 * math.sqrt(x.power)), variance

    def norm(self, x, statistics=None):
        arrays = self.statistics(x) if statistics is None else statistics
        names = (f"norm{len(self.nodes)}.{word}" for word in ("weight", "bias", "running_mean", "running_var"))
        weights = [self.weight(name, array) for name, array in zip(names, arrays, strict=True)]
        name = self.node("BatchNormalization", x.name, *weights, epsilon=EPSILON, momentum=0.9, training_mode=0)
        return x._replace(name=name, power=1.0)

    def residual(self, part, x):
        main, shortcut = self.apply(part.main, x), self.apply(part.shortcut, x)
        power = main.power + shortcut.power
        result = self.activation(part.activation, main._replace(name=self.node("Add", main.name, shortcut.name)))
        return result._replace(power=power)  # x, past an activation, is hardly negative: little is cut off

    def squeeze_excite(self, part, x):
        channels = x.shape[0]
        gate = Value(self.node("GlobalAveragePool", x.name), (channels, 1, 1), x.power)
        gate = self.convolution(Conv(part.squeezed, 1, activation="silu"), None, gate)
        gate = self.convolution(Conv(channels, 1, activation="sigmoid"), None, gate)
        return x._replace(name=self.node("Mul", gate.name, x.name), power=x.power * gate.power)

    def max_pool(self, part, x):
        reach = [length + 2 * part.padding - part.size for length in x.shape[1:]]
        steps = [-(-length // part.stride) if part.ceil else length // part.stride for length in reach]
        geometry = {"kernel_shape": [part.size] * 2, "pads": [part.padding] * 4, "strides": [part.stride] * 2}
        name = self.node("MaxPool", x.name, ceil_mode=int(part.ceil), **geometry)
        return Value(name, (x.shape[0], *(step + 1 for step in steps)), 2 * x.power)

    def dense(self, part, x):
        weight = self.draw(part.units, x.shape[0], scale=math.sqrt(2 / x.shape[0]))
        bias = self.draw(part.units, scale=0.1)
        self.parameters += weight.size + bias.size
        name = f"dense{len(self.nodes)}"
        weights = self.weight(f"{name}.weight", weight), self.weight(f"{name}.bias", bias)
        name = self.node("Gemm", x.name, *weights, alpha=1.0, beta=1.0, transB=1)
        return self.activation(part.activation, Value(name, (part.units,), 2 * x.power))


def build(name, batch_norm=False):
    """Return the ModelProto of a network.

    Parameters
    ----------
    name : str
        A key of `INFERENCE`.
    batch_norm : bool
        Keep batch normalisation as nodes, as the exporter does of a model in training mode; else it is folded into the
        convolution before it. Where it follows an activation it is a node in both forms.
    """
    network, published = INFERENCE[name]
    height, width, channels = network.image
    writer = Writer(batch_norm)
    result = writer.apply(network.parts, Value("input", (channels, height, width), 1.0))
    if writer.parameters != published:
        raise ValueError(f"{name} has {writer.parameters:,} weights, the published network {published:,}")
    writer.nodes[-1].output[0] = "output"
    shapes = {"input": ("batch", channels, height, width), "output": ("batch", *result.shape)}
    ends = {end: helper.make_tensor_value_info(end, TensorProto.FLOAT, shape) for end, shape in shapes.items()}
    graph = helper.make_graph(writer.nodes, name, [ends["input"]], [ends["output"]], writer.initializers)
    opsets = [helper.make_opsetid("", OPSET)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8, producer_name="benchmarks/onnx_models.py")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", metavar="NAME", nargs="*", help=f"of {', '.join(INFERENCE)}; all by default")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="where to write NAME.onnx")
    parser.add_argument("--batch-norm", action="store_true", help="keep BatchNormalization nodes; writes NAME-bn.onnx")
    args = parser.parse_args()
    unknown = [name for name in args.names if name not in INFERENCE]
    if unknown:
        parser.error(f"unknown: {', '.join(unknown)}; there are {', '.join(INFERENCE)}")
    args.out.mkdir(parents=True, exist_ok=True)
    for name in args.names or INFERENCE:
        path = args.out / f"{name}{'-bn' if args.batch_norm else ''}.onnx"
        save_model(build(name, args.batch_norm), path)
        print(f"{path}: {path.stat().st_size / 1e6:.1f} MB, {INFERENCE[name][1]:,} weights")


if __name__ == "__main__":
    main()
