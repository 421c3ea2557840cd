"""Layers and operations saved as ONNX compute the same in ONNX Runtime, and in our own session."""

import numpy as np
import pytest

import fastconv as fc
from fastconv import Input, Model, Sequential, activations, errors, layers, ops
from fastconv.io.onnx import exporter, load_model
from tests.io.onnx.exporting import (
    IMAGE,
    SEQUENCE,
    VOLUME,
    assert_same,
    draw,
    randomise,
    residual_network,
)


@layers.register_serializable("test_export")
def exported_function(x, factor):
    return ops.sqrt(ops.abs(x)) * factor


LAYERS = [
    (layers.Activation("tanh"), IMAGE),
    (layers.Activation("sigmoid"), IMAGE),
    (layers.Activation("relu6"), IMAGE),
    *(
        (layers.Activation(name), IMAGE)
        for name in ("elu", "selu", "softplus", "softsign", "hard_sigmoid", "gelu", "mish")
    ),
    *((layers.Activation(name), IMAGE) for name in ("silu", "hard_silu")),
    (layers.ReLU(3.0), IMAGE),
    (layers.ELU(0.7), IMAGE),
    (layers.Normalization(), IMAGE),
    (layers.Normalization([1, 3], invert=True), IMAGE),
    (layers.Normalization(mean=[1.0, 2.0, 3.0, 4.0], variance=4 * [0.3]), IMAGE),
    (layers.Operation("square"), IMAGE),
    (layers.Permute((3, 1, 2)), IMAGE),
    (layers.PReLU("ones", shared_axes=[1, 2]), IMAGE),
    (layers.AveragePooling1D(3, 2, padding="same"), SEQUENCE),
    (layers.AveragePooling2D(3, 2, padding="same"), IMAGE),
    (layers.AveragePooling2D((2, 3), (1, 2), padding=((1, 0), (0, 2))), IMAGE),
    (layers.AveragePooling3D(2), VOLUME),
    (layers.BatchNormalization(), IMAGE),
    (layers.BatchNormalization(center=False), SEQUENCE),
    (layers.BatchNormalization(scale=False), (5,)),
    (layers.BatchNormalization(axis=1), IMAGE),
    (layers.Conv1D(5, 3, 2, padding="same", activation="relu"), SEQUENCE),
    (layers.Conv1D(5, 3, padding="causal", dilation_rate=2), SEQUENCE),
    (layers.Conv2D(5, 3, activation="relu"), IMAGE),
    (layers.Conv2D(6, (3, 2), 2, padding="same", groups=2), IMAGE),
    (layers.Conv2D(6, 3, dilation_rate=2, padding=((1, 0), (0, 2)), activation="leaky_relu"), IMAGE),
    (layers.Conv2D(3, 1, use_bias=False, activation="softmax"), IMAGE),
    (layers.Conv2D(3, 3, data_format="channels_first", padding="same"), IMAGE),
    (layers.Conv3D(3, 2, padding="same"), VOLUME),
    (layers.Conv1DTranspose(4, 3, 2, padding="same"), SEQUENCE),
    (layers.Conv2DTranspose(4, 3, 2, padding="same", activation="relu"), IMAGE),
    (layers.Conv2DTranspose(4, 2, 3), IMAGE),
    (layers.Conv2DTranspose(4, 3, 2, output_padding=1), IMAGE),
    (layers.Conv2DTranspose(4, 4, 1, dilation_rate=2, padding="same"), IMAGE),
    (layers.Conv3DTranspose(2, 3, 2), VOLUME),
    (layers.Cropping1D((1, 2)), SEQUENCE),
    (layers.Cropping2D(((1, 0), (2, 1))), IMAGE),
    (layers.Cropping3D(1), VOLUME),
    (layers.Dense(5, activation="relu6"), (6,)),
    (layers.Dense(5), IMAGE),
    (layers.Dense(5, use_bias=False), SEQUENCE),
    (layers.DepthwiseConv1D(3, 2), SEQUENCE),
    (layers.DepthwiseConv2D(3, padding="same", activation="relu"), IMAGE),
    (layers.DepthwiseConv2D(3, 2, depth_multiplier=2), IMAGE),
    (layers.Dropout(0.5), IMAGE),
    *((layers.GaussianDropout(0.5), IMAGE), (layers.GaussianNoise(0.5), IMAGE)),
    *((layers.RandomFlip(), IMAGE), (layers.RandomTranslation(0.2, 0.1), IMAGE)),
    (layers.SpatialDropout1D(0.5), SEQUENCE),
    (layers.SpatialDropout2D(0.5), IMAGE),
    (layers.SpatialDropout3D(0.5), VOLUME),
    (layers.Flatten(), IMAGE),
    (layers.Flatten(data_format="channels_first"), IMAGE),
    (layers.GlobalAveragePooling1D(), SEQUENCE),
    (layers.GlobalAveragePooling2D(), IMAGE),
    (layers.GlobalAveragePooling2D(keepdims=True), IMAGE),
    (layers.GlobalAveragePooling3D(), VOLUME),
    (layers.GlobalMaxPooling1D(keepdims=True), SEQUENCE),
    (layers.GlobalMaxPooling2D(data_format="channels_first"), IMAGE),
    (layers.GlobalMaxPooling3D(), VOLUME),
    (layers.Lambda(exported_function, arguments={"factor": 3.0}), IMAGE),
    *((layers.GroupNormalization(groups), IMAGE) for groups in (2, 1, -1)),
    (layers.GroupNormalization(2, axis=1), (4, 9, 7)),
    (layers.GroupNormalization(3), SEQUENCE),
    (layers.GroupNormalization(3), (6,)),
    *((layers.LayerNormalization(axis), IMAGE) for axis in (-1, 2, [1, 3], [1, 2, 3])),
    (layers.LayerNormalization(scale=False), SEQUENCE),
    (layers.LayerNormalization(center=False), (6,)),
    (layers.LeakyReLU(0.2), IMAGE),
    (layers.MaxPooling1D(2), SEQUENCE),
    (layers.MaxPooling2D(3, 2, padding="same"), IMAGE),
    (layers.MaxPooling2D(2, data_format="channels_first"), IMAGE),
    (layers.MaxPooling3D((2, 1, 3)), VOLUME),
    (layers.ReLU(), IMAGE),
    (layers.ReLU(6.0), IMAGE),
    (layers.ReLU(2.5, negative_slope=0.1), IMAGE),
    (layers.ReLU(threshold=0.4), IMAGE),
    (layers.ReLU(threshold=0.4, negative_slope=0.3), IMAGE),
    (layers.RepeatVector(3), (5,)),
    (layers.Rescaling(1 / 255), IMAGE),
    (layers.Rescaling([0.5, 1.0, 2.0, 3.0], [0.1, 0.2, 0.3, 0.4]), IMAGE),
    (layers.Reshape((7, -1)), IMAGE),
    *((layers.Resizing(5, 12, how), IMAGE) for how in ("nearest", "bilinear")),
    (layers.Resizing(11, 12, "bicubic"), IMAGE),
    (layers.Resizing(5, 12, crop_to_aspect_ratio=True), IMAGE),
    (layers.Resizing(6, 14, pad_to_aspect_ratio=True, fill_value=0.5), IMAGE),
    (layers.Resizing(12, 5, data_format="channels_first"), IMAGE),
    (layers.SeparableConv1D(5, 3), SEQUENCE),
    (layers.SeparableConv2D(5, 3, padding="same", activation="relu"), IMAGE),
    (layers.Softmax(), IMAGE),
    (layers.Softmax(axis=1), IMAGE),
    (layers.SumPooling2D(2, strides=1, padding="same"), IMAGE),
    (layers.UnitNormalization(), IMAGE),
    (layers.UnitNormalization((1, 2)), IMAGE),
    (layers.UpSampling1D(3), SEQUENCE),
    (layers.UpSampling2D((2, 3)), IMAGE),
    (layers.UpSampling2D((3, 2), interpolation="bilinear"), IMAGE),
    (layers.UpSampling2D((2, 3), interpolation="bicubic"), IMAGE),
    (layers.UpSampling3D(2), VOLUME),
    (layers.ZeroPadding1D((1, 2)), SEQUENCE),
    (layers.ZeroPadding2D(((1, 0), (2, 1))), IMAGE),
    (layers.ZeroPadding3D(1), VOLUME),
]
# Merging layers take several inputs: test_merging.
MERGING = ("Add", "Average", "Maximum", "Minimum", "Multiply", "Subtract")
OTHERS = {*MERGING, "Concatenate", "Dot", "Input", "InputLayer", "Layer"}
IDS = [f"{type(layer).__name__}-{i}" for i, (layer, _) in enumerate(LAYERS)]


