"""What the tests of layers share."""

import numpy as np

import fastconv as fc
from fastconv import Input, Model, layers
from fastconv.autograd import gradcheck, gradients
from fastconv.graph import Program, trace
from fastconv.op import Spec


def draw(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def call(layer, inputs, **kwargs):
    return layer(inputs[0] if len(inputs) == 1 else list(inputs), **kwargs)


def check_layer(layer, *inputs, tmp_path, training=False, rtol=1e-5):
    """Shapes, configuration, float64, gradients, compiled programs and files of a layer; returns its outputs."""
    y = call(layer, inputs, training=training)
    shapes = [(None, *x.shape[1:]) for x in inputs]
    inferred = layer.compute_output_shape(shapes[0] if len(inputs) == 1 else shapes)
    assert inferred == (None, *y.shape[1:])

    entry = layers.serialize(layer)
    again = layers.deserialize(entry)
    assert type(again) is type(layer) and layers.serialize(again) == entry
    wide = type(layer).from_config({**entry["config"], "dtype": "float64"})
    for other in (again, wide):
        call(other, inputs)
        other.set_weights(layer.get_weights())
    if not training:
        plain = call(layer, inputs).numpy()
        assert np.array_equal(call(again, inputs).numpy(), plain)
        exact = call(wide, [x.astype(np.float64) for x in inputs])
        assert exact.dtype == "float64"
        assert np.abs(exact.numpy() - plain).max() <= rtol * max(1.0, np.abs(plain).max())
        check_gradients(wide, inputs)
        check_saving(layer, inputs, plain, tmp_path)
    check_program(layer, inputs, training)
    return y.numpy()


def check_gradients(layer, inputs):
    """Differences with respect to the inputs and to what is trained."""
    assert gradcheck(lambda *values: call(layer, values), inputs)
    for weight in layer.trainable_weights:
        before = weight.numpy().copy()
        (got,) = gradients(weighted(call(layer, inputs)), [weight])
        direction = np.random.default_rng(1).standard_normal(weight.shape)
        ends = []
        for sign in (1, -1):
            weight.assign(before + sign * 1e-6 * direction)
            ends.append(float(weighted(call(layer, inputs)).numpy()))
        weight.assign(before)
        want = (ends[0] - ends[1]) / 2e-6
        assert abs((got.numpy() * direction).sum() - want) <= 1e-5 * max(1.0, abs(want))


def weighted(y):
    """Return one number of y in which no two elements count the same."""
    weights = np.random.default_rng(2).standard_normal(y.shape).astype(y.dtype)
    return fc.ops.sum(fc.ops.multiply(y, weights))


def check_program(layer, inputs, training):
    """Traced, outputs and gradients have the bits of eager calls."""
    states = [v for v in layer.variables if v not in layer.weights]
    before = [state.numpy().copy() for state in states]

    def fn(**tensors):
        xs = list(tensors.values())
        y = call(layer, xs, training=training)
        found = gradients(weighted(y), [*xs, *layer.trainable_weights])
        return {"y": y, **{f"d{i}": dx for i, dx in enumerate(found) if dx is not None}}

    named = {f"x{i}": x for i, x in enumerate(inputs)}
    want = {
        name: t.numpy() for name, t in fn(**{k: fc.tensor(x, requires_grad=True) for k, x in named.items()}).items()
    }
    for state, value in zip(states, before, strict=True):
        state.assign(value)

    def traced(**tensors):
        for tensor in tensors.values():
            tensor.requires_grad = True
        return fn(**tensors)

    program = Program(trace(traced, {name: Spec(x.shape) for name, x in named.items()}))
    got = program.run(**named)
    assert got.keys() == want.keys()
    for name, value in want.items():
        assert got[name].tobytes() == value.tobytes(), name


def check_saving(layer, inputs, want, tmp_path):
    xs = [Input(x.shape[1:]) for x in inputs]
    layer = type(layer).from_config(layer.get_config()) if layer._nodes else layer
    model = Model(xs[0] if len(xs) == 1 else xs, call(layer, xs))
    path = tmp_path / "layer.fastconv"
    model.save(path)
    loaded = fc.models.load_model(path)
    fed = inputs[0] if len(inputs) == 1 else list(inputs)
    assert np.array_equal(loaded.predict(fed, verbose=0), want)
