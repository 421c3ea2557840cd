"""compile and fit: what they refuse, what steers them, steps of one's own."""

import signal

import numpy as np
import pytest

from fastconv import config, layers, losses, models, ops, optimizers
from fastconv.autograd import gradients
from fastconv.errors import ArgumentError, DTypeError, ShapeError
from fastconv.models.callbacks import Callback, EarlyStopping, LambdaCallback

from .small import RNG, X, Y, assert_same_weights, compiled, dense

# ---- refusals leave the model as it was


BAD_FITS = [
    (dict(x=X, y=Y[:40]), ShapeError, "x has 48 samples but y has 40"),
    (dict(x=X[:, :5], y=Y), ShapeError, r"x: .*\(None, 6\), got \(32, 5\)"),
    (dict(x=X[:, :, None, None], y=Y), ShapeError, r"x: .*\(None, 6\), got \(32, 6, 1, 1\)"),
    (dict(x=X, y=np.where(Y == 2, np.nan, Y)), ArgumentError, r"y\[2\] is nan"),
    (dict(x=X, y=Y + 1), ArgumentError, r"y\[2\] is 3.*from 0 to 2"),
    (dict(x=X, y=Y - 1), ArgumentError, r"y\[0\] is -1"),
    (dict(x=X, y=np.eye(3)[Y]), ShapeError, "categorical_crossentropy"),
    (dict(x=X, y=None), ArgumentError, "y must be given"),
    (dict(x=X[:0], y=Y[:0]), ArgumentError, "no samples"),
    (dict(x=X, y=Y, batch_size=-4), ArgumentError, "batch_size"),
    (dict(x=X, y=Y, batch_size=0), ArgumentError, "batch_size"),
    (dict(x=X, y=Y, epochs=-1), ArgumentError, "epochs"),
    (dict(x=X, y=Y, epochs=1.5), ArgumentError, "epochs"),
    (dict(x=X, y=Y, verbose=7), ArgumentError, "verbose"),
    (dict(x=X, y=Y, validation_split=1.0), ArgumentError, "validation_split"),
    (dict(x=X, y=Y, validation_data=(X[:4], Y[:3])), ShapeError, "4 samples but y has 3"),
    (dict(x=X, y=Y, validation_data=(X, Y + 1)), ArgumentError, r"validation_data: y\[2\] is 3"),
    (dict(x=X, y=Y, callbacks=["stop"]), ArgumentError, "callbacks"),
    (dict(x=X, y=Y, class_weight={0: 1.0}, sample_weight=np.ones(3)), ShapeError, "sample_weight has 3"),
    (dict(x=X.astype(object), y=Y), DTypeError, "object"),
    (dict(x=iter([]), y=None), ArgumentError, "yields no batches"),
    (dict(x=iter([(X, Y + 1)]), y=None), ArgumentError, "is 3"),
    (dict(x=iter([X]), y=None), ArgumentError, "y must be given"),
    (dict(x=iter([(X, Y)]), y=None, validation_split=0.5), ArgumentError, "validation_data"),
]


@pytest.mark.parametrize(
    ("arguments", "error", "message"), BAD_FITS, ids=lambda value: value if isinstance(value, str) else ""
)
@pytest.mark.parametrize("eager", [False, True])
def test_a_fit_that_fails_leaves_the_model_as_it_was(arguments, error, message, eager):
    model = compiled(eager=eager)
    if hasattr(arguments["x"], "__next__"):
        arguments = {
            **arguments,
            "x": iter({"yields no batches": [], "is 3": [(X, Y + 1)], "y must be given": [X]}.get(message, [(X, Y)])),
        }
    weights = model.get_weights()
    with pytest.raises(error, match=message):
        model.fit(**{"verbose": 0, **arguments})
    assert_same_weights(weights, model.get_weights())
    assert model.history is None and model.optimizer.iterations == 0
    assert model.fit(X, Y, verbose=0).epoch == [0]


