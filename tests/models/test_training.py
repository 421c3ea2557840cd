"""compile, fit, evaluate, predict and the one-batch forms: what they learn from and what they return."""

import numpy as np
import pytest

from fastconv import config, layers, metrics, models, optimizers
from fastconv.errors import ArgumentError
from fastconv.graph import Program

from .small import RNG, X, Y, assert_same_weights, compiled, dense

# ---- learning


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw", "rmsprop"])
def test_learns(optimizer):
    model = compiled(optimizer)
    model.optimizer.learning_rate = 0.02
    history = model.fit(X, Y, batch_size=8, epochs=15, verbose=0)
    assert history is model.history and history.epoch == list(range(15))
    assert list(history.history) == ["accuracy", "loss"]
    assert history.history["loss"][-1] < 0.5 * history.history["loss"][0]
    assert history.history["accuracy"][-1] > 0.95
    assert history.params == {"epochs": 15, "steps": 6, "verbose": 0}
    loss, accuracy = model.evaluate(X, Y, verbose=0)
    assert accuracy > 0.95 and (model.predict(X, verbose=0).argmax(1) == Y).mean() == accuracy
    np.testing.assert_allclose(loss, -np.log(model.predict(X, verbose=0)[range(48), Y]).mean(), rtol=1e-5)


@pytest.mark.parametrize("labels", [Y, Y[:, None], Y.astype(np.uint8), Y.astype(np.float64)[:, None], Y.tolist()])
def test_forms_of_labels_are_the_same(labels):
    model, reference = compiled(), compiled()
    model.fit(X, labels, epochs=2, shuffle=False, verbose=0)
    reference.fit(X, np.eye(3)[Y].argmax(1), epochs=2, shuffle=False, verbose=0)
    assert_same_weights(model.get_weights(), reference.get_weights())


def test_one_hot_labels_train_like_class_numbers():
    model, reference = compiled(loss="categorical_crossentropy"), compiled()
    history = model.fit(X, np.eye(3)[Y], epochs=2, shuffle=False, verbose=0).history
    expected = reference.fit(X, Y, epochs=2, shuffle=False, verbose=0).history
    np.testing.assert_allclose(history["loss"], expected["loss"], rtol=1e-5)
    assert history["accuracy"] == expected["accuracy"]


@pytest.mark.parametrize("shape", [(48,), (48, 1)])
def test_binary(shape):
    y = (Y > 0).astype(int).reshape(shape)
    model = compiled(loss="binary_crossentropy", classes=1, activation="sigmoid", optimizer=optimizers.Adam(0.05))
    history = model.fit(X, y, epochs=20, verbose=0).history
    assert history["loss"][-1] < 0.3 and history["accuracy"][-1] > 0.9


def test_regression_with_named_metrics():
    y = X @ np.arange(6.0)
    model = dense(classes=1, activation=None)
    model.compile(optimizers.Adam(0.03), "mse", metrics=["mae", metrics.MeanSquaredError(name="again")])
    history = model.fit(X, y, epochs=5, verbose=0).history
    assert list(history) == ["again", "loss", "mae"] and history["loss"][-1] < history["loss"][0]
    np.testing.assert_allclose(history["again"], history["loss"], rtol=1e-5)
    assert model.metrics_names == ["loss", "mae", "again"]


@pytest.mark.parametrize(
    "x",
    [X, X.astype(np.float32), X.astype(np.float16), np.asfortranarray(X), np.repeat(X, 2, 0)[::2], X.tolist()],
    ids=["float64", "float32", "float16", "fortran", "strided", "list"],
)
def test_any_kind_of_array(x):
    if isinstance(x, np.ndarray):
        x.flags.writeable = False
    model, reference = compiled(), compiled()
    config.set_random_seed(1)
    model.fit(x, Y, epochs=2, batch_size=10, verbose=0)
    config.set_random_seed(1)
    reference.fit(np.array(x, np.float32), Y, epochs=2, batch_size=10, verbose=0)
    assert_same_weights(model.get_weights(), reference.get_weights())
    np.testing.assert_array_equal(model.predict(x, verbose=0), reference.predict(np.array(x, np.float32), verbose=0))


