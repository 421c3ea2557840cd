"""The ONNX files of the benchmarks: the published networks, in the shapes and numbers that other engines find there."""

import math
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("onnx", reason="the package onnx is not installed (pip install onnx)")

# Published numbers of weights: the papers', torchvision's and, of the tutorials, Keras's trainable ones.
WEIGHTS = {
    "resnet18": 11_689_512,
    "resnet50": 25_557_032,
    "mobilenet_v2": 3_504_872,
    "efficientnet_b0": 5_288_548,
    "squeezenet1_1": 1_235_496,
    "mnist_tutorial": 93_322,
    "cifar10_tutorial": 551_466,
}
SMALL = ("mnist_tutorial", "cifar10_tutorial", "squeezenet1_1", "mobilenet_v2", "efficientnet_b0")


@pytest.fixture
def models(monkeypatch):
    """The module benchmarks/onnx_models.py, and the path as it was."""
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "benchmarks"))
    monkeypatch.setattr(sys, "path", list(sys.path))
    import onnx_models

    return onnx_models


def run(model, x, optimize=True):
    onnxruntime = pytest.importorskip("onnxruntime", reason="ONNX Runtime is not installed (pip install onnxruntime)")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    if not optimize:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    (result,) = session.run(["output"], {"input": x})
    assert list(result.shape[1:]) == session.get_outputs()[0].shape[1:]
    return result


@pytest.mark.parametrize("name", WEIGHTS)
def test_weights_are_those_of_the_published_network(models, name):
    import onnx

    model = models.build(name, batch_norm=True)
    onnx.checker.check_model(model, full_check=True)
    statistics = ("running_mean", "running_var")
    counted = [i for i in model.graph.initializer if not i.name.endswith(statistics)]
    assert sum(math.prod(weight.dims) for weight in counted) == WEIGHTS[name]


def test_a_network_with_other_weights_is_refused(models, monkeypatch):
    network, count = models.INFERENCE["mnist_tutorial"]
    monkeypatch.setitem(models.INFERENCE, "mnist_tutorial", (network, count + 1))
    with pytest.raises(ValueError, match="93,322 weights, the published network 93,323"):
        models.build("mnist_tutorial")


@pytest.mark.parametrize("name", SMALL)
def test_both_forms_compute_the_same_and_depend_on_the_picture(models, name):
    height, width, channels = models.INFERENCE[name][0].image
    x = np.random.default_rng(1).standard_normal((2, channels, height, width), np.float32)
    x[1] = np.abs(x[1])
    folded, kept = models.build(name), models.build(name, batch_norm=True)
    expected = run(kept, x, optimize=False)
    assert np.isfinite(expected).all()
    spread = np.abs(expected[0] - expected[1]).max()
    assert spread > 0.05 * expected.std(), "what comes out hardly depends on what goes in"
    np.testing.assert_allclose(run(folded, x), expected, rtol=0, atol=1e-3 * spread)


def test_the_exporter_s_operators(models):
    def operators(model):
        return {node.op_type for node in model.graph.node}

    expected = {"Conv", "Sigmoid", "Mul", "GlobalAveragePool", "Add", "Flatten", "Gemm"}
    assert operators(models.build("efficientnet_b0")) == expected
    assert operators(models.build("mobilenet_v2", batch_norm=True)) >= {"BatchNormalization", "Clip", "Constant"}
