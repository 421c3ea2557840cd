"""Penalties on weights: their values, and what they add to the loss and to its gradient."""

import pickle

import numpy as np
import pytest

import fastconv as fc
from fastconv import Input, Model, Sequential, layers, models, regularizers
from fastconv.autograd import gradcheck
from fastconv.errors import ArgumentError, ModelFormatError, UnsupportedOpError

W = np.random.default_rng(0).standard_normal((3, 5)).astype("float32")
PENALTIES = [
    (regularizers.L1(0.3), 0.3 * np.abs(W).sum()),
    (regularizers.L2(0.3), 0.3 * (W**2).sum()),
    (regularizers.L1L2(0.1, 0.2), 0.1 * np.abs(W).sum() + 0.2 * (W**2).sum()),
    (regularizers.L1L2(), 0.0),
]


@pytest.mark.parametrize(("regularizer", "want"), PENALTIES, ids=str)
def test_values_and_gradients(regularizer, want):
    got = regularizer(W)
    assert got.shape == () and got.dtype == "float32"
    np.testing.assert_allclose(got.numpy(), want, rtol=1e-5)
    assert gradcheck(lambda w: regularizer(w) + 0.0 * fc.ops.sum(w), [W.astype("float64")])
    again = regularizers.deserialize(regularizers.serialize(regularizer))
    assert type(again) is type(regularizer) and again.get_config() == regularizer.get_config()
    assert repr(again) == repr(regularizer)


@pytest.mark.parametrize(
    ("given", "cls", "config"),
    [
        ("l1", regularizers.L1, {"l1": 0.01}),
        ("l2", regularizers.L2, {"l2": 0.01}),
        ("L2", regularizers.L2, {"l2": 0.01}),
        ("l1l2", regularizers.L1L2, {"l1": 0.0, "l2": 0.0}),
        (regularizers.L1, regularizers.L1, {"l1": 0.01}),
        (regularizers.l2(0.5), regularizers.L2, {"l2": 0.5}),
        (regularizers.L2(None), regularizers.L2, {"l2": 0.0}),
        ({"class_name": "L1L2", "config": {"l1": 1, "l2": 2}}, regularizers.L1L2, {"l1": 1.0, "l2": 2.0}),
    ],
)
def test_names(given, cls, config):
    found = regularizers.get(given)
    assert type(found) is cls and found.get_config() == config
    assert regularizers.get(None) is None and regularizers.get(abs) is abs


@pytest.mark.parametrize(
    "given", ["l3", 0.1, {"class_name": "os.system", "config": {}}, {"class_name": "L2", "config": {"x": 1}}]
)
def test_unknown(given):
    with pytest.raises(ArgumentError, match="regularizer"):
        regularizers.get(given)
    with pytest.raises(ArgumentError, match="'me'.*kernel_regularizer"):
        layers.Dense(3, kernel_regularizer=given, name="me")


@pytest.mark.parametrize("factor", [-1, "a", float("nan"), float("inf"), True])
def test_bad_factors(factor):
    with pytest.raises(ArgumentError, match="l2 must be a number of at least 0"):
        regularizers.L2(factor)


IMAGE = (6, 6, 4)
LAYERS = [
    (layers.Dense, {"units": 3}, ("kernel", "bias")),
    (layers.Conv2D, {"filters": 3, "kernel_size": 2}, ("kernel", "bias")),
    (layers.Conv2DTranspose, {"filters": 3, "kernel_size": 2}, ("kernel", "bias")),
    (layers.DepthwiseConv2D, {"kernel_size": 2}, ("depthwise", "bias")),
    (layers.SeparableConv2D, {"filters": 3, "kernel_size": 2}, ("depthwise", "pointwise", "bias")),
    (layers.BatchNormalization, {}, ("gamma", "beta")),
    (layers.LayerNormalization, {}, ("gamma", "beta")),
    (layers.GroupNormalization, {"groups": 2}, ("gamma", "beta")),
    (layers.PReLU, {}, ("alpha",)),
]


@pytest.mark.parametrize(("cls", "arguments", "names"), LAYERS, ids=[cls.__name__ for cls, *_ in LAYERS])
def test_layers(cls, arguments, names, tmp_path):
    """Each weight has its own penalty, which files keep; a layer that is not trained has none."""
    factors = {f"{name}_regularizer": regularizers.L2(0.1 * (i + 1)) for i, name in enumerate(names)}
    layer = cls(**arguments, **factors)
    x = Input(IMAGE)
    model = Model(x, layer(x))
    rng = np.random.default_rng(0)
    layer.set_weights([rng.standard_normal(w.shape) for w in layer.weights])
    want = [0.1 * (i + 1) * np.square(w.numpy()).sum() for i, w in enumerate(layer.trainable_weights)]
    assert len(want) == len(names)
    np.testing.assert_allclose([float(loss) for loss in model.losses], want, rtol=1e-5)
    model.save(tmp_path / "model.fastconv")
    for again in (models.load_model(tmp_path / "model.fastconv"), pickle.loads(pickle.dumps(model))):
        np.testing.assert_allclose([float(loss) for loss in again.losses], want, rtol=1e-5)
    layer.trainable = False
    assert model.losses == []


