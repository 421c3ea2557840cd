"""Each layer: Keras's defaults, weight shapes, output shapes, values against plain NumPy, and its errors."""

import inspect

import numpy as np
import pytest

import fastconv as fc
from fastconv import initializers, layers
from fastconv.errors import ArgumentError, ShapeError, UnsupportedOpError

RNG = np.random.default_rng(0)
IMAGES = RNG.normal(size=(3, 9, 7, 4)).astype("float32")
ROWS = RNG.normal(size=(5, 6)).astype("float32")


def test_every_layer_is_public():
    assert layers.__all__ == sorted(set(layers.__all__))
    found = {name for name, item in vars(layers).items() if inspect.isclass(item) and not name.startswith("_")}
    assert found == {name for name in layers.__all__ if inspect.isclass(getattr(layers, name))}


# (layer, input, weight shapes, output shape)
CALLS = [
    (lambda: layers.Conv2D(8, 3), IMAGES, [(3, 3, 4, 8), (8,)], (3, 7, 5, 8)),
    (lambda: layers.Conv2D(8, (3, 2), 2, "same"), IMAGES, [(3, 2, 4, 8), (8,)], (3, 5, 4, 8)),
    (lambda: layers.Conv2D(8, 3, groups=2, use_bias=False), IMAGES, [(3, 3, 2, 8)], (3, 7, 5, 8)),
    (lambda: layers.Conv2D(2, 3, dilation_rate=2), IMAGES, [(3, 3, 4, 2), (2,)], (3, 5, 3, 2)),
    (lambda: layers.Conv2D(2, 3, padding=((0, 1), (2, 0))), IMAGES, [(3, 3, 4, 2), (2,)], (3, 8, 7, 2)),
    (lambda: layers.DepthwiseConv2D(3), IMAGES, [(3, 3, 4, 1), (4,)], (3, 7, 5, 4)),
    (lambda: layers.DepthwiseConv2D(3, depth_multiplier=2), IMAGES, [(3, 3, 4, 2), (8,)], (3, 7, 5, 8)),
    (lambda: layers.MaxPooling2D(), IMAGES, [], (3, 4, 3, 4)),
    (lambda: layers.MaxPool2D(3, 2, "same"), IMAGES, [], (3, 5, 4, 4)),
    (lambda: layers.AveragePooling2D((2, 3)), IMAGES, [], (3, 4, 2, 4)),
    (lambda: layers.SumPooling2D(2, strides=1), IMAGES, [], (3, 8, 6, 4)),
    (lambda: layers.GlobalAveragePooling2D(), IMAGES, [], (3, 4)),
    (lambda: layers.GlobalMaxPooling2D(keepdims=True), IMAGES, [], (3, 1, 1, 4)),
    (lambda: layers.Flatten(), IMAGES, [], (3, 252)),
    (lambda: layers.Reshape((7, -1)), IMAGES, [], (3, 7, 36)),
    (lambda: layers.Dense(10), ROWS, [(6, 10), (10,)], (5, 10)),
    (lambda: layers.Dense(2, use_bias=False), IMAGES, [(4, 2)], (3, 9, 7, 2)),
    (lambda: layers.Dropout(0.5), IMAGES, [], IMAGES.shape),
    (lambda: layers.BatchNormalization(), IMAGES, [(4,)] * 4, IMAGES.shape),
    (lambda: layers.BatchNormalization(axis=1), IMAGES, [(9,)] * 4, IMAGES.shape),
    (lambda: layers.BatchNormalization(center=False, scale=False), ROWS, [(6,)] * 2, ROWS.shape),
    (lambda: layers.Activation("tanh"), ROWS, [], ROWS.shape),
    (lambda: layers.ReLU(6.0), ROWS, [], ROWS.shape),
    (lambda: layers.LeakyReLU(), ROWS, [], ROWS.shape),
    (lambda: layers.ELU(0.5), ROWS, [], ROWS.shape),
    (lambda: layers.PReLU("ones"), ROWS, [(6,)], ROWS.shape),
    (lambda: layers.PReLU(shared_axes=[1, 2]), IMAGES, [(1, 1, 4)], IMAGES.shape),
    (lambda: layers.Softmax(), ROWS, [], ROWS.shape),
]
IDS = [f"{type(make()).__name__}-{i}" for i, (make, *_) in enumerate(CALLS)]


