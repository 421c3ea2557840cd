"""Functional and subclassed models."""

import copy
import pickle
import threading

import numpy as np
import pytest

from fastconv import layers, models
from fastconv.errors import ArgumentError, NotBuiltError, ShapeError, UnsupportedOpError

X = np.random.default_rng(0).normal(size=(3, 8, 8, 2)).astype("float32")
V = np.random.default_rng(1).normal(size=(3, 6)).astype("float32")


def residual():
    x = layers.Input((8, 8, 2), name="image")
    y = layers.Conv2D(4, 3, padding="same", activation="relu", name="conv")(x)
    z = layers.BatchNormalization(name="norm")(y)
    z = layers.Add(name="sum")([y, z])
    z = layers.Concatenate(name="both")([z, x])
    z = layers.GlobalAvgPool2D(name="pool")(z)
    return models.Model(x, layers.Dense(3, activation="softmax", name="out")(z), name="residual")


def two_by_two():
    image, row = layers.Input((8, 8, 2), name="image"), layers.Input((6,), name="row")
    shared = layers.Dense(4, name="shared")
    a = shared(layers.Dense(5, name="up")(row))
    b = shared(layers.Dense(5, name="down")(layers.Flatten(name="flat")(image)))
    total = layers.Add(name="total")([a, b])
    return models.Model([image, row], {"total": total, "a": a})


def test_residual():
    model = residual()
    assert [layer.name for layer in model.layers] == ["image", "conv", "norm", "sum", "both", "pool", "out"]
    assert model.input_shape == (None, 8, 8, 2) and model.output_shape == (None, 3)
    assert model.count_params() == 76 + 16 + 21
    conv, norm = model.get_layer("conv"), model.get_layer(index=2)
    y = conv(X)
    z = np.concatenate([y.numpy() + norm(y).numpy(), X], -1).mean((1, 2))
    assert np.allclose(model(X).numpy(), model.get_layer("out")(z).numpy(), atol=1e-6)
    assert model(X).logits is not None


def test_several_inputs_and_outputs_and_a_shared_layer():
    model = two_by_two()
    assert model.input_names == ["image", "row"] and len(model.outputs) == 2
    assert model.input_shape == [(None, 8, 8, 2), (None, 6)]
    assert model.output_shape == {"total": (None, 4), "a": (None, 4)}
    assert len(model.get_layer("shared")._nodes) == 2
    assert len(model.weights) == 6
    y = model([X, V])
    assert sorted(y) == ["a", "total"]
    by_name = model({"row": V, "image": X})
    assert np.array_equal(y["total"].numpy(), by_name["total"].numpy())
    with pytest.raises(ArgumentError, match="2 inputs .image, row., got 1"):
        model(X)
    with pytest.raises(ArgumentError, match="lack row"):
        model({"image": X})
    with pytest.raises(NotBuiltError, match="more than once"):
        _ = model.get_layer("shared").output


def test_parts_of_a_model():
    model = residual()
    part = models.Model(model.input, model.get_layer("conv").output)
    assert np.array_equal(part(X).numpy(), model.get_layer("conv")(X).numpy())
    assert part.get_layer("conv") is model.get_layer("conv")


def test_nested_models():
    inner = residual()
    x = layers.Input((8, 8, 2))
    outer = models.Model(x, layers.Dense(2, name="head")(inner(x)))
    assert outer.output_shape == (None, 2)
    assert len(outer.weights) == len(inner.weights) + 2
    assert list(outer.variable_paths())[0] == "model/conv2d/kernel"
    inner.trainable = False
    assert len(outer.trainable_weights) == 2
    again = models.Model.from_config(outer.get_config())
    again.set_weights(outer.get_weights())
    assert np.array_equal(again(X).numpy(), outer(X).numpy())


@pytest.mark.parametrize("make", [residual, two_by_two])
def test_configuration_pickle_and_copy(make):
    model = make()
    inputs = X if make is residual else [X, V]
    flat = lambda y: [t.numpy() for t in (y.values() if isinstance(y, dict) else [y])]  # noqa: E731
    expected = flat(model(inputs))
    again = models.Model.from_config(model.get_config())
    assert again.get_config() == model.get_config()
    assert [layer.name for layer in again.layers] == [layer.name for layer in model.layers]
    again.set_weights(model.get_weights())
    for other in (again, pickle.loads(pickle.dumps(model)), copy.deepcopy(model)):
        assert all(np.array_equal(a, b) for a, b in zip(flat(other(inputs)), expected, strict=True))
        assert not any(a is b for a, b in zip(other.weights, model.weights, strict=True))


