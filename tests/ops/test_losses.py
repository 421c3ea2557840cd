"""What the registry cannot know of the losses: labels that are no class, extreme logits, Keras's numbers."""

import numpy as np
import pytest

from fastconv import ops
from fastconv.autograd import tensor
from fastconv.errors import ArgumentError, DTypeError, ShapeError


@pytest.mark.parametrize("label", [-1, 10, 2**31 - 1, -(2**31)])
def test_a_label_that_is_no_class_makes_its_row_nan_and_no_other(isa, label):
    logits = tensor(np.zeros((3, 10), np.float32), requires_grad=True)
    loss, p = ops.softmax_cross_entropy(logits, np.array([1, label, 2], np.int32))
    loss.backward()
    assert np.isnan(loss.numpy()) and np.isfinite(p.numpy()).all()
    assert np.isnan(logits.grad.numpy()).all(1).tolist() == [False, True, False]
    assert np.isfinite(logits.grad.numpy()[[0, 2]]).all()


def test_extreme_logits_stay_finite(isa):
    logits = np.array([[1e4, 0, -1e4], [-3e38, 3e38, 0]], np.float32)
    loss, p = ops.softmax_cross_entropy(logits, np.array([0, 1], np.int32))
    assert loss.numpy() == 0 and p.numpy().tolist() == [[1, 0, 0], [0, 1, 0]]
    loss, _ = ops.softmax_cross_entropy(logits[:1], np.array([2], np.int32))
    assert loss.numpy() == 2e4
    loss, _ = ops.softmax_cross_entropy(np.array([[0, -np.inf, 0]], np.float32), np.array([0], np.int32))
    assert loss.numpy() == np.float32(np.log(2))


@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan])
@pytest.mark.parametrize("column", range(11))
def test_an_infinite_target_makes_an_infinite_loss(isa, column, value):
    logits = np.linspace(-1, 1, 11, dtype=np.float32)[None]
    labels = np.full((1, 11), 1 / 11, np.float32)
    labels[0, column] = value
    np.testing.assert_equal(float(ops.softmax_cross_entropy(logits, labels)[0].numpy()), value)


@pytest.mark.parametrize("columns", [1, 3, 8, 17])
def test_nan_fills_its_own_row_of_softmax(isa, columns):
    x = np.zeros((3, columns), np.float32)
    x[1, -1] = np.nan
    for function in (ops.softmax, ops.log_softmax):
        y = function(x).numpy()
        assert np.isnan(y).all(1).tolist() == [False, True, False] and np.isfinite(y[[0, 2]]).all()


def test_a_clipped_probability_costs_what_keras_says(isa):
    for p, t in ((0.0, 1.0), (1.0, 0.0)):
        loss = ops.binary_cross_entropy(np.array([[t]], np.float32), np.array([[p]], np.float32))
        assert abs(loss.numpy() - -np.log(1e-7)) < 1e-5
    loss = ops.cross_entropy(np.array([[1.0, 0.0]], np.float32), np.array([1], np.int32))
    assert abs(loss.numpy() - -np.log(1e-7)) < 1e-5


def test_binary_logits_of_any_size(isa):
    x = np.array([[-1e4, 1e4, -80.0, 80.0, 1e-6]], np.float32)
    t = np.array([[0.0, 1.0, 0.0, 1.0, 1.0]], np.float32)
    loss = ops.binary_cross_entropy(t, x, from_logits=True).numpy()
    assert abs(loss - np.log(2) / 5) < 1e-6
    tiny = ops.binary_cross_entropy(np.zeros((1, 1), np.float32), np.full((1, 1), -20, np.float32), from_logits=True)
    assert abs(tiny.numpy() / np.exp(-20) - 1) < 1e-5  # no cancellation in log(1 + e)


def test_weights_divide_by_the_number_of_samples(isa):
    t, p = np.zeros((2, 3), np.float32), np.ones((2, 3), np.float32)
    assert ops.mean_squared_error(t, p, np.array([1.0, 0.5], np.float32)).numpy() == 0.75


def test_bad_arguments_are_named():
    logits = np.zeros((2, 3), np.float32)
    with pytest.raises(ShapeError, match=r"labels.*\(2,\).*\(3,\)"):
        ops.softmax_cross_entropy(logits, np.zeros(3, np.int32))
    with pytest.raises(DTypeError, match="labels"):
        ops.softmax_cross_entropy(logits, np.zeros(2, np.int64))
    with pytest.raises(ShapeError, match="sample_weight"):
        ops.softmax_cross_entropy(logits, np.zeros(2, np.int32), np.ones(3, np.float32))
    with pytest.raises(ArgumentError, match="label_smoothing"):
        ops.softmax_cross_entropy(logits, np.zeros(2, np.int32), label_smoothing=1.0)
    with pytest.raises(ShapeError, match="y_true"):
        ops.mean_squared_error(np.zeros((2, 1), np.float32), np.zeros((2, 3), np.float32))
