"""Tensor: making, reading, writing, operators."""

import copy
import pickle

import numpy as np
import pytest

import fastconv.ops as ops
from fastconv.autograd import Tensor, as_tensor, no_grad, tensor
from fastconv.errors import ArgumentError, DTypeError, GradientError, ShapeError, UnsupportedOpError


def test_tensor_copies_and_as_tensor_shares():
    array = np.ones((2, 3), np.float32)
    copied, shared = tensor(array), as_tensor(array)
    array[0, 0] = 7
    assert copied.numpy()[0, 0] == 1
    assert shared.numpy()[0, 0] == 7
    assert as_tensor(shared) is shared
    assert as_tensor(shared, "float64") is not shared


@pytest.mark.parametrize(
    ("value", "dtype"),
    [
        (1, "float32"),
        (2.5, "float32"),
        ([1, 2], "float32"),
        ([[1.0], [2.0]], "float32"),
        ([True, False], "bool"),
        (np.float64(3), "float32"),
        (np.zeros(2), "float64"),
        (np.zeros(2, np.float16), "float32"),
        (np.zeros(2, ">f8"), "float64"),
        (np.zeros(2, np.int16), "int64"),
        (np.zeros(2, np.uint8), "uint8"),
        (np.zeros(2, np.int32), "int32"),
        (np.zeros((2, 0)), "float64"),
    ],
)
def test_dtype_of_new_tensors(value, dtype):
    for make in (tensor, as_tensor):
        assert make(value).dtype == dtype
    assert tensor(value, dtype="float64").dtype == "float64"


@pytest.mark.parametrize("value", ["text", [1, [2, 3]], [object()], np.zeros(2, complex), None])
def test_what_is_no_tensor(value):
    with pytest.raises(DTypeError):
        tensor(value)


def test_only_floats_require_a_gradient():
    with pytest.raises(DTypeError, match="int64"):
        tensor(np.arange(3), requires_grad=True)
    t = tensor([1.0])
    t.requires_grad = True
    assert t.requires_grad
    with pytest.raises(GradientError, match="detach"):
        (t * 2).requires_grad = False


def test_any_layout_is_accepted():
    big = np.arange(24, dtype=np.float32).reshape(4, 6)
    for view in (big.T, big[:, ::2], big[::-1]):
        np.testing.assert_array_equal(as_tensor(view).numpy(), view)
        np.testing.assert_array_equal((as_tensor(view) * 1).numpy(), view)
    big.flags.writeable = False
    shared = as_tensor(big)
    np.testing.assert_array_equal(shared.numpy(), big)
    with pytest.raises(ArgumentError, match="read-only"):
        shared.assign(big)


def test_numpy_is_a_read_only_view():
    t = tensor([1.0, 2.0])
    view = t.numpy()
    with pytest.raises(ValueError, match="read-only"):
        view[0] = 3
    t.assign([5, 6])
    assert view.tolist() == [5, 6]
    array = np.asarray(t)
    array[0] = 0
    assert t.numpy()[0] == 5
    assert np.asarray(t, np.float64).dtype == np.float64


def test_python_protocols():
    t = tensor([[1.0, 2.0]], name="weights")
    assert len(t) == 1
    assert [row.shape for row in t] == [(2,)]
    assert float(t[0, 1]) == 2.0
    assert int(t[0, 1]) == 2
    assert bool(t[0, 0])
    assert (t.ndim, t.size, t.shape, t.dtype) == (2, 2, (1, 2), "float32")
    assert "weights" in repr(t)
    for what, use in {"item": Tensor.item, "float": float, "int": int, "bool": bool}.items():
        with pytest.raises(ShapeError, match=rf"^{what}\(\) takes a tensor of one element"):
            use(t)
    with pytest.raises(ShapeError):
        len(tensor(1.0))
    for clone in (copy.deepcopy(t), pickle.loads(pickle.dumps(t))):
        assert clone.name == "weights"
        assert clone.numpy().tolist() == [[1.0, 2.0]]
        clone.assign([[0, 0]])
    assert t.numpy().tolist() == [[1.0, 2.0]]


# ---- writing


def test_assign_writes_in_place_and_counts():
    t = tensor(np.zeros((2, 2), np.float32), name="kernel")
    memory = t.data
    t.assign(np.ones((2, 2)))
    t.assign(tensor(np.eye(2)))
    assert t.data is memory
    assert t.version == 2
    assert t.numpy().tolist() == [[1, 0], [0, 1]]
    for wrong in (np.ones(2), 1.0, np.ones((2, 2, 1))):
        with pytest.raises(ShapeError, match=r"'kernel'.*\(2, 2\)"):
            t.assign(wrong)
    assert t.version == 2


