"""Bad input gets one clear error that names the argument and the layer, and leaves the model as it was."""

import errno
import os
import re
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from fastconv import callbacks, config, layers, losses, metrics, models, optimizers, utils
from fastconv.errors import ArgumentError, DTypeError, FastconvError, GradientError, ShapeError

RNG = np.random.default_rng(5)
X = RNG.normal(size=(20, 6, 6, 2)).astype(np.float32)
Y = np.arange(20) % 3
ONE_HOT = np.eye(3)[Y]
SPARSE = "sparse_categorical_crossentropy"


def network(loss=SPARSE, **settings):
    config.set_random_seed(0)
    model = models.Sequential([
        layers.Conv2D(3, 3, activation="relu", input_shape=(6, 6, 2), name="first"),
        layers.BatchNormalization(),
        layers.Flatten(),
        layers.Dropout(0.2),
        layers.Dense(3, activation="softmax", name="last"),
    ])  # fmt: skip
    model.compile(optimizers.Adam(0.01), loss, **settings)
    return model


def state(model):
    return [variable.numpy().tobytes() for variable in model.variables], model.optimizer.iterations


def refuses(model, error, message, call):
    """Check that `call` raises and that neither weights nor states moved; then that the model still learns."""
    before = state(model)
    with pytest.raises(error, match=message):
        call()
    assert state(model) == before
    model.compile("adam", SPARSE)
    assert np.isfinite(model.fit(X, Y, verbose=0).history["loss"][0])


# ---- fit


FITS = [
    (dict(x=X[..., 0]), ShapeError, r"x: input .* must have the shape \(None, 6, 6, 2\), got \(20, 6, 6\)"),
    (dict(x=X[..., :1]), ShapeError, r"x: .*got \(20, 6, 6, 1\)"),
    (dict(x="pictures"), DTypeError, "x must hold .* got dtype <U8"),
    (dict(x=X.astype(complex)), DTypeError, "x must hold .* complex128"),
    (dict(x=lambda: X), DTypeError, "function.*call it"),
    (dict(x=[[1, 2], [3]]), DTypeError, "x must be an array of numbers"),
    (dict(y=Y.astype(str)), DTypeError, "y must hold"),
    (dict(y=Y.astype(object)), DTypeError, "y must hold"),
    (dict(y=Y + 0.5), ArgumentError, r"y\[0\] is 0.5: class numbers must be whole"),
    (dict(y=np.where(Y == 1, np.inf, Y)), ArgumentError, r"y\[1\] is inf"),
    (dict(y=np.eye(4)[Y]), ShapeError, r"y must have the shape \(20,\)"),
    (dict(batch_size=1.5), ArgumentError, "batch_size"),
    (dict(validation_split="a"), ArgumentError, "validation_split"),
    (dict(validation_split=0.999), ArgumentError, "validation_split"),
    (dict(validation_data=(X, Y, Y, Y)), ArgumentError, "validation_data must be"),
    (dict(validation_data=(X[:3], Y)), ShapeError, "validation_data: x has 3 samples"),
    (dict(validation_data=(X[..., :1], Y)), ShapeError, "validation_data: x: input"),
    (dict(validation_data=(X[:0], Y[:0])), ArgumentError, "validation_data: x holds no samples"),
    (dict(validation_data=(X, Y), validation_freq=1.5), ArgumentError, "validation_freq"),
    (dict(validation_data=(X, Y), validation_freq="all"), ArgumentError, "validation_freq"),
    (dict(validation_data=(X, Y), validation_steps=0), ArgumentError, "validation_steps"),
    (dict(validation_data=(X, Y), validation_batch_size=0), ArgumentError, "validation_batch_size"),
    (dict(validation_split=0.2, validation_batch_size=0), ArgumentError, "validation_batch_size"),
    (dict(steps_per_epoch=0), ArgumentError, "steps_per_epoch"),
    (dict(class_weight=[1, 2, 3]), ArgumentError, "class_weight"),
    (dict(class_weight={"cat": 1.0}), ArgumentError, "class_weight.*'cat'"),
    (dict(class_weight={0: "heavy"}), ArgumentError, "class_weight.*'heavy'"),
    (dict(class_weight={0: float("nan")}), ArgumentError, "class_weight.*nan"),
    (dict(sample_weight=np.full(20, np.nan)), ArgumentError, "sample_weight must not hold NaN"),
    (dict(sample_weight=np.ones((20, 2))), ShapeError, "sample_weight has shape"),
    (dict(x=iter([(X, Y, np.full(20, np.inf))]), y=None), ArgumentError, "sample_weight"),
]