X, Y = np.random.default_rng(1).standard_normal((8, 4)), np.random.default_rng(2).standard_normal((8, 3))


def regression(**arguments):
    fc.utils.set_random_seed(0)
    model = Sequential(
        [Input((4,)), layers.Dense(3, kernel_regularizer=regularizers.L1L2(0.02, 0.05), bias_regularizer="l2")]
    )
    model.set_weights([np.random.default_rng(3).standard_normal((4, 3)), [0.5, -1.0, 2.0]])
    model.compile(fc.optimizers.SGD(0.1), "mse", metrics=["mse"], **arguments)
    return model


@pytest.mark.parametrize("eagerly", [False, True])
def test_training_adds_them(eagerly):
    model = regression(run_eagerly=eagerly)
    kernel, bias = (w.astype("float64") for w in model.get_weights())
    error = X @ kernel + bias - Y
    mse = np.square(error).mean()
    penalty = 0.02 * np.abs(kernel).sum() + 0.05 * np.square(kernel).sum() + 0.01 * np.square(bias).sum()
    for logs in (
        model.evaluate(X, Y, verbose=0, return_dict=True),
        {name: values[0] for name, values in model.fit(X, Y, batch_size=8, verbose=0).history.items()},
    ):
        np.testing.assert_allclose([logs["loss"], logs["mse"]], [mse + penalty, mse], rtol=1e-5)
    dy = 2 * error / error.size
    want = [
        kernel - 0.1 * (X.T @ dy + 0.02 * np.sign(kernel) + 0.1 * kernel),
        bias - 0.1 * (dy.sum(0) + 0.02 * bias),
    ]
    for got, expected in zip(model.get_weights(), want, strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-6)


def test_a_step_of_ones_own():
    class Own(Model):
        def train_step(self, data):
            x, y = data
            loss = self.compute_loss(x, y, self(x, training=True))
            assert len(self.losses) == 2
            return {"loss": float(loss)}

    model = regression()
    own = Own(model.inputs, model.outputs)
    own.compile("sgd", "mse")
    got = own.fit(X, Y, batch_size=8, verbose=0).history["loss"][0]
    np.testing.assert_allclose(got, model.evaluate(X, Y, verbose=0, return_dict=True)["loss"], rtol=1e-5)


def test_a_shared_layer_counts_once():
    shared = layers.Dense(4, kernel_regularizer="l2")
    x = Input((4,))
    model = Model(x, Sequential([shared])(shared(shared(x))))
    assert len(model.losses) == 1


class Largest(regularizers.Regularizer):
    def __init__(self, factor):
        self.factor = factor

    def __call__(self, weight):
        return self.factor * fc.ops.max(fc.ops.abs(weight))


def test_regularizers_of_ones_own(tmp_path):
    layer = layers.Dense(2, kernel_regularizer=Largest(0.5), input_shape=(3,))
    model = Sequential([layer])
    want = 0.5 * np.abs(layer.kernel.numpy()).max()
    np.testing.assert_allclose(float(model.losses[0]), want, rtol=1e-6)
    path = tmp_path / "model.fastconv"
    model.save(path)
    with pytest.raises(ModelFormatError, match="Largest"):
        models.load_model(path)
    again = models.load_model(path, custom_objects={"Largest": Largest})
    np.testing.assert_allclose(float(again.losses[0]), want, rtol=1e-6)

    class Scale(layers.Layer):
        def build(self, input_shape):
            self.scale = self.add_weight(
                input_shape[1:], "ones", regularizer=lambda w: 3.0 * fc.ops.sum(w), name="scale"
            )

        def call(self, inputs):
            return inputs * self.scale

    scale = Scale()
    scale(np.ones((2, 5)))
    assert [float(loss) for loss in scale.losses] == [15.0]
    with pytest.raises(NotImplementedError, match="Regularizer must define __call__"):
        regularizers.Regularizer()(W)
    with pytest.raises(UnsupportedOpError, match="activity_regularizer"):
        layers.Dense(3, activity_regularizer="l2")
