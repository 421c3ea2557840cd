"""The layers in one and three dimensions, transposed, separable, and those that frame images: as the 2-D ones are tested."""

import numpy as np
import pytest

from fastconv import layers, models
from fastconv.errors import ArgumentError, ShapeError

RNG = np.random.default_rng(0)
SEQUENCES = RNG.normal(size=(3, 11, 4)).astype("float32")
IMAGES = RNG.normal(size=(3, 9, 7, 4)).astype("float32")
VOLUMES = RNG.normal(size=(2, 5, 6, 4, 4)).astype("float32")

# (class, arguments, input, weight shapes, output shape)
CALLS = [
    (layers.Conv1D, (8, 3), {}, SEQUENCES, [(3, 4, 8), (8,)], (3, 9, 8)),
    (layers.Conv1D, (8, 3, 2, "same"), {"groups": 2}, SEQUENCES, [(3, 2, 8), (8,)], (3, 6, 8)),
    (layers.Conv1D, (8, 3, 1, "causal"), {"dilation_rate": 4}, SEQUENCES, [(3, 4, 8), (8,)], (3, 11, 8)),
    (layers.Conv1D, (8, 3), {"padding": ((1, 2),)}, SEQUENCES, [(3, 4, 8), (8,)], (3, 12, 8)),
    (layers.Conv3D, (8, 3), {"use_bias": False}, VOLUMES, [(3, 3, 3, 4, 8)], (2, 3, 4, 2, 8)),
    (layers.Conv3D, (8, (1, 2, 3), 2, "same"), {}, VOLUMES, [(1, 2, 3, 4, 8), (8,)], (2, 3, 3, 2, 8)),
    (layers.Conv1DTranspose, (8, 3, 2), {}, SEQUENCES, [(3, 8, 4), (8,)], (3, 23, 8)),
    (layers.Conv2DTranspose, (8, 4, 2, "same"), {}, IMAGES, [(4, 4, 8, 4), (8,)], (3, 18, 14, 8)),
    (layers.Conv2DTranspose, (8, 3, 2), {"output_padding": 1}, IMAGES, [(3, 3, 8, 4), (8,)], (3, 20, 16, 8)),
    (layers.Conv2DTranspose, (8, 2, (1, 3)), {"activation": "relu"}, IMAGES, [(2, 2, 8, 4), (8,)], (3, 10, 21, 8)),
    (layers.Conv3DTranspose, (8, 2, 2), {"use_bias": False}, VOLUMES, [(2, 2, 2, 8, 4)], (2, 10, 12, 8, 8)),
    (layers.DepthwiseConv1D, (3,), {"depth_multiplier": 2}, SEQUENCES, [(3, 4, 2), (8,)], (3, 9, 8)),
    (layers.SeparableConv1D, (6, 3), {}, SEQUENCES, [(3, 4, 1), (1, 4, 6), (6,)], (3, 9, 6)),
    (
        layers.SeparableConv2D,
        (6, 3, 2, "same"),
        {"depth_multiplier": 2, "activation": "tanh"},
        IMAGES,
        [(3, 3, 4, 2), (1, 1, 8, 6), (6,)],
        (3, 5, 4, 6),
    ),
    (layers.MaxPooling1D, (), {}, SEQUENCES, [], (3, 5, 4)),
    (layers.AveragePooling1D, (3, 1, "same"), {}, SEQUENCES, [], (3, 11, 4)),
    (layers.MaxPooling3D, (), {}, VOLUMES, [], (2, 2, 3, 2, 4)),
    (layers.AveragePooling3D, ((1, 2, 3), 2, "same"), {}, VOLUMES, [], (2, 3, 3, 2, 4)),
    (layers.GlobalAveragePooling1D, (), {}, SEQUENCES, [], (3, 4)),
    (layers.GlobalMaxPooling1D, (), {"keepdims": True}, SEQUENCES, [], (3, 1, 4)),
    (layers.GlobalAveragePooling3D, (), {"keepdims": True}, VOLUMES, [], (2, 1, 1, 1, 4)),
    (layers.GlobalMaxPooling3D, (), {}, VOLUMES, [], (2, 4)),
    (layers.ZeroPadding1D, (), {}, SEQUENCES, [], (3, 13, 4)),
    (layers.ZeroPadding1D, ((0, 3),), {}, SEQUENCES, [], (3, 14, 4)),
    (layers.ZeroPadding2D, ((1, 2),), {}, IMAGES, [], (3, 11, 11, 4)),
    (layers.ZeroPadding2D, (((0, 1), (2, 0)),), {}, IMAGES, [], (3, 10, 9, 4)),
    (layers.ZeroPadding3D, (2,), {}, VOLUMES, [], (2, 9, 10, 8, 4)),
    (layers.Cropping1D, (), {}, SEQUENCES, [], (3, 9, 4)),
    (layers.Cropping2D, (((1, 2), (3, 0)),), {}, IMAGES, [], (3, 6, 4, 4)),
    (layers.Cropping3D, (1,), {}, VOLUMES, [], (2, 3, 4, 2, 4)),
    (layers.UpSampling1D, (3,), {}, SEQUENCES, [], (3, 33, 4)),
    (layers.UpSampling2D, ((2, 3),), {}, IMAGES, [], (3, 18, 21, 4)),
    (layers.UpSampling3D, (), {}, VOLUMES, [], (2, 10, 12, 8, 4)),
]
over_calls = pytest.mark.parametrize(
    ("cls", "arguments", "options", "x", "weights", "shape"),
    CALLS,
    ids=[f"{cls.__name__}-{i}" for i, (cls, *_) in enumerate(CALLS)],
)