def test_images_of_bytes_and_memory_maps(tmp_path):
    np.save(tmp_path / "x.npy", RNG.integers(0, 256, (20, 6), np.uint8))
    x = np.load(tmp_path / "x.npy", mmap_mode="r")
    model, reference = compiled(), compiled()
    config.set_random_seed(1)
    model.fit(x, Y[:20], epochs=2, verbose=0)
    config.set_random_seed(1)
    reference.fit(np.array(x, np.float32), Y[:20], epochs=2, verbose=0)
    assert_same_weights(model.get_weights(), reference.get_weights())


def test_programs_and_tape_agree():
    """The traced step and the eager one are the same function."""
    runs = []
    for eager in (False, True):
        config.set_random_seed(3)
        model = models.Sequential([
            layers.Conv2D(4, 3, activation="relu", padding="same", input_shape=(6, 6, 2)),
            layers.BatchNormalization(),
            layers.MaxPooling2D(),
            layers.Dropout(0.3),
            layers.Flatten(),
            layers.Dense(3, activation="softmax"),
        ])  # fmt: skip
        model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"], run_eagerly=eager)
        x = np.random.default_rng(0).normal(size=(20, 6, 6, 2))
        history = model.fit(x, Y[:20], batch_size=8, epochs=3, verbose=0, validation_data=(x, Y[:20])).history
        runs.append((history, model.get_weights(), model.predict(x, verbose=0)))
        assert any(isinstance(entry, Program) for entry in model._programs._entries.values()) != eager
    assert runs[0][0] == runs[1][0]
    assert_same_weights(runs[0][1], runs[1][1])
    np.testing.assert_array_equal(runs[0][2], runs[1][2])


def test_float64_model_stays_float64():
    model = compiled(dtype="float64")
    reference = compiled()
    for a, b in zip(model.weights, reference.get_weights(), strict=True):
        a.assign(b)
    losses64 = [model.train_on_batch(X, Y)[0] for _ in range(5)]
    losses32 = [reference.train_on_batch(X, Y)[0] for _ in range(5)]
    np.testing.assert_allclose(losses32, losses64, rtol=1e-4)
    assert model.predict(X, verbose=0).dtype == np.float64 and model.get_weights()[0].dtype == np.float64
    assert losses64 != losses32


def test_a_run_repeats_bit_for_bit():
    runs = [compiled(seed=9).fit(X, Y, epochs=3, batch_size=7, verbose=0).history for _ in range(2)]
    assert runs[0] == runs[1]
    assert compiled(seed=10).fit(X, Y, epochs=3, batch_size=7, verbose=0).history != runs[0]


# ---- what is reported


def test_running_loss_is_weighted_by_batch_size():
    model = compiled(optimizers.SGD(0.0))
    history = model.fit(X, Y, batch_size=20, shuffle=False, verbose=0).history
    expected = model.evaluate(X, Y, batch_size=48, verbose=0)
    np.testing.assert_allclose([history["loss"][0], history["accuracy"][0]], expected, rtol=1e-6)
    np.testing.assert_allclose(model.evaluate(X, Y, batch_size=7, verbose=0), expected, rtol=1e-6)


def test_forms_of_results():
    model = compiled(metrics=None)
    assert isinstance(model.evaluate(X, Y, verbose=0), float)
    assert isinstance(model.train_on_batch(X, Y), float)
    assert list(model.fit(X, Y, verbose=0).history) == ["loss"]
    model.compile(
        "sgd", "sparse_categorical_crossentropy", metrics=["acc", metrics.SparseTopKCategoricalAccuracy(2, name="top2")]
    )
    results = model.evaluate(X, Y, verbose=0)
    named = model.evaluate(X, Y, verbose=0, return_dict=True)
    assert results == [named["loss"], named["acc"], named["top2"]] and named["top2"] >= named["acc"]
    assert model.test_on_batch(X, Y) == pytest.approx(results)
    assert model.test_on_batch(X, Y, return_dict=True) == pytest.approx(named)
    assert model.predict_on_batch(X[:5]).shape == (5, 3)


def test_train_on_batch_reports_that_batch_and_trains():
    model = compiled(optimizers.SGD(0.1))
    before = model.evaluate(X, Y, verbose=0)
    first, second = model.train_on_batch(X, Y), model.train_on_batch(X, Y)
    assert first == pytest.approx(before, rel=1e-5) and second[0] < first[0]
    assert model.optimizer.iterations == 2


