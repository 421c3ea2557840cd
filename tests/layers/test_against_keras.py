"""Layers beside Keras's of the same name and arguments: outputs, gradients, weights and what a bad call raises.

Skipped where Keras is not installed: nothing that the project needs has it.
"""

import inspect
import os

import numpy as np
import pytest

import fastconv as fc
from fastconv import layers

from .conftest import call, draw

os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
keras = pytest.importorskip("keras", reason="Keras is not installed")
tensorflow = pytest.importorskip("tensorflow", reason="TensorFlow, which runs it, is not installed")

IMAGE, ROW = (5, 4, 6), (6,)
COMMON = ("self", "name", "dtype")
# Arguments that ours has in addition.
MORE = {"SpatialDropout1D": ["data_format"]}
MERGING = ("Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum")
# (class, arguments, shapes of the inputs without the batch)
CASES = [
    *((name, {}, shapes) for name in MERGING for shapes in ([IMAGE, IMAGE], [IMAGE, (1, 1, 6)], [ROW, IMAGE])),
    *((name, {}, [IMAGE] * 3) for name in MERGING if name != "Subtract"),
    ("Dot", {"axes": 1}, [ROW, ROW]),
    ("Dot", {"axes": -1, "normalize": True}, [(5, 6), (7, 6)]),
    ("Dot", {"axes": (1, 2)}, [(3, 5), (10, 3)]),
    ("Dot", {"axes": (1, 2), "normalize": True}, [(3, 4, 5), (6, 3)]),
    ("Dot", {"axes": (2, 1)}, [(7, 6), ROW]),
    ("Dropout", {"rate": 0.5, "noise_shape": (None, 1, 1, 6)}, [IMAGE]),
    ("GaussianDropout", {"rate": 0.5}, [IMAGE]),
    ("GaussianNoise", {"stddev": 0.5}, [IMAGE]),
    ("Lambda", {"function": lambda x: x * 2}, [IMAGE]),
    ("Permute", {"dims": (3, 1, 2)}, [IMAGE]),
    ("RepeatVector", {"n": 3}, [ROW]),
    ("SpatialDropout1D", {"rate": 0.5}, [(5, 6)]),
    ("SpatialDropout2D", {"rate": 0.5}, [IMAGE]),
    ("SpatialDropout3D", {"rate": 0.5}, [(2, *IMAGE)]),
    ("GroupNormalization", {"groups": 3}, [IMAGE]),
    ("GroupNormalization", {"groups": 1, "epsilon": 1e-5}, [IMAGE]),
    ("GroupNormalization", {"groups": -1, "scale": False}, [IMAGE]),
    ("GroupNormalization", {"groups": 2, "center": False}, [(5, 6)]),
    ("GroupNormalization", {"groups": 2}, [ROW]),
    ("GroupNormalization", {"groups": 2, "axis": 2}, [IMAGE]),
    ("LayerNormalization", {}, [IMAGE]),
    ("LayerNormalization", {"axis": [1, 2, 3], "epsilon": 1e-5}, [IMAGE]),
    ("LayerNormalization", {"axis": (1, 3), "scale": False}, [IMAGE]),
    ("LayerNormalization", {"axis": 2, "center": False}, [IMAGE]),
    ("LayerNormalization", {}, [ROW]),
    ("RandomFlip", {"mode": "vertical"}, [(1, 4, 6)]),
    ("Rescaling", {"scale": 1 / 255}, [IMAGE]),
    ("Rescaling", {"scale": [1.0, 2.0, 3.0, 4.0, 5.0, 6.0], "offset": 0.5}, [IMAGE]),
    ("Normalization", {}, [IMAGE]),
    ("Normalization", {"axis": None}, [ROW]),
    ("Normalization", {"axis": (1, 3), "invert": True}, [IMAGE]),
    ("Normalization", {"mean": 3.0, "variance": 0.5}, [IMAGE]),
    ("Normalization", {"axis": (1, -1), "mean": [1.0, 2, 3, 4, 5, 6], "variance": 6 * [0.3]}, [IMAGE]),
    *(
        ("Resizing", {"height": h, "width": w, "interpolation": how, **options}, [(12, 9, 3)])
        for how in ("nearest", "bilinear", "bicubic")
        for h, w in ((5, 7), (17, 30), (24, 18), (6, 3))
        for options in ({}, {"antialias": True}, {"crop_to_aspect_ratio": True})
    ),
    ("Resizing", {"height": 7, "width": 20, "pad_to_aspect_ratio": True, "fill_value": 2.0}, [(12, 9, 3)]),
    ("Resizing", {"height": 20, "width": 7, "pad_to_aspect_ratio": True, "fill_value": -1.0}, [(12, 9, 3)]),
    ("Resizing", {"height": 4, "width": 5, "data_format": "channels_first"}, [(3, 12, 9)]),
    ("UnitNormalization", {}, [IMAGE]),
    ("UnitNormalization", {"axis": [1, 2]}, [IMAGE]),
]


def built(name, arguments, shapes):
    """Return the two layers, with the same weights, none of them 0 or 1."""
    xs = [draw(3, *shape, seed=i) for i, shape in enumerate(shapes)]
    ours, theirs = getattr(layers, name)(**arguments), getattr(keras.layers, name)(**arguments)
    call(ours, xs)
    call(theirs, xs)
    assert [w.shape for w in ours.weights] == [tuple(w.shape) for w in theirs.weights]
    if hasattr(ours, "adapt"):
        if ours.weights:
            ours.adapt(xs[0])
            theirs.adapt(xs[0])
        return ours, theirs, xs
    values = [draw(*w.shape, seed=7 + i) for i, w in enumerate(ours.weights)]
    ours.set_weights(values)
    theirs.set_weights(values)
    return ours, theirs, xs


