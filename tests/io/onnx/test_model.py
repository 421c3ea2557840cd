"""fastconv.onnx.load: an ONNX file as a Model."""

import pickle

import numpy as np
import pytest

import fastconv
from fastconv import models
from fastconv.errors import ArgumentError, ModelFormatError, NotBuiltError, ShapeError
from tests.io.onnx import small


@pytest.fixture
def model():
    return fastconv.onnx.load(small.classifier())


def images(count, seed=1):
    return np.random.default_rng(seed).random((count, 3, 8, 8), np.float32)


def test_summary(model):
    lines = []
    model.summary(print_fn=lines.append)
    assert "stem (Conv)" in lines[0] and "(None, 8, 8, 8)" in lines[0]
    assert model.count_params() == 8 * 27 + 8 + 8 * 8 * 9 + 5 * 8 + 5


def test_predicts_as_a_session(model):
    wanted = fastconv.InferenceSession(small.classifier()).run(None, {"x": images(5)})[0]
    np.testing.assert_array_equal(model.predict(images(5), verbose=0), wanted)
    np.testing.assert_allclose(model(images(5)).numpy(), wanted, rtol=1e-6)


def test_learns(model):
    x, y = images(32), np.eye(5, dtype="float32")[np.arange(32) % 5]
    model.compile(fastconv.optimizers.Adam(0.05), "categorical_crossentropy")
    history = model.fit(x, y, epochs=40, verbose=0).history
    assert history["loss"][-1] < 0.7 * history["loss"][0]


@pytest.mark.parametrize("trained", [False, True])
def test_saves(model, tmp_path, trained):
    x = images(3)
    if trained:
        model.compile("sgd", "categorical_crossentropy")
        model.fit(x, np.eye(5, dtype="float32")[:3], verbose=0)
    model.save(tmp_path / "m.fastconv")
    again = models.load_model(tmp_path / "m.fastconv")
    np.testing.assert_array_equal(again.predict(x, verbose=0), model.predict(x, verbose=0))
    again.save(tmp_path / "again.fastconv")
    third = models.load_model(tmp_path / "again.fastconv")
    np.testing.assert_array_equal(third.predict(x, verbose=0), model.predict(x, verbose=0))


