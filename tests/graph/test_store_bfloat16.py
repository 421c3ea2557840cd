"""Programs of precision "medium" store bfloat16 between their steps: where, how exact, and which bits must not change."""

import numpy as np
import pytest

from fastconv import config, ops
from fastconv._kernels import band, bfloat16, runtime
from fastconv.autograd import Tensor, eager, gradients
from fastconv.graph import Program, trace
from fastconv.op import Epilogue, Spec

pytestmark = pytest.mark.skipif(not bfloat16.available(), reason="the active instruction set has no bfloat16 products")

rng = np.random.default_rng(0)


def weights(*shape, requires_grad=False):
    return Tensor((rng.standard_normal(shape) / np.sqrt(np.prod(shape[:-1]))).astype("float32"), requires_grad)


STEM, STEM_BIAS = weights(3, 3, 3, 24), weights(24)
WIDE, DEEP, DEPTHWISE = weights(1, 1, 24, 128), weights(3, 3, 128, 128), weights(3, 3, 128, 1)
STRIDED, LAST, HEAD = weights(3, 3, 128, 64), weights(3, 3, 192, 34), weights(34, 10)


def network(x):
    """A first layer, pooling, products of one pixel, Winograd's of both sizes with a residual, depthwise, and a head."""
    x = ops.max_pool2d(ops.conv2d(x, STEM, STEM_BIAS, padding="same", activation="relu"), 3, 2, "same")
    x = ops.conv2d(x, WIDE, activation="relu6")
    x = ops.conv2d(x, DEEP, padding="same", residual=x, activation="relu")
    x = ops.depthwise_conv2d(x, DEPTHWISE, padding="same", activation="relu6", residual=x)
    x = ops.concatenate([ops.conv2d(x, STRIDED, strides=2, activation="silu"), ops.avg_pool2d(x, 3, 2)], -1)
    x = ops.conv2d(x, LAST, padding="same", activation="relu")
    return {"y": ops.dense(ops.global_avg_pool2d(x), HEAD)}


def program(fn, *shape, precision="medium"):
    with config.precision(precision):
        return Program(trace(fn, {"x": Spec(shape)}))


def stored(program):
    """Return the names of the operations that leave bfloat16."""
    return [node.title for node in program.graph.nodes if node.outputs["y"].spec.dtype == "bfloat16"]


def images(n):
    return np.random.default_rng(n).standard_normal((n, 17, 15, 3)).astype("float32")


def test_network():
    x, medium = images(3), program(network, 3, 17, 15, 3)
    assert stored(medium).count("conv2d") >= 5
    assert {"max_pool2d", "avg_pool2d", "concatenate", "depthwise_conv2d", "global_avg_pool2d"} <= set(stored(medium))
    want = program(network, 3, 17, 15, 3, precision="highest").run(x=x)["y"]
    got = medium.run(x=x)["y"]
    assert got.dtype == np.float32
    assert 1e-4 < np.linalg.norm(got - want) / np.linalg.norm(want) < 0.02


def test_threads_and_company(monkeypatch):
    monkeypatch.setattr(runtime, "EAGER_SERIAL", 0.0)
    monkeypatch.setattr(runtime, "STEP_SERIAL", 0.0)
    x, medium = images(3), program(network, 3, 17, 15, 3)
    with config.num_threads(1):
        whole = medium.run(x=x)["y"]
    with config.num_threads(2):
        assert medium.run(x=x)["y"].tobytes() == whole.tobytes()
    assert program(network, 1, 17, 15, 3).run(x=x[1:2])["y"].tobytes() == whole[1:2].tobytes()


@pytest.mark.parametrize("planted", [np.nan, np.inf])
def test_neighbours_of_what_is_not_finite(planted):
    x, medium = images(3), program(network, 3, 17, 15, 3)
    clean = medium.run(x=x)["y"]
    x[1, 5, 5, 1] = planted
    got = medium.run(x=x)["y"]
    assert not np.isfinite(got[1]).all()
    assert got[[0, 2]].tobytes() == clean[[0, 2]].tobytes()