def roughly(arguments):
    """Return the tolerance: TensorFlow takes the weights of its cubic from a table of 1024 places, unless it antialiases."""
    return 1e-3 if arguments.get("interpolation") == "bicubic" and not arguments.get("antialias") else 1e-5


@pytest.mark.parametrize(("name", "arguments", "shapes"), CASES, ids=[f"{c[0]}-{i}" for i, c in enumerate(CASES)])
def test_outputs_and_gradients(name, arguments, shapes):
    ours, theirs, xs = built(name, arguments, shapes)
    tensors = [fc.tensor(x, requires_grad=True) for x in xs]
    y = call(ours, tensors)
    variables = [tensorflow.Variable(x) for x in xs]
    with tensorflow.GradientTape() as tape:
        z = call(theirs, [tensorflow.identity(v) for v in variables])
    assert y.shape == tuple(z.shape)
    scale = max(1.0, float(np.abs(z).max()))
    np.testing.assert_allclose(y.numpy(), z.numpy(), rtol=1e-4, atol=roughly(arguments) * scale)
    dy = draw(*y.shape, seed=9)
    got = fc.autograd.gradients(y, [*tensors, *ours.trainable_weights], fc.tensor(dy))
    trained = [w.value for w in theirs.trainable_weights]
    want = tape.gradient(z, [*variables, *trained], output_gradients=tensorflow.constant(dy))
    for dx, dz in zip(got, want, strict=True):
        scale = max(1.0, float(np.abs(dz).max()))
        np.testing.assert_allclose(dx.numpy(), np.asarray(dz), rtol=1e-3, atol=10 * roughly(arguments) * scale)


@pytest.mark.parametrize("name", sorted({"RandomTranslation", *(name for name, *_ in CASES)}))
def test_arguments_and_defaults(name):
    """Every argument of Keras's constructor is there, in its order, with its default."""

    def arguments(cls):
        found = inspect.signature(cls.__init__).parameters.values()
        skipped = (*COMMON, *MORE.get(name, ()))
        return [(p.name, p.default) for p in found if p.kind is p.POSITIONAL_OR_KEYWORD and p.name not in skipped]

    assert arguments(getattr(layers, name)) == arguments(getattr(keras.layers, name))


def graph_of_operations(package):
    """A functional model of operators and functions, in this package's words."""
    ops = package.ops
    x = package.Input((6, 8, 4))
    y = ops.relu(1.0 - x / 3.0) ** 2 + x * np.arange(4, dtype="float32")
    y = (
        ops.maximum(-y, ops.sqrt(abs(y) + 0.5))[:, 1:5, ::2]
        * package.layers.ReLU(6.0)(y[..., :2] + 3.0)[:, 2:, 1::2, :1]
    )
    z = ops.concatenate([y, ops.mean(y, axis=2, keepdims=True)], axis=2)
    return package.Model(x, [z[..., None], ops.reshape(y, (-1, 64)) @ np.eye(64, 3, dtype="float32")])


def test_operations():
    """Outputs, and the rows of the summary: types, shapes, connections."""
    ours, theirs = graph_of_operations(fc), graph_of_operations(keras)
    x = draw(3, 6, 8, 4)
    for y, z in zip(ours.predict(x, verbose=0), theirs.predict(x, verbose=0), strict=True):
        np.testing.assert_allclose(y, z, rtol=1e-5, atol=1e-5)
    rows = [[(layer._class_name or type(layer).__name__, layer.output.shape) for layer in ours.operations]]
    rows.append([(type(layer).__name__, layer.output.shape) for layer in theirs.operations])
    assert rows[0] == rows[1]
    stems = [[layer.name.rstrip("_0123456789") for layer in model.operations] for model in (ours, theirs)]
    assert stems[0] == stems[1]


@pytest.mark.parametrize("name", ["l1", "l2", "l1l2", "L2", None])
def test_regularizers(name):
    """The loss that `evaluate` tells, and the weights after a step, with penalties on kernels and biases."""
    x, y = draw(8, *IMAGE), draw(8, 3, seed=1)
    found = []
    for package in (fc, keras):
        own = package.regularizers.L1L2(0.02, 0.03)
        stack = [
            package.layers.Conv2D(3, 2, kernel_regularizer=name, bias_regularizer=own),
            package.layers.BatchNormalization(gamma_regularizer=own),
            package.layers.GlobalAveragePooling2D(),
            package.layers.Dense(3, kernel_regularizer=own, activation="tanh"),
        ]
        model = package.Sequential([package.Input(IMAGE), *stack])
        model.set_weights([np.abs(draw(*w.shape, seed=i)) for i, w in enumerate(model.weights)])
        model.compile(package.optimizers.SGD(0.1), "mse")
        losses = [model.evaluate(x, y, verbose=0), model.fit(x, y, batch_size=8, verbose=0).history["loss"][0]]
        found.append([np.array([float(loss) for loss in model.losses]), np.array(losses), *model.get_weights()])
    for ours, theirs in zip(*found, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("shares", [(0.25, -0.4), (-1.0, 1.0), (0.0, 0.9)])
@pytest.mark.parametrize("interpolation", ["bilinear", "nearest"])
@pytest.mark.parametrize("fill_mode", ["reflect", "constant", "nearest"])
def test_translation(fill_mode, interpolation, shares):
    """Outputs alone: TensorFlow's gradient is a transformation back, which at the edges is not the gradient."""
    x = draw(3, *IMAGE)
    found = []
    for package in (layers, keras.layers):
        layer = package.RandomTranslation(
            *((share, share) for share in shares), fill_mode, interpolation, fill_value=1.5
        )
        found.append(np.asarray(layer(x, training=True)))
    np.testing.assert_allclose(*found, rtol=1e-4, atol=1e-5)
