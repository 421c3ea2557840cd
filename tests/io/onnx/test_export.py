"""Models saved as ONNX compute the same in ONNX Runtime, and in our own session.

Over 500 lines: a table of layers and activations, and the tests that walk it.
"""

import numpy as np
import pytest

import fastconv as fc
from fastconv import InferenceSession, Input, Model, Sequential, activations, errors, layers, ops
from fastconv.io.onnx import exporter, load_model
from fastconv.io.onnx.check import check
from fastconv.io.onnx.operators import OPERATORS
from tests.io.onnx import small

RNG = np.random.default_rng(3)


def draw(*shape):
    return RNG.normal(size=shape).astype("float32")


def randomise(model):
    """Weights of a trained model are not zeros and ones."""
    for variable in model.weights:
        values = RNG.normal(size=variable.shape) * 0.5
        variable.assign(np.abs(values) + 0.5 if variable.name.endswith("variance") else values)


def run_onnx_runtime(data, feeds):
    onnxruntime = pytest.importorskip("onnxruntime", reason="ONNX Runtime is not installed")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    return session.run(None, feeds)


def export(model, path, **kwargs):
    fc.onnx.save(model, path, **kwargs)
    data = path.read_bytes()
    proto, _ = load_model(data)
    check(proto, OPERATORS)
    try:
        import onnx
    except ImportError:
        return proto, data
    onnx.checker.check_model(data, full_check=True)
    return proto, data


def assert_same(model, tmp_path, *inputs, **kwargs):
    """Compare at two batch sizes; returns the operators of the file."""
    proto, data = export(model, tmp_path / "model.onnx", **kwargs)
    names = [value.name for value in proto.graph.input]
    for batch in (len(inputs[0]), 1):
        batches = [x[:batch] for x in inputs]
        expected = model(batches[0] if len(batches) == 1 else batches, training=False)
        expected = [y.numpy() for y in (expected if isinstance(expected, list | tuple) else [expected])]
        feeds = dict(zip(names, batches, strict=True))
        for result in (InferenceSession(data).run(None, feeds), run_onnx_runtime(data, feeds)):
            for y, wanted in zip(result, expected, strict=True):
                assert y.shape == wanted.shape and y.dtype == wanted.dtype
                scale = max(1.0, float(np.abs(wanted).max()))
                np.testing.assert_allclose(y, wanted, atol=2e-5 * scale, rtol=2e-5)
    return [node.op_type for node in proto.graph.node]


@layers.register_serializable("test_export")
def exported_function(x, factor):
    return ops.sqrt(ops.abs(x)) * factor


SEQUENCE, IMAGE, VOLUME = (11, 6), (9, 7, 4), (6, 5, 7, 4)
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


def test_the_tutorial_networks_transpose_twice(tmp_path):
    # In, and back where the pixels are laid out as a vector.
    first = Sequential(
        [
            layers.Conv2D(32, 3, activation="relu", input_shape=(28, 28, 1)),
            layers.MaxPooling2D(),
            layers.Conv2D(64, 3, activation="relu"),
            layers.MaxPooling2D(),
            layers.Flatten(),
            layers.Dropout(0.5),
            layers.Dense(10, activation="softmax"),
        ]
    )
    second = Sequential([layers.InputLayer((32, 32, 3))])
    for filters in (32, 64):
        for _ in range(2):
            second.add(layers.Conv2D(filters, 3, padding="same", activation="relu"))
            second.add(layers.BatchNormalization())
        second.add(layers.MaxPooling2D())
        second.add(layers.Dropout(0.2))
    second.add(layers.Flatten())
    second.add(layers.Dense(128, activation="relu"))
    second.add(layers.Dense(10))
    for model in (first, second):
        operators = assert_same(model, tmp_path, draw(4, *model.input_shape[1:]))
        # One channel needs no transposition: the bytes are the same, but ONNX wants the shape.
        assert operators.count("Transpose") == 2
    proto, _ = load_model(tmp_path / "model.onnx")
    assert {"conv2d/kernel", "dense/bias", "batch_normalization_1/moving_mean"} <= {
        t.name for t in proto.graph.initializer
    }


def residual_network():
    x = Input((16, 16, 3))
    y = layers.Conv2D(8, 3, padding="same", use_bias=False)(x)
    for strides in (1, 2):
        short = layers.Conv2D(8, 1, strides)(y) if strides > 1 else y
        z = layers.ReLU()(layers.BatchNormalization()(layers.Conv2D(8, 3, strides, padding="same")(y)))
        z = layers.BatchNormalization()(layers.Conv2D(8, 3, padding="same")(z))
        y = layers.ReLU()(layers.Add()([z, short]))
    return Model(x, layers.Dense(5)(layers.GlobalAveragePooling2D()(y)))


