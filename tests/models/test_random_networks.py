"""Networks of layers drawn at random: what is compiled, written and read again computes what the layers do one by one.

The passes that fuse, fold and store in place have tests of their own, for the patterns that somebody thought of.
"""

import numpy as np
import pytest

import fastconv
from fastconv import layers, onnx, ops
from fastconv._kernels import runtime
from fastconv.config import precision

ACTIVATIONS = (
    None,
    None,
    "relu",
    "relu6",
    "silu",
    "sigmoid",
    "tanh",
    "leaky_relu",
    "hard_sigmoid",
    "gelu",
    "elu",
    "selu",
)
LARGEST = 20_000  # elements of a value
SEEDS = range(6)
NETWORKS = 20  # for each seed


# ---- a layer more: functions (rng, x, values so far) -> y, or None where it cannot be


def activation(rng):
    return ACTIVATIONS[rng.integers(len(ACTIVATIONS))]


def one_of(rng, *choices):
    return choices[rng.integers(len(choices))]


def convolution(rng, x, values):
    channels, size = x.shape[-1], one_of(rng, 1, 1, 3, 3, 5)
    groups = channels if rng.random() < 0.2 else 1
    filters = groups * one_of(rng, 1, 2) if groups > 1 else one_of(rng, 1, 3, 4, 8, 12, 16, 33, 64, channels)
    padding = one_of(rng, "same", "same", "valid")
    if padding == "valid" and min(x.shape[1:3]) < size:
        return None
    strides, use_bias = one_of(rng, 1, 1, 1, 2), bool(rng.integers(2))
    options = {"padding": padding, "groups": groups, "activation": activation(rng), "use_bias": use_bias}
    return layers.Conv2D(filters, size, strides, **options)(x)


def depthwise(rng, x, values):
    strides, multiplier = one_of(rng, 1, 2), one_of(rng, 1, 1, 2)
    return layers.DepthwiseConv2D(one_of(rng, 3, 5), strides, "same", multiplier, activation=activation(rng))(x)


def transposed(rng, x, values):
    return layers.Conv2DTranspose(one_of(rng, 4, 8), one_of(rng, 2, 3), one_of(rng, 1, 2), "same")(x)


def normalized(rng, x, values):
    return layers.BatchNormalization()(x)


def activated(rng, x, values):
    return layers.Activation(one_of(rng, *ACTIVATIONS[2:]))(x)


def merged(rng, x, values):
    alike = [value for value in values if value.shape == x.shape]
    pair = [x, one_of(rng, *alike)]
    return one_of(rng, layers.Add, layers.Add, layers.Multiply)()(pair if rng.random() < 0.5 else pair[::-1])


def concatenated(rng, x, values):
    other = one_of(rng, *(value for value in values if value.shape[1:3] == x.shape[1:3]))
    return layers.Concatenate()([x, other])


def pooled(rng, x, values):
    size, padding = one_of(rng, 2, 3), one_of(rng, "same", "valid")
    if min(x.shape[1:3]) < size:
        return None
    return one_of(rng, layers.MaxPooling2D, layers.AveragePooling2D)(size, one_of(rng, 1, 2), padding)(x)


