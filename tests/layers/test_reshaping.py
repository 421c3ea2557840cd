"""Permute, RepeatVector and Lambda."""

import numpy as np
import pytest

from fastconv import Input, Model, Sequential, layers, models, ops
from fastconv.errors import ArgumentError, ShapeError, UnsupportedOpError

from .conftest import check_layer, draw

IMAGES, ROWS = draw(3, 5, 4, 6), draw(3, 6)


@pytest.mark.parametrize("dims", [(3, 1, 2), [2, 1, 3], (1, 2, 3)])
def test_permute(dims, tmp_path):
    y = check_layer(layers.Permute(dims), IMAGES, tmp_path=tmp_path)
    assert np.array_equal(y, IMAGES.transpose(0, *dims))


def test_repeat_vector(tmp_path):
    y = check_layer(layers.RepeatVector(4), ROWS, tmp_path=tmp_path)
    assert np.array_equal(y, np.repeat(ROWS[:, None], 4, 1))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: layers.Permute((1, 3), name="me"), "dims"),
        (lambda: layers.Permute((0, 1), name="me"), "dims"),
        (lambda: layers.Permute(2, name="me"), "dims"),
        (lambda: layers.RepeatVector(0, name="me"), "n must"),
        (lambda: layers.RepeatVector(1.5, name="me"), "n must"),
        (lambda: layers.Lambda(3, name="me"), "callable"),
        (lambda: layers.Lambda(ops.relu, arguments=[1], name="me"), "arguments"),
    ],
)
def test_wrong_arguments(make, message):
    with pytest.raises(ArgumentError, match=f"'me'.*{message}"):
        make()


def test_wrong_inputs():
    with pytest.raises(ShapeError, match="must have 3 dimensions"):
        layers.Permute((2, 1))(IMAGES)
    with pytest.raises(ShapeError, match=r"must be \(batch, features\)"):
        layers.RepeatVector(2)(IMAGES)


# ---- Lambda


@layers.register_serializable("test_reshaping")
def scaled(x, factor=2.0):
    return ops.square(x) * factor


def test_a_registered_function(tmp_path):
    y = check_layer(layers.Lambda(scaled, arguments={"factor": 3.0}), IMAGES, tmp_path=tmp_path)
    np.testing.assert_allclose(y, IMAGES**2 * 3, rtol=1e-6)


def test_a_function_without_a_name_runs_and_is_not_saved(tmp_path):
    model = Sequential([Input((6,)), layers.Lambda(lambda x: x * 2.0, name="twice"), layers.Dense(3)])
    np.testing.assert_allclose(model.predict(ROWS, verbose=0), model(ROWS).numpy(), rtol=1e-5, atol=1e-6)
    model.compile("sgd", "mse")
    model.fit(ROWS, np.zeros((3, 3)), verbose=0)
    with pytest.raises(UnsupportedOpError, match="'twice'.*cannot be saved.*register_serializable"):
        model.save(tmp_path / "m.fastconv")
    assert not (tmp_path / "m.fastconv").exists()
    model.save_weights(tmp_path / "w.fastconv")


def test_several_inputs_and_outputs():
    a, b = Input((6,)), Input((6,))
    model = Model([a, b], layers.Lambda(lambda xs: [xs[0] + xs[1], xs[0] - xs[1]])([a, b]))
    y, z = model.predict([ROWS, ROWS], verbose=0)
    assert np.array_equal(y, 2 * ROWS) and not z.any()


def test_a_function_that_asks_for_the_phase():
    layer = layers.Lambda(lambda x, training: x * (2.0 if training else 1.0))
    assert np.array_equal(layer(ROWS, training=True).numpy(), 2 * ROWS)
    assert np.array_equal(layer(ROWS).numpy(), ROWS)


@pytest.mark.parametrize("argument", [{"output_shape": (3,)}, {"mask": "x"}])
def test_what_is_refused(argument):
    with pytest.raises(UnsupportedOpError, match="not yet supported"):
        layers.Lambda(ops.relu, **argument)


def test_a_file_that_names_an_unknown_function(tmp_path):
    model = Sequential([Input((6,)), layers.Lambda(scaled)])
    model.save(tmp_path / "m.fastconv")
    entry = layers.serialize(model.layers[-1])
    entry["config"]["function"] = {"class_name": "function", "config": "eval"}
    with pytest.raises(ArgumentError, match="unknown classes or functions: eval"):
        layers.deserialize(entry)
    assert np.array_equal(models.load_model(tmp_path / "m.fastconv").predict(ROWS, verbose=0), 2 * ROWS**2)