def test_a_residual_network_transposes_once(tmp_path):
    model = residual_network()
    randomise(model)
    assert assert_same(model, tmp_path, draw(3, 16, 16, 3)).count("Transpose") == 1


def test_channels_first_transposes_never(tmp_path):
    first = {"data_format": "channels_first"}
    model = Sequential(
        [
            layers.Conv2D(4, 3, activation="relu", input_shape=(3, 8, 8), **first),
            layers.MaxPooling2D(**first),
            layers.Conv2D(4, 3, **first),
        ]
    )
    assert "Transpose" not in assert_same(model, tmp_path, draw(2, 3, 8, 8))


class Indexed(layers.Layer):
    def __init__(self, form, **kwargs):
        super().__init__(**kwargs)
        self.form = form

    def call(self, inputs):
        return inputs[self.form]


@pytest.mark.parametrize(
    "form",
    [
        (slice(None), slice(1, 6, 2)),
        (slice(None), slice(None, None, -1), Ellipsis, slice(-3, -1)),
        (Ellipsis, 2),
        (slice(None), -1),
        (slice(None), None, 0, slice(5, None, -2), None),
        (slice(None), slice(99, -99, -2)),
        (slice(None), slice(None), [0, 2, -1]),
        (slice(None), slice(None), np.array([[0, 2], [1, 1]])),
    ],
)
def test_slices(form, tmp_path):
    assert_same(Sequential([layers.InputLayer(IMAGE), Indexed(form)]), tmp_path, draw(3, *IMAGE))


def test_a_slice_of_nothing(tmp_path):
    """Before the axis lies nothing; ONNX would begin at its first element."""
    path = tmp_path / "m.onnx"
    fc.onnx.save(Sequential([layers.InputLayer(IMAGE), Indexed((slice(None), slice(-99, None, -1)))]), path)
    session = fc.InferenceSession(path)
    (y,) = session.run(None, {session.get_inputs()[0].name: draw(3, *IMAGE)})
    assert y.shape == (3, 0, *IMAGE[1:])


class Arithmetic(layers.Layer):
    """Every function of tensors, constants before and after, of fewer axes and of all."""

    def build(self, input_shape):
        self.row = self.add_weight((input_shape[-1],), "ones", name="row")
        self.block = self.add_weight((1, 1, input_shape[-1]), "ones", name="block")

    def call(self, inputs):
        x = ops.conv2d(inputs, np.full((1, 1, 4, 4), 0.3, "float32"))  # channels first, in the file
        y = ops.abs(x) + 1.0
        y = ops.log(y) * self.row - self.block + ops.sqrt(y) / (y + 2.0)
        y = ops.maximum(y, x) + ops.minimum(y, 0.5) + ops.exp(-y) + ops.square(y) + ops.power(ops.abs(y), 1.5)
        rows = ops.matmul(y, ops.transpose(y, 0, 1, 3, 2))
        other = ops.matmul(y, y, transpose_a=True)
        means = ops.mean(y, axis=(1, 2), keepdims=True)
        return [y * means, rows, other, inputs - ops.mean(y, axis=3, keepdims=True), ops.log_softmax(y), y * y[0, 0, 0]]


def test_arithmetic(tmp_path):
    model = Model(x := Input(IMAGE), Arithmetic()(x))
    model.weights[0].assign(draw(4))
    model.weights[1].assign(draw(1, 1, 4))
    assert_same(model, tmp_path, draw(2, *IMAGE))


def test_shared_layers_and_outputs_that_are_inputs(tmp_path):
    x = Input((5, 5, 4))
    layer = layers.Conv2D(4, 3, padding="same")
    y = layer(x)
    model = Model(x, [layer(y), y, layers.Activation("linear")(x), y])
    assert_same(model, tmp_path, draw(2, 5, 5, 4))
    proto, _ = load_model(tmp_path / "model.onnx")
    assert len([t for t in proto.graph.initializer if "kernel" in t.name]) == 1


class Views(layers.Layer):
    def call(self, inputs):
        y = ops.relu(inputs)
        return [y, ops.transpose(y, 0, 2, 1, 3), y, ops.transpose(inputs, 0, 3, 1, 2), ops.transpose(y, 0, 2, 1, 3)]


def test_outputs_that_are_views_of_each_other(tmp_path):
    x = Input((5, 6, 4))
    assert_same(Model(x, Views()(x)), tmp_path, draw(2, 5, 6, 4))