@pytest.mark.parametrize("eager", [False, True])
def test_labels_of_a_later_batch_are_checked_before_its_step(eager):
    model, reference = compiled(eager=eager), compiled(eager=eager)
    with pytest.raises(ArgumentError, match=r"y\[1\] is 5"):
        model.fit(iter([(X[:8], Y[:8]), (X[:2], np.array([0, 5]))]), verbose=0)
    reference.fit(X[:8], Y[:8], shuffle=False, verbose=0)
    assert_same_weights(model.get_weights(), reference.get_weights())


def test_a_fit_that_fails_does_not_build():
    config.set_random_seed(0)
    model = models.Sequential([layers.Dense(4), layers.Dense(3, activation="softmax")])
    model.compile("adam", "sparse_categorical_crossentropy")
    with pytest.raises(ArgumentError, match="is 3"):
        model.fit(X, Y + 1, verbose=0)
    assert not model.built
    model.fit(X, Y, verbose=0)
    assert model.built and model.predict(X, verbose=0).shape == (48, 3)


def test_bad_compile():
    model = dense()
    with pytest.raises(ArgumentError, match="compile"):
        model.fit(X, Y)
    for arguments, message in (
        (dict(optimizer="adamm", loss="mse"), "adamm"),
        (dict(loss="crossentropy"), "crossentropy"),
        (dict(loss="mse", metrics=["acuracy"]), "acuracy"),
        (dict(loss=losses.MeanSquaredError(reduction=None)), "reduction=None"),
    ):
        with pytest.raises(ArgumentError, match=message):
            model.compile(**arguments)
    model.compile()
    assert isinstance(model.optimizer, optimizers.RMSprop)
    with pytest.raises(ArgumentError, match="needs a loss"):
        model.fit(X, Y)


def test_non_finite_images_are_let_through():
    x = X.copy()
    x[0, 0], x[1, 1] = np.nan, np.inf
    model = compiled()
    assert np.isnan(model.predict(x, verbose=0)[0]).all() and np.isfinite(model.predict(x, verbose=0)[2:]).all()
    assert np.isnan(model.fit(x, Y, verbose=0).history["loss"][0])


# ---- control


def test_stop_training_between_batches():
    model = compiled()

    class Stop(Callback):
        def on_train_batch_end(self, batch, logs=None):
            if batch == 1:
                self.model.stop_training = True

    history = model.fit(X, Y, batch_size=8, epochs=5, verbose=0, callbacks=[Stop()])
    assert history.epoch == [0] and model.optimizer.iterations == 2
    assert model.fit(X, Y, epochs=2, verbose=0).epoch == [0, 1]


def test_initial_epoch():
    assert compiled().fit(X, Y, initial_epoch=3, epochs=5, verbose=0).epoch == [3, 4]


@pytest.mark.parametrize("eager", [False, True])
def test_interrupt_keeps_the_history(eager):
    model = compiled(eager=eager)
    ended = []

    def interrupt(batch, logs):
        if model.optimizer.iterations == 8:
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        model.fit(
            X, Y, batch_size=8, epochs=5, verbose=0,
            callbacks=[LambdaCallback(on_train_batch_end=interrupt, on_train_end=ended.append)],
        )  # fmt: skip
    assert model.history.epoch == [0] and len(model.history.history["loss"]) == 1 and len(ended) == 1
    reference = compiled(eager=eager)
    reference.fit(X, Y, batch_size=8, steps_per_epoch=8 - 6, epochs=4, verbose=0)
    assert model.optimizer.iterations == 8 == reference.optimizer.iterations
    assert all(np.isfinite(w).all() for w in model.get_weights())
    model.fit(X, Y, verbose=0)


def test_early_stopping_in_fit():
    model = compiled(optimizers.SGD(0.0))
    history = model.fit(X, Y, epochs=50, verbose=0, callbacks=EarlyStopping("loss", patience=2, min_delta=1e-3))
    assert len(history.epoch) == 3