def test_assign_through_views_counts_for_the_whole():
    t = tensor(np.zeros((4, 6), np.float32))
    for view in (t.reshape(24), t.T, t[1:3], t[:, ::2], t.reshape(2, 2, 6)[0], t.detach(), ops.flatten(t)):
        before = t.version
        view.assign(np.full(view.shape, before + 1))
        assert t.version == view.version == before + 1
        assert (t.numpy() == before + 1).any()
    picked = t[np.array([0, 1])]
    picked.assign(np.full(picked.shape, -1))
    assert not (t.numpy() == -1).any()


def test_assign_to_a_result_on_the_tape():
    x = tensor([1.0, 2.0], requires_grad=True)
    y = x * 2
    with pytest.raises(GradientError, match="multiply"):
        y.assign([0, 0])
    with no_grad():
        x[0:1].assign([9])
    assert x.numpy().tolist() == [9, 2]


def test_item_assignment_says_what_to_do():
    with pytest.raises(UnsupportedOpError, match="assign"):
        tensor([1.0])[0] = 2


# ---- operators


def test_operators_meet_numpy_and_numbers():
    a = np.array([[1.0, 2.0], [3.0, 4.0]], np.float32)
    t = tensor(a)
    pairs = [
        (t + 1, a + 1), (1 + t, a + 1), (t - 2, a - 2), (2 - t, 2 - a), (t * 3, a * 3), (3 * t, a * 3), (t / 2, a / 2),
        (2 / t, 2 / a), (t**2, a**2), (2**t, 2**a), (-t, -a), (abs(-t), a), (a + t, a + a), (a - t * 2, a - a * 2),
        (a * t, a * a), (a / t, a / a), (a**t, a**a), (t * np.arange(2), a * [0, 1]), (np.arange(2) * t, a * [0, 1]),
        (t * np.float64(2), a * 2), (np.float64(2) * t, a * 2), (t.T, a.T), (t.sum(), a.sum()), (t.mean(0), a.mean(0)),
        (t.max(axis=-1, keepdims=True), a.max(-1, keepdims=True)), (t.reshape(4), a.reshape(4)),
        (t.reshape((1, -1)), a.reshape(1, 4)), (t.transpose(1, 0), a.T), (t[None, ..., 0], a[None, ..., 0]),
        (t[a > 2], a[a > 2]), (t[[0, 1], [1, 0]], a[[0, 1], [1, 0]]), (t[tensor(np.array([1]))], a[[1]]),
    ]  # fmt: skip
    for got, want in pairs:
        assert isinstance(got, Tensor)
        assert got.dtype == "float32"
        np.testing.assert_allclose(got.numpy(), want, rtol=1e-6)


def test_in_place_operators_keep_the_tape():
    x = tensor([1.0, 2.0], requires_grad=True)
    y = x
    y += 1
    y *= 3
    assert y is not x
    y.sum().backward()
    assert x.grad.numpy().tolist() == [3, 3]


def test_float_types_are_not_mixed():
    a, b = tensor([1.0]), tensor(np.ones(1))
    assert (b * 2).dtype == "float64"
    for mix in (lambda: a + b, lambda: a * np.ones(1), lambda: ops.maximum(a, b)):
        with pytest.raises(DTypeError, match="float64"):
            mix()
    with pytest.raises(DTypeError, match="int64"):
        tensor(np.arange(2)) + 1


def test_clear_errors():
    t = tensor(np.zeros((2, 3), np.float32))
    with pytest.raises(ShapeError, match="broadcast"):
        t + np.zeros(4, np.float32)
    with pytest.raises(ArgumentError, match="too many"):
        t[0, 0, 0]
    for index in ([5], 5, (0, 3)):
        with pytest.raises(ArgumentError):
            t[index]
    with pytest.raises(ArgumentError):
        t["name"]
    with pytest.raises(ShapeError, match="6 elements"):
        t.reshape(4, -1)
    with pytest.raises(ArgumentError):
        t.reshape(-1, -1)
    with pytest.raises(ArgumentError):
        t.transpose(0, 0)
    with pytest.raises(ArgumentError):
        t.sum(axis=2)
    with pytest.raises(ShapeError):
        t[:, :0].max(axis=1)


def test_operators_load_on_their_own():
    """A tensor works without an import of fastconv.ops."""
    import subprocess
    import sys

    code = "from fastconv.autograd import tensor; print((1 + tensor([1.0])[0] * 2).sum().item())"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "3.0\n"
