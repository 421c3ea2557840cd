"""Operators and functions of `fastconv.ops` on the tensors of `Input`."""

import copy
import io
import json
import pickle

import numpy as np
import pytest

import fastconv as fc
from fastconv import Input, Model, layers, models, ops
from fastconv.autograd import gradcheck
from fastconv.errors import ArgumentError, DTypeError, ModelFormatError, ShapeError, UnsupportedOpError
from fastconv.graph import optimize, trace
from fastconv.op import Spec

from .conftest import draw

X = draw(3, 6, 8, 4)
ROW, TABLE = draw(4, seed=1), draw(4, 5, seed=2)


def hard_sigmoid(x):
    return np.minimum(np.maximum(x + 3, 0), 6) / 6


def mean(x, axis):
    return x.mean(axis=axis)


# (operation on what Input returns, the same in NumPy)
CASES = {
    "multiply": (lambda x: x * 2.5, lambda x: x * 2.5),
    "reflected": (lambda x: 3 - x, lambda x: 3 - x),
    "negative": (lambda x: -x, lambda x: -x),
    "divide": (lambda x: x / (x * x + 1.0), lambda x: x / (x * x + 1)),
    "reflected divide": (lambda x: 1 / (2 + x**2), lambda x: 1 / (2 + x**2)),
    "power": (lambda x: abs(x) ** 3, lambda x: abs(x) ** 3),
    "array": (lambda x: x * ROW, lambda x: x * ROW),
    "array first": (lambda x: ROW - x, lambda x: ROW - x),
    "float64 array": (lambda x: x + ROW.astype("float64"), lambda x: x + ROW),
    "integer array": (lambda x: x + np.arange(4), lambda x: x + np.arange(4)),
    "tensor": (lambda x: fc.tensor(ROW) * x, lambda x: ROW * x),
    "list": (lambda x: x + [1.0, 2.0, 3.0, 4.0], lambda x: x + np.float32([1, 2, 3, 4])),
    "NumPy number": (lambda x: x * np.float64(0.5), lambda x: x * np.float32(0.5)),
    "matmul": (lambda x: x @ TABLE, lambda x: x @ TABLE),
    "channel": (lambda x: x[..., 0], lambda x: x[..., 0]),
    "slices": (lambda x: x[:, 1:-1, ::-2, None], lambda x: x[:, 1:-1, ::-2, None]),
    "index array": (lambda x: x[:, :, [0, 5]], lambda x: x[:, :, [0, 5]]),
    "NumPy index": (lambda x: x[:, np.int64(2)], lambda x: x[:, 2]),
    "hard sigmoid": (lambda x: ops.relu6(x + 3.0) * (1.0 / 6.0), hard_sigmoid),
    "keyword": (lambda x: ops.mean(x=x, axis=(1, 2)), lambda x: mean(x, (1, 2))),
    "method": (lambda x: x.mean(axis=1) + x.max(axis=1), lambda x: mean(x, 1) + x.max(axis=1)),
    "several tensors": (
        lambda x: ops.concatenate([x, 2.0 * x], axis=-1),
        lambda x: np.concatenate([x, 2 * x], axis=-1),
    ),
    "reshape": (lambda x: ops.reshape(x, (-1, 12, 16)), lambda x: x.reshape(-1, 12, 16)),
    "transpose": (lambda x: x.transpose(0, 3, 1, 2), lambda x: x.transpose(0, 3, 1, 2)),
    "activations": (lambda x: fc.activations.relu(x, negative_slope=0.25), lambda x: np.where(x > 0, x, x / 4)),
    "comparison": (lambda x: ops.maximum(ops.minimum(x, 0.5), -0.5), lambda x: np.clip(x, -0.5, 0.5)),
    "broadcast": (lambda x: x - x[:, :1, :1] * x[:, 2:3], lambda x: x - x[:, :1, :1] * x[:, 2:3]),
    "convolution": (lambda x: ops.conv2d(x, TABLE[None, None], padding="same"), lambda x: x @ TABLE),
}


def make(function, dtype=None):
    x = Input(X.shape[1:], dtype=dtype)
    return Model(x, function(x))