@pytest.mark.parametrize(("arguments", "error", "message"), FITS, ids=[message for *_, message in FITS])
def test_fit_refuses(arguments, error, message):
    model = network()
    refuses(model, error, message, lambda: model.fit(**{"x": X, "y": Y, "verbose": 0, **arguments}))


COMPILES = [
    (dict(metrics=["mae"]), Y, ShapeError, r"metrics: 'mae' cannot compare y of shape \(20,\)"),
    (dict(metrics=["categorical_accuracy"]), Y, ShapeError, "metrics: 'categorical_accuracy'"),
    (dict(loss="categorical_crossentropy", metrics=["sparse_categorical_accuracy"]), ONE_HOT, ShapeError, "metrics: "),
    (dict(loss=[SPARSE, SPARSE]), Y, ArgumentError, "loss has 2 entries"),
    (dict(loss={"other": SPARSE}), Y, ArgumentError, "loss: no output is named"),
    (dict(loss_weights="heavy"), Y, ArgumentError, "loss_weights"),
    (dict(loss_weights=[float("nan")]), Y, ArgumentError, "loss_weights"),
    (dict(loss="categorical_crossentropy"), np.eye(4)[Y], ShapeError, r"one-hot of shape \(20, 3\)"),
    (dict(loss="mse"), np.full((20, 3), np.inf), ArgumentError, r"y\[0, 0\] is inf"),
    (dict(loss=lambda y_true, y_pred: (y_true * y_true).mean()), ONE_HOT, GradientError, "loss does not depend"),
    (dict(loss=lambda y_true, y_pred: None), ONE_HOT, ArgumentError, "returned None"),
    (dict(optimizer=optimizers.SGD(lambda step: float("nan"))), Y, ArgumentError, "learning_rate"),
    (dict(optimizer=optimizers.SGD(lambda step: None)), Y, ArgumentError, "learning_rate"),
]


@pytest.mark.parametrize(("arguments", "y", "error", "message"), COMPILES, ids=[row[-1] for row in COMPILES])
def test_what_does_not_fit_the_labels_shows_before_the_first_step(arguments, y, error, message):
    model = network(**{"loss": SPARSE, **{k: v for k, v in arguments.items() if k != "optimizer"}})
    if "optimizer" in arguments:
        model.optimizer = arguments["optimizer"]
    refuses(model, error, message, lambda: model.fit(X, y, verbose=0))


def test_single_image_gets_a_hint():
    with pytest.raises(ShapeError, match=r"got \(6, 6, 2\): a single sample needs a batch axis, x\[None\]"):
        network().predict(X[0], verbose=0)


def test_compile_within_fit_is_refused():
    model = network()
    again = callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: model.compile("sgd", SPARSE))
    with pytest.raises(ArgumentError, match="while the model was being trained"):
        model.fit(X, Y, epochs=2, verbose=0, callbacks=again)


def test_fit_within_fit_keeps_both_histories():
    model = network()
    inner = []

    def again(epoch, logs):
        if epoch == 0:
            inner.append(model.fit(X, Y, epochs=3, verbose=0))

    history = model.fit(X, Y, epochs=2, verbose=0, callbacks=callbacks.LambdaCallback(on_epoch_end=again))
    assert history.epoch == [0, 1] and model.history is history and inner[0].epoch == [0, 1, 2]


@pytest.mark.parametrize("hook", ["on_train_begin", "on_epoch_begin", "on_train_batch_end", "on_test_begin"])
def test_a_callback_that_raises_leaves_a_usable_model(hook):
    def fail(*args):
        raise RuntimeError("mine")

    model = network()
    with pytest.raises(RuntimeError, match="mine"):
        model.fit(X, Y, validation_split=0.2, verbose=0, callbacks=callbacks.LambdaCallback(**{hook: fail}))
    assert np.isfinite(model.fit(X, Y, verbose=0).history["loss"][0])


# ---- constructors


