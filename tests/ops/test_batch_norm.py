"""Batch normalisation beyond what the registry checks: statistics far from zero, one channel, bad arguments."""

import numpy as np
import pytest

from fastconv.autograd import eager
from fastconv.errors import ArgumentError, DTypeError, ShapeError
from fastconv.ops import batch_norm
from fastconv.ops.batch_norm import TRAIN, TrainAttrs, batch_normalization

EPS = np.finfo("float32").eps


def arrays_of(x):
    channels = x.shape[-1]
    vector = np.linspace(0.5, 1.5, channels).astype("float32")
    return {"x": x, "gamma": vector, "beta": -vector, "moving_mean": vector, "moving_variance": vector}


@pytest.mark.parametrize("shape", [(3000, 1), (40, 9, 7, 3), (16, 16, 16, 32), (700, 130)])
def test_mean_far_from_zero(shape):
    rng = np.random.default_rng(0)
    x = (1e4 + rng.standard_normal(shape)).astype("float32")
    # An outlier comes first: the sums must not hang on it.
    x.reshape(-1, shape[-1])[0] = 0
    arrays, attrs = arrays_of(x), TrainAttrs(0.5, 1e-3)
    exact = {name: array.astype("float64") for name, array in arrays.items()}
    got, want = eager.forward(TRAIN, arrays, attrs), TRAIN.reference(exact, attrs)
    for name in ("y", "new_moving_mean", "new_moving_variance", "inv_std"):
        assert np.abs(got[name] - want[name]).max() <= 64 * EPS * np.abs(want[name]).max(), name

    dy = rng.standard_normal(shape).astype("float32")
    zeros = np.zeros(shape[-1:], "float32")
    gradients = {"dy": dy, "dnew_moving_mean": zeros, "dnew_moving_variance": zeros}
    specs = {name: eager.spec_of(array) for name, array in {**arrays, **got}.items()}
    needs = frozenset({"x", "gamma", "beta"})
    kept = TRAIN.keeps(attrs, needs)
    results = eager.backward(
        TRAIN, {**{n: a for n, a in {**arrays, **got}.items() if n in kept}, **gradients}, attrs, needs, specs
    )
    want = TRAIN.reference_backward({**exact, **want, **gradients}, attrs, needs)
    for name, gradient in results.items():
        assert np.abs(gradient - want[name]).max() <= 64 * EPS * np.abs(want[name]).max(), name


@pytest.mark.parametrize("mean", [0, 3, 1e3, 1e6])
def test_inference_rounds_the_shift_once(mean, isa):
    """x * scale + shift: half a unit in the last place of the shift, and of scale and result what x - mean is scaled to."""
    rng = np.random.default_rng(0)
    x = (mean + rng.standard_normal((500, 33))).astype("float32")
    vectors = {name: rng.uniform(0.5, 2, 33).astype("float32") for name in ("gamma", "beta", "moving_variance")}
    arrays = {"x": x, **vectors, "moving_mean": np.full(33, mean, "float32")}
    attrs = batch_norm.InferenceAttrs(1e-3)
    exact = {name: array.astype("float64") for name, array in arrays.items()}
    got, want = (
        eager.forward(batch_norm.INFERENCE, arrays, attrs)["y"],
        batch_norm.reference_inference(exact, attrs)["y"],
    )
    affine = batch_norm.reference_affine({name: array for name, array in exact.items() if name != "x"}, attrs)
    # Without an instruction that fuses them, the product is rounded as well.
    product = 0 if isa != "baseline" else np.abs(exact["x"] * affine["scale"])
    bound = np.abs(affine["shift"]) / 2 + product / 2 + np.abs(want) + np.abs(want - exact["beta"]) / 2
    assert (np.abs(got - want) <= 1.001 * EPS * bound).all()


def test_inference_where_the_shift_is_not_finite(isa):
    """What infinities cancel in is computed the other way round, as the formula says."""
    x, one = np.array([[3e38, 1.0]], "float32"), np.ones(2, "float32")
    mean, gamma = np.array([3e38, 3.0], "float32"), np.array([1e3, np.inf], "float32")
    y = batch_normalization(x, gamma, one, mean, one).numpy()
    np.testing.assert_array_equal(y, np.array([[1, -np.inf]], "float32"))


def test_infinity_reaches_the_mean():
    x = np.ones((70, 8), "float32")
    x[0, 3] = np.inf
    got = eager.forward(TRAIN, arrays_of(x), TrainAttrs(0.5, 1e-3))
    assert np.isposinf(got["mean"][3])
    assert np.isnan(got["y"][:, 3]).any()
    assert np.isfinite(np.delete(got["y"], 3, axis=1)).all()


def test_moving_statistics_follow_the_biased_variance():
    x = np.array([[1.0], [3.0]], "float32")
    one = np.ones(1, "float32")
    _, mean, variance = batch_normalization(x, None, None, one, 5 * one, training=True, momentum=0.75)
    assert mean.numpy().tolist() == [1.25] and variance.numpy().tolist() == [4.0]


def test_errors_name_the_argument():
    x, vector = np.ones((2, 3), "float32"), np.ones(3, "float32")
    with pytest.raises(ShapeError, match=r"gamma .* \(3,\).* got \(4,\)"):
        batch_normalization(x, np.ones(4, "float32"), None, vector, vector)
    with pytest.raises(ShapeError, match="at least 2 dimensions"):
        batch_normalization(vector, None, None, vector, vector)
    with pytest.raises(ShapeError, match="empty"):
        batch_normalization(x[:0], None, None, vector, vector, training=True)
    with pytest.raises(DTypeError, match="beta"):
        batch_normalization(x, None, np.ones(3, "float64"), vector, vector)
    with pytest.raises(ArgumentError, match="momentum"):
        batch_normalization(x, None, None, vector, vector, training=True, momentum=1.5)
    with pytest.raises(ArgumentError, match="epsilon"):
        batch_normalization(x, None, None, vector, vector, epsilon=0)


def test_unknown_dimensions():
    specs = {"x": eager.Spec((None, None, 4)), "moving_mean": eager.Spec((4,)), "moving_variance": eager.Spec((4,))}
    assert batch_norm.INFERENCE.infer(specs, batch_norm.InferenceAttrs())["y"].shape == (None, None, 4)
    assert TRAIN.infer(specs, TrainAttrs())["new_moving_mean"].shape == (4,)
