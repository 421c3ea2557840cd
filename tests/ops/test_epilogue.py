"""Every activation in every kernel that fuses one, with and without a residual; the registry's cases know a few of each."""

import importlib

import numpy as np
import pytest

from fastconv import ops
from fastconv.autograd import tensor
from fastconv.errors import ArgumentError, GradientError
from fastconv.op import Epilogue, Spec
from fastconv.ops import _activations
from fastconv.ops.activation import OPS

from .conftest import EPS, rng_of, run_plan

DENSE, CONV, DEPTHWISE = (
    importlib.import_module(f"fastconv.ops.{name}").OP for name in ("dense", "conv2d", "depthwise_conv2d")
)
NUMBERS = {"clip": (-0.5, 1.5), "elu": (1.6, 1.1), "hard_sigmoid": (0.2, 0.5)}
EPILOGUES = [Epilogue(name, *NUMBERS.get(name, f.numbers)) for name, f in _activations.TABLE.items()]
SAME = CONV.attrs(padding="same")
CALLS = {
    "dense": (DENSE, (5, 9), (9, 37), DENSE.attrs()),
    "dense, one row": (DENSE, (1, 9), (9, 130), DENSE.attrs()),
    "direct": (CONV, (1, 5, 6, 13), (2, 2, 13, 35), SAME),
    "shallow": (CONV, (1, 5, 17, 3), (3, 3, 3, 35), SAME),
    "winograd_2x2": (CONV, (1, 5, 6, 13), (3, 3, 13, 35), SAME),
    "winograd_2x4": (CONV, (1, 6, 8, 132), (3, 3, 132, 35), SAME),
    "winograd_4x4": (CONV, (1, 4, 7, 388), (3, 3, 388, 35), SAME),
    "grouped": (CONV, (1, 5, 6, 32), (3, 3, 8, 32), SAME._replace(groups=4)),
    "depthwise": (DEPTHWISE, (1, 5, 16, 37), (3, 3, 37, 1), SAME),
    "depthwise, narrow": (DEPTHWISE, (1, 5, 3, 3), (3, 3, 3, 2), SAME),
}


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("epilogue", EPILOGUES, ids=lambda e: e.activation)
def test_fused_is_applied(epilogue, call, isa):
    op, x, kernel, attrs = CALLS[call]
    rng, attrs = rng_of(op, call, epilogue.activation), attrs._replace(epilogue=epilogue)
    arrays = {"x": rng.standard_normal(x), "kernel": rng.standard_normal(kernel)}
    plain = attrs._replace(epilogue=Epilogue())
    specs = {name: Spec(array.shape) for name, array in arrays.items()}
    y = op.infer(specs, plain)["y"].shape
    more = {"bias": rng.standard_normal(y[-1]), "residual": rng.standard_normal(y)}
    for names in ((), ("bias",), ("bias", "residual")):
        inputs = {name: a.astype("f4") for name, a in (*arrays.items(), *((name, more[name]) for name in names))}
        specs = {name: Spec(array.shape) for name, array in inputs.items()}
        results = op.infer(specs, attrs)
        wide = {name: array.astype("f8") for name, array in inputs.items()}
        z = op.reference(wide, plain)["y"]
        got = run_plan(op.plan(specs, attrs), inputs, results)["y"]
        want = _activations.activate(epilogue, z)
        np.testing.assert_allclose(got, want, rtol=64 * EPS, atol=64 * EPS * np.abs(z).max())


@pytest.mark.parametrize("name", ["silu", "hard_swish", "gelu", "gelu_tanh", "mish", "softsign"])
def test_no_gradient_where_y_does_not_tell_it(name):
    x = tensor(np.ones((1, 2)), requires_grad=True)
    with pytest.raises(GradientError, match=f"ops.{name}"):
        ops.dense(x, np.ones((2, 3)), activation=name)


@pytest.mark.parametrize("name", [n for n, f in _activations.TABLE.items() if f.reads == "y" and f.numbers])
def test_a_fused_gradient_is_that_of_two_steps(name):
    rng = np.random.default_rng(0)
    arrays = [rng.standard_normal(shape).astype("f4") for shape in ((5, 9), (9, 37), (37,), (5, 37))]
    dy, grads = rng.standard_normal((5, 37)).astype("f4"), []
    for fused in (True, False):
        x, kernel, bias, residual = (tensor(array, requires_grad=True) for array in arrays)
        y = ops.dense(x, kernel, bias, activation=name if fused else None, residual=residual)
        if not fused:
            y = getattr(ops, name)(y)
        y.backward(dy)
        grads.append([t.grad.numpy() for t in (x, kernel, bias, residual)])
    for one, other in zip(*grads, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("activation", "message"),
    [
        ("swoosh", "one of relu"),
        ("clip", "needs its numbers"),
        (Epilogue("clip", 2.0, 1.0), "low <= high"),
        (Epilogue("elu", -1.0, 1.0), "alpha >= 0"),
        (Epilogue("hard_sigmoid", np.inf, 0.0), "finite"),
    ],
)
def test_bad_activations_are_refused(activation, message):
    with pytest.raises(ArgumentError, match=message):
        ops.dense(np.ones((1, 2)), np.ones((2, 3)), activation=activation)


def test_a_residual_of_another_shape_is_refused():
    with pytest.raises(ArgumentError, match=r"residual.*\(1, 3\)"):
        ops.dense(np.ones((1, 2)), np.ones((2, 3)), residual=np.ones(3))


@pytest.mark.parametrize("name", OPS)
def test_far_out(name, isa):
    """Where exponentials overflow or vanish."""
    x = np.array([-1e38, -1e4, -104, -89, -88, -50, -17, 17, 50, 88, 89, 104, 1e4, 1e38], "f4")
    epilogue = Epilogue(name, *NUMBERS.get(name, _activations.TABLE[name].numbers))
    attrs = OPS[name].attrs(epilogue.alpha, epilogue.beta)
    got = run_plan(OPS[name].plan({"x": Spec(x.shape)}, attrs), {"x": x}, {"y": Spec(x.shape)})["y"]
    with np.errstate(all="ignore"):
        want = _activations.activate(epilogue, x.astype("f8")).astype("f4")
    np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-9)