@pytest.mark.parametrize(("layer", "shape"), LAYERS, ids=IDS)
def test_layers(layer, shape, tmp_path):
    layer = type(layer).from_config(layer.get_config())
    model = Sequential([layers.InputLayer(shape), layer])
    randomise(model)
    assert_same(model, tmp_path, draw(3, *shape))


def test_the_approximation_of_gelu(tmp_path):
    x = Input(IMAGE)
    assert_same(Model(x, _ApproximateGelu()(x)), tmp_path, draw(3, *IMAGE))


class _ApproximateGelu(layers.Layer):
    def call(self, inputs):
        return ops.gelu(inputs, approximate=True)


@pytest.mark.parametrize("name", activations.FUNCTIONS)
def test_activations(name, tmp_path):
    """As operations of their own, and fused into a convolution where that is done."""
    x = Input(IMAGE)
    model = Model(x, [layers.Activation(name)(x), layers.Conv2D(3, 2, activation=name)(x)])
    randomise(model)
    assert_same(model, tmp_path, draw(3, *IMAGE))


def test_every_layer_is_there():
    classes = {getattr(layers, name) for name in layers.__all__ if name[0].isupper()}
    tested = {type(layer) for layer, _ in LAYERS}
    assert {cls.__name__ for cls in classes - tested} <= OTHERS | {
        cls.__name__ for cls in classes if not isinstance(cls, type)
    }


