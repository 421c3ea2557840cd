"""Sequential: the stack, lazy building, and models that stay whole when a layer does not fit."""

import copy
import pickle

import numpy as np
import pytest

import fastconv as fc
from fastconv import layers, models
from fastconv.errors import ArgumentError, NotBuiltError, ShapeError

X = np.random.default_rng(0).normal(size=(3, 8, 8, 2)).astype("float32")


def small():
    return models.Sequential(
        [
            layers.Conv2D(4, 3, activation="relu", input_shape=(8, 8, 2)),
            layers.BatchNormalization(),
            layers.MaxPool2D(),
            layers.Dropout(0.5),
            layers.Flatten(),
            layers.Dense(5, activation="softmax"),
        ]
    )


def same(a, b):
    return all(np.array_equal(u.numpy(), v.numpy()) for u, v in zip(a.variables, b.variables, strict=True))


def test_mnist_tutorial():
    model = models.Sequential(
        [
            layers.Conv2D(32, (3, 3), activation="relu", input_shape=(28, 28, 1)),
            layers.MaxPooling2D((2, 2)),
            layers.Conv2D(64, (3, 3), activation="relu"),
            layers.MaxPooling2D((2, 2)),
            layers.Conv2D(64, (3, 3), activation="relu"),
        ]
    )
    model.add(layers.Flatten())
    model.add(layers.Dense(64, activation="relu"))
    model.add(layers.Dense(10, activation="softmax"))
    assert model.output_shape == (None, 10) and model.input_shape == (None, 28, 28, 1)
    assert model.count_params() == 93322
    assert [layer.output_shape for layer in model.layers][4:6] == [(None, 3, 3, 64), (None, 576)]
    assert model(np.zeros((2, 28, 28, 1), "uint8")).shape == (2, 10)
    assert model(np.zeros((2, 28, 28), "uint8")).shape == (2, 10)


def test_cifar_tutorial():
    model = fc.Sequential()
    model.add(layers.Conv2D(filters=32, kernel_size=(3, 3), input_shape=(32, 32, 3), activation="relu", padding="same"))
    model.add(layers.BatchNormalization())
    for filters in (32, None, 64, 64, None, 128, 128, None):
        if filters is None:
            model.add(layers.MaxPool2D(pool_size=(2, 2)))
            model.add(layers.Dropout(0.25))
        else:
            model.add(layers.Conv2D(filters=filters, kernel_size=(3, 3), activation="relu", padding="same"))
            model.add(layers.BatchNormalization())
    model.add(layers.Flatten())
    model.add(layers.Dense(128, activation="relu"))
    model.add(layers.Dropout(0.25))
    model.add(layers.Dense(10, activation="softmax"))
    assert model.count_params() == 552_362
    assert sum(w.size for w in model.trainable_weights) == 551_466


def test_lazy_building():
    model = models.Sequential([layers.Conv2D(4, 3), layers.Flatten(), layers.Dense(2)])
    assert not model.built and model.weights == []
    with pytest.raises(NotBuiltError):
        model.count_params()
    assert model(X).shape == (3, 2)
    assert model.built and model.input_shape == (None, 8, 8, 2) and model.output_shape == (None, 2)
    assert model(X[:1]).shape == (1, 2)
    with pytest.raises(ShapeError):
        model(X[:, :7])


def test_build_by_shape():
    model = models.Sequential([layers.Conv2D(4, 3), layers.Flatten(), layers.Dense(2)])
    model.build((None, 8, 8, 2))
    assert model.count_params() == 76 + 290
    model.build((None, 9, 9, 2))  # does not change it
    assert model.input_shape == (None, 8, 8, 2)


def test_input_first():
    model = models.Sequential([layers.Input((8, 8, 2)), layers.Flatten()])
    assert model.built and [layer.name for layer in model.layers] == [model.layers[0].name]
    with pytest.raises(ArgumentError, match="Input must come first"):
        model.add(layers.Input((3,)))


def test_a_model_as_first_layer():
    inner = small()
    outer = models.Sequential([inner, layers.Dense(2)])
    assert outer.input_shape == (None, 8, 8, 2) and outer.output_shape == (None, 2)
    assert outer.count_params() == inner.count_params() + 12
    part = models.Model(outer.input, outer.layers[1].input)
    assert np.array_equal(part(X).numpy(), inner(X).numpy())