def test_learning_rate_takes_effect_at_the_next_step_without_a_new_program():
    model = compiled(optimizers.SGD(0.1))
    model.train_on_batch(X, Y)
    programs, weights = len(model._programs), model.get_weights()
    model.optimizer.learning_rate = 0.0
    model.train_on_batch(X, Y)
    assert_same_weights(weights, model.get_weights())
    model.optimizer.learning_rate = 1e-4
    model.train_on_batch(X, Y)
    assert any((a != b).any() for a, b in zip(weights, model.get_weights(), strict=True))
    assert len(model._programs) == programs


def test_schedule_is_called_with_the_step():
    seen = []
    model = compiled(optimizers.SGD(lambda step: seen.append(step) or 0.1))
    model.fit(X, Y, batch_size=8, verbose=0)
    assert set(seen) == set(range(6))


def test_trainable_takes_effect_at_the_next_fit():
    model = compiled()
    model.fit(X, Y, verbose=0)
    frozen = model.layers[0].get_weights()
    model.layers[0].trainable = False
    model.fit(X, Y, epochs=2, verbose=0)
    assert_same_weights(frozen, model.layers[0].get_weights())
    model.layers[0].trainable = True
    model.fit(X, Y, verbose=0)
    assert any((a != b).any() for a, b in zip(frozen, model.layers[0].get_weights(), strict=True))


def test_freezing_within_a_fit_spoils_no_program():
    """The program of the smaller last batch is traced after the callback froze a layer."""
    model, reference = compiled(), compiled()

    def freeze(batch, logs):
        model.layers[0].trainable = batch > 1

    x, y = X[:40], Y[:40]
    model.fit(x, y, batch_size=16, verbose=0, callbacks=[LambdaCallback(on_train_batch_end=freeze)])
    model.layers[0].trainable = True
    model.set_weights(reference.get_weights())
    model.optimizer = optimizers.Adam()
    for each in (model, reference):
        each.fit(x, y, batch_size=16, epochs=2, shuffle=False, verbose=0)
    assert_same_weights(model.get_weights(), reference.get_weights())


def test_a_steady_training_step_takes_no_new_memory():
    resource = pytest.importorskip("resource")
    model = models.Sequential([
        layers.Conv2D(16, 3, activation="relu", padding="same", input_shape=(32, 32, 3)),
        layers.BatchNormalization(),
        layers.MaxPooling2D(),
        layers.Dropout(0.25),
        layers.Flatten(),
        layers.Dense(10, activation="softmax"),
    ])  # fmt: skip
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    x, y = RNG.integers(0, 256, (160, 32, 32, 3), np.uint8), RNG.integers(0, 10, (160, 1))
    counts = np.zeros(60, np.int64)
    usage = iter(range(60))

    def count(batch, logs):
        counts[next(usage)] = resource.getrusage(resource.RUSAGE_SELF).ru_minflt

    model.fit(x, y, batch_size=16, epochs=6, verbose=0, callbacks=[LambdaCallback(on_train_batch_end=count)])
    steps = np.diff(counts)[20:]
    # One batch of activations alone would be 300 pages. Single pages are Python's own, now and then.
    assert np.median(steps) == 0 and steps.max() <= 2 and steps.sum() <= 8


def test_a_new_optimizer_without_compile_is_used():
    model = compiled(optimizers.SGD(0.1))
    model.train_on_batch(X, Y)
    model.optimizer = optimizers.SGD(0.0)
    weights = model.get_weights()
    model.train_on_batch(X, Y)
    assert_same_weights(weights, model.get_weights())


def test_precision_gives_programs_of_their_own():
    model = compiled()
    model.predict(X, verbose=0)
    programs = len(model._programs)
    with config.precision("medium"):
        model.predict(X, verbose=0)
    assert len(model._programs) > programs


def test_programs_are_used_again():
    model = compiled()
    model.fit(X, Y, batch_size=20, epochs=2, validation_data=(X, Y), verbose=0)
    programs = len(model._programs)
    model.fit(X, Y, batch_size=20, epochs=2, validation_data=(X, Y), verbose=0)
    assert len(model._programs) == programs
    model.compile("sgd", "sparse_categorical_crossentropy")
    assert len(model._programs) == 0


