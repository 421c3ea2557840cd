"""Whole models saved as ONNX: what is transposed, sliced, shared; and models that came from ONNX."""

import numpy as np
import pytest

import fastconv as fc
from fastconv import InferenceSession, Input, Model, Sequential, errors, layers, ops
from fastconv.io.onnx import load_model, proto
from tests.io.onnx import small
from tests.io.onnx.exporting import (
    IMAGE,
    RNG,
    Own,
    assert_same,
    draw,
    export,
    randomise,
    residual_network,
    run_onnx_runtime,
)


def test_the_tutorial_networks_transpose_twice(tmp_path):
    # In, and back where the pixels are laid out as a vector.
    first = Sequential(
        [
            layers.Conv2D(32, 3, activation="relu", input_shape=(28, 28, 1)),
            layers.MaxPooling2D(),
            layers.Conv2D(64, 3, activation="relu"),
            layers.MaxPooling2D(),
            layers.Flatten(),
            layers.Dropout(0.5),
            layers.Dense(10, activation="softmax"),
        ]
    )
    second = Sequential([layers.InputLayer((32, 32, 3))])
    for filters in (32, 64):
        for _ in range(2):
            second.add(layers.Conv2D(filters, 3, padding="same", activation="relu"))
            second.add(layers.BatchNormalization())
        second.add(layers.MaxPooling2D())
        second.add(layers.Dropout(0.2))
    second.add(layers.Flatten())
    second.add(layers.Dense(128, activation="relu"))
    second.add(layers.Dense(10))
    for model in (first, second):
        operators = assert_same(model, tmp_path, draw(4, *model.input_shape[1:]))
        # One channel needs no transposition: the bytes are the same, but ONNX wants the shape.
        assert operators.count("Transpose") == 2
    proto, _ = load_model(tmp_path / "model.onnx")
    assert {"conv2d/kernel", "dense/bias", "batch_normalization_1/moving_mean"} <= {
        t.name for t in proto.graph.initializer
    }


def test_a_residual_network_transposes_once(tmp_path):
    model = residual_network()
    randomise(model)
    assert assert_same(model, tmp_path, draw(3, 16, 16, 3)).count("Transpose") == 1


def test_channels_first_transposes_never(tmp_path):
    first = {"data_format": "channels_first"}
    model = Sequential(
        [
            layers.Conv2D(4, 3, activation="relu", input_shape=(3, 8, 8), **first),
            layers.MaxPooling2D(**first),
            layers.Conv2D(4, 3, **first),
        ]
    )
    assert "Transpose" not in assert_same(model, tmp_path, draw(2, 3, 8, 8))


class Indexed(layers.Layer):
    def __init__(self, form, **kwargs):
        super().__init__(**kwargs)
        self.form = form

    def call(self, inputs):
        return inputs[self.form]


@pytest.mark.parametrize(
    "form",
    [
        (slice(None), slice(1, 6, 2)),
        (slice(None), slice(None, None, -1), Ellipsis, slice(-3, -1)),
        (Ellipsis, 2),
        (slice(None), -1),
        (slice(None), None, 0, slice(5, None, -2), None),
        (slice(None), slice(99, -99, -2)),
        (slice(None), slice(None), [0, 2, -1]),
        (slice(None), slice(None), np.array([[0, 2], [1, 1]])),
    ],
)
def test_slices(form, tmp_path):
    assert_same(Sequential([layers.InputLayer(IMAGE), Indexed(form)]), tmp_path, draw(3, *IMAGE))


def test_a_slice_of_nothing(tmp_path):
    """Before the axis lies nothing; ONNX would begin at its first element."""
    path = tmp_path / "m.onnx"
    fc.onnx.save(Sequential([layers.InputLayer(IMAGE), Indexed((slice(None), slice(-99, None, -1)))]), path)
    session = fc.InferenceSession(path)
    (y,) = session.run(None, {session.get_inputs()[0].name: draw(3, *IMAGE)})
    assert y.shape == (3, 0, *IMAGE[1:])


