"""A precision mode is what it is for eager calls, models, sessions and threads: each runs by its own, whoever ran before.

"highest" and "high" differ in the bits of a 3x3 convolution with 64 channels on every instruction set; "medium" may be "high".
"""

import os
import subprocess
import sys
import threading

import numpy as np
import pytest

import fastconv as fc
from fastconv import layers, models, ops
from fastconv.errors import ConfigError
from fastconv.graph import Program, trace
from fastconv.op import Spec

MODES = fc.config.PRECISIONS
WRONG = "precision must be one of 'highest', 'high', 'medium', got 'float16'"
X = np.random.default_rng(0).standard_normal((2, 14, 14, 64)).astype("f4")
KERNEL = fc.tensor((np.random.default_rng(1).standard_normal((3, 3, 64, 64)) / 24).astype("f4"))


def network():
    fc.utils.set_random_seed(0)
    return models.Sequential([
        layers.Conv2D(64, 3, padding="same", activation="relu", input_shape=(14, 14, 64)),
        layers.GlobalAveragePooling2D(),
        layers.Dense(5),
    ])  # fmt: skip


@pytest.fixture
def session(tmp_path):
    fc.onnx.save(network(), tmp_path / "network.onnx")
    return lambda precision=None: fc.InferenceSession(tmp_path / "network.onnx", options(precision))


def options(precision):
    made = fc.SessionOptions()
    made.precision = precision
    return made


def in_every_mode(run):
    """Return {mode: result}, after a check that turns between modes change nothing in any of them."""
    results = {}
    for mode in (*MODES, *reversed(MODES)):
        with fc.precision(mode):
            result = run()
        np.testing.assert_array_equal(result, results.setdefault(mode, result), mode)
    assert (results["high"] != results["highest"]).any()
    size = np.abs(results["highest"]).max()
    np.testing.assert_allclose(results["high"], results["highest"], atol=1e-5 * size)
    np.testing.assert_allclose(results["medium"], results["highest"], atol=0.02 * size)
    return results


def test_eager_calls_on_one_parameter():
    in_every_mode(lambda: ops.conv2d(X, KERNEL, padding="same").numpy())


def test_a_gradient_runs_in_the_mode_in_force_when_it_is_computed():
    def gradient(before, after):
        x = fc.tensor(X, requires_grad=True)
        with fc.precision(before):
            y = ops.conv2d(x, KERNEL, padding="same")
        with fc.precision(after):
            y.backward(X)
        return x.grad.numpy()

    np.testing.assert_array_equal(gradient("high", "highest"), gradient("highest", "highest"))
    assert (gradient("highest", "high") != gradient("highest", "highest")).any()


def test_predict():
    model = network()
    in_every_mode(lambda: model.predict(X, verbose=0))


@pytest.mark.parametrize("eager", [False, True], ids=["program", "eager"])
def test_training(eager):
    def trained():
        model = network()
        model.compile("sgd", "mse", run_eagerly=eager)
        model.fit(X, np.ones((2, 5)), epochs=2, verbose=0)
        return model.get_weights()[0]

    in_every_mode(trained)


def test_a_mode_may_change_between_epochs():
    model = network()
    model.compile("sgd", "mse")
    for mode in MODES:
        with fc.precision(mode):
            model.fit(X, np.ones((2, 5)), verbose=0)
    before = len(model._programs)
    for mode in MODES:
        with fc.precision(mode):
            model.fit(X, np.ones((2, 5)), verbose=0)
    assert len(model._programs) == before


def test_a_session_follows_the_mode_in_force(session):
    one = session()
    in_every_mode(lambda: one.run(None, {one.get_inputs()[0].name: X})[0])


def test_a_session_with_a_mode_of_its_own_keeps_it(session):
    def run(session):
        return session.run(None, {session.get_inputs()[0].name: X})[0]

    own = {mode: session(mode) for mode in MODES}
    for mode in MODES:
        with fc.precision(mode):
            want = run(session())
        for other in MODES:
            with fc.precision(other):
                np.testing.assert_array_equal(run(own[mode]), want)