def inputs(shape):
    return models.Sequential([layers.Input(shape)])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: inputs((4, 4, 1)).add(layers.Conv2D(2, 5, name="wide")), "layer 'wide'.*larger than its input: 4"),
        (lambda: inputs((4, 4, 1)).add(layers.DepthwiseConv2D(5, name="wide")), "layer 'wide'.*larger than its input"),
        (lambda: inputs((2, 2, 1)).add(layers.MaxPooling2D(3, name="pool")), "layer 'pool'.*larger than its input"),
        (lambda: inputs((4, 4)).add(layers.Conv2D(2, 3, name="flat")), r"layer 'flat'.*4 dimensions.*x\[..., None\]"),
        (lambda: layers.Conv2D(2, 3, activation="rellu", name="c"), "layer 'c'.*activation: .*'rellu'; known are"),
        (lambda: layers.Dense(2, kernel_initializer="he", name="d"), "layer 'd'.*kernel_initializer: .*'he'; known"),
        (lambda: layers.Dense(2, activation=3, name="d"), "layer 'd'.*activation"),
        (lambda: layers.Activation("x", name="a"), "layer 'a'.*activation"),
        (lambda: layers.BatchNormalization(momentum="fast", name="b"), "layer 'b'.*momentum.*'fast'"),
        (lambda: layers.BatchNormalization(epsilon=None, name="b"), "layer 'b'.*epsilon.*None"),
        (lambda: layers.BatchNormalization(gamma_initializer="x", name="b"), "layer 'b'.*gamma_initializer"),
        (lambda: optimizers.Adam(float("inf")), "learning_rate"),
        (lambda: losses.CategoricalCrossentropy(label_smoothing="some"), "label_smoothing"),
        (lambda: metrics.SparseTopKCategoricalAccuracy(k="all"), "k must be"),
        (lambda: metrics.BinaryAccuracy(threshold=None), "threshold"),
        (lambda: callbacks.EarlyStopping(patience="long"), "patience"),
        (lambda: callbacks.EarlyStopping(monitor=3), "monitor"),
        (lambda: callbacks.EarlyStopping(min_delta="a"), "min_delta"),
        (lambda: callbacks.ModelCheckpoint("model.keras"), "'.fastconv'"),
        (lambda: callbacks.ModelCheckpoint("{epoch:d.fastconv"), "no valid format"),
        (lambda: callbacks.ModelCheckpoint("{epoch:s}.fastconv"), "no valid format"),
        (lambda: callbacks.ModelCheckpoint(None), "filepath"),
        (lambda: utils.to_categorical([0], 0), "num_classes"),
        (lambda: utils.to_categorical([0], 1.5), "num_classes"),
    ],
)
def test_constructors_refuse(make, message):
    with pytest.raises(FastconvError, match=message):
        make()


def test_top_k_has_the_name_that_keras_gives_it():
    assert metrics.get("sparse_top_k_categorical_accuracy").name == "sparse_top_k_categorical_accuracy"


@pytest.mark.parametrize("weights", [None, 3, [[1], [[2, 3], [4]]]])
def test_set_weights_takes_arrays_or_nothing_happens(weights):
    model = network()
    refuses(model, DTypeError, "set_weights takes a list of arrays", lambda: model.set_weights(weights))


def test_set_weights_sets_all_or_none():
    model = network()
    values = [w + 1 for w in model.get_weights()]
    values[-1] = values[-1][:2]
    refuses(model, ShapeError, r"'last/bias' has shape \(3,\), got \(2,\)", lambda: model.set_weights(values))


def test_nested_lists_are_an_array():
    model = network()
    np.testing.assert_array_equal(model(X.tolist()).numpy(), model(X).numpy())
    with pytest.raises(ShapeError, match="different lengths"):
        model([[1.0, 2.0], [3.0]])


# ---- files


def test_full_disk_names_the_file_and_keeps_the_old_one(tmp_path, monkeypatch):
    path = tmp_path / "m.fastconv"
    model = network()
    model.save(path)
    before = path.read_bytes()

    def full(*args):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    checkpoint = callbacks.ModelCheckpoint(path)
    with pytest.raises(OSError, match=f"No space left on device: '{re.escape(str(path))}'"):
        model.fit(X, Y, epochs=3, verbose=0, callbacks=checkpoint)
    monkeypatch.undo()
    assert path.read_bytes() == before and os.listdir(tmp_path) == ["m.fastconv"]
    assert model.history.epoch == [0] and np.isfinite(model.predict(X, verbose=0)).all()