def excited(rng, x, values):
    channels = x.shape[-1]
    scale = layers.GlobalAveragePooling2D(keepdims=True)(x)
    scale = layers.Conv2D(max(1, channels // 4), 1, activation=one_of(rng, "relu", "silu"))(scale)
    scale = layers.Conv2D(channels, 1, activation=one_of(rng, "sigmoid", "hard_sigmoid"))(scale)
    return layers.Multiply()([x, scale])


def enlarged(rng, x, values):
    return layers.UpSampling2D(2, interpolation=one_of(rng, "nearest", "bilinear"))(x)


def framed(rng, x, values):
    return layers.ZeroPadding2D(one_of(rng, 1, ((0, 1), (2, 0))))(x)


def rescaled(rng, x, values):
    return layers.Rescaling(0.5, 0.1)(x)


def computed(rng, x, values):
    alike = one_of(rng, *(value for value in values if value.shape == x.shape))
    ways = (
        lambda: 1.0 - x,
        lambda: 2.0 * x + alike,
        lambda: x - alike / 2.0,
        lambda: x * ops.relu6(x + 3.0) / 6.0,
        lambda: x * np.arange(x.shape[-1], dtype="float32") / x.shape[-1],
        lambda: x[:, ::2, :, : x.shape[-1] // 2 + 1],
        lambda: ops.tanh(x) ** 2,
    )
    return one_of(rng, *ways)()


WAYS = (
    convolution, convolution, convolution, depthwise, transposed, normalized, activated, merged, merged, concatenated, pooled,
    excited, enlarged, framed, rescaled, computed, computed,
)  # fmt: skip


def draw_network(rng):
    """Return a model of up to a dozen layers, with one output or two, its weights drawn too."""
    side = one_of(rng, 1, 5, 7, 8, 14, 16, 17)
    inputs = fastconv.Input((side, one_of(rng, side, side, 6), one_of(rng, 1, 3, 8, 16)))
    values = [inputs]
    for _ in range(rng.integers(2, 13)):
        x = values[-1] if rng.random() < 0.7 else one_of(rng, *values)
        y = one_of(rng, *WAYS)(rng, x, values)
        if y is not None and np.prod(y.shape[1:]) <= LARGEST:
            values.append(y)
    outputs = [values[-1]]
    if rng.random() < 0.5:
        features = one_of(rng, layers.Flatten, layers.GlobalAveragePooling2D, layers.GlobalMaxPooling2D)()(values[-1])
        outputs = [layers.Dense(5, activation=one_of(rng, None, "softmax", "relu"))(features)]
    if len(values) > 2 and rng.random() < 0.25:
        outputs.append(one_of(rng, *values[1:]))
    model = fastconv.Model(inputs, outputs)
    for variable in model.weights:
        drawn = rng.standard_normal(variable.shape)
        if "variance" in variable.name:
            drawn = np.abs(drawn) + 0.5
        variable.assign(drawn * (0.5 / np.sqrt(max(1, np.prod(variable.shape[:-1]))) if variable.ndim > 1 else 0.3))
    return model


def described(model):
    return "; ".join(f"{layer.name} {layer.output.shape[1:]}" for layer in model.operations)


def as_list(results):
    return [np.asarray(result) for result in (results if isinstance(results, (list, tuple)) else [results])]


def one_by_one(model, x):
    results = model(x)
    return [result.numpy() for result in (results if isinstance(results, (list, tuple)) else [results])]


def check(got, wanted, bound, what, model):
    for a, b in zip(got, wanted, strict=True):
        worst = np.abs(a - b).max() / (np.abs(b).max() + 1e-3)
        assert a.shape == b.shape and worst < bound, f"{what}: off by {worst:.3g} of the largest: {described(model)}"


# ---- what has to be the same


@pytest.fixture(autouse=True)
def new_memory_holds_nan():
    """What nobody writes shall show."""
    runtime.fill_new_blocks(0xFF)
    yield
    runtime.fill_new_blocks(None)


@pytest.mark.parametrize("seed", SEEDS)
def test_predictions_and_files(seed, tmp_path):
    rng = np.random.default_rng([1, seed])
    for _ in range(NETWORKS):
        model = draw_network(rng)
        x = rng.standard_normal((one_of(rng, 1, 2, 3), *model.inputs[0].shape[1:])).astype("float32")
        wanted = one_by_one(model, x)
        check(as_list(model.predict(x, verbose=0)), wanted, 1e-4, "predict", model)
        onnx.save(model, tmp_path / "model.onnx")
        session = fastconv.InferenceSession(tmp_path / "model.onnx")
        check(session.run(None, {session.get_inputs()[0].name: x}), wanted, 1e-4, "InferenceSession", model)
        loaded = onnx.load(tmp_path / "model.onnx")
        check(as_list(loaded.predict(x, verbose=0)), wanted, 1e-4, "onnx.load", model)


@pytest.mark.parametrize("mode", ["high", "medium"])
@pytest.mark.parametrize("seed", SEEDS)
def test_precision(seed, mode):
    rng = np.random.default_rng([2, seed])
    for _ in range(NETWORKS if mode == "high" else 3 * NETWORKS):
        model = draw_network(rng)
        x = rng.standard_normal((one_of(rng, 1, 2, 3), *model.inputs[0].shape[1:])).astype("float32")
        wanted = one_by_one(model, x)
        with precision(mode):
            check(as_list(model.predict(x, verbose=0)), wanted, 0.15 if mode == "medium" else 1e-4, mode, model)


@pytest.mark.parametrize("seed", SEEDS)
def test_training_step(seed):
    rng, trained = np.random.default_rng([3, seed]), 0
    for _ in range(NETWORKS // 2):
        model = draw_network(rng)
        x = rng.standard_normal((3, *model.inputs[0].shape[1:])).astype("float32")
        labels = [rng.standard_normal((3, *output.shape[1:])).astype("float32") for output in model.outputs]
        before, after = model.get_weights(), []
        for eagerly in (True, False):
            model.set_weights(before)
            model.compile(fastconv.optimizers.SGD(0.01), "mse", run_eagerly=eagerly)
            model.train_on_batch(x, labels if len(labels) > 1 else labels[0])
            after.append(model.get_weights())
        for one, other, start in zip(*after, before, strict=True):
            moved = np.abs(one - start).max() + 1e-5 * (1 + np.abs(start).max())
            assert np.abs(one - other).max() / moved < 0.01, described(model)
        trained += any((one != start).any() for one, start in zip(after[0], before, strict=True))
    assert trained > NETWORKS // 4, "hardly any network has learnt anything"
