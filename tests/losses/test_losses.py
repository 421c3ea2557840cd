"""Losses against plain NumPy: values, gradients, weights, logits, and every refusal of labels."""

import numpy as np
import pytest

from fastconv import activations, losses, ops
from fastconv.autograd import Tensor, gradcheck, no_grad, tensor
from fastconv.errors import ArgumentError, ShapeError, UnsupportedOpError

RNG = np.random.default_rng(3)
LOGITS = RNG.normal(size=(5, 4))
LABELS = np.array([0, 3, 2, 2, 1])
ONE_HOT = np.eye(4)[LABELS]
WEIGHTS = np.array([1.0, 0.0, 2.0, 0.5, 1.0])


def softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


ROWS = -np.log(softmax(LOGITS))[np.arange(5), LABELS]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("from_logits", [True, False])
@pytest.mark.parametrize("kind", ["sparse", "column", "one-hot"])
def test_crossentropy(dtype, from_logits, kind):
    cls = losses.CategoricalCrossentropy if kind == "one-hot" else losses.SparseCategoricalCrossentropy
    labels = {"sparse": LABELS, "column": LABELS[:, None].astype(np.uint8), "one-hot": ONE_HOT}[kind]
    y_pred = (LOGITS if from_logits else softmax(LOGITS)).astype(dtype)
    rtol = 1e-5 if dtype == "float32" else 1e-12
    loss = cls(from_logits=from_logits)
    np.testing.assert_allclose(loss(labels, y_pred).item(), ROWS.mean(), rtol=rtol)
    # Weights multiply; the divisor stays the number of samples.
    np.testing.assert_allclose(loss(labels, y_pred, WEIGHTS).item(), (ROWS * WEIGHTS).sum() / 5, rtol=rtol)
    np.testing.assert_allclose(cls(from_logits, reduction="sum")(labels, y_pred).item(), ROWS.sum(), rtol=rtol)
    np.testing.assert_allclose(cls(from_logits, reduction=None)(labels, y_pred).numpy(), ROWS, rtol=rtol)


def test_probabilities_with_logits_are_exact_where_probabilities_are_not():
    x = tensor(np.array([[200.0, 0.0], [0.0, 200.0]], np.float32), requires_grad=True)
    loss = losses.SparseCategoricalCrossentropy()
    with no_grad():
        assert loss([1, 0], activations.softmax(x)).item() == pytest.approx(200.0)
        assert loss([1, 0], ops.softmax(x)).item() == pytest.approx(-np.log(1e-7), rel=1e-3)  # clipped, as Keras
    loss([1, 0], activations.softmax(x)).backward()
    np.testing.assert_allclose(x.grad.numpy(), [[0.5, -0.5], [-0.5, 0.5]])


def test_logits_of_another_activation_are_not_used():
    x = tensor(LOGITS)
    p = 1 / (1 + np.exp(-LOGITS))
    expected = -np.log(p / p.sum(-1, keepdims=True))[np.arange(5), LABELS].mean()
    np.testing.assert_allclose(losses.SparseCategoricalCrossentropy()(LABELS, activations.sigmoid(x)).item(), expected)
    p = softmax(LOGITS)
    expected = -(ONE_HOT * np.log(p) + (1 - ONE_HOT) * np.log(1 - p)).mean()
    np.testing.assert_allclose(losses.BinaryCrossentropy()(ONE_HOT, activations.softmax(x)).item(), expected)


@pytest.mark.parametrize("reduction", ["sum_over_batch_size", None])
def test_label_smoothing(reduction):
    smooth = ONE_HOT * 0.8 + 0.2 / 4
    rows = -(smooth * np.log(softmax(LOGITS))).sum(-1)
    loss = losses.CategoricalCrossentropy(from_logits=True, label_smoothing=0.2, reduction=reduction)
    np.testing.assert_allclose(loss(ONE_HOT, LOGITS).numpy(), rows if reduction is None else rows.mean())
    smooth = ONE_HOT * 0.8 + 0.1
    p = 1 / (1 + np.exp(-LOGITS))
    rows = -(smooth * np.log(p) + (1 - smooth) * np.log(1 - p)).mean(-1)
    loss = losses.BinaryCrossentropy(from_logits=True, label_smoothing=0.2, reduction=reduction)
    np.testing.assert_allclose(loss(ONE_HOT, LOGITS).numpy(), rows if reduction is None else rows.mean())