@pytest.mark.parametrize(("make", "x", "weights", "shape"), CALLS, ids=IDS)
def test_shapes(make, x, weights, shape):
    layer = make()
    assert layer.compute_output_shape((None, *x.shape[1:])) == (None, *shape[1:])
    for training in (False, True):
        assert layer(x, training=training).shape == shape
    assert [w.shape for w in layer.weights] == weights
    assert layer.count_params() == sum(int(np.prod(s)) for s in weights)
    assert layer.output_shape == (None, *shape[1:])


def test_prelu_has_a_slope_for_each_channel():
    layer = layers.PReLU(shared_axes=[1, 2])
    layer(IMAGES)
    slopes = np.arange(4, dtype="float32").reshape(1, 1, 4) / 8
    layer.set_weights([slopes])
    np.testing.assert_allclose(layer(IMAGES).numpy(), np.where(IMAGES > 0, IMAGES, slopes * IMAGES), rtol=1e-6)


@pytest.mark.parametrize(("make", "x", "weights", "shape"), CALLS, ids=IDS)
def test_configuration_round_trip(make, x, weights, shape):
    layer = make()
    entry = layers.serialize(layer)
    again = layers.deserialize(entry)
    assert type(again) is type(layer) and layers.serialize(again) == entry
    layer(x), again(x)
    again.set_weights(layer.get_weights())
    assert np.array_equal(again(x).numpy(), layer(x).numpy())


@pytest.mark.parametrize(("make", "x", "weights", "shape"), CALLS, ids=IDS)
def test_float64_agrees(make, x, weights, shape):
    layer = make()
    y = layer(x).numpy()
    settings = {**layers.serialize(layer)["config"], "dtype": "float64"}
    double = type(layer).from_config(settings)
    double(x)
    double.set_weights(layer.get_weights())
    wide = double(x)
    assert wide.dtype == "float64"
    assert np.abs(wide.numpy() - y).max() < 1e-5 * max(1, np.abs(y).max())


def test_defaults_are_those_of_keras():
    def defaults(cls):
        parameters = inspect.signature(cls.__init__).parameters.values()
        return {p.name: p.default for p in parameters if p.default is not p.empty}

    made = layers.Conv2D(1, 1)
    assert (made.strides, made.padding, made.dilation_rate, made.groups) == ((1, 1), "valid", (1, 1), 1)
    conv = defaults(layers.Conv2D)
    assert (conv["kernel_initializer"], conv["bias_initializer"]) == ("glorot_uniform", "zeros")
    assert layers.MaxPooling2D().pool_size == (2, 2)
    norm = defaults(layers.BatchNormalization)
    assert (norm["momentum"], norm["epsilon"], norm["axis"]) == (0.99, 1e-3, -1)
    assert defaults(layers.LeakyReLU)["negative_slope"] == 0.3
    assert defaults(layers.ReLU) == {"max_value": None, "negative_slope": 0.0, "threshold": 0.0}
    assert layers.MaxPool2D is layers.MaxPooling2D and layers.AvgPool2D is layers.AveragePooling2D
    assert layers.GlobalAvgPool2D is layers.GlobalAveragePooling2D and layers.SumPool2D is layers.SumPooling2D
    assert layers.GlobalMaxPool2D is layers.GlobalMaxPooling2D


def correlate(x, kernel):
    windows = np.lib.stride_tricks.sliding_window_view(x, kernel.shape[:2], (1, 2))
    return np.einsum("nhwckl,klco->nhwo", windows, kernel)