@pytest.mark.parametrize("opset", [13, 17, 18, 21])
def test_opsets(opset, tmp_path):
    x = Input((8, 8, 3))
    y = layers.Conv2D(4, 3, activation="relu")(x)
    y = layers.BatchNormalization()(layers.UpSampling2D()(layers.ZeroPadding2D()(y)))
    y = layers.MaxPooling2D()(layers.ReLU(threshold=0.1)(y))
    model = Model(x, _Means()(y))
    randomise(model)
    assert_same(model, tmp_path, draw(2, 8, 8, 3), opset=opset)


class _Means(layers.Layer):
    def call(self, inputs):
        return ops.mean(inputs, axis=(1, 2)) + ops.sum(inputs, axis=1)[:, 0] + ops.max(inputs, axis=(2, 1))


def test_merging(tmp_path):
    a, b = Input((6, 5, 4), name="left"), Input((6, 5, 4), name="right")
    convolved = layers.Conv2D(4, 3, padding="same")(a)
    total = layers.Add()([convolved, b, a])
    both = layers.Concatenate()([total, b])
    tall = layers.Concatenate(axis=1)([convolved, b])
    model = Model([a, b], [both, tall, layers.Add()([total, layers.GlobalMaxPooling2D(keepdims=True)(b)])])
    randomise(model)
    assert_same(model, tmp_path, draw(3, 6, 5, 4), draw(3, 6, 5, 4))
    proto, _ = load_model(tmp_path / "model.onnx")
    assert [value.name for value in proto.graph.input] == ["left", "right"]


@pytest.mark.parametrize("name", MERGING)
def test_merging_of_elements(name, tmp_path):
    """Of images of one shape and of vectors, between convolutions: in the order of axes that those want."""
    a, b = Input(IMAGE), Input(IMAGE[-1:])
    convolved, merge = layers.Conv2D(4, 3, padding="same")(a), getattr(layers, name)
    same = merge()([convolved, a])
    model = Model([a, b], [layers.Conv2D(3, 2)(merge()([same, layers.Dense(4)(b)])), merge()([b, a])])
    randomise(model)
    assert_same(model, tmp_path, draw(3, *IMAGE), draw(3, 4))


@pytest.mark.parametrize(("a", "b", "axes"), [((6,), (6,), 1), ((5, 6), (7, 6), -1), ((3, 4, 5), (6, 3), (1, 2))])
def test_dot(a, b, axes, tmp_path):
    x, y = Input(a), Input(b)
    model = Model([x, y], [layers.Dot(axes, normalize)([x, y]) for normalize in (False, True)])
    assert_same(model, tmp_path, draw(3, *a), draw(3, *b))


UNARY = "arccos arccosh arcsin arcsinh arctan arctanh ceil cos cosh erf floor negative reciprocal round sign sin sinh tan".split()


class Pointwise(layers.Layer):
    def call(self, inputs):
        x = ops.sigmoid(inputs)  # where all of them are defined
        slope = np.array([0.1, 0.2, -0.3, 0.4], "float32")
        return [getattr(ops, name)(x + 1.0 if name == "arccosh" else x) for name in UNARY] + [ops.prelu(inputs, slope)]


def test_pointwise_functions(tmp_path):
    layer = Pointwise()
    x = Input(IMAGE)
    assert_same(Model(x, layer(x)), tmp_path, draw(3, *IMAGE))


class Lossy(layers.Layer):
    def call(self, inputs):
        loss, _ = ops.softmax_cross_entropy(inputs, np.zeros(inputs.shape[0] or 2, "int32"))
        return loss + inputs[[0], [1]]


def test_all_that_is_missing_is_one_error(tmp_path):
    model = Sequential([layers.InputLayer((4,)), Lossy()])
    path = tmp_path / "m.onnx"
    path.write_bytes(b"old")
    with pytest.raises(errors.UnsupportedOpError) as caught:
        fc.onnx.save(model, path, input_shape=(2, 4))
    assert "'softmax_cross_entropy'" in str(caught.value) and "several arrays" in str(caught.value)
    assert path.read_bytes() == b"old"


@pytest.mark.parametrize("opset", [12, 29, "17"])
def test_opsets_that_are_not(opset, tmp_path):
    with pytest.raises(errors.ArgumentError, match="from 13 to 28"):
        fc.onnx.save(residual_network(), tmp_path / "m.onnx", opset=opset)


@pytest.mark.parametrize(
    ("path", "error"), [(None, errors.DTypeError), (3, errors.DTypeError), ("", errors.ArgumentError)]
)
def test_only_paths(path, error):
    with pytest.raises(error, match="path must"):
        fc.onnx.save(residual_network(), path)


def test_only_models(tmp_path):
    with pytest.raises(errors.ArgumentError, match="got Dense; put layers into a Sequential"):
        fc.onnx.save(layers.Dense(3), tmp_path / "m.onnx")


def test_too_large_for_a_file(tmp_path, monkeypatch):
    monkeypatch.setattr(exporter, "MAX_BYTES", 1000)
    with pytest.raises(errors.ArgumentError, match="at most 1000"):
        fc.onnx.save(residual_network(), tmp_path / "m.onnx")