@pytest.mark.parametrize("shape", [(6,), (6, 1)])
def test_binary_crossentropy_of_one_output(shape):
    x = RNG.normal(size=(6, 1))
    t = np.array([0, 1, 1, 0, 1, 0])
    p = 1 / (1 + np.exp(-x[:, 0]))
    rows = -(t * np.log(p) + (1 - t) * np.log(1 - p))
    for loss, y_pred in (
        (losses.BinaryCrossentropy(from_logits=True), tensor(x)),
        (losses.BinaryCrossentropy(), tensor(1 / (1 + np.exp(-x)))),
        (losses.BinaryCrossentropy(), activations.sigmoid(tensor(x))),
    ):
        np.testing.assert_allclose(loss(t.reshape(shape), y_pred).item(), rows.mean(), rtol=1e-9)
        weights = np.arange(6.0)
        np.testing.assert_allclose(loss(t.reshape(shape), y_pred, weights).item(), (rows * weights).mean(), rtol=1e-9)


def test_mean_squared_error():
    y, p = RNG.normal(size=(4, 3)), RNG.normal(size=(4, 3))
    rows = ((y - p) ** 2).mean(-1)
    np.testing.assert_allclose(losses.MeanSquaredError()(y, p).item(), rows.mean())
    np.testing.assert_allclose(losses.MeanSquaredError()(y, p, [1, 2, 3, 4]).item(), (rows * [1, 2, 3, 4]).mean())
    np.testing.assert_allclose(losses.mean_squared_error(y, p).numpy(), rows)
    np.testing.assert_allclose(losses.MeanSquaredError()(y[:, 0], p[:, :1]).item(), ((y - p)[:, 0] ** 2).mean())


@pytest.mark.parametrize("reduction", ["sum_over_batch_size", "none"])
def test_probabilities_are_normalised_and_clipped(reduction):
    p = np.array([[0.2, 0.6], [3.0, 0.0], [0.5, 0.5]])  # the sums are 0.8, 3 and 1
    rows = -np.log([0.75, 1e-7, 0.5])
    for loss, labels in (
        (losses.SparseCategoricalCrossentropy(reduction=reduction), [1, 1, 0]),
        (losses.CategoricalCrossentropy(reduction=reduction), [[0, 1], [0, 1], [1, 0]]),
    ):
        expected = rows if reduction == "none" else rows.mean()
        np.testing.assert_allclose(loss(labels, p).numpy(), expected, rtol=1e-9)


@pytest.mark.parametrize("reduction", ["sum_over_batch_size", "none"])
def test_binary_crossentropy_of_probabilities_clips_them(reduction):
    p, t = np.array([[0.3, 1.0], [0.0, 0.9]]), np.array([[1.0, 0.0], [1.0, 0.25]])
    rows = -np.array([[np.log(0.3), np.log(1e-7)], [np.log(1e-7), 0.25 * np.log(0.9) + 0.75 * np.log(0.1)]]).mean(-1)
    expected = rows if reduction == "none" else rows.mean()
    np.testing.assert_allclose(losses.BinaryCrossentropy(reduction=reduction)(t, p).numpy(), expected, rtol=1e-7)