@over_calls
def test_shapes(cls, arguments, options, x, weights, shape):
    layer = cls(*arguments, **options)
    assert layer.compute_output_shape((None, *x.shape[1:])) == (None, *shape[1:])
    unknown = layer.compute_output_shape((None, None, *x.shape[2:]))
    assert unknown[0] is None and unknown[-1] == shape[-1] and len(unknown) == len(shape)
    assert layer(x).shape == shape
    assert [w.shape for w in layer.weights] == weights
    assert layer.output_shape == (None, *shape[1:])


@over_calls
def test_configuration_and_float64(cls, arguments, options, x, weights, shape):
    layer = cls(*arguments, **options)
    y = layer(x).numpy()
    entry = layers.serialize(layer)
    again = layers.deserialize(entry)
    double = cls.from_config({**entry["config"], "dtype": "float64"})
    assert type(again) is cls and layers.serialize(again) == entry
    for other in (again, double):
        other(x)
        other.set_weights(layer.get_weights())
    assert np.array_equal(again(x).numpy(), y)
    assert np.abs(double(x).numpy() - y).max() < 1e-5 * max(1, np.abs(y).max())


@over_calls
def test_channels_first(cls, arguments, options, x, weights, shape):
    last, first = cls(*arguments, **options), cls(*arguments, data_format="channels_first", **options)
    y = last(x).numpy()
    turned = np.moveaxis(x, -1, 1)
    first(turned)
    first.set_weights(last.get_weights())
    z = first(turned).numpy()
    assert np.allclose(np.moveaxis(z, 1, -1), y, atol=1e-5)


def test_causal_sees_nothing_later():
    layer = layers.Conv1D(5, 3, padding="causal", dilation_rate=2)
    y, changed = layer(SEQUENCES).numpy(), SEQUENCES.copy()
    changed[:, 6:] += 1
    z = layer(changed).numpy()
    assert np.array_equal(z[:, :6], y[:, :6]) and not np.allclose(z[:, 6], y[:, 6])


def test_separable_is_depthwise_and_pointwise():
    layer = layers.SeparableConv2D(6, 3, depth_multiplier=2, activation="relu", bias_initializer="random_normal")
    y = layer(IMAGES).numpy()
    depthwise, pointwise, bias = layer.get_weights()
    first = layers.DepthwiseConv2D(3, depth_multiplier=2, use_bias=False)
    first.build(IMAGES.shape)
    first.set_weights([depthwise])
    assert np.allclose(y, np.maximum(first(IMAGES).numpy() @ pointwise[0, 0] + bias, 0), atol=1e-5)


