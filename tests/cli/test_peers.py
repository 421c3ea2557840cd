"""Engines in processes of their own: what they answer, and what becomes of those that cannot."""

import numpy as np
import pytest

import fastconv
from fastconv.cli.peers import OURS, PEERS, turns

from ..io.onnx import small


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    """A small network as an ONNX file."""
    path = tmp_path_factory.mktemp("peers") / "small.onnx"
    path.write_bytes(small.classifier())
    return str(path)


def job_of(file, batch=2, **more):
    (value,) = fastconv.InferenceSession(file).get_inputs()
    return {"model": file, "inputs": [{value.name: ((batch, *value.shape[1:]), "float32")}], **more}


@pytest.mark.parametrize("peer", [OURS, *(peer for peers in PEERS.values() for peer in peers)], ids=lambda p: p.name)
def test_every_engine_gives_fastconv_s_result(file, tmp_path, peer):
    if not peer.installed or peer.variant == "compile":
        pytest.skip(f"{peer.name} is not installed, or takes a minute to compile")
    job = job_of(file, outputs=str(tmp_path / "outputs.npz"))
    with peer.start(1) as engine:
        answer = engine.ask(job=job)
        assert answer["can"] and 0 < answer["first"] < 60 and answer["import"] > 0
        times = turns.rounds_of([engine], 1)[peer.name]
        assert len(times) >= turns.BLOCK_CALLS[0] and min(times) > 0
    expected = fastconv.InferenceSession(file).run(None, turns.draw(job["inputs"][0]))
    with np.load(tmp_path / "outputs.npz") as arrays:
        np.testing.assert_allclose(arrays["arr_0"], expected[0], rtol=1e-5, atol=1e-6)


def test_memory_and_changing_shapes(file):
    job = job_of(file)
    job["inputs"] += job_of(file, 3)["inputs"]
    with OURS.start(1) as engine:
        assert engine.ask(job=job)["can"]
        assert engine.ask(repeat=4)["rss"] > 10
        assert turns.take_turns([engine], job, 1)["fastconv"]


def test_an_engine_that_cannot_says_why(tmp_path):
    bad = tmp_path / "bad.onnx"
    bad.write_text("no model")
    with OURS.start(1) as engine:
        answer = engine.ask(job={"model": str(bad), "inputs": [{}]})
        assert not answer["can"] and "Error" in answer["why"]
        assert turns.take_turns([engine], {"model": str(bad), "inputs": [{}]}, 1) == {}


def test_an_engine_that_ends_early(tmp_path):
    module = tmp_path / "inference_broken.py"
    module.write_text("import nothing_of_this_name\n")
    engine = turns.Engine("broken", module, quiet=True)
    with pytest.raises(turns.EngineError, match="broken ended early"):
        engine.ask(job=None)
    engine.close()


def test_random_inputs_are_the_same_in_every_process():
    inputs = {"x": ((2, 3), "float32"), "i": ((4,), "int64")}
    first, second, other = turns.draw(inputs), turns.draw(inputs), turns.draw(inputs, 1)
    assert first["x"].dtype == "float32" and first["i"].dtype == "int64"
    np.testing.assert_array_equal(first["x"], second["x"])
    assert not np.array_equal(first["x"], other["x"]) and set(first["i"]) <= {0, 1}
