"""Forms of operators that left the standard: files that old exporters wrote still have them."""

import numpy as np
import pytest

import fastconv
from tests.io.onnx import small

RNG = np.random.default_rng(3)
X = RNG.normal(0, 2, (2, 3, 4, 5)).astype("float32")
A, B = (RNG.normal(0, 1, shape).astype("float32") for shape in ((3,), (3, 4)))


def run(kind, opset, x=X, weights=None, **attributes):
    weights = weights or {}
    node = small.node(kind, ["x", *weights], "y", **attributes)
    data = small.model([node], [small.value("x", x.shape)], [small.value("y", None)], weights, opset)
    return fastconv.InferenceSession(data).run(None, {"x": x})[0]


@pytest.mark.parametrize("constant", [True, False])
@pytest.mark.parametrize(
    ("kind", "function"), [("Add", np.add), ("Sub", np.subtract), ("Mul", np.multiply), ("Div", np.divide)]
)
def test_axes_of_the_second_operand(kind, function, constant):
    for other, axis, shape in ((A, 1, (3, 1, 1)), (B, 1, (3, 4, 1)), (B, -3, (3, 4, 1)), (X[0, 0, 0], 3, (5,))):
        wanted = function(X, other.reshape(shape))
        if constant:
            found = run(kind, 6, weights={"b": other}, broadcast=1, axis=axis)
        else:
            node = small.node(kind, "x b", "y", broadcast=1, axis=axis)
            inputs = [small.value("x", X.shape), small.value("b", other.shape)]
            data = small.model([node], inputs, [small.value("y", None)], opset=6)
            found = fastconv.InferenceSession(data).run(None, {"x": X, "b": other})[0]
        np.testing.assert_allclose(found, wanted, rtol=1e-6)


def test_pow_with_an_axis():
    found = run("Pow", 6, np.abs(X), {"b": A}, broadcast=1, axis=1)
    np.testing.assert_allclose(found, np.abs(X) ** A.reshape(3, 1, 1), rtol=1e-5)


def test_clip_by_attributes():
    np.testing.assert_array_equal(run("Clip", 6, min=-0.5, max=1.5), np.clip(X, np.float32(-0.5), np.float32(1.5)))
    np.testing.assert_array_equal(run("Clip", 10, max=1.5), np.minimum(X, np.float32(1.5)))
    np.testing.assert_array_equal(run("Clip", 6), X)


def test_slopes_of_channels():
    np.testing.assert_allclose(run("PRelu", 6, weights={"s": A}), np.where(X < 0, A.reshape(3, 1, 1) * X, X), rtol=1e-6)


@pytest.mark.parametrize(("kind", "function"), [("Softmax", lambda p: p), ("LogSoftmax", np.log)])
def test_softmax_over_all_axes_from_one_on(kind, function):
    for axis in (None, 1, 2, 3):
        rows = X.reshape(int(np.prod(X.shape[: 1 if axis is None else axis])), -1)
        powers = np.exp(rows)
        wanted = function(powers / powers.sum(1, keepdims=True)).reshape(X.shape)
        found = run(kind, 11, **({} if axis is None else {"axis": axis}))
        np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-6)


def test_batch_normalization():
    scale, bias, mean = (RNG.normal(0, 1, 3).astype("float32") for _ in range(3))
    variance = RNG.uniform(0.5, 2, 3).astype("float32")
    vectors = {"s": scale, "b": bias, "m": mean, "v": variance}
    s, b, m, v = (vector.reshape(3, 1, 1) for vector in vectors.values())
    wanted = (X - m) / np.sqrt(v + 1e-5) * s + b
    for opset, attributes in ((1, {"is_test": 1}), (6, {"is_test": 1, "spatial": 1}), (7, {}), (9, {}), (14, {})):
        np.testing.assert_allclose(
            run("BatchNormalization", opset, weights=vectors, **attributes), wanted, rtol=1e-4, atol=1e-5
        )
    each = {name: RNG.uniform(0.5, 2, X.shape[1:]).astype("float32") for name in "sbmv"}
    s, b, m, v = each.values()
    wanted = (X - m) / np.sqrt(v + 1e-5) * s + b
    found = run("BatchNormalization", 7, weights=each, spatial=0)
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5)


def test_gemm_with_broadcast():
    x, w, c = (RNG.normal(0, 1, shape).astype("float32") for shape in ((4, 6), (6, 3), (3,)))
    np.testing.assert_allclose(run("Gemm", 6, x, {"w": w, "c": c}, broadcast=1), x @ w + c, rtol=1e-5, atol=1e-6)


def test_groups_normalised_with_a_number_per_group():
    x = RNG.normal(0, 1, (2, 6, 4)).astype("float32")
    scale, bias = (RNG.normal(0, 1, 2).astype("float32") for _ in range(2))
    parts = x.reshape(2, 2, 12)
    wanted = (parts - parts.mean(2, keepdims=True)) / np.sqrt(parts.var(2, keepdims=True) + 1e-5)
    wanted = (wanted * scale.reshape(2, 1) + bias.reshape(2, 1)).reshape(x.shape)
    found = run("GroupNormalization", 18, x, {"s": scale, "b": bias}, num_groups=2)
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5)


def test_quotients_and_powers_of_integers():
    a, b = np.array([7, -7, 7, -7, 0], "int32"), np.array([2, 2, -2, -2, 3], "int32")
    inputs = [small.value("a", a.shape, "int32"), small.value("b", b.shape, "int32")]
    for kind, wanted in (("Div", [3, -3, -3, 3, 0]), ("Pow", [49, 49, 0, 0, 0])):
        data = small.model([small.node(kind, "a b", "y")], inputs, [small.value("y", None, "int32")], opset=15)
        found = fastconv.InferenceSession(data).run(None, {"a": a, "b": b})[0]
        assert found.dtype == np.int32
        assert found.tolist() == wanted