def test_transposed_convolution_undoes_shapes_of_a_convolution():
    x = layers.Input((32, 32, 3))
    y = layers.Conv2DTranspose(3, 4, strides=2, padding="same")(layers.Conv2D(8, 4, strides=2, padding="same")(x))
    assert y.shape == (None, 32, 32, 3)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: layers.Conv1D(4, (3, 3), name="me"), "kernel_size"),
        (lambda: layers.Conv2D(4, 3, padding="causal", name="me"), "padding"),
        (lambda: layers.Conv3D(4, (3, 3), name="me"), "kernel_size"),
        (lambda: layers.Conv2DTranspose(4, 3, strides=2, output_padding=2, name="me"), "output_padding"),
        (lambda: layers.Conv2DTranspose(4, 3, strides=2, output_padding=0.5, name="me"), "output_padding"),
        (lambda: layers.Conv2DTranspose(4, 3, strides=2, dilation_rate=2, name="me"), "dilation_rate"),
        (lambda: layers.SeparableConv2D(0, 3, name="me"), "filters"),
        (lambda: layers.MaxPooling3D((2, 2), name="me"), "pool_size"),
        (lambda: layers.ZeroPadding2D("same", name="me"), "padding"),
        (lambda: layers.ZeroPadding2D(-1, name="me"), "padding"),
        (lambda: layers.Cropping1D((1, 2, 3), name="me"), "cropping"),
        (lambda: layers.UpSampling2D(0, name="me"), "size"),
        (lambda: layers.UpSampling2D(2, interpolation="lanczos3", name="me"), "interpolation"),
    ],
)
def test_wrong_arguments_name_layer_and_argument(make, message):
    with pytest.raises(ArgumentError, match=f"'me'.*{message}"):
        make()


@pytest.mark.parametrize(
    ("make", "good", "bad"),
    [
        (lambda: layers.Conv1D(4, 3, name="me"), (1, 8, 3), (1, 8, 2)),
        (lambda: layers.Conv1D(4, 3, name="me"), (1, 8, 3), (8, 3)),
        (lambda: layers.Conv3D(4, 3, name="me"), (1, 8, 8, 8, 3), (1, 2, 8, 8, 3)),
        (lambda: layers.Conv2DTranspose(4, 3, name="me"), (1, 8, 8, 3), (1, 8, 8, 4)),
        (lambda: layers.SeparableConv1D(4, 3, name="me"), (1, 8, 3), (1, 8, 4)),
        (lambda: layers.MaxPooling1D(3, name="me"), (1, 8, 3), (1, 2, 3)),
        (lambda: layers.Cropping2D(2, name="me"), (1, 8, 8, 3), (1, 4, 8, 3)),
    ],
)
def test_wrong_inputs_name_the_layer_and_the_shape(make, good, bad):
    layer = make()
    layer(np.zeros(good, "float32"))
    with pytest.raises(ShapeError, match="'me'") as caught:
        layer(np.zeros(bad, "float32"))
    assert str(caught.value).count("'me'") == 1


def sequence_network():
    return models.Sequential(
        [
            layers.Input((16, 2)),
            layers.Conv1D(8, 3, padding="causal", activation="relu"),
            layers.ZeroPadding1D(1),
            layers.SeparableConv1D(8, 3, activation="relu"),
            layers.MaxPooling1D(),
            layers.Conv1DTranspose(4, 2, strides=2, activation="relu"),
            layers.GlobalAveragePooling1D(),
            layers.Dense(3, activation="softmax"),
        ]
    )


def volume_network():
    return models.Sequential(
        [
            layers.Input((6, 6, 6, 1)),
            layers.Conv3D(8, 3, padding="same", activation="relu"),
            layers.MaxPooling3D(),
            layers.Conv3DTranspose(4, 2, strides=2, activation="relu"),
            layers.Cropping3D(1),
            layers.GlobalAveragePooling3D(),
            layers.Dense(3, activation="softmax"),
        ]
    )


def image_network():
    return models.Sequential(
        [
            layers.Input((8, 8, 1)),
            layers.SeparableConv2D(8, 3, padding="same", activation="relu"),
            layers.UpSampling2D(2),
            layers.Cropping2D(4),
            layers.Conv2DTranspose(4, 4, strides=2, padding="same", activation="relu"),
            layers.GlobalMaxPooling2D(),
            layers.Dense(3, activation="softmax"),
        ]
    )


@pytest.mark.parametrize("build", [sequence_network, image_network, volume_network])
def test_network_trains_and_is_saved(build, tmp_path):
    model = build()
    labels = RNG.integers(0, 3, 24)
    x = RNG.normal(size=(24, *model.input_shape[1:])).astype("float32") + labels.reshape(
        -1, *(1,) * (len(model.input_shape) - 1)
    )
    model.compile("adam", "sparse_categorical_crossentropy")
    losses = model.fit(x, labels, epochs=12, verbose=0).history["loss"]
    assert losses[-1] < losses[0]
    table = []
    model.summary(print_fn=table.append)
    assert all(f"({type(layer).__name__})" in table[0] for layer in model.layers)
    model.save(tmp_path / "model.fastconv")
    again = models.load_model(tmp_path / "model.fastconv")
    assert np.array_equal(again.predict(x, verbose=0), model.predict(x, verbose=0))
    assert np.allclose(model.predict(x, verbose=0), model(x).numpy(), atol=1e-6)
