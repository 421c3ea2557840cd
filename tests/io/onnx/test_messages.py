"""What a node says that cannot run: which one, on what, and nothing of the functions inside."""

import numpy as np
import pytest

import fastconv
from fastconv.errors import FastconvError
from tests.io.onnx.small import model, node, value

WEIGHTS = {"w": np.ones((4, 3, 3, 3), np.float32), "line": np.ones(3, np.float32)}


@pytest.mark.parametrize(
    ("made", "says"),
    [
        (node("Conv", "x", "y"), r"Conv that makes 'y' cannot run on \(float32 \[1, 3, 8, 8\]\): an input is missing"),
        (node("Conv", ["x", ""], "y"), r"cannot run on \(float32 \[1, 3, 8, 8\], nothing\): an input is missing"),
        (node("Conv", ["", "w"], "y"), "an input is missing"),
        (node("Add", "x", "y"), "an input is missing"),
        (node("Relu", "x x", "y"), "one too many"),
        (node("Relu", [], "y"), r"cannot run on \(nothing\)"),
        (node("Concat", [], "y", axis=1), "an input is missing"),
        (node("BatchNormalization", "x line", "y"), "an input is missing"),
        (node("Reshape", "x", "y"), "an input is missing"),
        (node("Slice", "x", "y"), "an input is missing"),
        (node("Pad", "x", "y"), "an input is missing"),
        (node("Softmax", "x", "y", axis=9), "names axis 9 of a value with 4 axes"),
        (node("MaxPool", "x", "y"), "the MaxPool that makes 'y': lacks its attribute 'kernel_shape'"),
        (node("MatMul", "x w", "y"), "cannot run on"),
    ],
    ids=lambda item: item.op_type if hasattr(item, "op_type") else "",
)
def test_a_node_that_cannot_run(made, says):
    data = model([made], [value("x", [1, 3, 8, 8])], [value("y", None)], WEIGHTS)
    with pytest.raises(FastconvError, match=says) as caught:
        fastconv.InferenceSession(data).run(None, {"x": np.ones((1, 3, 8, 8), np.float32)})
    for inside in ("Operand", "positional", "NoneType", "<locals>", "tuple index"):
        assert inside not in str(caught.value)