def test_add_that_does_not_fit_changes_nothing():
    model = small()
    before, shape = [layer.name for layer in model.layers], model.output_shape
    bad = layers.Conv2D(3, 3)
    with pytest.raises(ShapeError, match=bad.name):
        model.add(bad)
    assert [layer.name for layer in model.layers] == before and model.output_shape == shape
    assert not bad.built and bad.weights == []
    model.add(layers.Dense(2))
    assert model.output_shape == (None, 2)

    empty = models.Sequential()
    with pytest.raises(ShapeError, match="kernel"):
        empty.add(layers.Conv2D(3, 9, input_shape=(4, 4, 1)))
    assert empty.layers == [] and not empty.built
    empty.add(layers.Conv2D(3, 3, input_shape=(4, 4, 1)))
    assert empty.output_shape == (None, 2, 2, 3)


def test_a_failed_lazy_build_can_be_tried_again():
    model = models.Sequential([layers.Conv2D(4, 3), layers.Conv2D(2, 3, name="second")])
    with pytest.raises(ShapeError, match="'second'"):
        model(np.zeros((1, 4, 4, 7)))
    assert model.weights == [] and not model.built
    assert model(X).shape == (3, 4, 4, 2)


def test_pop():
    model = small()
    dense = model.pop()
    assert isinstance(dense, layers.Dense) and model.output_shape == (None, 36)
    model.add(layers.Dense(3))
    assert model(X).shape == (3, 3)
    for _ in range(6):
        model.pop()
    with pytest.raises(ArgumentError, match="no layers to pop"):
        model.pop()


def test_what_add_refuses():
    model = models.Sequential([layers.Dense(3, name="a", input_shape=(2,))])
    with pytest.raises(ArgumentError, match=r"write Dense\(\.\.\.\)"):
        model.add(layers.Dense)
    with pytest.raises(ArgumentError, match="layer named 'a'"):
        model.add(layers.Dense(3, name="a"))
    with pytest.raises(ArgumentError, match="takes a layer"):
        model.add("dense")
    with pytest.raises(NotBuiltError, match="no layers"):
        models.Sequential()(X)


def test_training_flag():
    model = models.Sequential([layers.Dropout(0.5, input_shape=(50,))])
    x = np.ones((2, 50), "float32")
    assert (model(x).numpy() == 1).all()
    assert (model(x, training=True).numpy() == 0).any()


def test_configuration_round_trip():
    model = small()
    again = models.Sequential.from_config(model.get_config())
    assert again.get_config() == model.get_config()
    assert again.built and not same(model, again)
    again.set_weights(model.get_weights())
    assert np.array_equal(model(X).numpy(), again(X).numpy())
    assert models.model_from_json(model.to_json()).get_config() == model.get_config()
    assert models.clone_model(model).output_shape == model.output_shape


def test_configuration_keeps_what_is_frozen():
    model = small()
    model.layers[0].trainable = False
    again = models.Sequential.from_config(model.get_config())
    assert not again.layers[0].trainable and again.layers[1].trainable
    assert len(again.trainable_weights) == len(model.trainable_weights) == 4
    model.trainable = False
    assert models.Sequential.from_config(model.get_config()).trainable_weights == []


def test_pickle_and_deepcopy():
    model = small()
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    y = model(X).numpy()
    for other in (pickle.loads(pickle.dumps(model)), copy.deepcopy(model)):
        assert np.array_equal(other(X).numpy(), y) and same(model, other)
        assert [layer.name for layer in other.layers] == [layer.name for layer in model.layers]
        assert other.compiled and type(other.optimizer) is type(model.optimizer)
        other.layers[0].kernel.assign(np.zeros((3, 3, 2, 4)))
        assert np.array_equal(model(X).numpy(), y)
    unbuilt = pickle.loads(pickle.dumps(models.Sequential([layers.Dense(3)])))
    assert unbuilt(np.ones((1, 2))).shape == (1, 3)


def test_float64():
    model = models.Sequential([layers.Dense(3, input_shape=(2,), dtype="float64"), layers.Dense(2, dtype="float64")])
    assert model(np.ones((1, 2), "float32")).dtype == "float64"
    try:
        fc.config.set_floatx("float64")
        assert small()(X).dtype == "float64"
    finally:
        fc.config.set_floatx("float32")


def test_every_way_of_writing_a_weight_shows():
    model = models.Sequential([layers.Dense(2, input_shape=(2,), use_bias=False)])
    x = np.eye(2, dtype="float32")
    kernel = model.layers[0].kernel
    writes = [
        lambda w: kernel.assign(w),
        lambda w: kernel.assign(fc.tensor(w)),
        lambda w: kernel[...].assign(w),
        lambda w: model.set_weights([w]),
        lambda w: model.layers[0].set_weights([w]),
        lambda w: model.weights[0].detach().assign(w),
    ]
    for i, write in enumerate(writes):
        wanted = np.full((2, 2), float(i + 1), "float32")
        with fc.no_grad():
            write(wanted)
        assert np.array_equal(model(x).numpy(), wanted)
        assert np.array_equal(model.predict(x, verbose=0), wanted)
