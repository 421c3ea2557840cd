"""`.fastconv` files: the same bits come back, and nothing else does."""

import os
import pickle
import subprocess
import sys

import numpy as np
import pytest

import fastconv as fc
from fastconv import layers, models, optimizers, storage
from fastconv.errors import ArgumentError, FastconvError, ModelFormatError, NotBuiltError, UnsupportedOpError

RNG = np.random.default_rng(0)
X = RNG.normal(size=(8, 8, 8, 1)).astype("float32")
Y = RNG.integers(0, 3, 8)


def small():
    model = models.Sequential(
        [
            layers.Conv2D(4, 3, activation="relu", input_shape=(8, 8, 1), name="conv"),
            layers.BatchNormalization(name="norm"),
            layers.Dropout(0.3, name="drop"),
            layers.Flatten(name="flat"),
            layers.Dense(3, activation="softmax", name="out"),
        ],
        name="small",
    )
    model.compile(optimizers.Adam(0.01), "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def same_bits(a, b):
    paths, others = a.variable_paths(), b.variable_paths()
    assert list(paths) == list(others)
    return all(paths[key].numpy().tobytes() == others[key].numpy().tobytes() for key in paths)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.fastconv"


def test_the_same_bits(path):
    model = small()
    model.fit(X, Y, epochs=2, verbose=0)
    model.save(path)
    again = models.load_model(path)
    assert same_bits(model, again)
    assert np.array_equal(model.predict(X, verbose=0), again.predict(X, verbose=0))
    assert again.get_config() == model.get_config() and again.name == "small"
    assert again.evaluate(X, Y, verbose=0) == model.evaluate(X, Y, verbose=0)
    assert again.optimizer.learning_rate == 0.01 and again.optimizer.iterations == 0
    assert again.weights[0].requires_grad and not models.load_model(path, compile=False).compiled


def test_another_process_predicts_the_same(path):
    model = small()
    model.save(path)
    np.save(path.with_suffix(".npy"), X)
    path.with_suffix(".pickle").write_bytes(pickle.dumps(model))
    code = f"""
import pickle, numpy as np
from fastconv import models
x = np.load({str(path.with_suffix(".npy"))!r})
for model in models.load_model({str(path)!r}), pickle.load(open({str(path.with_suffix(".pickle"))!r}, "rb")):
    print(model.predict(x, verbose=0).tobytes().hex())
"""
    for first in ("", "import fastconv.layers"):
        out = subprocess.run([sys.executable, "-c", first + code], capture_output=True, text=True, check=True).stdout
        assert out.split() == [model.predict(X, verbose=0).tobytes().hex()] * 2


def test_training_goes_on_as_if_it_had_not_stopped(path):
    model = small()
    model.fit(X, Y, epochs=2, verbose=0, shuffle=False)
    model.save(path, include_optimizer=True)
    again = models.load_model(path)
    assert again.optimizer.iterations == model.optimizer.iterations == 2
    for each in (model, again):
        each.fit(X, Y, epochs=3, verbose=0, shuffle=False)
    assert same_bits(model, again)


def test_functional_nested_and_custom(path):
    class Twice(layers.Layer):
        def call(self, inputs):
            return inputs * 2.0

    x = layers.Input((8, 8, 1))
    model = models.Model(x, Twice(name="twice")(small()(x)))
    model.save(path)
    again = models.load_model(path, custom_objects={"Twice": Twice})
    assert same_bits(model, again) and np.array_equal(model(X).numpy(), again(X).numpy())
    with pytest.raises(ModelFormatError, match="not known: Twice"):
        models.load_model(path)


class Own(models.Model):
    def __init__(self, units):
        super().__init__()
        self.units = units
        self.blocks = [layers.Dense(units), layers.Dense(2)]

    def call(self, inputs):
        return self.blocks[1](self.blocks[0](inputs))


def test_subclass(path):
    model = Own(4)
    rows = X.reshape(8, 64)
    y = model(rows).numpy()
    model.save(path)
    again = models.load_model(path, custom_objects={"Own": Own})
    assert again.units == 4 and np.array_equal(again(rows).numpy(), y)


def test_unbuilt(path):
    models.Sequential([layers.Dense(3)]).save(path)
    assert models.load_model(path)(np.ones((1, 2))).shape == (1, 3)


def test_custom_losses_and_functions(path):
    def closeness(y_true, y_pred):
        return (y_true - y_pred) * (y_true - y_pred)

    model = models.Sequential([layers.Dense(1, input_shape=(4,))])
    model.compile("sgd", closeness)
    model.save(path)
    with pytest.raises(ModelFormatError, match="closeness"):
        models.load_model(path)
    assert models.load_model(path, {"closeness": closeness}).loss is closeness
    assert not models.load_model(path, compile=False).compiled


def test_weights_alone(path):
    model, other = small(), small()
    model.save_weights(path)
    other.load_weights(path)
    assert same_bits(model, other)
    with pytest.raises(ModelFormatError, match="load_weights"):
        models.load_model(path)
    model.save(path)
    third = small()
    third.load_weights(path)
    assert same_bits(model, third)


def test_weights_that_do_not_fit_change_nothing(path):
    model = small()
    model.save_weights(path)
    other = models.Sequential([layers.Conv2D(4, 3, input_shape=(8, 8, 1), name="conv"), layers.Dense(2, name="out")])
    before = other.get_weights()
    with pytest.raises(ModelFormatError, match="model/batch_normalization/gamma.*model/dense/kernel"):
        other.load_weights(path)
    assert all(np.array_equal(a, b) for a, b in zip(before, other.get_weights(), strict=True))
    with pytest.raises(NotBuiltError):
        models.Sequential([layers.Dense(2)]).load_weights(path)


def test_paths(path, tmp_path):
    model = small()
    for wrong in ("model.keras", "model.h5", "model"):
        for use in (model.save, model.save_weights, model.load_weights, models.load_model):
            with pytest.raises(ArgumentError, match=r"\.fastconv"):
                use(tmp_path / wrong)
    model.save(path)
    with pytest.raises(FileExistsError):
        model.save(path, overwrite=False)
    with pytest.raises(FileNotFoundError):
        models.load_model(tmp_path / "none.fastconv")


def test_what_cannot_be_saved_leaves_the_old_file(path):
    class Hides(layers.Layer):
        def __init__(self, secret):
            super().__init__()

        def call(self, inputs):
            return inputs

    model = small()
    model.save(path)
    before = path.read_bytes()
    with pytest.raises(UnsupportedOpError, match="secret"):
        models.Sequential([Hides(3)]).save(path)
    assert path.read_bytes() == before and os.listdir(path.parent) == [path.name]


# ---- files that are not what they seem


def rewrite(path, change):
    """Save a small model, let `change` alter its arrays and metadata, and save that with a good checksum."""
    model = small()
    model.optimizer.build(model.trainable_weights)
    model.save(path, include_optimizer=True)
    arrays, metadata = storage.load(path)
    change(arrays, metadata)
    storage.save(path, arrays, metadata)


def _layer(metadata, name):
    return next(entry for entry in metadata["model"]["config"]["layers"] if entry["config"]["name"] == name)


CHANGES = {
    "a missing tensor": (lambda a, m: a.pop("model/conv2d/kernel"), "lacks model/conv2d/kernel"),
    "an extra tensor": (lambda a, m: a.update({"model/x": np.zeros(3)}), "has model/x"),
    "a wrong shape": (lambda a, m: a.update({"model/dense/bias": np.zeros(4, "float32")}), "model/dense/bias"),
    "a wrong type": (lambda a, m: a.update({"model/dense/bias": np.zeros(3)}), "float64"),
    "an unknown class": (lambda a, m: _layer(m, "conv").update(class_name="Popen"), "not known: Popen"),
    "a class that is no layer": (lambda a, m: _layer(m, "conv").update(class_name="GlorotUniform"), "cannot be made"),
    "an unknown argument": (lambda a, m: _layer(m, "conv")["config"].update(shell=True), "shell"),
    "a huge claim": (lambda a, m: _layer(m, "out")["config"].update(units=10**12), "model/dense/kernel"),
    "a negative claim": (lambda a, m: _layer(m, "conv")["config"].update(filters=-1), "filters"),
    "a nonsense value": (lambda a, m: _layer(m, "conv")["config"].update(kernel_size={"a": 1}), "kernel_size"),
    "an unknown function": (
        lambda a, m: _layer(m, "conv")["config"].update(activation={"class_name": "function", "config": "eval"}),
        "eval",
    ),
    "no architecture": (lambda a, m: m.update(model=None), "cannot be made"),
    "no config": (lambda a, m: m["model"].pop("config"), "cannot be made"),
    "layers that are no list": (lambda a, m: m["model"]["config"].update(layers=7), "cannot be made"),
    "another kind": (lambda a, m: m.update(kind="poem"), "holds no model"),
    "no optimizer": (lambda a, m: m["compile"].pop("optimizer"), "cannot be made"),
    "an unknown optimizer": (
        lambda a, m: m["compile"]["optimizer"]["builtin"].update(class_name="Evil"),
        "cannot be made",
    ),
    "an unknown loss": (lambda a, m: m["compile"].update(loss="nothing"), "nothing"),
    "a missing slot": (lambda a, m: a.pop(next(k for k in a if k.startswith("optimizer/0"))), "lacks slots"),
    "deep nesting": (lambda a, m: m["model"]["config"].update(layers=_nest(200)), "cannot be made"),
}


def _nest(depth):
    entry = {"class_name": "Dense", "config": {"units": 1}}
    for _ in range(depth):
        entry = {"class_name": "Sequential", "config": {"name": None, "layers": [entry]}}
    return [entry]


@pytest.mark.parametrize("what", CHANGES)
def test_altered_descriptions(path, what):
    change, message = CHANGES[what]
    rewrite(path, change)
    with pytest.raises(ModelFormatError, match=message):
        models.load_model(path)


def test_truncated_and_damaged_files(path):
    small().save(path)
    data = path.read_bytes()
    for cut in (0, 1, 7, 8, 100, len(data) // 2, len(data) - 1):
        path.write_bytes(data[:cut])
        with pytest.raises(ModelFormatError):
            models.load_model(path)
    for place in range(0, len(data), max(1, len(data) // 40)):
        path.write_bytes(data[:place] + bytes([data[place] ^ 0x55]) + data[place + 1 :])
        with pytest.raises(ModelFormatError):
            models.load_model(path)


@pytest.mark.parametrize(
    "entry",
    [
        {"layers": [], "inputs": [], "outputs": []},
        {"layers": [{"class_name": "Dense", "config": {"units": 2}, "calls": [{}]}], "inputs": None, "outputs": None},
        {
            "layers": [
                {
                    "class_name": "Dense",
                    "config": {"units": 2, "name": "d"},
                    "calls": [{"args": [{"__tensor__": ["d", 0, 0]}], "kwargs": {}}],
                }
            ],
            "inputs": {"__tensor__": ["d", 0, 0]},
            "outputs": {"__tensor__": ["d", 0, 0]},
        },
        {"layers": [{"class_name": "InputLayer", "config": {"shape": [3]}, "calls": []}], "inputs": 3, "outputs": 4},
    ],
)
def test_malformed_graphs(path, entry):
    storage.save(path, {}, {"kind": "model", "model": {"class_name": "Model", "config": entry}, "compile": None})
    with pytest.raises(ModelFormatError):
        models.load_model(path)


def test_a_forged_class_name_runs_nothing(path, monkeypatch):
    ran = []
    monkeypatch.setattr(os, "system", lambda *a: ran.append(a))
    for name in ("os.system", "fastconv.models.saving.save_model", "__import__", "Layer", "Trainer"):
        rewrite(path, lambda a, m, name=name: _layer(m, "flat").update(class_name=name))
        with pytest.raises(FastconvError):
            models.load_model(path)
    assert not ran


def test_float64(path):
    try:
        fc.config.set_floatx("float64")
        model = small()
    finally:
        fc.config.set_floatx("float32")
    model.save(path)
    again = models.load_model(path)
    assert again.weights[0].dtype == "float64" and same_bits(model, again)