# ---- steps of one's own


class Own(models.Model):
    def __init__(self):
        super().__init__()
        self.hidden = layers.Dense(8, activation="relu")
        self.out = layers.Dense(3, activation="softmax")
        self.steps = 0

    def call(self, inputs):
        return self.out(self.hidden(inputs))


class OwnStep(Own):
    def train_step(self, data):
        self.steps += 1
        x, y = data
        y_pred = self(x, training=True)
        loss = self.compute_loss(x, y, y_pred)
        variables = self.trainable_variables
        self.optimizer.apply_gradients(zip(gradients(loss, variables), variables, strict=True))
        for metric in self.metrics:
            if metric.name == "loss":
                metric.update_state(loss)
            else:
                metric.update_state(y, y_pred)
        return {metric.name: metric.result() for metric in self.metrics}


class CallsSuper(Own):
    def train_step(self, data):
        self.steps += 1
        return super().train_step(data)


@pytest.mark.parametrize("cls", [OwnStep, CallsSuper])
def test_train_step_of_ones_own(cls):
    runs = []
    for kind in (cls, Own):
        config.set_random_seed(4)
        model = kind()
        model.compile(optimizers.Adam(0.01), "sparse_categorical_crossentropy", metrics=["accuracy"])
        history = model.fit(X, Y, batch_size=16, epochs=3, verbose=0, validation_data=(X, Y)).history
        runs.append((history, model.get_weights()))
        assert model.steps == (9 if kind is cls else 0)
    assert list(runs[0][0]) == list(runs[1][0])
    for name in runs[0][0]:
        np.testing.assert_allclose(runs[0][0][name], runs[1][0][name], rtol=1e-5)
    for a, b in zip(runs[0][1], runs[1][1], strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)


def test_test_step_and_predict_step_of_ones_own():
    class Mine(Own):
        def test_step(self, data):
            return {"loss": 1.5, "size": ops.sum(data[0] * 0.0 + 2.0) / 12.0}

        def predict_step(self, data):
            return {"double": self(data[0]) * 2.0}

    model = Mine()
    model.compile("sgd", "sparse_categorical_crossentropy")
    model.fit(X, Y, verbose=0)
    assert model.evaluate(X, Y, batch_size=48, verbose=0) == [1.5, 48.0]
    np.testing.assert_allclose(model.predict(X, verbose=0)["double"].sum(1), 2.0, rtol=1e-5)


def test_subclassed_model_is_built_by_fit():
    model = Own()
    model.compile("adam", losses.SparseCategoricalCrossentropy(), metrics=["accuracy"])
    model.fit(X, Y, verbose=0)
    assert model.built and len(model.weights) == 4


# ---- output


def test_prints(capsys):
    model = compiled()
    model.fit(X, Y, epochs=2, validation_data=(X, Y))
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    assert lines[1].startswith("Epoch 2/2 - 2/2 - 0s - ")
    assert [part.split(":")[0] for part in lines[1].split(" - ")[4:]] == [
        "accuracy",
        "loss",
        "val_accuracy",
        "val_loss",
    ]
    model.fit(X, Y, verbose=2)
    model.evaluate(X, Y)
    assert len(capsys.readouterr().out.splitlines()) == 2
    model.fit(X, Y, verbose=0)
    model.evaluate(X, Y, verbose=0)
    model.predict(X)
    assert capsys.readouterr().out == ""


def test_predict_of_several_batches_is_one_array():
    model = compiled()
    whole = model.predict(X, batch_size=48, verbose=0)
    np.testing.assert_array_equal(model.predict(X, batch_size=7, verbose=0), whole)
    assert whole.flags.writeable and whole.dtype == np.float32
    seen = []
    model.predict(
        X,
        batch_size=20,
        verbose=0,
        callbacks=[LambdaCallback(on_predict_batch_end=lambda b, logs: seen.append(logs["outputs"]))],
    )
    np.testing.assert_array_equal(np.concatenate(seen), whole)