def test_places_that_cannot_be_written(tmp_path):
    model = network()
    (tmp_path / "folder.fastconv").mkdir()
    with pytest.raises(FileNotFoundError, match="make it first: .*none'"):
        model.save(tmp_path / "none" / "m.fastconv")
    with pytest.raises(OSError, match=r"folder\.fastconv'$"):
        model.save(tmp_path / "folder.fastconv")
    with pytest.raises(DTypeError, match="filepath"):
        model.save(None)
    with pytest.raises(DTypeError, match="filepath"):
        models.load_model(3)
    assert os.listdir(tmp_path) == ["folder.fastconv"] and os.listdir(tmp_path / "folder.fastconv") == []


def test_time_to_build_grows_with_the_number_of_layers_only():
    """A small file may name thousands of layers, in any order: it must not take hours to find out that they do not fit."""

    def seconds(n):
        stack = {
            "layers": [
                {"class_name": "InputLayer", "config": {"batch_shape": [None, 4], "name": "in"}},
                *({"class_name": "ReLU", "config": {"name": f"r{i}"}} for i in range(n)),
            ]
        }
        start = time.process_time()
        config_of_graph = models.Model(
            (stacked := models.Sequential.from_config(stack)).inputs, stacked.outputs
        ).get_config()
        config_of_graph["layers"].reverse()
        assert len(models.Model.from_config(config_of_graph).layers) == n + 1
        return time.process_time() - start

    # The least of three: other work on the machine adds to a time, never takes away.
    short, long = (min(seconds(n) for _ in range(3)) for n in (300, 2400))
    assert long < 25 * short  # 8 where it is linear, 64 where every layer looks at all others


# ---- Ctrl-C


INTERRUPTED = """
import os, signal, sys, threading, time
import numpy as np
import fastconv
from fastconv import callbacks, layers, models, utils

fastconv.set_num_threads(2)
rng = np.random.default_rng(0)
x, y = rng.normal(size=(64, 24, 24, 4)).astype("float32"), np.arange(64) % 3

def network():
    utils.set_random_seed(0)
    model = models.Sequential([
        layers.Conv2D(16, 3, activation="relu", input_shape=(24, 24, 4)), layers.BatchNormalization(),
        layers.Dropout(0.2), layers.GlobalAveragePooling2D(), layers.Dense(3, activation="softmax"),
    ])
    model.compile("adam", "sparse_categorical_crossentropy")
    return model

model, sent = network(), []
model.predict(x[:16], verbose=0)

def interrupt():
    sent.append(time.perf_counter())
    os.kill(os.getpid(), signal.SIGINT)

try:
    timer = threading.Timer(float(sys.argv[1]), interrupt)
    begun = callbacks.LambdaCallback(on_train_begin=lambda logs: timer.start())
    model.fit(x, y, batch_size=16, epochs=100000, shuffle=False, verbose=0, callbacks=begun)
except KeyboardInterrupt:
    waited = time.perf_counter() - sent[0]
steps = model.optimizer.iterations
assert len(model.history.history["loss"]) == len(model.history.epoch) in (steps // 4, (steps - 1) // 4), steps
reference = network()
for i in range(steps):
    reference.train_on_batch(x[i % 4 * 16 :][:16], y[i % 4 * 16 :][:16])
assert all(np.array_equal(a, b) for a, b in zip(model.get_weights(), reference.get_weights())), "half a step"
assert np.array_equal(model.predict(x, verbose=0), reference.predict(x, verbose=0))
model.fit(x, y, verbose=0)
print(steps, waited)
"""


def test_a_real_interrupt_ends_between_two_steps():
    """Every step is made wholly or not at all: the weights are those of that many steps, bit for bit."""
    if not hasattr(signal, "SIGINT") or os.name != "posix":
        pytest.skip("sends itself SIGINT")
    result = subprocess.run([sys.executable, "-c", INTERRUPTED, "0.3"], capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, result.stderr
    steps, waited = result.stdout.split()
    assert int(steps) > 0 and float(waited) < 5


def test_a_memoryview_is_an_array():
    model = network()
    np.testing.assert_array_equal(model.predict(memoryview(X), verbose=0), model.predict(X, verbose=0))