@pytest.mark.parametrize("name", CASES)
def test_outputs(name, tmp_path):
    function, formula = CASES[name]
    model, want = make(function), formula(X.astype("float64"))
    assert model.output_shape == (None, *want.shape[1:])
    got = model.predict(X, verbose=0)
    assert got.dtype == "float32"
    np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(model(X).numpy(), want, rtol=1e-4, atol=1e-5)
    path = tmp_path / "model.fastconv"
    model.save(path)
    copies = [models.load_model(path), models.clone_model(model), models.model_from_json(model.to_json())]
    for other in (*copies, pickle.loads(pickle.dumps(model)), copy.deepcopy(model)):
        assert other.get_config() == {**model.get_config(), "name": other.name}
        assert other.predict(X, verbose=0).tobytes() == got.tobytes()
    exact = make(function, "float64")(X.astype("float64"))
    assert exact.dtype == "float64"
    np.testing.assert_allclose(exact.numpy(), want, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", CASES)
def test_gradients(name):
    model = make(CASES[name][0], "float64")
    assert gradcheck(lambda x: model(x), [X.astype("float64") + 0.01])


@pytest.mark.parametrize("name", CASES)
def test_onnx(name, tmp_path):
    runtime = pytest.importorskip("onnxruntime")
    function, formula = CASES[name]
    path = tmp_path / "model.onnx"
    fc.onnx.save(make(function), path)
    session = runtime.InferenceSession(path, providers=["CPUExecutionProvider"])
    (got,) = session.run(None, {session.get_inputs()[0].name: X})
    np.testing.assert_allclose(got, formula(X.astype("float64")), rtol=1e-4, atol=1e-5)


def block(x, filters, squeeze=None):
    """The inverted residual of MobileNetV3, written as keras.applications writes it."""

    def hard_sigmoid(x):
        return layers.ReLU(6.0)(x + 3.0) * (1.0 / 6.0)

    def hard_swish(x):
        return x * hard_sigmoid(x)

    y = hard_swish(layers.BatchNormalization()(layers.Conv2D(filters, 1, use_bias=False)(x)))
    y = hard_swish(layers.BatchNormalization()(layers.DepthwiseConv2D(3, padding="same", use_bias=False)(y)))
    if squeeze:
        s = layers.GlobalAveragePooling2D(keepdims=True)(y)
        s = hard_sigmoid(layers.Conv2D(filters, 1)(layers.Conv2D(squeeze, 1, activation="relu")(s)))
        y = y * s
    return x + layers.BatchNormalization()(layers.Conv2D(x.shape[-1], 1, use_bias=False)(y))


def mobilenet(classes=3):
    fc.utils.set_random_seed(0)
    x = Input((12, 12, 3))
    y = layers.Conv2D(8, 3, strides=2, padding="same")((x - 127.5) / 127.5)
    for squeeze in (None, 4):
        y = block(y, 16, squeeze)
    return Model(x, layers.Dense(classes)(layers.GlobalAveragePooling2D()(y)))


def test_mobilenet_trains_and_goes_to_files(tmp_path):
    model = mobilenet()
    labels = np.arange(48) % 3
    images = (120 + 10 * draw(48, 12, 12, 3) + 40 * np.eye(3)[labels][:, None, None]).astype("uint8")
    model.compile("adam", fc.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"])
    losses = model.fit(images, labels, batch_size=16, epochs=25, verbose=0, shuffle=False).history["loss"]
    assert losses[-1] < 0.2 * losses[0]
    want = model.predict(images, verbose=0)
    np.testing.assert_allclose(want, model(images).numpy(), rtol=1e-3, atol=1e-4)
    path = tmp_path / "model.fastconv"
    model.save(path)
    assert models.load_model(path).predict(images, verbose=0).tobytes() == want.tobytes()
    fc.onnx.save(model, tmp_path / "model.onnx")
    got = fc.InferenceSession(tmp_path / "model.onnx").run(None, {model.input_names[0]: images.astype("float32")})[0]
    np.testing.assert_allclose(got, want, rtol=1e-3, atol=1e-4)


def test_compiled_inference_finds_the_activation():
    """`x * relu6(x + 3) * (1 / 6)` leaves no arithmetic behind: a convolution applies it."""
    x = Input((8, 8, 3))
    y = layers.Conv2D(16, 3)(x)
    model = Model(x, y * layers.ReLU(6.0)(y + 3.0) / 6.0)
    graph = trace(lambda x: {"y": model(x, training=False)}, {"x": Spec((1, 8, 8, 3))})
    (node,) = optimize(graph).nodes
    assert node.op.name == "conv2d" and node.attrs.epilogue.activation == "hard_swish"


def test_names_and_summary():
    x = Input((4, 4, 2))
    y = ops.relu(abs(x / 2.0) ** 2.0 + 1.0)[..., 0]
    model = Model(x, ops.global_avg_pool2d(x) - ops.mean(y))
    types = [layer._class_name or type(layer).__name__ for layer in model.operations]
    assert types == [
        *("InputLayer", "TrueDivide", "Absolute", "Power", "Add", "Relu", "GetItem", "GlobalAvgPool2D", "Mean"),
        "Subtract",
    ]
    out = io.StringIO()
    model.summary(print_fn=lambda text: out.write(text))
    for layer in model.operations[1:]:
        assert layer.count_params() == 0 and not layer.weights
        assert f"{layer.name[:12]}" in out.getvalue()
    assert "(TrueDivide)" in out.getvalue() and y.producer.layer.name.startswith("get_item")
    assert [type(layer).__name__ for layer in model.layers] == ["InputLayer"] and model.get_layer(
        index=-1
    ) is model.layers[0]
    first, second = (x + 1.0).producer.layer, (x + 1.0).producer.layer
    assert first.name != second.name and model.get_layer(y.producer.layer.name).output is y


def test_a_layer_of_ones_own_and_nested_models():
    inner = make(lambda x: x * 2.0 + 1.0)
    x = Input(X.shape[1:])
    model = Model(x, inner(x * 0.5)[:, 0])
    np.testing.assert_allclose(model.predict(X, verbose=0), X[:, 0] + 1, rtol=1e-6)
    shared = layers.Operation("multiply", name="twice")
    model = Model(x, shared(shared(x, 2.0), np.float32(3.0)))
    np.testing.assert_allclose(models.clone_model(model).predict(X, verbose=0), 6 * X, rtol=1e-6)
    assert layers.Operation("add")(X, 1.0).numpy().tobytes() == (X + 1).tobytes()
    assert layers.deserialize(layers.serialize(shared)).get_config() == {"name": "twice", "function": "multiply"}


def test_constants_are_copied():
    scale = np.ones(4, "float32")
    model = make(lambda x: x * scale)
    scale[:] = 7
    assert np.array_equal(model.predict(X, verbose=0), X)


def test_outputs_without_a_row_for_each_sample():
    x = Input(X.shape[1:])
    model = Model(x, [x[0], ops.reshape(x, (-1, 4)), x])
    first, rows, same = model.predict(X, batch_size=2, verbose=0)
    assert np.array_equal(first, X[[0, 2]].reshape(-1, 8, 4))
    assert np.array_equal(rows, X.reshape(-1, 4)) and np.array_equal(same, X)


def variable():
    return fc.tensor(ROW, requires_grad=True)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda x: x * np.ones(3), ShapeError, "do not broadcast"),
        (lambda x: x[:, 9], ArgumentError, "index 9 is out of bounds"),
        (lambda x: x[x], UnsupportedOpError, "needs values"),
        (lambda x: x[0:"a"], ArgumentError, "cannot be part of a model"),
        (lambda x: x + "a", DTypeError, "floats, integers or booleans"),
        (lambda x: x + None, DTypeError, "floats, integers or booleans"),
        (lambda x: x + object(), ArgumentError, "cannot be part of a model"),
        (lambda x: x * np.array(["a"]), DTypeError, "floats, integers or booleans"),
        (lambda x: x * variable(), ArgumentError, "requires a gradient"),
        (lambda x: layers.Lambda(lambda y: y * x)(x), ArgumentError, "meets one of a layer's call"),
        (lambda x: ops.mean(x, axis=7), ArgumentError, "axis"),
        (lambda x: ops.relu(x, size=2), TypeError, "size"),
        (lambda x: layers.Operation("conv2d_algorithm")((1, 5, 5, 4), (3, 3, 4, 4)), ArgumentError, "no tensor"),
        (lambda x: layers.Operation("relu")(), TypeError, "missing"),
        (lambda x: layers.Operation("no_such"), ArgumentError, "'no_such'"),
        (lambda x: layers.Operation(["relu"]), ArgumentError, "by its name"),
    ],
)
def test_errors(call, error, message):
    with pytest.raises(error, match=message) as caught:
        call(Input(X.shape[1:]))
    assert "peration" in str(caught.value) or "layer 'lambda" in str(caught.value)


@pytest.mark.parametrize(
    "damage",
    [
        ('"function": "subtract"', '"function": "__import__"'),
        ('"function": "subtract"', '"function": ["subtract"]'),
        ('["float32", [', '["O", [', ),
        ('["float32", [', '["S1000000000", ['),
        ('["float32", [', '[3, ['),
        ('{"__slice__": [1, null, null]}', '{"__slice__": ["os", null, null]}'),
        ('{"__slice__": [1, null, null]}', '{"__slice__": 5}'),
        ('{"__slice__": [1, null, null]}', '{"__slice__": [1, 2, 3, 4]}'),
        ('{"__slice__": [1, null, null]}', '9'),
    ],
)  # fmt: skip
def test_damaged_files(damage, tmp_path):
    model = make(lambda x: (ROW - x)[:, 1:])
    text = json.dumps(layers.serialize(model))
    assert damage[0] in text
    path = tmp_path / "model.fastconv"
    metadata = {"kind": "model", "model": json.loads(text.replace(*damage)), "compile": None}
    fc.storage.save(path, {}, metadata)
    with pytest.raises(ModelFormatError, match="cannot be made"):
        models.load_model(path)
