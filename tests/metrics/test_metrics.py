"""Metrics against values worked out by hand."""

import numpy as np
import pytest

from fastconv import metrics
from fastconv.errors import ArgumentError, ShapeError

PRED = np.array([[0.1, 0.7, 0.2], [0.8, 0.1, 0.1], [0.3, 0.3, 0.4], [0.2, 0.5, 0.3]], np.float32)


def test_mean_is_weighted():
    mean = metrics.Mean()
    assert mean.result() == 0.0
    mean.update_state(4.0, sample_weight=3)
    mean.update_state(0.0, sample_weight=1)
    assert mean.result() == 3.0
    mean.reset_state()
    mean.update_state([1, 2, 6])
    assert mean.result() == 3.0


def test_mean_broadcasts_weights_over_trailing_axes():
    mean = metrics.Mean()
    mean.update_state([[1.0, 3.0], [5.0, 7.0]], sample_weight=[1.0, 0.0])
    assert mean.result() == 2.0
    with pytest.raises(ShapeError, match="sample_weight"):
        mean.update_state([1.0, 2.0], sample_weight=[1.0, 1.0, 1.0])


@pytest.mark.parametrize(
    "weights", [[2.0, 1.0], [[2.0], [1.0]], [[2.0, 2.0], [1.0, 1.0]], [[[2.0], [2.0]], [[1.0], [1.0]]]]
)
def test_mean_takes_weights_of_samples_and_of_positions(weights):
    mean = metrics.Mean()
    mean.update_state([[1.0, 3.0], [5.0, 7.0]], sample_weight=weights)
    assert mean.result() == (2 * 4 + 12) / 6


@pytest.mark.parametrize("weights", [[1.0], [[1.0, 1.0]], [[[1.0, 1.0]] * 2] * 2, [[1.0] * 3] * 2])
def test_mean_refuses_weights_that_do_not_fit(weights):
    mean = metrics.Mean()
    with pytest.raises(ShapeError, match="sample_weight of shape"):
        mean.update_state([[1.0, 3.0], [5.0, 7.0]], sample_weight=weights)
    assert (mean.total, mean.count) == (0.0, 0.0)


@pytest.mark.parametrize("labels", [[1, 0, 0, 2], [[1], [0], [0], [2]], np.array([1, 0, 0, 2], np.uint8)])
def test_sparse_categorical_accuracy(labels):
    metric = metrics.SparseCategoricalAccuracy()
    assert metric(labels, PRED) == 0.5
    assert metric([1, 0, 2, 1], PRED) == 0.75  # running: 6 of 8
    metric.reset_state()
    assert metric(labels, PRED, sample_weight=[1, 1, 0, 0]) == 1.0


def test_categorical_accuracy():
    assert metrics.CategoricalAccuracy()(np.eye(3)[[1, 0, 0, 2]], PRED) == 0.5
    with pytest.raises(ShapeError, match="y_true"):
        metrics.CategoricalAccuracy()(np.eye(4), PRED)


def test_binary_accuracy_takes_labels_with_and_without_last_axis():
    pred = np.array([[0.9], [0.2], [0.6], [0.5]])
    assert metrics.BinaryAccuracy()([1, 0, 0, 0], pred) == 0.75
    assert metrics.BinaryAccuracy()([[1], [0], [0], [0]], pred) == 0.75
    assert metrics.BinaryAccuracy(threshold=0.7)([1, 0, 0, 0], pred) == 1.0


def test_accuracy_is_equality():
    assert metrics.Accuracy()([1, 2, 3, 4], [1, 2, 0, 4]) == 0.75


def test_top_k():
    assert metrics.SparseTopKCategoricalAccuracy(k=2)([0, 2, 0, 2], PRED) == 0.75  # 0.1 is third, ties count
    assert metrics.SparseTopKCategoricalAccuracy(k=1)([1, 0, 2, 1], PRED) == 1.0


def test_top_k_is_of_five_unless_said():
    scores = np.arange(8.0)[None]
    assert [metrics.SparseTopKCategoricalAccuracy()([label], scores) for label in (2, 3)] == [0.0, 1.0]
    assert [metrics.sparse_top_k_categorical_accuracy(np.array([label]), scores).item() for label in (2, 3)] == [0, 1]


@pytest.mark.parametrize("label", [-1, 3])
def test_top_k_refuses_class_numbers_out_of_range(label):
    with pytest.raises(ArgumentError, match="class numbers must be from 0 to 2"):
        metrics.SparseTopKCategoricalAccuracy()([0, 1, label, 2], PRED)


