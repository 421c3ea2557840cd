import pytest

from fastconv import shapes
from fastconv.errors import ArgumentError, ShapeError


@pytest.mark.parametrize(
    "size, kernel, stride, dilation, expected",
    # TensorFlow's rule: ceil(size / stride) positions, the odd zero after.
    [
        (32, 3, 1, 1, (1, 1)),
        (32, 3, 2, 1, (0, 1)),
        (31, 3, 2, 1, (1, 1)),
        (5, 2, 1, 1, (0, 1)),
        (7, 3, 1, 2, (2, 2)),
        (4, 1, 2, 1, (0, 0)),
    ],
)
def test_same_padding(size, kernel, stride, dilation, expected):
    assert shapes.same_padding(size, kernel, stride, dilation) == expected
    positions = shapes.window_output(size, kernel, stride, expected, dilation)
    assert positions == -(-size // stride)


def test_output_sizes():
    assert shapes.output_sizes((28, 27), (3, 5), (1, 2), ((0, 0), (0, 0))) == (26, 12)
    assert shapes.output_sizes((28, None), (3, 3), (2, 2), "same") == (14, None)
    assert shapes.output_sizes((5, 5), (3, 3), (1, 1), ((1, 0), (2, 2)), (2, 2)) == (2, 5)


def test_window_larger_than_input():
    with pytest.raises(ShapeError, match="kernel of height 5 is larger than its input: 3"):
        shapes.output_sizes((3, 8), (5, 5), (1, 1), ((0, 0), (0, 0)), what="kernel")


@pytest.mark.parametrize(
    "given, expected",
    [
        ("SAME", "same"),
        ("valid", ((0, 0), (0, 0))),
        (2, ((2, 2), (2, 2))),
        ((1, 2), ((1, 1), (2, 2))),
        (((0, 1), (2, 3)), ((0, 1), (2, 3))),
    ],
)
def test_normalize_padding(given, expected):
    assert shapes.normalize_padding(given) == expected


@pytest.mark.parametrize("bad", ["full", -1, (1, 2, 3), ((1, -1), (0, 0)), None, 1.5])
def test_bad_padding(bad):
    with pytest.raises(ArgumentError, match="padding must be"):
        shapes.normalize_padding(bad)


@pytest.mark.parametrize("bad", [0, -2, (1, 2, 3), "3", None, (1.5, 2), True])
def test_bad_pair(bad):
    with pytest.raises(ArgumentError, match="strides must be a positive integer"):
        shapes.per_axis(bad, "strides")


def test_broadcast():
    assert shapes.broadcast((None, 3, 1), (4, 1, 5)) == (4, 3, 5)
    assert shapes.broadcast((None, 3), (3,)) == (None, 3)
    with pytest.raises(ShapeError, match="do not broadcast: 3 against 4"):
        shapes.broadcast((2, 3), (4,))
