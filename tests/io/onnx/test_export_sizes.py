"""Models of open sizes saved as ONNX, and layers that change sizes."""

import numpy as np
import pytest

import fastconv as fc
from fastconv import InferenceSession, Input, Model, Sequential, errors, layers, ops
from tests.io.onnx.exporting import (
    IMAGE,
    Own,
    assert_same,
    draw,
    export,
    randomise,
    residual_network,
    run_onnx_runtime,
)


def encoder():
    """What takes images of any size: windows that "same" pads by size, or not at all, and what makes images larger."""
    x = layers.Input((None, None, 3), name="image")
    y = layers.Conv2D(6, 3, strides=2, padding="same", activation="relu")(x)
    y = layers.BatchNormalization()(layers.DepthwiseConv2D(4, strides=(1, 2), padding="same")(y))
    y = layers.MaxPooling2D(3, strides=2, padding="same")(y)
    y = layers.AveragePooling2D(3, strides=2, padding="same")(y)
    y = layers.Conv2D(5, 3, dilation_rate=2, padding="same")(layers.ZeroPadding2D(1)(y))
    y = layers.Conv2DTranspose(4, 3, strides=2, padding="same")(layers.UpSampling2D(2)(y))
    y = layers.Concatenate()([y, layers.Conv2DTranspose(4, 3, padding="same", activation="silu")(y)])
    return Model(x, [layers.Conv2D(2, 2)(y), layers.GlobalAveragePooling2D()(y), layers.Flatten()(y)])


def skipping():
    """Sizes that are no multiples of 4 do not fit."""
    x = layers.Input((None, None, 2))
    y = layers.Conv2D(4, 3, padding="same")(x)
    z = layers.UpSampling2D(4)(layers.MaxPooling2D(4)(y))
    return Model(x, layers.Softmax()(layers.Add()([y, z])))


def of_two():
    a, b = layers.Input((None, 3)), layers.Input((None, 3))
    return Model([a, b], layers.Concatenate()([layers.Conv1D(4, 5, padding="causal")(x) for x in (a, b)]))


class Places(layers.Layer):
    """Every pixel of every image as a row: the first dimension is the batch no more."""

    def call(self, inputs):
        return ops.reshape(inputs, -1, inputs.shape[-1])


def over_places():
    return Sequential([layers.Conv2D(4, 3, input_shape=(None, None, 4)), Places(), layers.Dense(3)])