class Arithmetic(layers.Layer):
    """Every function of tensors, constants before and after, of fewer axes and of all."""

    def build(self, input_shape):
        self.row = self.add_weight((input_shape[-1],), "ones", name="row")
        self.block = self.add_weight((1, 1, input_shape[-1]), "ones", name="block")

    def call(self, inputs):
        x = ops.conv2d(inputs, np.full((1, 1, 4, 4), 0.3, "float32"))  # channels first, in the file
        y = ops.abs(x) + 1.0
        y = ops.log(y) * self.row - self.block + ops.sqrt(y) / (y + 2.0)
        y = ops.maximum(y, x) + ops.minimum(y, 0.5) + ops.exp(-y) + ops.square(y) + ops.power(ops.abs(y), 1.5)
        rows = ops.matmul(y, ops.transpose(y, 0, 1, 3, 2))
        other = ops.matmul(y, y, transpose_a=True)
        means = ops.mean(y, axis=(1, 2), keepdims=True)
        return [y * means, rows, other, inputs - ops.mean(y, axis=3, keepdims=True), ops.log_softmax(y), y * y[0, 0, 0]]


def test_arithmetic(tmp_path):
    model = Model(x := Input(IMAGE), Arithmetic()(x))
    model.weights[0].assign(draw(4))
    model.weights[1].assign(draw(1, 1, 4))
    assert_same(model, tmp_path, draw(2, *IMAGE))


def test_shared_layers_and_outputs_that_are_inputs(tmp_path):
    x = Input((5, 5, 4))
    layer = layers.Conv2D(4, 3, padding="same")
    y = layer(x)
    model = Model(x, [layer(y), y, layers.Activation("linear")(x), y])
    assert_same(model, tmp_path, draw(2, 5, 5, 4))
    proto, _ = load_model(tmp_path / "model.onnx")
    assert len([t for t in proto.graph.initializer if "kernel" in t.name]) == 1


class Views(layers.Layer):
    def call(self, inputs):
        y = ops.relu(inputs)
        return [y, ops.transpose(y, 0, 2, 1, 3), y, ops.transpose(inputs, 0, 3, 1, 2), ops.transpose(y, 0, 2, 1, 3)]


def test_outputs_that_are_views_of_each_other(tmp_path):
    x = Input((5, 6, 4))
    assert_same(Model(x, Views()(x)), tmp_path, draw(2, 5, 6, 4))


def test_float64(tmp_path):
    model = Sequential(
        [layers.Dense(4, activation="relu", dtype="float64", input_shape=(3,)), layers.Dense(2, dtype="float64")]
    )
    proto, data = export(model, tmp_path / "m.onnx")
    x = RNG.normal(size=(5, 3))
    result = run_onnx_runtime(data, {proto.graph.input[0].name: x})[0]
    assert result.dtype == np.float64
    np.testing.assert_allclose(result, model(x).numpy(), rtol=1e-12)


def test_a_class_of_ones_own(tmp_path):
    model = Own()
    with pytest.raises(errors.NotBuiltError, match="give input_shape"):
        fc.onnx.save(model, tmp_path / "m.onnx")
    assert_same(model, tmp_path, draw(2, 6, 6, 1), input_shape=(None, 6, 6, 1))


def test_there_and_back(tmp_path):
    """A file of ours, loaded as a Model."""
    model = residual_network()
    randomise(model)
    export(model, tmp_path / "m.onnx")
    again = fc.onnx.load(tmp_path / "m.onnx")
    x = draw(3, 16, 16, 3)
    np.testing.assert_allclose(again.predict(x, verbose=0), model.predict(x, verbose=0), atol=1e-5)


def classifier_inputs(count):
    return np.random.default_rng(1).random((count, 3, 8, 8), np.float32)


