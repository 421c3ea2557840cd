"""Saving models as ONNX, and comparing what ONNX Runtime and our own session make of the files."""

import numpy as np
import pytest

import fastconv as fc
from fastconv import InferenceSession, Input, Model, layers, ops
from fastconv.io.onnx import load_model
from fastconv.io.onnx.check import check
from fastconv.io.onnx.operators import OPERATORS

RNG = np.random.default_rng(3)
SEQUENCE, IMAGE, VOLUME = (11, 6), (9, 7, 4), (6, 5, 7, 4)


def draw(*shape):
    return RNG.normal(size=shape).astype("float32")


def randomise(model):
    """Weights of a trained model are not zeros and ones."""
    for variable in model.weights:
        values = RNG.normal(size=variable.shape) * 0.5
        variable.assign(np.abs(values) + 0.5 if variable.name.endswith("variance") else values)


def run_onnx_runtime(data, feeds):
    onnxruntime = pytest.importorskip("onnxruntime", reason="ONNX Runtime is not installed")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    return session.run(None, feeds)


def export(model, path, **kwargs):
    fc.onnx.save(model, path, **kwargs)
    data = path.read_bytes()
    proto, _ = load_model(data)
    check(proto, OPERATORS)
    try:
        import onnx
    except ImportError:
        return proto, data
    onnx.checker.check_model(data, full_check=True)
    return proto, data


def assert_same(model, tmp_path, *inputs, **kwargs):
    """Compare at two batch sizes; returns the operators of the file."""
    proto, data = export(model, tmp_path / "model.onnx", **kwargs)
    names = [value.name for value in proto.graph.input]
    for batch in (len(inputs[0]), 1):
        batches = [x[:batch] for x in inputs]
        expected = model(batches[0] if len(batches) == 1 else batches, training=False)
        expected = [y.numpy() for y in (expected if isinstance(expected, list | tuple) else [expected])]
        feeds = dict(zip(names, batches, strict=True))
        for result in (InferenceSession(data).run(None, feeds), run_onnx_runtime(data, feeds)):
            for y, wanted in zip(result, expected, strict=True):
                assert y.shape == wanted.shape and y.dtype == wanted.dtype
                scale = max(1.0, float(np.abs(wanted).max()))
                np.testing.assert_allclose(y, wanted, atol=2e-5 * scale, rtol=2e-5)
    return [node.op_type for node in proto.graph.node]


# ---- models that several files save


def residual_network():
    x = Input((16, 16, 3))
    y = layers.Conv2D(8, 3, padding="same", use_bias=False)(x)
    for strides in (1, 2):
        short = layers.Conv2D(8, 1, strides)(y) if strides > 1 else y
        z = layers.ReLU()(layers.BatchNormalization()(layers.Conv2D(8, 3, strides, padding="same")(y)))
        z = layers.BatchNormalization()(layers.Conv2D(8, 3, padding="same")(z))
        y = layers.ReLU()(layers.Add()([z, short]))
    return Model(x, layers.Dense(5)(layers.GlobalAveragePooling2D()(y)))


class Own(Model):
    def __init__(self):
        super().__init__()
        self.conv = layers.Conv2D(3, 3)
        self.head = layers.Dense(2)

    def call(self, inputs):
        y = self.conv(inputs)
        return self.head(ops.flatten(y))
