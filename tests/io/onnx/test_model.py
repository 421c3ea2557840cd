"""fastconv.onnx.load: an ONNX file as a Model."""

import pickle

import numpy as np
import pytest

import fastconv
from fastconv import models
from fastconv.errors import NotBuiltError
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