def test_weights_of_positions_and_columns():
    x = RNG.normal(size=(2, 3, 4))
    labels = RNG.integers(0, 4, (2, 3))
    rows = -np.take_along_axis(np.log(softmax(x)), labels[..., None], -1)[..., 0]
    loss = losses.SparseCategoricalCrossentropy(from_logits=True)
    each = np.array([[1.0, 2.0, 0.0], [0.5, 1.0, 3.0]])
    np.testing.assert_allclose(loss(labels, x, each).item(), (rows * each).mean())
    np.testing.assert_allclose(loss(labels, x, each[..., None]).item(), (rows * each).mean())
    np.testing.assert_allclose(loss(labels, x, each[:, :1]).item(), (rows * each[:, :1]).mean())
    for shape in ((3,), (3, 2), (2, 2)):
        with pytest.raises(ShapeError, match="sample_weight"):
            loss(labels, x, np.ones(shape))


def test_images_of_labels():
    x = RNG.normal(size=(2, 3, 3, 4))
    labels = RNG.integers(0, 4, (2, 3, 3))
    rows = -np.take_along_axis(np.log(softmax(x)), labels[..., None], -1)[..., 0]
    loss = losses.SparseCategoricalCrossentropy(from_logits=True)
    np.testing.assert_allclose(loss(labels, x).item(), rows.mean())
    np.testing.assert_allclose(loss(labels[..., None], x).item(), rows.mean())
    np.testing.assert_allclose(loss(labels, x, [1.0, 3.0]).item(), (rows.mean((1, 2)) * [1, 3]).mean())


@pytest.mark.parametrize(
    ("loss", "labels"),
    [
        (losses.SparseCategoricalCrossentropy(from_logits=True), LABELS),
        (losses.SparseCategoricalCrossentropy(), LABELS),
        (losses.CategoricalCrossentropy(label_smoothing=0.1), ONE_HOT),
        (losses.BinaryCrossentropy(), ONE_HOT),
        (losses.BinaryCrossentropy(from_logits=True, reduction="sum"), ONE_HOT),
        (losses.MeanSquaredError(), ONE_HOT),
    ],
)
def test_gradients(loss, labels):
    y_pred = tensor(RNG.uniform(0.2, 0.8, size=(5, 4)), requires_grad=True)
    assert gradcheck(lambda p: loss(labels, p, WEIGHTS), [y_pred])


def test_function_and_subclass_of_ones_own():
    loss = losses.get(lambda y_true, y_pred: abs(y_true - y_pred))
    assert loss(np.array([1, 2]), np.array([[2.0], [5.0]])).item() == 2.0
    assert loss(np.array([1, 2]), np.array([[2.0], [5.0]]), [2.0, 0.0]).item() == 1.0

    class Mine(losses.Loss):
        def call(self, y_true, y_pred):
            return ops.square(y_true - y_pred).sum(axis=-1)

    assert Mine().name == "mine"
    assert Mine()(np.zeros((2, 2)), np.ones((2, 2))).item() == 2.0


def test_a_function_that_returns_nothing_is_named():
    def forgot(y_true, y_pred):
        abs(y_true - y_pred)

    with pytest.raises(ArgumentError, match="'forgot' returned None"):
        losses.get(forgot)(np.zeros(2), np.zeros((2, 1)))


@pytest.mark.parametrize("cls", [losses.CategoricalCrossentropy, losses.BinaryCrossentropy])
@pytest.mark.parametrize("value", [-0.1, 1, 1.5, "0.1", None, float("nan")])
def test_label_smoothing_out_of_range(cls, value):
    with pytest.raises(ArgumentError, match=f"{cls.__name__}: label_smoothing must be at least 0 and less than 1"):
        cls(label_smoothing=value)


@pytest.mark.parametrize(
    "cls", [losses.CategoricalCrossentropy, losses.SparseCategoricalCrossentropy, losses.BinaryCrossentropy]
)
def test_axis_other_than_the_last(cls):
    cls(axis=-1)
    with pytest.raises(UnsupportedOpError, match=f"{cls.__name__}: axis=1"):
        cls(axis=1)