@pytest.mark.parametrize("activation", [None, "relu", "leaky_relu", "sigmoid", "tanh", "softmax"])
def test_conv2d_and_dense_values(activation):
    from fastconv import activations

    conv = layers.Conv2D(5, (3, 2), activation=activation, bias_initializer="random_normal")
    kernel_of = lambda layer: [w.numpy().astype("float64") for w in layer.weights]  # noqa: E731
    y = conv(IMAGES).numpy()
    kernel, bias = kernel_of(conv)
    expected = activations.get(activation)(correlate(IMAGES.astype("float64"), kernel) + bias).numpy()
    assert np.allclose(y, expected, atol=1e-5)

    dense = layers.Dense(5, activation=activation, bias_initializer="random_normal")
    y = dense(ROWS).numpy()
    kernel, bias = kernel_of(dense)
    assert np.allclose(y, activations.get(activation)(ROWS.astype("float64") @ kernel + bias).numpy(), atol=1e-5)


def test_depthwise_values():
    layer = layers.DepthwiseConv2D((3, 2), depth_multiplier=2)
    y = layer(IMAGES).numpy()
    kernel = layer.kernel.numpy()
    for channel in range(4):
        expected = correlate(IMAGES[..., channel : channel + 1], kernel[:, :, channel : channel + 1])
        assert np.allclose(y[..., 2 * channel : 2 * channel + 2], expected, atol=1e-5)


@pytest.mark.parametrize(
    "make",
    [
        lambda f: layers.Conv2D(6, 3, padding="same", data_format=f, kernel_initializer=initializers.HeNormal(1)),
        lambda f: layers.DepthwiseConv2D(3, data_format=f, depthwise_initializer=initializers.HeNormal(1)),
        lambda f: layers.MaxPooling2D(data_format=f),
        lambda f: layers.AveragePooling2D(3, 2, "same", data_format=f),
        lambda f: layers.SumPooling2D(data_format=f),
        lambda f: layers.GlobalMaxPooling2D(data_format=f, keepdims=True),
    ],
)
def test_channels_first(make):
    last, first = make("channels_last"), make("channels_first")
    y = first(IMAGES.transpose(0, 3, 1, 2))
    assert np.allclose(last(IMAGES).numpy(), y.numpy().transpose(0, 2, 3, 1))
    assert first.compute_output_shape((None, 4, 9, 7)) == (None, *y.shape[1:])


def test_channels_first_flatten_and_global_pooling():
    turned = IMAGES.transpose(0, 3, 1, 2)
    assert np.array_equal(layers.Flatten("channels_first")(turned).numpy(), IMAGES.reshape(3, -1))
    pooled = layers.GlobalAveragePooling2D("channels_first")(turned).numpy()
    assert np.allclose(pooled, IMAGES.mean((1, 2)), atol=1e-6)


def test_batch_normalization_moves_its_statistics_only_when_training():
    layer = layers.BatchNormalization(momentum=0.9, epsilon=1e-5)
    layer(IMAGES)
    assert (layer.moving_mean.numpy() == 0).all()
    y = layer(IMAGES, training=True).numpy()
    mean, variance = IMAGES.mean((0, 1, 2)), IMAGES.var((0, 1, 2))
    assert np.allclose(y, (IMAGES - mean) / np.sqrt(variance + 1e-5), atol=1e-5)
    assert np.allclose(layer.moving_mean.numpy(), 0.1 * mean, atol=1e-6)
    assert np.allclose(layer.moving_variance.numpy(), 0.9 + 0.1 * variance, atol=1e-5)
    assert [w.name.split("/")[1] for w in layer.weights] == ["gamma", "beta", "moving_mean", "moving_variance"]
    assert len(layer.trainable_weights) == 2


