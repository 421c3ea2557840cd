"""Layer: building, weights, names, configuration, errors."""

import copy
import pickle
import threading

import numpy as np
import pytest

import fastconv as fc
from fastconv import layers
from fastconv.errors import ArgumentError, DTypeError, NotBuiltError, ShapeError, UnsupportedOpError
from fastconv.named import snake_case


class Scale(layers.Layer):
    def __init__(self, factor, **kwargs):
        super().__init__(**kwargs)
        self.factor = factor

    def build(self, input_shape):
        self.scale = self.add_weight((input_shape[-1],), "ones", name="scale")
        self.count = self.add_weight((), "zeros", trainable=False, name="count")

    def call(self, inputs):
        return inputs * self.scale * self.factor


class Block(layers.Layer):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.first = Scale(2.0)
        self.rest = [Scale(3.0), {"last": Scale(0.5)}]

    def call(self, inputs, training=False):
        x = self.rest[0](self.first(inputs))
        self.seen = training
        return self.rest[1]["last"](x)


@pytest.mark.parametrize("cls", [layers.Conv2D, layers.Conv3DTranspose, layers.DepthwiseConv1D, layers.Dense])
def test_missing_arguments_name_the_class(cls):
    with pytest.raises(TypeError, match=rf"^{cls.__name__}\.__init__\(\) missing"):
        cls()


X = np.arange(6, dtype="float32").reshape(2, 3)


def test_builds_once_at_the_first_call():
    layer = Scale(2.0)
    assert not layer.built and layer.weights == []
    with pytest.raises(NotBuiltError, match="not built"):
        layer.count_params()
    assert np.array_equal(layer(X).numpy(), 2 * X)
    first = layer.scale
    layer(X)
    assert layer.built and layer.scale is first
    assert layer.count_params() == 4
    assert layer.input_shape == (None, 3) and layer.output_shape == (None, 3)


def test_weights_by_kind():
    layer = Scale(2.0, name="s")
    layer.build((None, 3))
    assert [w.name for w in layer.weights] == ["s/scale", "s/count"]
    assert [w.name for w in layer.trainable_weights] == ["s/scale"]
    assert [w.name for w in layer.non_trainable_weights] == ["s/count"]
    assert layer.scale.requires_grad and not layer.count.requires_grad
    layer.trainable = False
    assert layer.trainable_weights == [] and len(layer.non_trainable_weights) == 2
    assert not layer.scale.requires_grad
    layer.trainable = True
    assert layer.scale.requires_grad


def test_layers_in_attributes_are_found():
    block = Block()
    block(X)
    assert list(block.variable_paths()) == [
        *("first/scale", "first/count", "rest/0/scale", "rest/0/count", "rest/1/last/scale", "rest/1/last/count")
    ]
    assert len(block.trainable_weights) == 3
    block.trainable = False
    assert not block.first.trainable and block.trainable_weights == []


def test_set_weights_is_all_or_nothing():
    layer = Scale(2.0)
    layer(X)
    before = layer.get_weights()
    for wrong in (
        [np.zeros(3)],
        [np.zeros(3), np.zeros(1)],
        [np.full(3, 5.0), "x"],
        [np.zeros(3), np.array(1 + 1j)],
    ):
        with pytest.raises((ShapeError, DTypeError)):
            layer.set_weights(wrong)
        assert all(np.array_equal(a, b) for a, b in zip(before, layer.get_weights(), strict=True))
    layer.set_weights([np.array([1, 2, 3]), 7])
    assert np.array_equal(layer(X).numpy(), X * [2, 4, 6])
    layer.get_weights()[0][...] = 0  # a copy
    assert layer.scale.numpy()[0] == 1


def test_a_failed_build_leaves_nothing():
    class Half(layers.Layer):
        def build(self, input_shape):
            self.a = self.add_weight((2,), name="a")
            self.b = self.add_weight((input_shape[0],), name="b")

        def call(self, inputs):
            return inputs

    layer = Half()
    with pytest.raises(ShapeError, match="half"):
        layer.build((None, 3))
    assert not layer.built and layer.weights == []


def test_automatic_names():
    class MyLayer2D(Scale):
        pass

    first, second = MyLayer2D(1.0), MyLayer2D(1.0)
    assert first.name.startswith("my_layer2d")
    assert first.name != second.name
    assert snake_case("GlobalAveragePooling2D") == "global_average_pooling2d"
    assert snake_case("ReLU") == "re_lu"
    assert snake_case("DepthwiseConv2D") == "depthwise_conv2d"
    assert Scale(1.0, name="mine").name == "mine"
    for wrong in ("", "a/b", 3):
        with pytest.raises(ArgumentError, match="name"):
            Scale(1.0, name=wrong)