@pytest.mark.parametrize("native", [False, True])
@pytest.mark.parametrize("outputs", [None, ["f", "y"]])
def test_what_was_loaded_is_saved_with_its_new_weights(outputs, native, tmp_path):
    model = fc.onnx.load(small.classifier(), outputs=outputs)
    before = model.get_weights()
    model.set_weights([w + 0.1 for w in before])
    if native:
        model.save(tmp_path / "m.fastconv")
        model = fc.models.load_model(tmp_path / "m.fastconv")
    x = classifier_inputs(3)
    expected = model.predict(x, verbose=0)
    expected = expected if isinstance(expected, list) else [expected]
    _, data = export(model, tmp_path / "m.onnx")
    for result in (InferenceSession(data).run(None, {"x": x}), run_onnx_runtime(data, {"x": x})):
        for y, wanted in zip(result, expected, strict=True):
            np.testing.assert_allclose(y, wanted, atol=1e-5, rtol=1e-5)
    for w, old in zip(fc.onnx.load(data, outputs=outputs).get_weights(), before, strict=True):
        np.testing.assert_array_equal(w, old + np.float32(0.1))


def test_weights_of_constant_nodes_and_of_other_files(tmp_path):
    onnx = pytest.importorskip("onnx", reason="the onnx package is not installed")
    weight = draw(2, 1, 3, 3)
    nodes = [
        small.node("Constant", "", "w", value=weight),
        small.node("Conv", "x w", "c"),
        small.node("Mul", "c s", "y"),
    ]
    text = small.model(
        nodes, [small.value("x", ["N", 1, 5, 6])], [small.value("y", ["N", 2, 3, 4])], {"s": draw(1, 2, 1, 1)}
    )
    onnx.save_model(
        onnx.load_model_from_string(text),
        str(tmp_path / "in.onnx"),
        save_as_external_data=True,
        location="in.data",
        size_threshold=0,
    )
    model = fc.onnx.load(tmp_path / "in.onnx")
    for variable in model.weights:
        variable.assign(variable.numpy() * 2)
    x = draw(2, 1, 5, 6)
    (tmp_path / "out").mkdir()
    _, data = export(model, tmp_path / "out" / "m.onnx")
    np.testing.assert_allclose(run_onnx_runtime(data, {"x": x})[0], model.predict(x, verbose=0), atol=1e-5)
    factor = 4 if len(model.weights) == 2 else 2
    before = run_onnx_runtime(text, {"x": x})[0]
    np.testing.assert_allclose(model.predict(x, verbose=0), before * factor, atol=1e-4)


class Tied(layers.Layer):
    """A matrix, and the same one transposed."""

    def build(self, input_shape):
        self.matrix = self.add_weight(shape=(input_shape[-1], 5), name="matrix")

    def call(self, inputs):
        return ops.matmul(ops.matmul(inputs, self.matrix), ops.transpose(self.matrix, (1, 0)))


def test_a_weight_that_is_transposed(tmp_path):
    model = Sequential([layers.InputLayer((3,)), Tied()])
    randomise(model)
    assert_same(model, tmp_path, draw(4, 3))


def test_outputs_without_a_type_get_one(tmp_path):
    nodes = [small.node("Relu", "x", "r"), small.node("Flatten", "r", "y")]
    data = small.model(nodes, [small.value("x", ["N", 2, 3])], [proto.ValueInfo(name=name) for name in ("y", "r")])
    saved, text = export(fc.onnx.load(data), tmp_path / "m.onnx")
    shapes = [[d.dim_value or d.dim_param for d in value.type.tensor_type.shape.dim] for value in saved.graph.output]
    assert shapes == [["batch", 6], ["batch", 2, 3]]
    x = draw(4, 2, 3)
    np.testing.assert_array_equal(run_onnx_runtime(text, {"x": x})[0], np.maximum(x, 0).reshape(4, 6))


def test_a_derived_weight_that_changed_cannot_go_back(tmp_path):
    nodes = [small.node("Transpose", "w", "wt", perm=[1, 0]), small.node("MatMul", "x wt", "y")]
    text = small.model(nodes, [small.value("x", ["N", 3])], [small.value("y", ["N", 2])], {"w": draw(2, 3)})
    model = fc.onnx.load(text)
    export(model, tmp_path / "m.onnx")
    model.weights[0].assign(model.weights[0].numpy() + 1)
    with pytest.raises(errors.UnsupportedOpError, match="'wt', which the file derives from others, has changed"):
        fc.onnx.save(model, tmp_path / "m.onnx")