def test_float64(tmp_path):
    model = Sequential(
        [layers.Dense(4, activation="relu", dtype="float64", input_shape=(3,)), layers.Dense(2, dtype="float64")]
    )
    proto, data = export(model, tmp_path / "m.onnx")
    x = RNG.normal(size=(5, 3))
    result = run_onnx_runtime(data, {proto.graph.input[0].name: x})[0]
    assert result.dtype == np.float64
    np.testing.assert_allclose(result, model(x).numpy(), rtol=1e-12)


class Own(Model):
    def __init__(self):
        super().__init__()
        self.conv = layers.Conv2D(3, 3)
        self.head = layers.Dense(2)

    def call(self, inputs):
        y = self.conv(inputs)
        return self.head(ops.flatten(y))


def test_a_class_of_ones_own(tmp_path):
    model = Own()
    with pytest.raises(errors.NotBuiltError, match="give input_shape"):
        fc.onnx.save(model, tmp_path / "m.onnx")
    assert_same(model, tmp_path, draw(2, 6, 6, 1), input_shape=(None, 6, 6, 1))


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


def test_there_and_back(tmp_path):
    """A file of ours, loaded as a Model."""
    model = residual_network()
    randomise(model)
    export(model, tmp_path / "m.onnx")
    again = fc.onnx.load(tmp_path / "m.onnx")
    x = draw(3, 16, 16, 3)
    np.testing.assert_allclose(again.predict(x, verbose=0), model.predict(x, verbose=0), atol=1e-5)


def classifier_inputs(count):
    return np.random.default_rng(1).random((count, 3, 8, 8), np.float32)


@pytest.mark.parametrize("native", [False, True])
@pytest.mark.parametrize("outputs", [None, ["f", "y"]])
def test_what_was_loaded_is_saved_with_its_new_weights(outputs, native, tmp_path):
    model = fc.onnx.load(small.classifier(), outputs=outputs)
    before = model.get_weights()
    model.set_weights([w + 0.1 for w in before])
    if native:
        model.save(tmp_path / "m.fastconv")
        model = fc.models.load_model(tmp_path / "m.fastconv")
    x = classifier_inputs(3)
    expected = model.predict(x, verbose=0)
    expected = expected if isinstance(expected, list) else [expected]
    _, data = export(model, tmp_path / "m.onnx")
    for result in (InferenceSession(data).run(None, {"x": x}), run_onnx_runtime(data, {"x": x})):
        for y, wanted in zip(result, expected, strict=True):
            np.testing.assert_allclose(y, wanted, atol=1e-5, rtol=1e-5)
    for w, old in zip(fc.onnx.load(data, outputs=outputs).get_weights(), before, strict=True):
        np.testing.assert_array_equal(w, old + np.float32(0.1))


def test_weights_of_constant_nodes_and_of_other_files(tmp_path):
    onnx = pytest.importorskip("onnx", reason="the onnx package is not installed")
    weight = draw(2, 1, 3, 3)
    nodes = [
        small.node("Constant", "", "w", value=weight),
        small.node("Conv", "x w", "c"),
        small.node("Mul", "c s", "y"),
    ]
    text = small.model(
        nodes, [small.value("x", ["N", 1, 5, 6])], [small.value("y", ["N", 2, 3, 4])], {"s": draw(1, 2, 1, 1)}
    )
    onnx.save_model(
        onnx.load_model_from_string(text),
        str(tmp_path / "in.onnx"),
        save_as_external_data=True,
        location="in.data",
        size_threshold=0,
    )
    model = fc.onnx.load(tmp_path / "in.onnx")
    for variable in model.weights:
        variable.assign(variable.numpy() * 2)
    x = draw(2, 1, 5, 6)
    (tmp_path / "out").mkdir()
    _, data = export(model, tmp_path / "out" / "m.onnx")
    np.testing.assert_allclose(run_onnx_runtime(data, {"x": x})[0], model.predict(x, verbose=0), atol=1e-5)
    factor = 4 if len(model.weights) == 2 else 2
    before = run_onnx_runtime(text, {"x": x})[0]
    np.testing.assert_allclose(model.predict(x, verbose=0), before * factor, atol=1e-4)


def test_a_derived_weight_that_changed_cannot_go_back(tmp_path):
    nodes = [small.node("Transpose", "w", "wt", perm=[1, 0]), small.node("MatMul", "x wt", "y")]
    text = small.model(nodes, [small.value("x", ["N", 3])], [small.value("y", ["N", 2])], {"w": draw(2, 3)})
    model = fc.onnx.load(text)
    export(model, tmp_path / "m.onnx")
    model.weights[0].assign(model.weights[0].numpy() + 1)
    with pytest.raises(errors.UnsupportedOpError, match="'wt', which the file derives from others, has changed"):
        fc.onnx.save(model, tmp_path / "m.onnx")


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
