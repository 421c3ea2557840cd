"""Sizes and numbers of rounds that a file merely claims: nothing is made of them before they are looked at."""

import tracemalloc

import numpy as np
import pytest

from fastconv import InferenceSession, errors
from fastconv.io.onnx.operators import control
from tests.io.onnx import small

ROW = np.ones((1, 2), "float32")
BIG = 1 << 32


def run(node, weights, shape=(1, 2), **options):
    data = small.model([node], [small.value("x", shape)], [small.value("y", None)], weights, **options)
    return InferenceSession(data).run(None, {"x": np.ones(shape, "float32")})


def numbers(*values, dtype="int64"):
    return np.array(values, dtype)


CASES = [
    ("Range", "a b c", {"a": np.int64(0), "b": np.int64(BIG), "c": np.int64(1)}, {}),
    ("Range", "a b c", {"a": np.float32(0), "b": np.float32(1), "c": np.float32(1e-30)}, {}),
    ("ConstantOfShape", "s", {"s": numbers(BIG, 3)}, {}),
    ("ConstantOfShape", "s", {"s": numbers(-1, 3)}, {}),
    ("OneHot", "i d v", {"i": numbers(1, 2), "d": np.int64(BIG), "v": numbers(0, 1)}, {}),
    ("Expand", "X s", {"s": numbers(BIG, 2)}, {}),
    ("Tile", "X s", {"s": numbers(BIG, 1)}, {}),
    ("Tile", "X s", {"s": numbers(-1, 1)}, {}),
    ("Pad", "X s", {"s": numbers(0, 0, BIG, 0)}, {}),
    ("Pad", "X s", {"s": numbers(0, 0, BIG, 0)}, {"mode": "edge"}),
    ("Pad", "X s", {"s": numbers(0, -3, 0, 0)}, {}),
    ("CenterCropPad", "X s", {"s": numbers(BIG, 2)}, {}),
    ("Resize", "X  s", {"s": numbers(BIG, 1, dtype="float32")}, {}),
    ("Resize", "X   s", {"s": numbers(BIG, 1)}, {}),
]


# X is a value, or a constant.
CASES = [
    (kind, inputs.replace("X", source), *rest)
    for kind, inputs, *rest in CASES
    for source in ("xw" if "X" in inputs else "x")
]


@pytest.mark.parametrize(("kind", "inputs", "weights", "attributes"), CASES)
def test_claims_are_refused(kind, inputs, weights, attributes):
    node = small.node(kind, inputs.split(" "), "y", name="culprit", **attributes)
    weights = {name: np.asarray(array) for name, array in weights.items()}
    tracemalloc.start()
    with pytest.raises(errors.ShapeError, match="culprit.*cannot be made"):
        run(node, {"w": ROW, **weights}, opset=18)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 20e6


@pytest.mark.parametrize("trips", ["", "many"])
def test_loops_end(trips, monkeypatch):
    monkeypatch.setattr(control, "ENDLESS", 300)
    inside = [small.node("Identity", "going", "on"), small.node("Add", "state one", "next")]
    inputs = [small.value("round", [], "int64"), small.value("going", [], "bool"), small.value("state", [1, 2])]
    body = small.graph(inside, inputs, [small.value("on", [], "bool"), small.value("next", [1, 2])])
    weights = {"w": ROW, "one": ROW, "yes": np.array(True), "many": np.array(1 << 60)}
    node = small.node("Loop", [trips, "yes", "w"], "y", name="culprit", body=body)
    with pytest.raises(errors.UnsupportedOpError, match="culprit.*not ended after 300 rounds"):
        run(node, weights)
    # As many as are allowed.
    weights["many"] = np.array(300)
    node = small.node("Loop", ["many", "yes", "w"], "y", body=body)
    assert run(node, weights)[0].tolist() == [[301, 301]]
