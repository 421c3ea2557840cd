"""Layers as data: what comes back, and what does not."""

import numpy as np
import pytest

from fastconv import layers, models
from fastconv.errors import ArgumentError


class Twice(layers.Layer):
    def call(self, inputs):
        return inputs + inputs


def cube(x):
    return x * x * x


X = np.arange(4.0).reshape(1, 4)


def test_unknown_classes_are_named():
    entry = layers.serialize(models.Sequential([Twice(input_shape=(4,)), layers.Activation(cube)]))
    with pytest.raises(ArgumentError, match="Twice, cube|cube, Twice|Twice"):
        layers.deserialize(entry)
    model = layers.deserialize(entry, custom_objects={"Twice": Twice, "cube": cube})
    assert np.array_equal(model(X).numpy(), (2 * X) ** 3)


def test_registered_classes_come_back_by_themselves():
    @layers.register_serializable("tests")
    class Triple(layers.Layer):
        def call(self, inputs):
            return inputs * 3.0

    @layers.register_serializable("tests")
    def square(x):
        return x * x

    layer = layers.deserialize(layers.serialize(Triple(name="t")))
    assert type(layer) is Triple and layer.name == "t"
    assert layers.deserialize(layers.serialize(layers.Activation(square))).activation is square


def test_layers_as_arguments():
    class Wrapper(layers.Layer):
        def __init__(self, inner, **kwargs):
            super().__init__(**kwargs)
            self.inner = inner

        def call(self, inputs):
            return self.inner(inputs)

    wrapper = layers.deserialize(layers.serialize(Wrapper(layers.Dense(3))), {"Wrapper": Wrapper})
    assert wrapper(X).shape == (1, 3)


@pytest.mark.parametrize(
    "entry",
    [
        None,
        [],
        {"class_name": "Dense"},
        {"class_name": "os.system", "config": {}},
        {"class_name": "Layer", "config": {}},
        {"class_name": ["Dense"], "config": {}},
        {"class_name": "Dense", "config": []},
        {"class_name": "Dense", "config": {"units": 3, "nonsense": 1}},
        {"class_name": "function", "config": "eval"},
        {"class_name": "Dense", "config": {"units": 2, "kernel_initializer": {"class_name": "Popen", "config": {}}}},
        {"class_name": "Dense", "config": {}, "registered_name": "tests>Nothing"},
    ],
)
def test_malformed_entries(entry):
    with pytest.raises(ArgumentError):
        layers.deserialize(entry)