def test_training_argument_of_a_call_is_kept():
    x = layers.Input((6,))
    model = models.Model(x, layers.Dropout(0.5, seed=1)(x, training=True))
    assert (model(np.ones((20, 6))).numpy() == 0).any()
    again = models.Model.from_config(model.get_config())
    assert (again(np.ones((20, 6))).numpy() == 0).any()


def test_an_axis_of_one_comes_and_goes():
    model = models.Model(x := layers.Input((8, 8, 1)), layers.Flatten()(x))
    assert model(X[..., 0]).shape == (3, 64)
    flat = models.Model(x := layers.Input((8, 8)), layers.Flatten()(x))
    assert flat(X[..., :1]).shape == (3, 64)
    with pytest.raises(ShapeError, match=r"\(None, 8, 8, 1\), got \(3, 8, 8, 2\)"):
        model(X)


def test_deep_graphs():
    x = y = layers.Input((3,))
    for i in range(1500):
        y = layers.Activation("linear", name=f"a{i}")(y)
    model = models.Model(x, y)
    assert model(np.ones((1, 3))).shape == (1, 3)


def test_wrong_graphs():
    x, other = layers.Input((3,), name="here"), layers.Input((3,), name="elsewhere")
    y = layers.Dense(2, name="d")(x)
    cases = [
        (lambda: models.Model(x, layers.Add()([x, other])), ArgumentError, "'elsewhere'"),
        (lambda: models.Model(x, layers.Dense(2, name="d")(y)), ArgumentError, "different names.*d"),
        (lambda: models.Model([x, x], y), ArgumentError, "twice"),
        (lambda: models.Model(X, y), ArgumentError, "inputs of a Model"),
        (lambda: models.Model(x, None), ArgumentError, "both inputs and outputs"),
        (lambda: models.Model(y, layers.Dense(1)(y)), UnsupportedOpError, "must come from Input"),
        (lambda: models.Model(x, y).get_layer("q"), ArgumentError, "there is here, d"),
        (lambda: models.Model(x, y).get_layer(index=9), ArgumentError, "no index 9"),
    ]
    for make, kind, message in cases:
        with pytest.raises(kind, match=message):
            make()


class Small(models.Model):
    def __init__(self, units=4, **kwargs):
        super().__init__(**kwargs)
        self.units = units
        self.blocks = [layers.Dense(units, activation="relu"), layers.Dropout(0.5)]
        self.out = layers.Dense(2)

    def call(self, inputs, training=False):
        x = inputs
        for block in self.blocks:
            x = block(x)
        return self.out(x)


def test_subclass():
    model = Small()
    assert not model.built and model.input_names is None
    with pytest.raises(NotBuiltError):
        _ = model.inputs
    assert model(V).shape == (3, 2)
    assert len(model.layers) == 3 and len(model.weights) == 4
    assert list(model.variable_paths()) == [
        *("blocks/0/kernel", "blocks/0/bias", "blocks/1/seed_state", "out/kernel", "out/bias")
    ]
    assert model.input_shape == (None, 6) and model.output_shape == (None, 2)
    for other in (pickle.loads(pickle.dumps(model)), copy.deepcopy(model)):
        assert np.array_equal(other(V).numpy(), model(V).numpy())
    by_shape = Small(3)
    by_shape.build((None, 6))
    assert by_shape.count_params() == 21 + 8


def test_a_failed_first_call_of_a_subclass_can_be_tried_again():
    class TwoConvolutions(models.Model):
        def __init__(self):
            super().__init__()
            self.a, self.b = layers.Conv2D(2, 3), layers.Conv2D(2, 3)

        def call(self, inputs):
            return self.b(self.a(inputs))

    model = TwoConvolutions()
    with pytest.raises(ShapeError):
        model(np.zeros((1, 4, 4, 5)))
    assert model.weights == []
    assert model(X).shape == (3, 4, 4, 2)


def test_subclass_with_a_functional_constructor():
    class Named(models.Model):
        def __init__(self, units=3):
            x = layers.Input((6,))
            super().__init__(x, layers.Dense(units, name="d")(x))
            self.units = units

    model = Named(5)
    assert model.output_shape == (None, 5)
    again = Named.from_config(model.get_config())
    assert again.output_shape == (None, 5)


def test_subclass_without_call():
    class Nothing(models.Model):
        pass

    with pytest.raises(UnsupportedOpError, match="call"):
        Nothing()(V)


def test_threads_share_a_model():
    model = residual()
    expected = model(X).numpy()
    wrong = []

    def work():
        for _ in range(20):
            if not np.array_equal(model(X).numpy(), expected):
                wrong.append(1)

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
