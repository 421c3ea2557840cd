"""The same bits every time: for any number of threads, in a new process, for any batch that an image comes in."""

import copy
import hashlib
import multiprocessing
import os
import pickle
import subprocess
import sys
import threading

import numpy as np
import pytest

import fastconv
from fastconv import config, layers, models
from fastconv.models.callbacks import Callback

RNG = np.random.default_rng(9)
X = RNG.normal(size=(60, 12, 12, 3)).astype(np.float32)
Y = np.arange(60) % 5


def network(seed=3):
    config.set_random_seed(seed)
    x = layers.Input((12, 12, 3))
    y = layers.Conv2D(12, 3, padding="same", activation="relu")(x)
    y = layers.BatchNormalization()(y)
    z = layers.DepthwiseConv2D(3, padding="same", activation="relu")(y)
    y = layers.Concatenate()([layers.Add()([y, z]), layers.AveragePooling2D(3, strides=1, padding="same")(y)])
    y = layers.MaxPooling2D()(layers.Conv2D(20, 3, strides=1, dilation_rate=2, groups=2)(y))
    y = layers.Dense(33, activation="relu")(layers.Flatten()(layers.Dropout(0.3)(y)))
    model = models.Model(x, layers.Dense(5, activation="softmax")(layers.Dropout(0.1)(y)))
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def fit(model, epochs=2):
    return model.fit(X, Y, batch_size=16, epochs=epochs, validation_split=0.2, verbose=0).history


def digest(model, history):
    """Return a hash of every bit of the weights and of what was reported."""
    state = hashlib.sha256(repr(sorted(history.items())).encode())
    for weight in model.get_weights():
        state.update(weight.tobytes())
    return state.hexdigest()


def whole_run():
    model = network()
    return digest(model, fit(model))


@pytest.fixture(scope="module")
def expected():
    with fastconv.num_threads(1):
        return whole_run()


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_a_whole_fit_is_the_same_for_any_number_of_threads(threads, expected):
    with fastconv.num_threads(threads):
        assert whole_run() == expected


def test_another_seed_is_another_run(expected):
    model = network(seed=4)
    assert digest(model, fit(model)) != expected


@pytest.mark.parametrize("threads", ["1", "2"])
def test_a_seed_repeats_a_run_in_a_new_process(threads, expected):
    code = (
        "import importlib.util, sys\n"
        "spec = importlib.util.spec_from_file_location('here', sys.argv[1])\n"
        "here = importlib.util.module_from_spec(spec)\n"
        "spec.loader.exec_module(here)\n"
        "print(here.whole_run())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, __file__],
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": threads, "PYTHONHASHSEED": threads},
    )
    assert done.stdout.strip() == expected, done.stderr


def test_an_image_gets_the_same_bits_in_every_batch():
    model = network()
    fit(model, 1)
    expected = model.predict(X, batch_size=60, verbose=0)
    for size in (1, 7, 16, 1000):
        np.testing.assert_array_equal(model.predict(X, batch_size=size, verbose=0), expected)
    for count in (1, 7):
        np.testing.assert_array_equal(model.predict_on_batch(X[3 : 3 + count]), expected[3 : 3 + count])
        np.testing.assert_array_equal(model(X[3 : 3 + count]).numpy(), expected[3 : 3 + count])
    spoiled = X[:7].copy()
    spoiled[2, 5, 5, 1] = np.nan
    others = [0, 1, 3, 4, 5, 6]
    result = model.predict(spoiled, verbose=0)
    np.testing.assert_array_equal(result[others], expected[others])
    assert np.isnan(result[2]).all()


def test_predictions_are_the_same_for_any_number_of_threads():
    model = network()
    results = []
    for threads in (1, 2, 3):
        with fastconv.num_threads(threads):
            results.append(model.predict(X, verbose=0))
    np.testing.assert_array_equal(results[1], results[0])
    np.testing.assert_array_equal(results[2], results[0])


class CopyAfter(Callback):
    """Copies the model in three ways in the middle of an epoch."""

    def __init__(self, folder):
        super().__init__()
        self._path = folder / "m.fastconv"
        self.copies = None

    def on_train_batch_end(self, batch, logs=None):
        if self.copies is None and self.model.optimizer.iterations == 5:
            self.model.save(self._path, include_optimizer=True)
            loaded = models.load_model(self._path)
            self.copies = [copy.deepcopy(self.model), pickle.loads(pickle.dumps(self.model)), loaded]
            self.model.stop_training = True


def test_copies_made_in_the_middle_of_training_go_on_alike(tmp_path):
    copier = CopyAfter(tmp_path)
    model = network()
    model.fit(X, Y, batch_size=16, epochs=3, verbose=0, callbacks=[copier])
    assert model.optimizer.iterations == 5
    digests = set()
    for one in (model, *copier.copies):
        config.set_random_seed(7)
        digests.add(digest(one, fit(one, 1)))
    assert len(digests) == 1


def test_two_models_train_in_two_threads_as_alone():
    def train(model):
        model.fit(X, Y, batch_size=8, epochs=3, shuffle=False, verbose=0)

    together, alone = [network(seed) for seed in (1, 2)], [network(seed) for seed in (1, 2)]
    workers = [threading.Thread(target=train, args=(model,)) for model in together]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
        assert not worker.is_alive()
    for a, b in zip(together, alone, strict=True):
        train(b)
        for left, right in zip(a.get_weights(), b.get_weights(), strict=True):
            np.testing.assert_array_equal(left, right)


def _in_child(model, queue):
    queue.put(model.predict(X, verbose=0))
    queue.put(digest(model, fit(model, 1)))


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork.*:DeprecationWarning")
def test_a_forked_child_predicts_and_trains_the_same_bits():
    with fastconv.num_threads(2):
        model = network()
        fit(model, 1)  # the threads are running now; they do not come along into the child
        context = multiprocessing.get_context("fork")
        queue = context.Queue()
        config.set_random_seed(1)
        child = context.Process(target=_in_child, args=(model, queue))
        child.start()
        try:
            predictions, trained = queue.get(timeout=60), queue.get(timeout=60)
        finally:
            child.join(10)
            child.kill()
        np.testing.assert_array_equal(predictions, model.predict(X, verbose=0))
        assert trained == digest(model, fit(model, 1))
