"""Nodes that contradict their inputs or themselves: one error each, naming the node and what is wrong, no silent result."""

import numpy as np
import pytest

from fastconv import InferenceSession, errors
from fastconv.io.onnx.attributes import ATTRIBUTES
from fastconv.io.onnx.operators import OPERATORS
from tests.io.onnx import small

X = np.arange(96, dtype="float32").reshape(1, 6, 4, 4)
CONSTANTS = {
    "w": np.ones((2, 6, 2, 2), "float32"),
    "wt": np.ones((6, 2, 2, 2), "float32"),
    "w1": np.ones((2, 6, 2), "float32"),
    "six": np.ones(6, "float32"),
    "whole": np.ones((1, 6, 4, 4), "int64"),
    "double": np.ones((1, 6, 4, 4)),
    "place": np.zeros((1, 6, 4, 4), "float32"),
    "zero": np.array(0),
    "one": np.array(1),
    "seven": np.array([7]),
    "minus": np.array([-1]),
    "two": np.array([0, 0]),
    "guess": np.array([-1, -1]),
    "seven_pads": np.zeros(7, "int64"),
    "scales": np.array([1, 1, np.nan, 1], "float32"),
    "short": np.array([1, 2], "float32"),
    "uneven": np.array([7, -1]),
}
CASES = [
    ("TopK", "x seven", {}, r"k is 7, expected a number from 0 to 4, the size of axis 3"),
    ("TopK", "x minus", {}, "k is -1, expected a number from 0 to 4"),
    ("Transpose", "x", {"perm": [0, 1]}, r"perm is \[0, 1\], expected the 4 axes from 0 to 3 in some order"),
    ("Transpose", "x", {"perm": [0, 0, 1, 2]}, "perm is"),
    ("Transpose", "whole", {"perm": [0, 1, 2, -1]}, "perm is"),
    ("Conv", "x w", {"kernel_shape": [3, 3]}, r"kernel_shape is \[3, 3\], but the kernel of the weights .* \[2, 2\]"),
    ("Conv", "x w", {"kernel_shape": [2]}, r"kernel_shape is \[2\], but"),
    ("Conv", "x w1", {}, r"images \(1, 6, 4, 4\) and weights \(2, 6, 2\)"),
    ("Conv", "x w", {"auto_pad": "SAME"}, "auto_pad is 'SAME', expected NOTSET, SAME_UPPER, SAME_LOWER or VALID"),
    ("Conv", "x w", {"strides": [1]}, r"strides is \[1\], 1 numbers, where 2 are needed"),
    ("Conv", "x w", {"strides": [1.5, 1.0]}, r"strides is .*, expected whole numbers"),
    ("Conv", "x w", {"pads": [1, 1]}, r"pads is \[1, 1\], 2 numbers, where 4 are needed"),
    ("Conv", "x w", {"dilations": [1, 1, 1]}, "dilations is .* 3 numbers, where 2 are needed"),
    ("ConvTranspose", "x wt", {"kernel_shape": [3, 2]}, "kernel_shape is"),
    ("ConvTranspose", "x wt", {"auto_pad": "same"}, "auto_pad is 'same'"),
    ("ConvTranspose", "x wt", {"output_padding": [1, 0]}, r"output_padding is \[1, 0\], expected at most \[0, 0\]"),
    ("ConvTranspose", "x wt", {"output_padding": [2, 2], "strides": [2, 3]}, r"output_padding .* at most \[1, 2\]"),
    ("ConvTranspose", "x wt", {"output_shape": [40, 5]}, r"what output_shape \[40, 5\] adds .* at most \[0, 0\]"),
    ("ConvTranspose", "x wt", {"output_shape": [5]}, "output_shape is .* 1 numbers, where 2 are needed"),
    ("MaxPool", "x", {"kernel_shape": [2]}, r"the kernel is \[2\], 1 numbers, where 2 are needed"),
    *(
        (kind, "x", {"kernel_shape": [2, 3], "pads": [2, 0, 0, 0]}, "may lie in the padding .* alone")
        for kind in ("MaxPool", "AveragePool", "LpPool")
    ),
    ("MaxPool", "x", {"kernel_shape": [2, 2], "auto_pad": "FULL"}, "auto_pad is 'FULL'"),
    ("Gather", "x six", {}, "indices of float32, expected int32 or int64"),
    ("GatherElements", "x place", {"axis": 1}, "indices of float32"),
    *((kind, "x whole", {}, "inputs of float32 and int64, expected one type") for kind in ("Add", "Div", "Max", "Sum")),
    *((kind, "x double", {}, "inputs of float32 and float64") for kind in ("Mul", "Less", "Mod", "PRelu", "Mean")),
    ("Clip", "x zero", {}, "inputs of float32 and int64"),
    ("Unsqueeze", "x two", {}, r"names axis 0 twice: \[0, 0\]"),
    ("Range", "zero one zero", {}, "in steps of 0: expected finite numbers, and a step that is not 0"),
    ("DepthToSpace", "x", {"blocksize": 0}, "blocksize is 0, expected a positive integer"),
    ("DepthToSpace", "x", {"blocksize": 2}, "6 channels: 4 must divide them"),
    ("DepthToSpace", "x", {"blocksize": 1, "mode": "RCD"}, "mode is 'RCD', expected DCR or CRD"),
    ("SpaceToDepth", "x", {"blocksize": 3}, "4 x 4 pixels cannot be cut into blocks: blocksize 3"),
    ("Resize", ["x", "", "scales"], {}, r"scales is \[1.0, 1.0, nan, 1.0\], expected finite numbers above 0"),
    ("Resize", ["x", "", "short"], {}, "scales has 2 numbers, where 4 are needed"),
    (
        "Resize",
        ["x", "short", "scales"],
        {"coordinate_transformation_mode": "tf_crop_and_resize"},
        "roi has 2 numbers, where 8 are needed: 2 for each axis",
    ),
    ("Softmax", "x", {"axis": 9}, "names axis 9 of a value with 4 axes"),
    ("Flatten", "x", {"axis": 5}, "names axis 5"),
    ("LpNormalization", "x", {"axis": 4}, "names axis 4"),
    ("LayerNormalization", "x six", {"axis": -5}, "names axis -5"),
    ("Pad", "x seven_pads", {}, "pads has 7 numbers, where 8 are needed"),
    ("LRN", "x", {"size": 0}, "size is 0, expected a positive integer"),
    ("GroupNormalization", "x six six", {"num_groups": 4}, "num_groups is 4, expected a number that divides the 6"),
    ("GroupNormalization", "x six six", {"num_groups": -1}, "num_groups is -1, expected a positive integer"),
    ("Reshape", "x guess", {}, r"the shape \(-1, -1\) has to hold sizes of at least 0, and -1 once at most"),
    ("Split", "x uneven", {"axis": 1}, r"parts of \[7, -1\] do not make the 6 of axis 1"),
]