def widened(run, x, y_shape):
    """Run a graph whose y is stored as bfloat16 and then made float32 by a product with ones: the stored values."""
    one = np.zeros((1, 1, y_shape[-1], y_shape[-1]), np.float32)
    one[0, 0] = np.eye(y_shape[-1])
    made = program(lambda x: {"y": ops.conv2d(run(x), one)}, *x.shape)
    assert stored(made), "nothing is stored as bfloat16"
    return made.run(x=x)["y"]


KERNEL = weights(3, 3, 32, 36)


@pytest.mark.parametrize("planted", [None, np.inf, np.nan])
@pytest.mark.parametrize("side", [8, 3])  # Winograd's tiles, and too few outputs for them
@pytest.mark.parametrize(
    "options",
    [{}, {"strides": 2}, {"activation": "relu"}, {"activation": Epilogue("clip", -0.25, 0.5)}, {"activation": "silu"}],
)
def test_steps_between(options, side, planted):
    """A convolution of what is stored, whose result is stored: against exact sums of the stored values, rounded once."""
    x = np.random.default_rng(1).standard_normal((2, side, side, 32)).astype("float32")
    double = {"padding": "same", **options}

    def run(x):
        return ops.conv2d(ops.max_pool2d(ops.conv2d(x, IDENTITY), 1), KERNEL, **double)

    if planted is not None:
        x[0, 1, 2, 5] = planted
    shape = ops.conv2d(x, KERNEL, **double).shape
    got = widened(run, x, shape)
    with np.errstate(all="ignore"):
        exact = ops.conv2d(x.astype("float64"), KERNEL.numpy().astype("float64"), **double).numpy()
    if planted is None:
        assert np.linalg.norm(got - exact) / np.linalg.norm(exact) < 0.012
    else:
        finite = np.isfinite(exact)
        assert np.isfinite(got[1:]).all()
        assert not np.isfinite(got[:1][~finite[:1]]).any() or options.get("activation") is not None


@pytest.mark.parametrize("planted", [None, np.inf, np.nan])
@pytest.mark.parametrize("columns", [18, 32, 100])
@pytest.mark.parametrize("options", [{}, {"activation": "relu"}, {"activation": "relu6"}])
def test_one_tap(columns, options, planted, monkeypatch):
    """A 1x1 convolution between stored values has a kernel of its own: with the bits of the kernel for any taps."""
    x = np.random.default_rng(2).standard_normal((2, 9, 12, 32)).astype("float32")
    if planted is not None:
        x[1, 2, 3, 4] = planted
    kernel, bias = weights(1, 1, 32, columns), weights(columns)

    def run(x):
        return ops.conv2d(ops.conv2d(x, IDENTITY), kernel, bias, **options)

    def steps():
        made = program(lambda x: {"y": ops.conv2d(run(x), weights(1, 1, columns, 32))}, *x.shape)
        return [step.name for _, phase, _ in made.phases() if phase for step in phase]

    shape = x.shape[:3] + (columns,)
    assert "band" in steps()
    got = widened(run, x, shape)
    monkeypatch.setattr(band, "fits", lambda depth: False)
    eager._plan.cache_clear()
    assert "band" not in steps()
    assert got.tobytes() == widened(run, x, shape).tobytes()
    eager._plan.cache_clear()


IDENTITY = Tensor(np.eye(32, dtype="float32").reshape(1, 1, 32, 32))


def test_only_in_medium_and_not_before_backward():
    assert not stored(program(network, 1, 17, 15, 3, precision="high"))

    def step(x):
        y = ops.conv2d(ops.conv2d(x, WIDE_IN, activation="relu"), DEEP, padding="same")
        return {"d": gradients(ops.sum(y), [WIDE_IN])[0]}

    values = [value for node in program(step, 1, 8, 8, 24).graph.nodes for value in node.outputs.values()]
    assert {value.spec.dtype for value in values} == {"float32"}


WIDE_IN = weights(1, 1, 24, 128, requires_grad=True)