def test_get():
    for name in ("bce", "mse", "sparse_categorical_crossentropy", "CategoricalCrossentropy", "mean_squared_error"):
        assert isinstance(losses.get(name), losses.Loss)
    assert losses.get(losses.binary_crossentropy).name == "binary_crossentropy"
    with pytest.raises(ArgumentError, match="sparse_crossentropy.*sparse_categorical_crossentropy"):
        losses.get("sparse_crossentropy")
    with pytest.raises(UnsupportedOpError, match="ignore_class"):
        losses.SparseCategoricalCrossentropy(ignore_class=0)


def test_serialize_round_trip():
    for loss in (
        losses.CategoricalCrossentropy(True, 0.1),
        losses.SparseCategoricalCrossentropy(True),
        losses.MeanSquaredError("sum"),
    ):
        again = losses.deserialize(losses.serialize(loss))
        assert type(again) is type(loss) and again.get_config() == loss.get_config()
    with pytest.raises(ArgumentError):
        losses.deserialize({"class_name": "Unknown", "config": {}})


SPARSE, ONE, YES_NO = (
    losses.SparseCategoricalCrossentropy(),
    losses.CategoricalCrossentropy(),
    losses.BinaryCrossentropy(),
)


@pytest.mark.parametrize(
    ("loss", "labels", "error", "message"),
    [
        (SPARSE, [0, 1, 4], ArgumentError, r"y\[2\] is 4.*from 0 to 3"),
        (SPARSE, [[0], [-1], [1]], ArgumentError, r"y\[1, 0\] is -1"),
        (SPARSE, [0.0, np.nan, 1.0], ArgumentError, r"y\[1\] is nan"),
        (SPARSE, [0.0, 0.5, 1.0], ArgumentError, r"y\[1\] is 0.5.*whole"),
        (SPARSE, np.eye(4)[:3], ShapeError, "categorical_crossentropy"),
        (SPARSE, [[0, 1], [0, 1], [0, 1]], ShapeError, r"\(3,\) or \(3, 1\)"),
        (ONE, [0, 1, 2], ShapeError, "to_categorical"),
        (ONE, [[0], [1], [2]], ShapeError, "to_categorical"),
        (ONE, np.eye(3), ShapeError, r"\(3, 4\).*got \(3, 3\)"),
        (ONE, np.full((3, 4), np.nan), ArgumentError, r"y\[0, 0\] is nan"),
        (YES_NO, np.full((3, 4), 2), ArgumentError, r"y\[0, 0\] is 2.*from 0 to 1"),
        (YES_NO, [0, 1, 1], ShapeError, r"\(3, 4\)"),
        (losses.MeanSquaredError(), np.zeros((3, 2)), ShapeError, r"\(3, 4\)"),
        (losses.MeanSquaredError(), np.full((3, 4), np.nan), ArgumentError, "nan"),
    ],
)
def test_labels_that_do_not_fit(loss, labels, error, message):
    with pytest.raises(error, match=message):
        loss.check(np.asarray(labels), (3, 4))


def test_labels_with_an_axis_of_one_too_much():
    y, p = RNG.normal(size=(4, 3)), RNG.normal(size=(4, 3))
    np.testing.assert_allclose(losses.MeanSquaredError()(y[..., None], p).item(), ((y - p) ** 2).mean())
    with pytest.raises(ShapeError, match=r"\(4, 3\)"):
        losses.MeanSquaredError()(np.stack([y, y], -1), p)


def test_class_numbers_against_predictions_without_classes():
    with pytest.raises(ShapeError, match="no axis of classes"):
        SPARSE([0, 1], np.zeros(2))
    # One output is an axis of classes, if a useless one: the numbers (N, 1) are no one-hot labels then.
    assert SPARSE([[0], [0]], np.ones((2, 1))).item() == pytest.approx(0, abs=1e-6)


def test_labels_far_into_a_large_array_are_named():
    labels = np.zeros(200_000, np.uint8)
    labels[150_001] = 10
    with pytest.raises(ArgumentError, match=r"y\[150001\] is 10"):
        SPARSE.check(labels, (200_000, 10))


def test_result_is_a_tensor():
    assert isinstance(SPARSE(LABELS, softmax(LOGITS)), Tensor)