@pytest.mark.parametrize(
    ("make", "shapes"),
    [
        (encoder, [(2, 16, 16, 3), (1, 33, 21, 3), (3, 9, 40, 3)]),
        (skipping, [(2, 8, 12, 2), (1, 20, 4, 2)]),
        (of_two, [(2, 9, 3), (1, 30, 3)]),
        (over_places, [(2, 5, 9, 4), (1, 8, 3, 4)]),
    ],
)
def test_open_dimensions_stay_open(tmp_path, make, shapes):
    model = make()
    randomise(model)
    proto, data = export(model, tmp_path / "m.onnx")
    for value in proto.graph.input:
        *opened, channels = value.type.tensor_type.shape.dim
        assert len({d.dim_param for d in opened}) == len(opened) and all(d.dim_param for d in opened)
        assert channels.dim_value == shapes[0][-1]
    named = [value.type.tensor_type.shape.dim[0].dim_param for value in proto.graph.output]
    assert set(named) == ({""} if make is over_places else {"batch"})
    for shape in shapes:
        xs = [draw(*shape) for _ in proto.graph.input]
        expected = model(xs if len(xs) > 1 else xs[0], training=False)
        feeds = {value.name: x for value, x in zip(proto.graph.input, xs, strict=True)}
        for results in (InferenceSession(data).run(None, feeds), run_onnx_runtime(data, feeds)):
            for got, want in zip(results, expected if isinstance(expected, list) else [expected], strict=True):
                assert got.shape == want.shape
                np.testing.assert_allclose(got, want.numpy(), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("kind", [layers.MaxPooling2D, layers.AveragePooling2D, layers.SumPooling2D])
@pytest.mark.parametrize(("size", "strides"), [(1, 2), ((1, 3), 3), ((2, 1), (2, 3)), (2, 2), (3, 2)])
def test_pooling_of_open_sizes(tmp_path, kind, size, strides):
    """ONNX Runtime refuses auto_pad where a window of one pixel leaves gaps."""
    model = Sequential([Input((None, None, 3)), kind(size, strides, padding="same")])
    proto, data = export(model, tmp_path / "m.onnx")
    for height, width in ((8, 9), (9, 10), (7, 8), (12, 6)):
        x = draw(2, height, width, 3)
        for results in (
            InferenceSession(data).run(None, {proto.graph.input[0].name: x}),
            run_onnx_runtime(data, {proto.graph.input[0].name: x}),
        ):
            np.testing.assert_allclose(results[0], model(x).numpy(), rtol=1e-5, atol=1e-6)


def test_pooling_of_open_sizes_that_has_no_form(tmp_path):
    model = Sequential([Input((None, None, 3)), layers.MaxPooling2D(2, 3, padding="same")])
    with pytest.raises(errors.UnsupportedOpError, match="windows of 2 pixels, farther apart, for images of any size"):
        fc.onnx.save(model, tmp_path / "m.onnx")
    assert_same(model, tmp_path, draw(2, 8, 7, 3), input_shape=(None, 8, 7, 3))


def test_open_dimensions_can_be_fixed(tmp_path):
    model = Sequential([layers.Conv2D(2, 3, input_shape=(None, None, 1)), layers.GlobalMaxPooling2D()])
    assert_same(model, tmp_path, draw(2, 8, 7, 1), input_shape=(None, 8, 7, 1))


def test_what_needs_sizes_says_so(tmp_path):
    model = Own()
    model(draw(2, 6, 6, 1))
    with pytest.raises(errors.ShapeError, match="does not take inputs of any size: .*save it for one size"):
        fc.onnx.save(model, tmp_path / "m.onnx", input_shape=(None, None, None, 1))


@pytest.mark.parametrize("opset", [13, 17, 18, 21])
@pytest.mark.parametrize("how", ["nearest", "bilinear", "bicubic"])
def test_images_of_any_size_to_one(how, opset, tmp_path):
    # Between two transpositions ONNX Runtime moves them through Resize, and then refuses a cubic that shrinks.
    convolution = layers.Conv2D(2, 3, padding="same", activation="relu")
    model = Sequential([layers.InputLayer((None, None, 3)), layers.Resizing(11, 7, how), convolution])
    proto, data = export(model, tmp_path / "m.onnx", opset=opset)
    for shape in ((2, 5, 9, 3), (1, 30, 7, 3)):
        x = draw(*shape)
        feeds = {proto.graph.input[0].name: x}
        for result in (InferenceSession(data).run(None, feeds), run_onnx_runtime(data, feeds)):
            np.testing.assert_allclose(result[0], model(x).numpy(), atol=1e-5)
    cut = Sequential([layers.InputLayer((None, None, 3)), layers.Resizing(11, 7, how, crop_to_aspect_ratio=True)])
    with pytest.raises(errors.UnsupportedOpError, match="made for one size.*input_shape with numbers"):
        fc.onnx.save(cut, tmp_path / "m.onnx")


@pytest.mark.parametrize("shape", [5, (), [], (1.5, 8, 8, 1), {}])
def test_input_shapes_that_are_none(tmp_path, shape):
    model = Sequential([layers.Conv2D(2, 3, input_shape=(8, 8, 1))])
    with pytest.raises(errors.ShapeError, match="input_shape must be a"):
        fc.onnx.save(model, tmp_path / "m.onnx", input_shape=shape)
    with pytest.raises(errors.ShapeError, match=r"must have the shape \(None, 8, 8, 1\), got \(2, 9, 8, 1\)"):
        fc.onnx.save(model, tmp_path / "m.onnx", input_shape=(None, 9, 8, 1))
    with pytest.raises(errors.NotBuiltError, match="give input_shape, batch first"):
        fc.onnx.save(Sequential([layers.Dense(2)]), tmp_path / "m.onnx")


class BySize(layers.Layer):
    """Does one thing to small images, another to large ones."""

    def call(self, inputs):
        return ops.relu(inputs) if (inputs.shape[1] or 0) < 300 else ops.sigmoid(inputs)


class Halved(layers.Layer):
    """The upper and the lower half of each image as two."""

    def call(self, inputs):
        n, h, w, c = inputs.shape
        return inputs if None in (n, h, w) else ops.reshape(inputs, n * 2, h // 2, w, c)


@pytest.mark.parametrize(
    ("layer", "says"), [(BySize, "does different things for different sizes"), (Halved, "a reshape of")]
)
def test_what_open_sizes_leave_in_doubt(tmp_path, layer, says):
    model = Sequential([Input((None, None, 4)), layer()])
    with pytest.raises(errors.UnsupportedOpError, match=says):
        fc.onnx.save(model, tmp_path / "m.onnx")
    assert_same(model, tmp_path, draw(2, 8, 6, 4), input_shape=(None, 8, 6, 4))


def test_a_fixed_batch(tmp_path):
    model = residual_network()
    proto, data = export(model, tmp_path / "m.onnx", input_shape=(2, 16, 16, 3))
    dims = proto.graph.input[0].type.tensor_type.shape.dim
    assert [d.dim_value for d in dims] == [2, 16, 16, 3]
    x = draw(2, 16, 16, 3)
    np.testing.assert_allclose(
        InferenceSession(data).run(None, {proto.graph.input[0].name: x})[0], model(x).numpy(), atol=1e-5
    )


class ByBatch(layers.Layer):
    def call(self, inputs):
        return inputs + np.ones((inputs.shape[0] or 1, 1), "float32")


class Pairs(layers.Layer):
    def call(self, inputs):
        n = inputs.shape[0] or 1
        return inputs.reshape(1, n * 2, 2).reshape(n, 4)


def test_what_depends_on_the_batch(tmp_path):
    assert_same(Sequential([layers.InputLayer((4,)), Pairs()]), tmp_path, draw(3, 4))
    model = Sequential([layers.InputLayer((4,)), ByBatch()])
    with pytest.raises(errors.UnsupportedOpError, match=r"a constant of shape \(2, 1\).*input_shape with numbers"):
        fc.onnx.save(model, tmp_path / "m.onnx")


class Resized(layers.Layer):
    def __init__(self, how, **kwargs):
        super().__init__(**kwargs)
        self.how = how

    def call(self, inputs):
        return ops.resize(inputs, **self.how)


@pytest.mark.parametrize("mode", ["nearest", "linear", "cubic"])
@pytest.mark.parametrize("coordinates", ["half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric"])
def test_resizing(mode, coordinates, tmp_path):
    how = {"scale": (1.5, 3.0), "mode": mode, "coordinates": coordinates, "rounding": "ceil", "cubic_coefficient": -0.6}
    assert_same(Sequential([layers.InputLayer((4, 6, 2)), Resized(how)]), tmp_path, draw(3, 4, 6, 2))


@pytest.mark.parametrize(
    ("how", "says"),
    [
        ({"size": (7, 7), "scale": (2, 2), "mode": "cubic"}, "mode='cubic' to a size by scales of their own"),
        ({"scale": (0.5, 0.5), "mode": "linear", "antialias": True}, "antialias before opset 18, got 17"),
        (
            {"scale": (2, 2), "mode": "linear", "coordinates": "half_pixel_symmetric"},
            "'half_pixel_symmetric' at opset 17",
        ),
    ],
)
def test_resizing_that_has_no_form(how, says, tmp_path):
    with pytest.raises(errors.UnsupportedOpError, match=says):
        fc.onnx.save(Sequential([layers.InputLayer(IMAGE), Resized(how)]), tmp_path / "m.onnx")
