"""`Model.memory_plan` tells what `predict` takes."""

import numpy as np
import pytest

from fastconv import layers
from fastconv.errors import NotBuiltError, UnsupportedOpError
from fastconv.models import Model, Sequential


def sequential(**options):
    return Sequential([layers.Conv2D(4, 3, **options), layers.Conv2D(4, 3), layers.Flatten(), layers.Dense(2)])


def test_of_a_model_that_never_ran():
    model = sequential(input_shape=(8, 8, 1))
    one, four = model.memory_plan(), model.memory_plan(4)
    assert one.inputs == 8 * 8 * 4 and four.inputs == 4 * one.inputs and four.outputs == 4 * 2 * 4
    assert one.arena == (6 * 6 * 4 + 4 * 4 * 4) * 4 <= 1.1 * one.peak and four.arena == 4 * one.arena
    assert one.weights == four.weights == sum(weight.size * 4 for weight in model.weights)
    assert one.packed == four.packed > 0
    assert "conv2d" in str(one)
    assert model.predict(np.zeros((4, 8, 8, 1)), verbose=0).shape == (4, 2)


def test_several_inputs():
    a, b = layers.Input((4,), name="a"), layers.Input((6,), name="b")
    model = Model([a, b], layers.Concatenate()([layers.Dense(3)(a), layers.Dense(3)(b)]))
    assert model.memory_plan(2).inputs == 2 * 10 * 4


def test_without_a_plan():
    with pytest.raises(NotBuiltError, match="not built"):
        sequential().memory_plan()
    model = sequential(input_shape=(8, 8, 1))
    model.compile(run_eagerly=True)
    with pytest.raises(UnsupportedOpError, match="no memory plan"):
        model.memory_plan()
