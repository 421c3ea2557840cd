"""Callbacks, on models that only pretend to be trained and on real ones."""

import numpy as np
import pytest

from fastconv import layers, models
from fastconv.errors import ArgumentError
from fastconv.models.callbacks import Callback, CallbackList, EarlyStopping, History, LambdaCallback, ModelCheckpoint
from fastconv.models.callbacks.callback import HOOKS


class FakeModel:
    """Its weight is the number of the epoch."""

    def __init__(self):
        self.stop_training, self.epoch, self.saved = False, None, []

    def get_weights(self):
        return [np.array(self.epoch)]

    def set_weights(self, weights):
        self.epoch = int(weights[0])

    def save(self, path):
        self.saved.append(path)

    def save_weights(self, path):
        self.saved.append("weights of " + path)


def play(callback, values, name="val_loss"):
    """Play epochs whose logs hold `values`; return (model, epochs that were run)."""
    model = FakeModel()
    callback.set_model(model)
    callback.on_train_begin({})
    for epoch, value in enumerate(values):
        model.epoch = epoch
        callback.on_epoch_begin(epoch, {})
        callback.on_epoch_end(epoch, {name: value})
        if model.stop_training:
            break
    callback.on_train_end({})
    return model, epoch + 1


def test_history():
    history = History()
    history.on_train_begin()
    history.on_epoch_end(3, {"loss": 2.0})
    history.on_epoch_end(4, {"loss": 1.0, "val_loss": 3.0})
    assert history.epoch == [3, 4] and history.history == {"loss": [2.0, 1.0], "val_loss": [3.0]}


@pytest.mark.parametrize(
    ("arguments", "values", "epochs"),
    [
        (dict(patience=0), [3, 2, 2, 1], 3),
        (dict(patience=2), [3, 2, 2.5, 2.5, 1], 4),
        (dict(patience=2), [3, 2, 2.5, 1, 1.5, 1.5, 0], 6),
        (dict(patience=1, min_delta=0.5), [3, 2.8, 2.0, 1.9, 0], 2),
        (dict(patience=1, start_from_epoch=3), [1, 2, 3, 4, 3, 2, 1], 7),
        (dict(patience=2, baseline=1.0), [3, 2, 1.5, 1.2], 4),
        (dict(patience=3, baseline=1.0), [3, 2, 0.5, 0.6, 0.7, 0.8], 6),
        (dict(patience=1), [3, float("nan"), 1], 2),
        (dict(patience=1), [3, 2, 1, 0], 4),
    ],
)
def test_early_stopping(arguments, values, epochs):
    assert play(EarlyStopping(**arguments), values)[1] == epochs


def test_early_stopping_upwards():
    for monitor in ("val_accuracy", "val_sparse_categorical_accuracy", "acc"):
        assert play(EarlyStopping(monitor), [0.1, 0.2, 0.3, 0.2, 0.9], monitor)[1] == 4
    assert play(EarlyStopping("score", mode="max"), [1, 2, 1], "score")[1] == 3
    assert play(EarlyStopping("score"), [1, 2], "score")[1] == 2


@pytest.mark.parametrize(
    ("values", "best"), [([3, 1, 2, 2], 1), ([3, 2, 1], 2), ([1, 2, 3], 0), ([float("nan")] * 3, 0)]
)
def test_early_stopping_restores_the_best_weights(values, best):
    callback = EarlyStopping(patience=2, restore_best_weights=True)
    model, _ = play(callback, values)
    assert model.epoch == best == callback.best_epoch
    model, epochs = play(EarlyStopping(patience=2), values)
    assert model.epoch == epochs - 1


def test_early_stopping_starts_anew_in_a_second_run(capsys):
    callback = EarlyStopping(patience=1, verbose=1)
    play(callback, [1, 2])
    assert "Epoch 2: early stopping" in capsys.readouterr().out
    assert play(callback, [9, 8, 7])[1] == 3


def test_monitor_that_is_not_there():
    with pytest.warns(UserWarning, match="'val_loss', which is not available; there is: loss"):
        assert play(EarlyStopping(), [1, 2, 3], "loss")[1] == 3
    with pytest.raises(ArgumentError, match="mode"):
        EarlyStopping(mode="least")


def test_checkpoint_names(tmp_path):
    path = tmp_path / "new" / "{epoch:02d}-{val_loss:.2f}.fastconv"
    model, _ = play(ModelCheckpoint(path), [0.5, 0.25])
    assert model.saved == [str(tmp_path / "new" / name) for name in ("01-0.50.fastconv", "02-0.25.fastconv")]
    assert (tmp_path / "new").is_dir()
    with pytest.raises(ArgumentError, match="'accuracy'.*val_loss"):
        play(ModelCheckpoint("{accuracy}.fastconv"), [1.0])


