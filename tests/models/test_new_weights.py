"""After any way of writing to a weight that the interface allows, the next result uses the new value.

`predict` packs kernels ahead and keeps them; it must notice every write.
"""

import copy
import pickle

import numpy as np
import pytest

import fastconv
from fastconv import layers, models


def network():
    return models.Sequential(
        [
            layers.Conv2D(5, 3, activation="relu", input_shape=(6, 6, 2)),
            layers.BatchNormalization(),
            layers.Flatten(),
            layers.Dense(3),
        ]
    )


@pytest.fixture
def model():
    fastconv.utils.set_random_seed(0)
    model = network()
    model.compile("sgd", "mse")
    return model


X = np.random.default_rng(0).standard_normal((4, 6, 6, 2)).astype(np.float32)
Y = np.random.default_rng(1).standard_normal((4, 3)).astype(np.float32)


def other(weight):
    return np.random.default_rng(2).standard_normal(weight.shape).astype(np.float32)


def assign_array(model, tmp_path):
    model.layers[0].kernel.assign(other(model.layers[0].kernel))


def assign_tensor(model, tmp_path):
    model.layers[0].kernel.assign(fastconv.tensor(other(model.layers[0].kernel)))


def assign_list(model, tmp_path):
    model.layers[-1].bias.assign([1, 2, 3])


def assign_reshaped_view(model, tmp_path):
    with fastconv.no_grad():
        view = model.layers[0].kernel.reshape((-1, 5))
    view.assign(np.ones((18, 5), np.float32))


def assign_slice(model, tmp_path):
    with fastconv.no_grad():
        model.layers[-1].kernel[0:20].assign(np.ones((20, 3), np.float32))


def assign_detached(model, tmp_path):
    model.layers[0].kernel.detach().assign(other(model.layers[0].kernel))


def layer_set_weights(model, tmp_path):
    model.layers[-1].set_weights([other(w) for w in model.layers[-1].weights])


def model_set_weights(model, tmp_path):
    model.set_weights([np.abs(other(w)) for w in model.weights])


def moving_statistics(model, tmp_path):
    model.layers[1].moving_variance.assign(np.full(5, 4.0))


def load_weights(model, tmp_path):
    source = network()
    source(X)
    source.set_weights([np.abs(other(w)) for w in model.weights])
    source.save_weights(tmp_path / "w.weights.fastconv")
    model.load_weights(tmp_path / "w.weights.fastconv")


def train_on_batch(model, tmp_path):
    model.train_on_batch(X, Y)


def fit(model, tmp_path):
    model.fit(X, Y, epochs=2, verbose=0)


def eager_training(model, tmp_path):
    model.run_eagerly = True
    model.train_on_batch(X, Y)


def optimizer_on_the_tape(model, tmp_path):
    variables = model.trainable_variables
    loss = fastconv.ops.mean(fastconv.ops.square(model(X)))
    model.optimizer.build(variables)
    model.optimizer.apply(fastconv.autograd.gradients(loss, variables), variables)


def writing_to_the_array(model, tmp_path):
    kernel = model.layers[0].kernel
    kernel.data[...] = other(kernel)
    kernel.touch()


WAYS = [
    assign_array,
    assign_tensor,
    assign_list,
    assign_reshaped_view,
    assign_slice,
    assign_detached,
    layer_set_weights,
    model_set_weights,
    moving_statistics,
    load_weights,
    train_on_batch,
    fit,
    eager_training,
    optimizer_on_the_tape,
    writing_to_the_array,
]


@pytest.mark.parametrize("write", WAYS, ids=lambda f: f.__name__)
def test_next_prediction_uses_the_new_value(model, tmp_path, write):
    before = model.predict(X, verbose=0)
    assert np.array_equal(model.predict(X, verbose=0), before)
    write(model, tmp_path)
    after = model.predict(X, verbose=0)
    assert not np.array_equal(after, before), "the write changed nothing"
    with fastconv.no_grad():
        assert np.allclose(model(X).numpy(), after, rtol=1e-6, atol=1e-6)
    fresh = network()
    fresh(X)
    fresh.set_weights(model.get_weights())
    assert np.array_equal(fresh.predict(X, verbose=0), after)


def test_replacing_a_weight(model):
    model.predict(X, verbose=0)
    layer = model.layers[0]
    layer.set_weights([other(layer.kernel), layer.get_weights()[1]])
    expected = model.predict(X, verbose=0)
    for twin in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert np.array_equal(twin.predict(X, verbose=0), expected)
        twin.layers[0].kernel.assign(np.zeros_like(expected, shape=layer.kernel.shape))
        assert not np.array_equal(twin.predict(X, verbose=0), expected)
        assert np.array_equal(model.predict(X, verbose=0), expected), "a copy shares nothing with the model"


def test_numpy_view_cannot_be_written(model):
    model(X)
    with pytest.raises(ValueError, match="read-only"):
        model.layers[0].kernel.numpy()[...] = 0
