"""Slice: every start, end and step, against the words of the ONNX specification."""

import itertools

import numpy as np
import pytest

from fastconv import InferenceSession, errors
from tests.io.onnx import small

SIZE = 3
FAR = (1 << 63) - 1
PLACES = (-FAR - 1, -(1 << 31), *range(-SIZE - 2, SIZE + 3), (1 << 31) - 1, FAR)
STEPS = (-FAR, -2, -1, 1, 2, FAR)


def picked(start, end, step, size):
    """Return which elements of an axis a Slice takes: negative places count from the end, then both are clamped."""
    start, end = (place + size if place < 0 else place for place in (start, end))
    lowest, highest = (0, size) if step > 0 else (-1, size - 1)
    start, end = min(max(start, 0), highest), min(max(end, lowest), highest)
    places = []
    while (start < end) if step > 0 else (start > end):
        places.append(start)
        start += step
    return places


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("known", [True, False], ids=["of a constant", "of an input"])
def test_every_start_and_end(step, known):
    x = np.arange(2 * SIZE, dtype="float32").reshape(2, SIZE)
    calls = list(itertools.product(PLACES, PLACES))
    nodes, weights = [], {"axis": np.array([1]), "step": np.array([step]), "c": x}
    for number, (start, end) in enumerate(calls):
        weights |= {f"from{number}": np.array([start]), f"to{number}": np.array([end])}
        nodes.append(small.node("Slice", f"{'c' if known else 'x'} from{number} to{number} axis step", f"y{number}"))
    outputs = [small.value(f"y{number}", None) for number in range(len(calls))]
    session = InferenceSession(small.model(nodes, [small.value("x", x.shape)], outputs, weights))
    for (start, end), y in zip(calls, session.run(None, {"x": x}), strict=True):
        np.testing.assert_array_equal(y, x[:, picked(start, end, step, SIZE)], err_msg=f"[{start}:{end}:{step}]")


@pytest.mark.parametrize("step", [-1, 1])
def test_an_axis_of_nothing(step):
    weights = {"from": np.array([-1]), "to": np.array([-9 * step]), "axis": np.array([1]), "step": np.array([step])}
    model = small.model(
        [small.node("Slice", "x from to axis step", "y")], [small.value("x", [2, 0])], [small.value("y", None)], weights
    )
    assert InferenceSession(model).run(None, {"x": np.ones((2, 0), "float32")})[0].shape == (2, 0)


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"step": [0, 1]}, r"steps is \[0, 1\], expected numbers that are not 0"),
        ({"to": [1]}, "ends has 1 numbers, but starts 2"),
        ({"step": [1]}, "steps has 1 numbers, but starts 2"),
        ({"axis": [0]}, "axes has 1 numbers, but starts 2"),
        ({"axis": [1, -1]}, r"axis 1 twice: \[1, -1\]"),
    ],
)
def test_refused(changed, says):
    weights = {"from": [0, 0], "to": [1, 1], "axis": [0, 1], "step": [1, 1]} | changed
    weights = {name: np.array(numbers) for name, numbers in weights.items()}
    model = small.model(
        [small.node("Slice", "x from to axis step", "y")], [small.value("x", [2, 2])], [small.value("y", None)], weights
    )
    with pytest.raises(errors.ModelFormatError, match=f"the Slice that makes 'y': .*{says}"):
        InferenceSession(model).run(None, {"x": np.ones((2, 2), "float32")})