def run(kind, inputs, attributes):
    node = small.node(kind, inputs, "y z" if kind == "Split" else "y", name="culprit", **attributes)
    data = small.model([node], [small.value("x", X.shape)], [small.value("y", None)], CONSTANTS, 22)
    return InferenceSession(data).run(None, {"x": X})[0]


@pytest.mark.parametrize(("kind", "inputs", "attributes", "says"), CASES)
def test_refused(kind, inputs, attributes, says):
    with pytest.raises(
        (errors.ModelFormatError, errors.ShapeError), match=f"^node 'culprit' \\({kind}\\): .*{says}"
    ) as e:
        run(kind, inputs, attributes)
    assert str(e.value).count("culprit") == 1


@pytest.mark.parametrize(
    ("kind", "inputs", "attributes", "shape"),
    [
        ("Conv", "x w", {"kernel_shape": [2, 2], "auto_pad": "NOTSET"}, (1, 2, 3, 3)),
        ("ConvTranspose", "x wt", {"strides": [2, 2], "output_padding": [1, 0]}, (1, 2, 9, 8)),
        ("ConvTranspose", "x wt", {"strides": [3, 3], "output_shape": [13, 12]}, (1, 2, 13, 12)),
        ("MaxPool", "x", {"kernel_shape": [2, 2], "pads": [1, 1, 1, 1]}, (1, 6, 5, 5)),
        ("MaxPool", "x", {"kernel_shape": [2, 2], "dilations": [2, 2], "pads": [2, 2, 2, 2]}, (1, 6, 6, 6)),
        ("Flatten", "x", {"axis": 4}, (96, 1)),
        ("Flatten", "x", {"axis": -4}, (1, 96)),
        ("Pow", "x whole", {}, (1, 6, 4, 4)),
        ("Abs", "x", {"consumed_inputs": [0]}, (1, 6, 4, 4)),
    ],
)
def test_just_within(kind, inputs, attributes, shape):
    y = run(kind, inputs, attributes)
    assert y.shape == shape and np.isfinite(y).all()


# ---- attributes that an operator does not have


@pytest.mark.parametrize(
    ("kind", "inputs", "attributes", "says"),
    [
        ("Conv", "x w", {"stride": [2, 2]}, "'stride', which Conv does not have .* it has 'auto_pad', 'dilations'"),
        ("Relu", "x", {"alpha": 0.1}, "'alpha', which Relu does not have in any version; it has none"),
    ],
)
def test_unknown_attributes(kind, inputs, attributes, says):
    with pytest.raises(errors.ModelFormatError, match=f"{kind} 'culprit' has the attribute {says}"):
        run(kind, inputs, attributes)


def test_the_attributes_are_those_of_the_standard():
    defs = pytest.importorskip("onnx", reason="the onnx package is not installed").defs
    known = {}
    for schema in defs.get_all_schemas_with_history():
        if schema.domain == "" and ("", schema.name) in OPERATORS:
            known.setdefault(schema.name, set()).update(schema.attributes)
    known["MeanVarianceNormalization"].add("across_channels")  # of an experimental version, which the package dropped
    for name, attributes in known.items():
        assert set(ATTRIBUTES.get(name, ())) == attributes - {"consumed_inputs"}, name
    assert set(ATTRIBUTES) <= {name for _, name in OPERATORS}