def test_a_session_refuses_another_word_at_once(session):
    with pytest.raises(ConfigError, match=WRONG):
        session("float16")


@pytest.mark.parametrize("function", [fc.set_precision, fc.precision])
def test_other_words_are_refused(function):
    with pytest.raises(ConfigError, match=WRONG):
        function("float16")


def test_a_program_keeps_the_mode_that_it_was_made_in():
    def made(mode):
        with fc.precision(mode):
            return Program(trace(lambda x: {"y": ops.conv2d(x, KERNEL, padding="same")}, {"x": Spec(X.shape)}))

    programs = {mode: made(mode) for mode in ("highest", "high")}
    results = {mode: program.run(x=X)["y"] for mode, program in programs.items()}
    assert (results["high"] != results["highest"]).any()
    for mode, program in programs.items():
        for other in MODES:
            with fc.precision(other):
                np.testing.assert_array_equal(program.run(x=X)["y"], results[mode])


def test_a_program_that_is_renewed_stays_in_its_mode():
    """A pass relied on the limit of a minimum; after a write the program is made anew, whatever mode is in force then."""
    limit = fc.tensor(np.float32(6.0))

    def relu6(x):
        return {"y": ops.minimum(ops.relu(ops.conv2d(x, KERNEL, padding="same")), limit)}

    def run(program, mode):
        with fc.precision(mode):
            return program.run(x=X)["y"]

    with fc.precision("high"):
        program = Program(trace(relu6, {"x": Spec(X.shape)}))
        assert program._assumed, "the passes no longer rely on a limit: the test needs another network"
    limit.assign(np.float32(0.5))
    got = run(program, "highest")
    assert got.max() == 0.5
    with fc.precision("high"):
        np.testing.assert_array_equal(got, Program(trace(relu6, {"x": Spec(X.shape)})).run(x=X)["y"])


def test_threads():
    """The context manager holds for its Python thread, `set_precision` for all that have no context of their own."""
    seen = {}

    def look(name):
        seen[name] = fc.get_precision()

    def in_thread(name):
        thread = threading.Thread(target=look, args=(name,))
        thread.start()
        thread.join()

    with fc.precision("medium"):
        in_thread("beside a context")
        fc.set_precision("high")
        try:
            look("inside")
            in_thread("after set_precision")
            with fc.precision("highest"):
                look("nested")
            look("after nested")
        finally:
            fc.set_precision("highest")
    look("at the end")
    assert seen == {
        "beside a context": "highest",
        "inside": "medium",
        "after set_precision": "high",
        "nested": "highest",
        "after nested": "medium",
        "at the end": "highest",
    }


def test_threads_in_different_modes_share_a_model():
    model = network()
    want = in_every_mode(lambda: model.predict(X, verbose=0))
    wrong = []

    def work(mode):
        with fc.precision(mode):
            for _ in range(10):
                if not np.array_equal(model.predict(X, verbose=0), want[mode]):
                    wrong.append(mode)

    threads = [threading.Thread(target=work, args=(mode,)) for mode in MODES]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_a_context_ends_with_an_error():
    with pytest.raises(ZeroDivisionError), fc.precision("high"):
        1 / 0  # noqa: B018
    assert fc.get_precision() == "highest"


@pytest.mark.parametrize(
    ("word", "says"),
    [
        (None, "highest"),
        ("high", "high"),
        ("", "highest"),
        ("float16", "FASTCONV_PRECISION must be one of 'highest', 'high', 'medium', got 'float16'"),
    ],
)
def test_environment(word, says):
    code = "import fastconv; print(fastconv.get_precision(), fastconv.show_config()['precision'])"
    environment = {name: value for name, value in os.environ.items() if name != "FASTCONV_PRECISION"}
    if word is not None:
        environment["FASTCONV_PRECISION"] = word
    done = subprocess.run([sys.executable, "-P", "-c", code], env=environment, capture_output=True, text=True)
    if word == "float16":
        assert done.returncode and says in done.stderr
    else:
        assert done.stdout.split("\n")[-2].split() == [says, says], done.stderr