def test_frozen_batch_normalization_runs_in_inference_mode():
    layer = layers.BatchNormalization()
    layer(IMAGES)
    layer.trainable = False
    y = layer(IMAGES, training=True).numpy()
    assert np.allclose(y, IMAGES / np.sqrt(1.001), atol=1e-5)
    assert (layer.moving_mean.numpy() == 0).all()


def test_dropout():
    layer = layers.Dropout(0.25, seed=5)
    x = np.ones((100, 100), "float32")
    assert (layer(x).numpy() == 1).all()
    first, second = layer(x, training=True).numpy(), layer(x, training=True).numpy()
    assert abs((first == 0).mean() - 0.25) < 0.02
    assert np.allclose(np.unique(first), [0, 1 / 0.75])
    assert not np.array_equal(first, second)
    again = layers.Dropout(0.25, seed=5)
    assert np.array_equal(again(x, training=True).numpy(), first)
    assert layer.weights == [] and [v.dtype for v in layer.variables] == ["uint64"]
    assert (layers.Dropout(0.0)(x, training=True).numpy() == 1).all()


def test_dropout_follows_the_process_seed():
    x = np.ones((20, 20), "float32")
    runs = []
    for _ in range(2):
        fc.utils.set_random_seed(3)
        runs.append(layers.Dropout(0.5)(x, training=True).numpy())
    assert np.array_equal(*runs)


def test_merging():
    a, b = IMAGES, IMAGES[:, :, :, :1]
    assert np.allclose(layers.Add()([a, a, a]).numpy(), 3 * a)
    assert np.allclose(layers.Add()([a, b]).numpy(), a + b)
    assert np.array_equal(layers.Concatenate()([a, b]).numpy(), np.concatenate([a, b], -1))
    assert np.array_equal(layers.Concatenate(axis=1)([a, a]).numpy(), np.concatenate([a, a], 1))
    assert layers.Concatenate().compute_output_shape([(None, 2, 3), (None, 2, 4)]) == (None, 2, 7)
    assert layers.add([a, a]).shape == a.shape and layers.concatenate([a, b]).shape == (3, 9, 7, 5)
    for layer in (layers.Add(), layers.Concatenate()):
        with pytest.raises(ArgumentError, match=f"{layer.name}.*list"):
            layer(a)
    with pytest.raises(ShapeError, match="concatenate"):
        layers.Concatenate()([a, a[:, :2]])


def test_fixed_kernels():
    blur = np.full((3, 3, 1, 1), 1 / 9)
    layer = layers.Conv2D(1, 3, use_bias=False, kernel_initializer=initializers.Constant(blur), trainable=False)
    x = IMAGES[..., :1]
    assert np.allclose(layer(x).numpy(), correlate(x, blur), atol=1e-6)
    assert layer.trainable_weights == []
    again = layers.deserialize(layers.serialize(layer))
    assert np.array_equal(again(x).numpy(), layer(x).numpy())


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: layers.Conv2D(0, 3, name="me"), "filters"),
        (lambda: layers.Conv2D(2.5, 3, name="me"), "filters"),
        (lambda: layers.Conv2D(4, 0, name="me"), "kernel_size"),
        (lambda: layers.Conv2D(4, (3, 3, 3), name="me"), "kernel_size"),
        (lambda: layers.Conv2D(4, 3, strides=-1, name="me"), "strides"),
        (lambda: layers.Conv2D(4, 3, padding="full", name="me"), "padding"),
        (lambda: layers.Conv2D(4, 3, groups=3, name="me"), "groups"),
        (lambda: layers.Conv2D(4, 3, strides=2, dilation_rate=2, name="me"), "dilation_rate"),
        (lambda: layers.Conv2D(4, 3, data_format="NCHW", name="me"), "data_format"),
        (lambda: layers.Conv2D(4, 3, input_shape=(0, 3, 3), name="me"), "input_shape"),
        (lambda: layers.DepthwiseConv2D(3, depth_multiplier=0, name="me"), "depth_multiplier"),
        (lambda: layers.MaxPooling2D(0, name="me"), "pool_size"),
        (lambda: layers.Dense(-1, name="me"), "units"),
        (lambda: layers.Dropout(1.5, name="me"), "rate"),
        (lambda: layers.Dropout(0.5, seed=-1, name="me"), "seed"),
        (lambda: layers.BatchNormalization(momentum=2, name="me"), "momentum"),
        (lambda: layers.BatchNormalization(epsilon=0, name="me"), "epsilon"),
        (lambda: layers.ReLU(max_value=-1, name="me"), "max_value"),
        (lambda: layers.PReLU(shared_axes=[0], name="me"), "shared_axes"),
        (lambda: layers.Softmax(axis="x", name="me"), "axis"),
        (lambda: layers.Reshape((-1, -1), name="me"), "target_shape"),
        (lambda: layers.Input((3, 0), name="me"), "shape"),
        (lambda: layers.Input(3, name="me"), "shape"),
        (lambda: layers.Input(name="me"), "shape"),
    ],
)
def test_wrong_arguments_name_layer_and_argument(make, message):
    with pytest.raises(ArgumentError, match=f"'me'.*{message}"):
        make()