def test_cut_and_used_as_a_layer():
    body = fastconv.onnx.load(small.classifier(), outputs=["f"])
    body.trainable = False
    model = models.Sequential([body, fastconv.layers.Dense(2, activation="softmax")])
    model.compile("sgd", "sparse_categorical_crossentropy")
    before = [w.copy() for w in body.get_weights()]
    model.fit(images(8), np.arange(8) % 2, verbose=0)
    assert model.predict(images(3), verbose=0).shape == (3, 2)
    for a, b in zip(before, body.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_open_dimensions_wait_for_data():
    nodes = [small.node("Conv", "x w", "y", kernel_shape=[3, 3])]
    weights = {"w": np.ones((2, 1, 3, 3), "float32")}
    text = small.model(nodes, [small.value("x", ["N", 1, "H", "W"])], [small.value("y", ["N", 2, "h", "w"])], weights)
    model = fastconv.onnx.load(text)
    assert not model.built
    with pytest.raises(NotBuiltError, match=r"input 'x' has the open shape \(None, 1, None, None\).*input_shape="):
        model.summary()
    assert model.predict(np.ones((1, 1, 5, 6), "float32"), verbose=0).shape == (1, 2, 3, 4)
    assert model.count_params() == 18
    assert fastconv.onnx.load(text, input_shape=(None, 1, 7, 7)).built


def test_pickles(tmp_path):
    (tmp_path / "m.onnx").write_bytes(small.classifier())
    model = fastconv.onnx.load(tmp_path / "m.onnx")  # a file is mapped, not read
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(again.predict(images(2), verbose=0), model.predict(images(2), verbose=0))


# ---- files that are made for one size of the batch


def boxes(batch, per_sample=True, through_rows=True):
    """Return the bytes of a network of (batch, 4, 3), which is in its Reshapes; rows of boxes, or one for them all.

    `through_rows`: the samples lie in one matrix in between.
    """
    shapes = {"rows": np.array([4 * batch, 3]), "shape": np.array([batch if per_sample else 1, -1, 2])}
    nodes = [
        small.node("Mul", "x w", "z"),
        *([small.node("Reshape", "z rows", "m")] if through_rows else [small.node("Identity", "z", "m")]),
        small.node("Reshape", "m shape", "r"),
        small.node("Softmax", "r", "y", axis=-1),
    ]
    out = small.value("y", [batch, 6, 2] if per_sample else [1, 6 * batch, 2])
    weights = {**shapes, "w": np.array([1, 2, 3], "float32")}
    return small.model(nodes, [small.value("x", [batch, 4, 3])], [out], weights)


def one_by_one(data, x, batch):
    """Return what a session makes of as many samples at once as the file is made for, the last ones filled up by zeros."""
    session, filled = fastconv.InferenceSession(data), np.concatenate([x, np.zeros((batch - 1, *x.shape[1:]), x.dtype)])
    parts = [session.run(None, {"x": filled[i : i + batch]})[0] for i in range(0, len(x), batch)]
    return np.concatenate(parts)[: len(x)]


@pytest.mark.parametrize("batch", [1, 2, 3])
def test_a_reshape_to_the_size_of_the_batch_takes_any(tmp_path, batch):
    data = boxes(batch, through_rows=False)
    model = fastconv.onnx.load(data)
    assert model.fixed_batch is None and model.output_shape == (None, 6, 2)
    x = np.random.default_rng(0).random((5, 4, 3), np.float32)
    wanted = one_by_one(data, x, batch)
    np.testing.assert_array_equal(model.predict(x, verbose=0), wanted)
    model.save(tmp_path / "m.fastconv")
    np.testing.assert_array_equal(models.load_model(tmp_path / "m.fastconv").predict(x, verbose=0), wanted)
    fastconv.onnx.save(model, tmp_path / "m.onnx")
    np.testing.assert_array_equal(fastconv.onnx.load(tmp_path / "m.onnx").predict(x, verbose=0), wanted)


@pytest.mark.parametrize("batch", [1, 2, 3])
@pytest.mark.parametrize("reloaded", [False, True])
def test_a_file_for_one_size_of_the_batch_takes_any(tmp_path, batch, reloaded):
    model = fastconv.onnx.load(boxes(batch))
    if reloaded:
        model.save(tmp_path / "m.fastconv")
        model = models.load_model(tmp_path / "m.fastconv")
    assert model.fixed_batch == batch and model.output_shape == (None, 6, 2)
    x = np.random.default_rng(0).random((5, 4, 3), np.float32)
    wanted = one_by_one(boxes(batch), x, batch)
    np.testing.assert_array_equal(model.predict(x, verbose=0), wanted)
    np.testing.assert_array_equal(model.predict(x, batch_size=5, verbose=0), wanted)
    np.testing.assert_allclose(model(x).numpy(), wanted, rtol=1e-6)
    assert model(x[:0]).shape == (0, 6, 2)
    model.compile("sgd", "mse")
    loss = model.evaluate(x, np.zeros_like(wanted), verbose=0)
    np.testing.assert_allclose(loss, (wanted**2).mean(), rtol=1e-6)
    again = models.Sequential([model, fastconv.layers.Flatten(), fastconv.layers.Dense(2)])
    again.compile("sgd", "mse")
    again.fit(x, np.zeros((5, 2)), batch_size=4, verbose=0)
    assert again.predict(x, verbose=0).shape == (5, 2)


def test_a_file_that_would_mix_samples_says_so():
    model = fastconv.onnx.load(boxes(2, per_sample=False))
    x = np.ones((3, 4, 3), "float32")
    assert model(x[:2]).shape == model.output_shape == (1, 12, 2)
    for call in (model, lambda x: model.predict(x, verbose=0)):
        with pytest.raises(
            ShapeError, match="made for 2 samples at once, and its output 'y' of shape .* no row for each"
        ):
            call(x)


@pytest.mark.parametrize("through_rows", [False, True])
def test_an_input_of_no_axes_goes_with_every_batch(through_rows):
    rows = [small.node("Reshape", "s rows", "m")] if through_rows else [small.node("Identity", "s", "m")]
    nodes = [small.node("Mul", "x k", "s"), *rows, small.node("Reshape", "m shape", "y")]
    inputs, out = [small.value("x", [2, 4, 3]), small.value("k", [])], [small.value("y", [2, 12])]
    model = fastconv.onnx.load(small.model(nodes, inputs, out, {"rows": np.array([8, 3]), "shape": np.array([2, 12])}))
    assert model.fixed_batch == (2 if through_rows else None)
    x = np.random.default_rng(0).random((5, 4, 3), np.float32)
    for count in (2, 5):
        y = model([x[:count], np.float32(3)]).numpy()
        np.testing.assert_array_equal(y, 3 * x[:count].reshape(count, 12))


def test_a_declared_batch_does_not_bind_a_network_that_takes_others():
    nodes = [small.node("Relu", "x", "r"), small.node("Flatten", "r", "y")]
    text = small.model(nodes, [small.value("x", [1, 2, 3])], [small.value("y", [1, 6])])
    model = fastconv.onnx.load(text)
    assert model.fixed_batch is None and model.output_shape == (None, 6)
    assert model(np.ones((4, 2, 3), "float32")).shape == (4, 6)


# ---- what it says


@pytest.mark.parametrize("outputs", [[], 5, [5], [None]])
def test_outputs_that_are_no_names(outputs):
    with pytest.raises(ArgumentError, match="outputs must be names"):
        fastconv.onnx.load(small.classifier(), outputs=outputs)


def test_unknown_outputs_name_what_is_like_them():
    with pytest.raises(ModelFormatError, match="output 'c22' is made by no node of the network; there is 'c2' among"):
        fastconv.onnx.load(small.classifier(), outputs="c22")
    with pytest.raises(ModelFormatError, match="there is 'f', 'z', 'y' among others"):
        fastconv.onnx.load(small.classifier(), outputs="squeezenet0_concat7")


@pytest.mark.parametrize("shape", [(2, 8, 8, 3), (2, 3, 8), (2, 4, 8, 8)])
def test_inputs_of_another_shape_are_told_the_file_s(model, shape):
    with pytest.raises(ShapeError, match=r"takes 'x' of shape \(None, 3, 8, 8\), got "):
        model(np.ones(shape, "float32"))
    with pytest.raises(ShapeError, match=r"takes 'x' of shape \(None, 3, 8, 8\), got "):
        fastconv.onnx.load(small.classifier(), input_shape=shape)


def test_other_sizes_are_fine_where_the_network_takes_them(model):
    assert model(np.ones((2, 3, 12, 10), "float32")).shape == (2, 5)


def test_a_dict_of_inputs_has_their_names(model):
    x = images(2)
    np.testing.assert_array_equal(model({"x": x}).numpy(), model(x).numpy())
    for wrong in ({"y": x}, {"x": x, "y": x}):
        with pytest.raises(ArgumentError, match=r"takes \['x'\], got "):
            model(wrong)