def test_training_reaches_inner_layers():
    class Outer(layers.Layer):
        def __init__(self):
            super().__init__()
            self.block = Block()

        def call(self, inputs):
            return self.block(inputs)

    outer = Outer()
    outer(X, training=True)
    assert outer.block.seen is True
    outer(X)
    assert outer.block.seen is False


def test_inputs_of_every_kind():
    layer = Scale(1.0)
    strided = np.arange(12, dtype="int64").reshape(2, 6)[:, ::2]
    frozen = X.copy()
    frozen.flags.writeable = False
    for x in (X, X.astype("float64"), X.astype("uint8"), X > 2, strided, frozen, [[1.0, 2.0, 3.0]], fc.tensor(X)):
        y = layer(x)
        assert y.dtype == "float32"
        expected = x.numpy() if isinstance(x, fc.Tensor) else np.asarray(x)
        assert np.array_equal(y.numpy(), expected.astype("float32"))
    with pytest.raises(DTypeError, match="scale.*complex"):
        layer(X.astype(complex))
    with pytest.raises(DTypeError, match="scale"):
        layer(np.array([["a", "b", "c"]]))


def test_float64():
    layer = Scale(1.0, dtype="float64")
    y = layer(X.astype("float32"))
    assert y.dtype == "float64" and layer.scale.dtype == "float64"
    with pytest.raises(DTypeError, match="scale.*int8"):
        Scale(1.0, dtype="int8")


def test_errors_carry_the_name_once_and_keep_their_class():
    class Fails(layers.Layer):
        def call(self, inputs):
            raise KeyError("gone")

    class Around(layers.Layer):
        def __init__(self):
            super().__init__(name="around")
            self.inner = Fails(name="inner")

        def call(self, inputs):
            return self.inner(inputs)

    with pytest.raises(KeyError) as caught:
        Around()(X)
    assert str(caught.value).count("layer ") == 1 and "'inner'" in str(caught.value)
    with pytest.raises(UnsupportedOpError, match="no call"):
        layers.Layer(name="empty")(X)


def test_forgotten_super_init():
    class Forgot(layers.Layer):
        def __init__(self):
            pass

    with pytest.raises(ArgumentError, match="super"):
        Forgot()(X)


def test_unknown_and_unsupported_arguments():
    with pytest.raises(ArgumentError, match="unknown arguments colour"):
        Scale(1.0, colour="red")
    with pytest.raises(UnsupportedOpError, match="activity_regularizer"):
        Scale(1.0, activity_regularizer="l2")
    with pytest.raises(UnsupportedOpError, match="constraint"):
        Scale(1.0).add_weight((2,), constraint="non_neg")


def test_compute_output_shape_changes_nothing():
    layer = layers.Conv2D(4, 3)
    fc.utils.set_random_seed(1)
    before = fc.config.next_seed()
    fc.utils.set_random_seed(1)
    assert layer.compute_output_shape((None, 8, 8, 2)) == (None, 6, 6, 4)
    assert fc.config.next_seed() == before
    assert not layer.built and layer.weights == []


def test_copies_and_pickles():
    block = Block()
    y = block(X).numpy()
    for other in (copy.deepcopy(block), pickle.loads(pickle.dumps(block))):
        assert np.array_equal(other(X).numpy(), y)
        other.first.scale.assign(np.zeros(3))
        assert np.array_equal(block(X).numpy(), y)
        assert other.name == block.name and other.first.scale.requires_grad


def test_two_threads_build_once():
    layer = Scale(1.0)
    gate = threading.Barrier(4)

    def work():
        gate.wait()
        layer(X)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(layer.weights) == 2


def test_configuration_is_the_constructor():
    layer = Scale(2.5, name="s", trainable=False)
    assert layer.get_config() == {"name": "s", "trainable": False, "dtype": "float32", "factor": 2.5}
    again = Scale.from_config(layer.get_config())
    assert (again.name, again.factor, again.trainable) == ("s", 2.5, False)

    class Hides(layers.Layer):
        def __init__(self, secret):
            super().__init__()

    with pytest.raises(UnsupportedOpError, match="self.secret"):
        Hides(1).get_config()


def test_constructors_that_take_no_common_arguments():
    class Plain(layers.Layer):
        def __init__(self, units):
            super().__init__()
            self.units = units

    layer = Plain(3)
    again = Plain.from_config(layer.get_config())
    assert again.name == layer.name and again.units == 3