def test_sample_and_class_weights():
    weights = np.linspace(0.0, 2.0, 48)
    model = compiled()
    rows = -np.log(model.predict(X, verbose=0)[range(48), Y])
    assert model.evaluate(X, Y, sample_weight=weights, verbose=0)[0] == pytest.approx((rows * weights).mean(), rel=1e-5)
    by_class = np.array([1.0, 5.0, 0.0])
    loss = model.train_on_batch(X, Y, sample_weight=weights, class_weight={1: 5.0, 2: 0.0})[0]
    assert loss == pytest.approx((rows * weights * by_class[Y]).mean(), rel=1e-5)


def test_weight_zero_is_as_if_the_sample_were_not_there():
    model, reference = compiled(optimizers.SGD(0.1)), compiled(optimizers.SGD(0.05))
    weights = (np.arange(48) < 24).astype(float)
    model.fit(X, Y, batch_size=48, sample_weight=weights, verbose=0)
    reference.fit(X[:24], Y[:24], batch_size=24, verbose=0)
    for a, b in zip(model.get_weights(), reference.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


def test_metrics_and_weighted_metrics():
    model = dense()
    model.compile(
        "sgd",
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
        weighted_metrics=[metrics.SparseCategoricalAccuracy(name="w")],
    )
    right = model.predict(X, verbose=0).argmax(1) == Y
    result = model.evaluate(X, Y, sample_weight=right.astype(float), verbose=0, return_dict=True)
    assert result["w"] == 1.0 and result["accuracy"] == pytest.approx(right.mean())


def test_functions_as_loss_and_metric():
    model = dense(classes=1, activation=None)

    def distance(y_true, y_pred):
        return abs(y_true - y_pred)

    model.compile(optimizers.Adam(0.02), distance, metrics=[lambda y_true, y_pred: np.zeros(len(y_true)) + 7, "mae"])
    history = model.fit(X, Y, epochs=4, verbose=0).history
    assert history["<lambda>"] == [7.0] * 4 and history["loss"][-1] < history["loss"][0]
    np.testing.assert_allclose(history["mae"], history["loss"], rtol=1e-5)


# ---- validation


def test_validation_split_takes_the_last_part_before_shuffling():
    seen = []

    class Spy(metrics.Metric):
        def update_state(self, y_true, y_pred, sample_weight=None):
            seen.append(np.array(y_true))

        def result(self):
            return 1.0

        def reset_state(self):
            seen.append(None)

    y = np.arange(48) * 1.0
    model = dense(classes=1, activation=None)
    model.compile("sgd", "mse", metrics=[Spy()])
    model.fit(X, y, batch_size=48, validation_split=0.25, verbose=0)
    trained, validated = (part for part in seen if part is not None)
    assert sorted(trained) == list(range(36)) and trained.tolist() != list(range(36))
    assert validated.tolist() == list(range(36, 48))


@pytest.mark.parametrize("freq", [2, [2, 4]])
def test_validation_data_and_frequency(freq):
    model = compiled()
    history = model.fit(X, Y, epochs=5, validation_data=(X[:9], Y[:9]), validation_freq=freq, verbose=0).history
    assert list(history) == ["accuracy", "loss", "val_accuracy", "val_loss"]
    assert len(history["loss"]) == 5 and len(history["val_loss"]) == 2


def test_validation_equals_evaluate():
    model = compiled()
    history = model.fit(
        X, Y, validation_data=(X[:9], Y[:9], np.arange(9.0)), validation_batch_size=4, verbose=0
    ).history
    expected = model.evaluate(X[:9], Y[:9], sample_weight=np.arange(9.0), batch_size=4, verbose=0)
    assert [history["val_loss"][0], history["val_accuracy"][0]] == pytest.approx(expected, rel=1e-6)


# ---- streams


def test_generators_and_data_sets():
    def generate():
        for start in range(0, 48, 8):
            yield X[start : start + 8], Y[start : start + 8]

    model, reference = compiled(), compiled()
    model.fit(generate(), verbose=0)
    reference.fit(X, Y, batch_size=8, shuffle=False, verbose=0)
    assert_same_weights(model.get_weights(), reference.get_weights())

    class DataSet:
        __iter__ = staticmethod(generate)

    model.fit(DataSet(), epochs=2, validation_data=DataSet(), verbose=0)
    reference.fit(X, Y, batch_size=8, shuffle=False, epochs=2, verbose=0)
    assert_same_weights(model.get_weights(), reference.get_weights())
    assert model.evaluate(DataSet(), verbose=0) == reference.evaluate(X, Y, batch_size=8, verbose=0)
    np.testing.assert_array_equal(model.predict(DataSet(), verbose=0), reference.predict(X, batch_size=8, verbose=0))


def test_generator_that_is_used_up_ends_training():
    model = compiled()
    with pytest.warns(UserWarning, match="used up"):
        assert model.fit(iter([(X, Y)]), epochs=3, verbose=0).epoch == [0]


def test_steps():
    model = compiled()
    history = model.fit(X, Y, batch_size=8, steps_per_epoch=2, epochs=3, verbose=0)
    assert history.params["steps"] == 2 and model.optimizer.iterations == 6
    assert model.predict(X, batch_size=8, steps=2, verbose=0).shape == (16, 3)
    np.testing.assert_allclose(
        model.evaluate(X, Y, batch_size=8, steps=2, verbose=0), model.evaluate(X[:16], Y[:16], verbose=0), rtol=1e-5
    )


# ---- several inputs and outputs


def two_by_two(loss_weights=None, loss=("sparse_categorical_crossentropy", "mse"), metrics=None):
    config.set_random_seed(1)
    a, b = layers.Input((6,), name="a"), layers.Input((2,), name="b")
    joined = layers.Concatenate()([layers.Dense(5, activation="relu")(a), b])
    model = models.Model(
        [a, b], [layers.Dense(3, activation="softmax", name="kind")(joined), layers.Dense(1, name="size")(joined)]
    )
    model.compile("sgd", list(loss), loss_weights=loss_weights, metrics=metrics)
    return model


def test_two_inputs_two_outputs():
    x, y = [X, X[:, :2]], [Y, X[:, 3]]
    model = two_by_two([2.0, 0.5], metrics=["accuracy", ["mae"]])
    named = model.evaluate(x, y, verbose=0, return_dict=True)
    assert sorted(named) == ["kind_accuracy", "kind_loss", "loss", "size_loss", "size_mae"]
    assert named["loss"] == pytest.approx(2 * named["kind_loss"] + 0.5 * named["size_loss"], rel=1e-5)
    order = ["loss", "kind_loss", "size_loss", "kind_accuracy", "size_mae"]
    assert model.evaluate(x, y, verbose=0) == [named[name] for name in order]
    kind, size = model.predict(x, verbose=0)
    assert named["size_loss"] == pytest.approx(((size[:, 0] - X[:, 3]) ** 2).mean(), rel=1e-5)
    assert named["kind_loss"] == pytest.approx(-np.log(kind[range(48), Y]).mean(), rel=1e-5)
    history = model.fit(x, y, epochs=3, batch_size=10, verbose=0).history
    assert history["loss"][-1] < history["loss"][0]


def test_inputs_and_outputs_by_name():
    by_list, by_name = (
        two_by_two(),
        two_by_two(loss={"size": "mse", "kind": "sparse_categorical_crossentropy"}.values()),
    )
    by_name.compile("sgd", {"size": "mse", "kind": "sparse_categorical_crossentropy"}, loss_weights={"size": 1.0})
    by_list.fit([X, X[:, :2]], [Y, X[:, 3]], epochs=2, shuffle=False, verbose=0)
    by_name.fit({"b": X[:, :2], "a": X}, {"size": X[:, 3], "kind": Y}, epochs=2, shuffle=False, verbose=0)
    assert_same_weights(by_list.get_weights(), by_name.get_weights())


def test_loss_for_one_output_only():
    model = two_by_two()
    model.compile("sgd", {"kind": "sparse_categorical_crossentropy"})
    before = model.get_layer("size").get_weights()
    model.fit([X, X[:, :2]], [Y, X[:, 3]], verbose=0)
    assert_same_weights(before, model.get_layer("size").get_weights())


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        ([X], [Y, X[:, 3]], "list of 2 arrays"),
        ([X, X[:, :2]], Y, "list of 2 arrays"),
        ({"a": X}, [Y, X[:, 3]], "keys"),
        ([X, X[:, :2]], [Y, X[:40, 3]], "48 samples but y"),
        ([X, X[:, :2]], [Y + 1, X[:, 3]], r"y\[0\]\[2\] is 3"),
    ],
)
def test_several_that_do_not_fit(x, y, message):
    with pytest.raises(ArgumentError, match=message):
        two_by_two().fit(x, y, verbose=0)