def test_checkpoint_of_the_best(tmp_path, capsys):
    name = str(tmp_path / "{epoch}.fastconv")
    assert len(play(ModelCheckpoint(name, save_best_only=True, verbose=1), [3, 4, 2, 2, float("nan")])[0].saved) == 2
    printed = capsys.readouterr().out
    assert "val_loss improved from 3.00000 to 2.00000" in printed and "did not improve from 3.00000" in printed
    model, _ = play(
        ModelCheckpoint(name, "val_accuracy", save_best_only=True, save_weights_only=True), [1, 2, 0], "val_accuracy"
    )
    assert model.saved == ["weights of " + name.format(epoch=epoch) for epoch in (1, 2)]
    assert play(ModelCheckpoint(name, save_best_only=True, initial_value_threshold=1.0), [3, 2])[0].saved == []


def test_checkpoint_after_batches(tmp_path):
    callback = ModelCheckpoint(tmp_path / "{epoch}-{batch}.fastconv", save_freq=3)
    model = FakeModel()
    callback.set_model(model)
    for epoch in range(2):
        callback.on_epoch_begin(epoch)
        for batch in range(4):
            callback.on_train_batch_end(batch, {"loss": 1.0})
        callback.on_epoch_end(epoch, {"loss": 1.0})
    assert [path.split("/")[-1] for path in model.saved] == ["1-3.fastconv", "2-2.fastconv"]
    with pytest.raises(ArgumentError, match="save_freq"):
        ModelCheckpoint("x", save_freq="batch")


def test_lambda_callback():
    seen = []
    callback = LambdaCallback(on_epoch_end=lambda epoch, logs: seen.append((epoch, logs)), on_test_begin=seen.append)
    callback.on_epoch_end(2, {"loss": 1.0})
    callback.on_test_begin({})
    callback.on_train_begin({})
    assert seen == [(2, {"loss": 1.0}), {}]
    with pytest.raises(ArgumentError, match="on_epoch_finish"):
        LambdaCallback(on_epoch_finish=print)


def test_list_hands_every_hook_on_in_order():
    seen = []

    class Recorder(Callback):
        def __init__(self, tag):
            super().__init__()
            self.tag = tag

        def __getattribute__(self, name):
            if name in HOOKS:
                return lambda *args: seen.append((object.__getattribute__(self, "tag"), name, args))
            return object.__getattribute__(self, name)

    everyone = CallbackList([Recorder("a"), Recorder("b")])
    for hook in HOOKS:
        counted = "epoch" in hook or "batch" in hook
        getattr(everyone, hook)(*([7] if counted else []))
        args = (7, {}) if counted else ({},)
        assert seen[-2:] == [("a", hook, args), ("b", hook, args)]
    with pytest.raises(ArgumentError, match="the class History"):
        CallbackList([History])


class Order(Callback):
    """Writes down the order of calls."""

    def __init__(self):
        super().__init__()
        self.calls = []


for _hook in HOOKS:
    if not _hook.startswith("on_batch"):
        setattr(Order, _hook, lambda self, *args, _hook=_hook: self.calls.append(_hook[3:]))


def test_order_of_hooks():
    model = models.Sequential([layers.Dense(1, input_shape=(2,))])
    model.compile("sgd", "mse")
    order, x = Order(), np.ones((4, 2))
    model.fit(x, x[:, :1], batch_size=2, epochs=1, validation_data=(x, x[:, :1]), verbose=0, callbacks=order)
    test = ["test_begin", "test_batch_begin", "test_batch_end", "test_end"]
    assert order.calls == [
        "train_begin",
        "epoch_begin",
        *["train_batch_begin", "train_batch_end"] * 2,
        "test_begin",
        *["test_batch_begin", "test_batch_end"] * 2,
        "test_end",
        "epoch_end",
        "train_end",
    ]
    assert order.model is model and order.params == {"epochs": 1, "steps": 2, "verbose": 0}
    order.calls.clear()
    model.evaluate(x, x[:, :1], verbose=0, callbacks=[order])
    assert order.calls == test
    order.calls.clear()
    model.predict(x, verbose=0, callbacks=[order])
    assert order.calls == ["predict_begin", "predict_batch_begin", "predict_batch_end", "predict_end"]


def test_checkpoint_and_early_stopping_of_a_real_model(tmp_path):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(32, 3))
    y = x @ np.array([[1.0], [2.0], [-1.0]])
    model = models.Sequential([layers.Dense(1, input_shape=(3,))])
    model.compile("sgd", "mse")
    kernels = []

    def wreck(epoch, logs):
        kernels.append(model.get_weights()[0])
        if epoch == 2:
            model.optimizer.learning_rate = 100.0

    best = tmp_path / "best.fastconv"
    history = model.fit(
        x, y, epochs=20, verbose=0, validation_data=(x, y),
        callbacks=[
            LambdaCallback(on_epoch_end=wreck),
            ModelCheckpoint(best, save_best_only=True),
            EarlyStopping(patience=2, restore_best_weights=True),
        ],
    )  # fmt: skip
    assert history.epoch == [0, 1, 2, 3, 4]
    np.testing.assert_array_equal(model.get_weights()[0], kernels[2])
    np.testing.assert_array_equal(models.load_model(best).get_weights()[0], kernels[2])