@pytest.mark.parametrize("k", [0, -1, True, 1.5, "5", None])
def test_top_k_of_a_wrong_number(k):
    with pytest.raises(ArgumentError, match="k must be an integer >= 1"):
        metrics.SparseTopKCategoricalAccuracy(k)


@pytest.mark.parametrize("threshold", [0, 1, -0.5, 1.5, "0.5", None])
def test_threshold_out_of_range(threshold):
    with pytest.raises(ArgumentError, match="threshold must be between 0 and 1"):
        metrics.BinaryAccuracy(threshold=threshold)


@pytest.mark.parametrize(
    ("metric", "labels", "predictions"),
    [
        (metrics.SparseCategoricalAccuracy(), [0, 1], [0.1, 0.9]),
        (metrics.SparseCategoricalAccuracy(), [0, 1, 2], PRED),
        (metrics.SparseCategoricalAccuracy(), np.zeros((4, 3)), PRED),
        (metrics.BinaryAccuracy(), np.zeros((4, 2)), np.zeros((4, 1))),
        (metrics.MeanAbsoluteError(), np.zeros((4, 3, 2)), PRED),
        (metrics.MeanSquaredError(), np.zeros(3), PRED),
    ],
)
def test_labels_that_do_not_fit(metric, labels, predictions):
    labels, predictions = np.asarray(labels), np.asarray(predictions)
    for update in (metric.check, metric.update_state):
        with pytest.raises((ArgumentError, ShapeError), match="y_true|y_pred"):
            update(labels, predictions)
    assert metric.count == 0


def test_categorical_accuracy_of_positions():
    pred = np.stack([PRED, PRED[::-1]])
    labels = np.eye(3)[[[1, 0, 0, 2], [1, 2, 0, 0]]]
    assert metrics.CategoricalAccuracy()(labels, pred) == 5 / 8


def test_labels_with_an_axis_of_one_too_much():
    assert metrics.MeanAbsoluteError()(PRED[..., None], PRED) == 0.0
    assert metrics.MeanSquaredError()(PRED[..., None] + 1, PRED) == pytest.approx(1.0)


def test_a_function_that_returns_nothing_is_named():
    def forgot(y_true, y_pred):
        np.abs(y_true - y_pred)

    with pytest.raises(ArgumentError, match="'forgot' returned None"):
        metrics.get(forgot)([1.0], [2.0])


def test_squared_and_absolute_error():
    assert metrics.MeanSquaredError()([1.0, 2.0], [2.0, 4.0]) == 2.5
    assert metrics.MeanAbsoluteError()([[1.0], [2.0]], [[2.0], [4.0]]) == 1.5


@pytest.mark.parametrize(
    ("true_shape", "pred_shape", "expected"),
    [
        ((8,), (8, 10), metrics.SparseCategoricalAccuracy),
        ((8, 1), (8, 10), metrics.SparseCategoricalAccuracy),
        ((8, 10), (8, 10), metrics.CategoricalAccuracy),
        ((8,), (8, 1), metrics.BinaryAccuracy),
        ((8, 1), (8, 1), metrics.BinaryAccuracy),
        ((8, 4, 4), (8, 4, 4, 3), metrics.SparseCategoricalAccuracy),
    ],
)
def test_accuracy_string_depends_on_shapes(true_shape, pred_shape, expected):
    metric = metrics.get("accuracy", true_shape, pred_shape)
    assert type(metric) is expected and metric.name == "accuracy"
    assert metrics.get("acc", true_shape, pred_shape).name == "acc"


def test_get():
    assert metrics.get("mse").name == "mse"
    assert metrics.get("SparseCategoricalAccuracy").name == "sparse_categorical_accuracy"
    assert metrics.get(metrics.BinaryAccuracy).name == "binary_accuracy"
    own = metrics.get(lambda y_true, y_pred: np.abs(y_true - y_pred))
    assert own([1.0, 2.0], [2.0, 4.0]) == 1.5
    with pytest.raises(ArgumentError, match="acuracy.*sparse_categorical_accuracy"):
        metrics.get("acuracy")


def test_serialize_round_trip():
    for metric in (metrics.BinaryAccuracy(threshold=0.25), metrics.SparseTopKCategoricalAccuracy(3, name="top3")):
        again = metrics.deserialize(metrics.serialize(metric))
        assert type(again) is type(metric) and again.get_config() == metric.get_config()
    assert metrics.serialize(metrics.get(lambda a, b: a)) is None