@pytest.mark.parametrize(
    "make",
    [
        lambda: layers.Conv2D(4, 3, kernel_constraint="non_neg"),
        lambda: layers.Dense(4, bias_constraint="non_neg"),
        lambda: layers.DepthwiseConv2D(3, depthwise_constraint="non_neg"),
        lambda: layers.BatchNormalization(gamma_constraint="non_neg"),
        lambda: layers.Dense(4, lora_rank=2),
    ],
)
def test_what_is_not_supported_is_refused(make):
    with pytest.raises(UnsupportedOpError, match="not yet supported"):
        make()


@pytest.mark.parametrize(
    ("make", "good", "bad"),
    [
        (lambda: layers.Conv2D(4, 3, name="me"), (1, 8, 8, 3), (1, 8, 8, 2)),
        (lambda: layers.Conv2D(4, 3, name="me"), (1, 8, 8, 3), (8, 8, 3)),
        (lambda: layers.Conv2D(4, 3, name="me"), (1, 8, 8, 3), (1, 2, 8, 3)),
        (lambda: layers.DepthwiseConv2D(3, name="me"), (1, 8, 8, 3), (1, 8, 8, 4)),
        (lambda: layers.MaxPooling2D(3, name="me"), (1, 8, 8, 3), (1, 2, 8, 3)),
        (lambda: layers.MaxPooling2D(3, name="me"), (1, 8, 8, 3), (1, 8)),
        (lambda: layers.GlobalMaxPooling2D(name="me"), (1, 8, 8, 3), (1, 8, 3)),
        (lambda: layers.Dense(3, name="me"), (1, 8), (1, 7)),
        (lambda: layers.Dense(3, name="me"), (1, 8), (8,)),
        (lambda: layers.BatchNormalization(name="me"), (1, 8), (1, 7)),
        (lambda: layers.Reshape((2, 4), name="me"), (1, 8), (1, 7)),
    ],
)
def test_wrong_inputs_name_the_layer_and_the_shape(make, good, bad):
    fresh = make()
    fresh(np.zeros(good, "float32"))
    with pytest.raises(ShapeError, match="'me'") as caught:
        fresh(np.zeros(bad, "float32"))
    assert str(caught.value).count("'me'") == 1


def test_unknown_sizes():
    with pytest.raises(ShapeError, match="channels must be known"):
        layers.Conv2D(4, 3).build((None, 8, 8, None))
    flat = layers.Flatten()(layers.Input((None, None, 3)))
    assert flat.shape == (None, None)
    with pytest.raises(ShapeError, match="dense.*Flatten"):
        layers.Dense(3)(flat)
    assert layers.Conv2D(4, 3)(layers.Input((None, None, 3))).shape == (None, None, None, 4)
