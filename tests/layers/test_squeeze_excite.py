"""Squeeze-excite blocks as users of Keras write them: they train, and inference takes them as it takes an ONNX file's."""

import numpy as np
import pytest

import fastconv as fc
from fastconv import Input, Model, layers
from fastconv.graph import Program, trace
from fastconv.op import Spec

from .conftest import draw

SHAPE = (12, 12, 24)


def efficientnet_gate(x, filters):
    """Dense layers' work by 1x1 convolutions, of a mean that is reshaped to an image."""
    s = layers.GlobalAveragePooling2D()(x)
    s = layers.Reshape((1, 1, filters))(s)
    s = layers.Conv2D(8, 1, padding="same", activation="silu")(s)
    s = layers.Conv2D(filters, 1, padding="same", activation="sigmoid")(s)
    return layers.multiply([x, s])


def mobilenet_gate(x, filters):
    """Of a mean that keeps its axes, with a bounded line for the sigmoid."""
    s = layers.GlobalAveragePooling2D(keepdims=True)(x)
    s = layers.ReLU()(layers.Conv2D(8, 1)(s))
    s = layers.Activation("hard_sigmoid")(layers.Conv2D(filters, 1)(s))
    return layers.Multiply()([x, s])


def dense_gate(x, filters):
    """Dense layers on images of one pixel; the scale comes first."""
    s = layers.GlobalAveragePooling2D(keepdims=True)(x)
    s = layers.Dense(filters, activation="sigmoid")(layers.Dense(8, activation="relu")(s))
    return layers.Multiply()([s, x])


def flat_gate(x, filters):
    """Dense layers on vectors, which `Multiply` makes images of one pixel."""
    s = layers.Dense(8, activation="relu")(layers.GlobalAveragePooling2D()(x))
    return layers.Multiply()([x, layers.Dense(filters, activation="sigmoid")(s)])


def network(gate, activation):
    """An inverted residual with such a gate."""
    x = Input(SHAPE)
    y = layers.Conv2D(48, 1, padding="same", use_bias=False)(x)
    y = layers.Activation(activation)(layers.BatchNormalization()(y))
    y = layers.DepthwiseConv2D(3, padding="same", use_bias=False)(y)
    y = layers.Activation(activation)(layers.BatchNormalization()(y))
    y = gate(y, 48)
    y = layers.BatchNormalization()(layers.Conv2D(24, 1, padding="same", use_bias=False)(y))
    y = layers.GlobalAveragePooling2D()(layers.Add()([x, y]))
    return Model(x, layers.Dense(3, activation="softmax")(y))


@pytest.mark.parametrize("activation", ["silu", "hard_swish", "relu"])
@pytest.mark.parametrize("gate", [efficientnet_gate, mobilenet_gate, dense_gate, flat_gate])
def test_steps_and_values(gate, activation):
    model = network(gate, activation)
    for i, weight in enumerate(model.weights):
        values = draw(*weight.shape, seed=i) * 0.4
        weight.assign(np.abs(values) + 0.5 if weight.name.endswith("variance") else values)
    images = draw(3, *SHAPE)
    with fc.no_grad():
        want = model(images, training=False).numpy()
        program = Program(trace(lambda x: {"y": model(x, training=False)}, {"x": Spec(images.shape)}))
    steps = [node.op.name for node in program.graph.nodes]
    assert steps.count("conv2d_squeeze") == steps.count("conv2d_excite") == 1
    assert "multiply" not in steps and "depthwise_conv2d" not in steps
    assert steps.count("global_avg_pool2d") == 1  # the one before the classes
    np.testing.assert_allclose(program.run(x=images)["y"], want, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(model.predict(images, verbose=0), want, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("gate", [efficientnet_gate, mobilenet_gate, flat_gate])
def test_training(gate):
    fc.utils.set_random_seed(0)
    model = network(gate, "hard_silu")
    images, labels = draw(48, *SHAPE), np.arange(48) % 3
    for label in range(3):
        images[labels == label, :, :, label] += 1
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    history = model.fit(images, labels, batch_size=16, epochs=30, verbose=0).history
    assert history["loss"][-1] < 0.2 * history["loss"][0] and history["accuracy"][-1] > 0.95
