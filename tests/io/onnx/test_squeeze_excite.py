"""Squeeze-excite blocks as exporters write them: each becomes `conv2d_squeeze` and `conv2d_excite`."""

import numpy as np
import pytest

import fastconv
from fastconv.graph import optimize, trace
from fastconv.op import Spec
from tests.io.onnx.small import model, node, value

C, HIDDEN, OUT = 24, 6, 16
RNG = np.random.default_rng(0)


def weight(*shape):
    return RNG.normal(0, 0.3, shape).astype("float32")


CONV = {"w1": weight(HIDDEN, C, 1, 1), "b1": weight(HIDDEN), "w2": weight(C, HIDDEN, 1, 1), "b2": weight(C)}
GEMM = {name: array.reshape(array.shape[:2]) for name, array in CONV.items()}
MATMUL = {name: array.T for name, array in GEMM.items()}
NUMBERS = {"three": np.float32(3), "zero": np.float32(0), "six": np.float32(6)}
SHAPE = {"shape": np.array([2, C, 1, 1])}

# From z, the depthwise convolution's result, to m, which the projecting convolution reads.
CONVOLUTIONS = [node("Conv", "a w1 b1", "d"), node("Relu", "d", "r"), node("Conv", "r w2 b2", "u")]
BLOCKS = {
    "pool, Conv, Sigmoid": (
        [node("GlobalAveragePool", "z", "a"), *CONVOLUTIONS, node("Sigmoid", "u", "s"), node("Mul", "z s", "m")],
        CONV,
    ),
    "ReduceMean, Conv, HardSigmoid": (
        [
            node("ReduceMean", "z", "a", axes=[-1, -2], keepdims=1),
            *CONVOLUTIONS,
            node("HardSigmoid", "u", "s", alpha=1 / 6, beta=0.5),
            node("Mul", "s z", "m"),
        ],
        CONV,
    ),
    "AveragePool, Conv, Clip": (
        [
            node("AveragePool", "z", "a", kernel_shape=[14, 14]),
            *CONVOLUTIONS,
            node("Add", "u three", "v"),
            node("Clip", "v zero six", "t"),
            node("Div", "t six", "s"),
            node("Mul", "z s", "m"),
        ],
        {**CONV, **NUMBERS},
    ),
    "pool, Flatten, Gemm": (
        [
            node("GlobalAveragePool", "z", "p"),
            node("Flatten", "p", "a"),
            node("Gemm", "a w1 b1", "d", transB=1),
            node("Relu", "d", "r"),
            node("Gemm", "r w2 b2", "u", transB=1),
            node("HardSigmoid", "u", "h"),
            node("Reshape", "h shape", "s"),
            node("Mul", "z s", "m"),
        ],
        {**GEMM, **SHAPE},
    ),
    "ReduceMean, MatMul": (
        [
            node("ReduceMean", "z", "a", axes=[2, 3], keepdims=0),
            node("MatMul", "a w1", "d"),
            node("Add", "d b1", "e"),
            node("Relu", "e", "r"),
            node("MatMul", "r w2", "u"),
            node("Add", "u b2", "v"),
            node("Sigmoid", "v", "h"),
            node("Reshape", "h shape", "s"),
            node("Mul", "z s", "m"),
        ],
        {**MATMUL, **SHAPE},
    ),
}


@pytest.mark.parametrize("block", BLOCKS)
def test_block(block):
    nodes, weights = BLOCKS[block]
    ends = {"depth": weight(C, 1, 3, 3), "depth_bias": weight(C), "out": weight(OUT, C, 1, 1)}
    nodes = [
        node("Conv", "x depth depth_bias", "c", pads=[1, 1, 1, 1], group=C),
        node("HardSwish", "c", "z"),
        *nodes,
        node("Conv", "m out", "y"),
    ]
    data = model(nodes, [value("x", [2, C, 14, 14])], [value("y", [2, OUT, 14, 14])], {**weights, **ends})
    network, x = fastconv.onnx.load(data), np.random.default_rng(1).random((2, C, 14, 14), np.float32)
    with fastconv.no_grad():
        graph = optimize(trace(lambda x: {"y": network(x)}, {"x": Spec(x.shape)}))
        want = network(x).numpy()
    kinds = [n.op.name for n in graph.nodes]
    assert kinds.count("conv2d_squeeze") == kinds.count("conv2d_excite") == 1
    assert not {"global_avg_pool2d", "avg_pool2d", "mean", "multiply"} & set(kinds)
    got = fastconv.InferenceSession(data).run(None, {"x": x})[0]
    np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-5 * np.abs(want).max())
