"""Precision "medium": what is rounded to bfloat16, its error, and the bits that must not depend on company or threads."""

import contextlib
import itertools
from types import SimpleNamespace

import numpy as np
import pytest

import fastconv
from fastconv import config, ops
from fastconv._kernels import bfloat16, runtime
from fastconv.autograd import eager
from fastconv.op import REGISTRY, Epilogue, Op, Spec
from fastconv.ops import _transposed
from fastconv.ops._convolution import Attrs as ConvAttrs
from fastconv.ops.conv2d.block import Attrs as BlockAttrs
from fastconv.ops.conv2d.family import case
from fastconv.ops.dense import Attrs as DenseAttrs
from fastconv.ops.matmul import Attrs as MatmulAttrs

from .conftest import PAIRS, Memory, mismatch, over, run_plan, same_bits, sample, stand_ins, widen

pytestmark = pytest.mark.skipif(not bfloat16.available(), reason="the active instruction set has no bfloat16 products")


def nearest(x):
    """Round float32 to bfloat16, ties to even, in integers."""
    x = np.asarray(x, np.float32)
    bits = x.view(np.uint32).astype(np.uint64)
    kept = ((bits + 0x7FFF + (bits >> np.uint64(16) & np.uint64(1))) & np.uint64(0xFFFF0000)).astype(np.uint32)
    tiny = np.abs(x) < np.finfo(np.float32).tiny
    rounded = np.where(tiny, bits.astype(np.uint32) & 0x80000000, kept).astype(np.uint32).view(np.float32)
    cut = (bits.astype(np.uint32) & 0xFFFF0000).view(np.float32)  # the largest stay finite
    return np.where(np.isnan(x), x, np.where(np.isinf(rounded) & np.isfinite(x), cut, rounded))


@contextlib.contextmanager
def isa(name):
    before = runtime.isa()
    runtime.select(name)
    try:
        yield
    finally:
        runtime.select(before)


def conv(*args, **options):
    return "conv2d", case(*args, **options)


def other(name, x, kernel, **options):
    make = _transposed.case if name.endswith("transpose") else case
    return name, make(x, kernel, **options)


def pooled(x, kernel):
    operands = {"x": Spec(x), "kernel": Spec(kernel), "bias": Spec(kernel[-1:])}
    return "conv2d_block", fastconv.op.Case(operands, BlockAttrs(ConvAttrs(padding="same"), pool=True))


def product(name, left, right, attrs):
    first, second = {"dense": ("x", "kernel"), "matmul": ("a", "b")}[name]
    return name, fastconv.op.Case({first: Spec(left), second: Spec(right)}, attrs)


# Odd numbers of everything but the channels; blocks of the reduction; bands over the borders of images.
CASES = (
    conv((2, 5, 7, 16), (1, 1, 16, 33)),
    conv((3, 6, 5, 18), (3, 2, 18, 40), strides=(2, 1), padding="same", epilogue=Epilogue("relu")),
    conv((2, 9, 8, 32), (3, 3, 16, 36), groups=2, dilation_rate=(2, 1), padding="same"),
    conv((2, 7, 5, 20), (3, 2, 20, 37), strides=(2, 1), padding="same", residual=True, epilogue=Epilogue("relu")),
    conv((1, 3, 5, 1400), (1, 1, 1400, 18), residual=True, epilogue=Epilogue("sigmoid")),
    conv((1, 6, 6, 300), (3, 3, 300, 34), strides=(2, 2), padding="same", bias=False),
    conv((1, 1, 1, 70), (1, 1, 70, 150)),
    # First layers: rows of odd and even length, pixels an odd and an even number of elements apart; no padding.
    conv((2, 21, 19, 3), (7, 7, 3, 64), strides=(2, 2), padding="same", epilogue=Epilogue("relu")),
    conv((2, 12, 150, 3), (3, 3, 3, 33), strides=(2, 2), padding="same"),
    conv((2, 9, 8, 1), (3, 3, 1, 40), residual=True),
    conv((2, 7, 9, 4), (2, 3, 4, 7), padding="same", epilogue=Epilogue("sigmoid")),
    other("conv1d", (2, 19, 3), (3, 3, 17), padding="same"),
    other("conv3d", (1, 3, 4, 5, 3), (2, 3, 3, 3, 20), padding="same"),
    pooled((2, 13, 12, 3), (3, 3, 3, 40)),
    other("conv1d", (2, 19, 22), (3, 22, 17), padding="same"),
    other("conv3d", (1, 3, 4, 5, 16), (2, 3, 3, 16, 20), padding="same"),
    other("conv2d_transpose", (2, 4, 5, 24), (3, 3, 18, 24), strides=2, padding="same"),
    product("dense", (5, 40), (40, 34), DenseAttrs()),
    product("dense", (1, 1400), (1400, 70), DenseAttrs()),
    product("dense", (2, 26), (26, 150), DenseAttrs(Epilogue("tanh"))),
    product("matmul", (98, 20), (20, 18), MatmulAttrs()),
    product("matmul", (35, 2048), (2048, 80), MatmulAttrs()),
    product("matmul", (3, 6, 22), (3, 16, 22), MatmulAttrs(False, True)),
    # Rows enough to be rounded band by band: two blocks of the reduction, and batches.
    product("matmul", (513, 1302), (1302, 70), MatmulAttrs()),
    product("matmul", (2, 520, 22), (2, 16, 22), MatmulAttrs(False, True)),
)
IDS = [f"{name}-{i}" for i, (name, _) in enumerate(CASES)]
over_cases = pytest.mark.parametrize(("name", "case"), CASES, ids=IDS)


def draw(case, seed=0):
    rng = np.random.default_rng(seed)
    return {name: rng.standard_normal(spec.shape).astype("float32") for name, spec in case.inputs.items()}


def rounded(arrays, names):
    return {name: nearest(array) if name in names else array for name, array in arrays.items()}


def steps(plan):
    return [step.name for phase in (*plan.prologue, *plan.phases) for step in phase]


def forward(name, case):
    """Return (op, plan) in precision "medium"."""
    op = REGISTRY[name]
    with config.precision("medium"):
        plan = op.plan(dict(case.inputs), case.attrs)
    assert {"round", "convolve_shallow", "product_rounding"} & {*steps(plan)}, (
        "operands are not rounded: the case tests nothing"
    )
    return op, plan


OPERANDS = {"x", "kernel", "a", "b"}


# ---- rounding


def round_by_kernel(x):
    memory = Memory()
    memory.add("x", x.nbytes, x)
    memory.add("y", 2 * x.size)
    runtime.execute(((bfloat16.round("x", "y", x.size),),), memory.buffers)
    memory.check()
    bits = np.frombuffer(memory.views["y"].tobytes(), np.uint16)
    return (bits.astype(np.uint32) << 16).view(np.float32)


def test_rounding_is_to_nearest_even():
    rng = np.random.default_rng(0)
    bits = rng.integers(0, 2**32, 100_003, dtype=np.uint32)
    ties = (rng.integers(0, 2**16, 1000, dtype=np.uint32) << 16) | 0x8000
    x = np.concatenate([bits, ties]).view(np.float32)
    got, want = round_by_kernel(x), nearest(x)
    np.testing.assert_array_equal(got, want)
    assert (np.signbit(got) == np.signbit(want))[~np.isnan(x)].all()


def test_rounding_at_the_ends():
    most = np.array(0x7F7F0000, np.uint32).view(np.float32)  # the largest bfloat16
    up = np.array(0x7F7F8000, np.uint32).view(np.float32)  # half a unit above it: cut, not infinite
    below = np.nextafter(up, np.float32(0))
    x = np.array([most, below, up, np.finfo("f4").max, np.inf, -np.inf, -up, 0.0, -0.0, 1e-39, np.nan], np.float32)
    want = np.array([most, most, most, most, np.inf, -np.inf, -most, 0, 0, 0, np.nan], np.float32)
    np.testing.assert_array_equal(round_by_kernel(x), want)


# ---- the sums are those of rounded operands


@over_cases
def test_forward_sums_rounded_operands(name, case):
    op, plan = forward(name, case)
    inputs = draw(case)
    results = op.infer(dict(case.inputs), case.attrs)
    exact = rounded(inputs, OPERANDS)
    want = op.reference(widen(exact), case.attrs)

    def again(moved):
        return op.reference(widen(moved), case.attrs)

    got = run_plan(plan, inputs, results)
    assert mismatch(got, want, op.reduction(dict(case.inputs), case.attrs), again, exact) is None
    assert mismatch(got, op.reference(widen(inputs), case.attrs), 1) is not None, "nothing was rounded"


def _backward(op: Op, case, inputs, seed=1):
    specs = dict(case.inputs)
    results = op.infer(dict(specs), case.attrs)
    rng = np.random.default_rng(seed)
    dys = {"d" + o: rng.standard_normal(results[o].shape).astype("float32") for o in op.outputs}
    specs |= results | {name: Spec(dy.shape) for name, dy in dys.items()}
    return specs, dys


@pytest.mark.parametrize(
    ("name", "case"),
    [
        conv((2, 5, 7, 33), (1, 1, 33, 16), bias=False),
        conv((3, 6, 5, 9), (3, 2, 9, 40), strides=(2, 1), padding="same", bias=False),
        conv((2, 9, 8, 32), (3, 3, 16, 36), groups=2, dilation_rate=(2, 1), padding="same", bias=False),
        other("conv3d", (1, 3, 4, 5, 17), (2, 3, 3, 17, 20), padding="same", bias=False),
        other("conv2d_transpose", (2, 4, 5, 24), (3, 3, 18, 24), strides=2, padding="same", bias=False),
        product("dense", (5, 33), (33, 40), DenseAttrs()),
        product("matmul", (7, 21), (21, 18), MatmulAttrs()),
    ],
)
def test_gradient_of_x_sums_rounded_operands(name, case):
    op, inputs = REGISTRY[name], draw(case)
    first, second = ("a", "b") if name == "matmul" else ("x", "kernel")
    specs, dys = _backward(op, case, inputs)
    needs = frozenset({first})
    with config.precision("medium"):
        plan = op.plan_backward(dict(specs), case.attrs, needs)
    assert "round" in steps(plan)
    operands = {second: inputs[second], **dys}

    def reference(arrays):
        return op.reference_backward({**stand_ins(specs, arrays), **widen(arrays)}, case.attrs, needs)

    exact = {name: nearest(array) for name, array in operands.items()}
    got = run_plan(plan, operands, {"d" + first: specs[first]})
    want = reference(exact)
    assert mismatch(got, want, op.reduction(dict(case.inputs), case.attrs), reference, exact) is None


# The gradient of a kernel sums over pixels: odd numbers of them in a row, in a box and in all; parts of rows that taps see
# begin and end in the middle of a word; boxes that split a row; blocks of channels; more pixels than a box has.
KERNELS = (
    conv((3, 5, 7, 22), (1, 1, 22, 33)),
    conv((1, 1, 1, 70), (1, 1, 70, 150)),
    conv((3, 9, 13, 24), (1, 1, 24, 70), strides=(2, 3)),
    conv((2, 9, 8, 24), (1, 1, 24, 33), strides=(2, 2), padding=((1, 2), (3, 0))),
    conv((2, 9, 7, 21), (3, 5, 21, 34), strides=(2, 1), padding="same"),
    conv((2, 8, 9, 30), (4, 3, 30, 20), strides=(1, 2), padding="same"),
    conv((2, 9, 8, 64), (3, 2, 32, 90), groups=2, dilation_rate=(2, 3), padding="same"),
    conv((2, 37, 1, 20), (4, 1, 20, 40), strides=(3, 1), padding="same"),
    conv((1, 2, 1030, 20), (2, 4, 20, 21), strides=(2, 1), padding="same"),
    conv((1, 4, 5, 600), (1, 1, 600, 300)),
    conv((1, 9, 5, 130), (3, 3, 130, 300), strides=(2, 2), padding="same"),
    conv((1, 3, 3, 20), (5, 7, 20, 20), dilation_rate=(3, 3), padding="same"),
    other("conv1d", (2, 1031, 22), (3, 22, 20), strides=(2,), padding="same"),
    other("conv3d", (2, 3, 4, 5, 20), (2, 3, 2, 20, 24), padding="same"),
    other("conv2d_transpose", (2, 4, 5, 24), (3, 3, 20, 24), strides=2, padding="same"),
    product("dense", (1, 40), (40, 34), DenseAttrs()),
    product("dense", (1037, 21), (21, 70), DenseAttrs()),
    product("matmul", (99, 33), (33, 50), MatmulAttrs()),
)
over_kernels = pytest.mark.parametrize(("name", "case"), KERNELS, ids=[f"{n}-{i}" for i, (n, _) in enumerate(KERNELS)])


class KernelGradient:
    """The gradients of kernel and bias: a plan in "medium", its operands, and the reference on others."""

    def __init__(self, name, case):
        self.op, self.attrs = REGISTRY[name], case.attrs
        inputs = draw(case)
        self.specs, self.operands = _backward(self.op, case, inputs)
        x, kernel = ("a", "b") if name == "matmul" else ("x", "kernel")
        self.x, self.dkernel, self.operands[x] = x, "d" + kernel, inputs[x]
        self.needs = frozenset({kernel, "bias"} & inputs.keys())
        with config.precision("medium"):
            self.plan = self.op.plan_backward(dict(self.specs), self.attrs, self.needs)
        self.size = self.op.reduction(dict(case.inputs), self.attrs)

    def run(self, operands=None, threads=1):
        results = {"d" + name: self.specs[name] for name in self.needs}
        return run_plan(self.plan, operands or self.operands, results, threads)

    def reference(self, arrays):
        return self.op.reference_backward({**stand_ins(self.specs, arrays), **widen(arrays)}, self.attrs, self.needs)

    def rounded(self, operands=None):
        return {name: nearest(array) for name, array in (operands or self.operands).items()}


@over_kernels
def test_gradient_of_kernel_sums_rounded_operands(name, case):
    gradient = KernelGradient(name, case)
    got, exact = gradient.run(), gradient.rounded()
    bias = {"dbias": got.pop("dbias")} if "dbias" in got else {}

    def kernel_of(arrays):
        return {gradient.dkernel: gradient.reference(arrays)[gradient.dkernel]}

    assert mismatch(got, kernel_of(exact), gradient.size, kernel_of, exact) is None
    assert mismatch(got, kernel_of(gradient.operands), 1) is not None, "nothing was rounded"
    # The bias's gradient is the sum of dy as it is.
    want = {name: gradient.reference(gradient.operands)[name] for name in bias}
    assert mismatch(bias, want, gradient.size) is None


@over_kernels
def test_gradient_of_kernel_has_the_same_bits_for_any_number_of_threads(name, case, monkeypatch):
    monkeypatch.setattr(runtime, "EAGER_SERIAL", 0.0)
    monkeypatch.setattr(runtime, "STEP_SERIAL", 0.0)
    gradient = KernelGradient(name, case)
    one = gradient.run()
    for threads in (2, 3):
        assert same_bits(one, gradient.run(threads=threads))


@pytest.mark.parametrize("place", [0, -1], ids=["first", "last"])
@pytest.mark.parametrize("planted", [np.nan, np.inf, np.finfo("f4").max])
@over_kernels
def test_gradient_of_kernel_not_finite(name, case, planted, place):
    """Neither the other pixel of a word nor what is outside of a row meets an infinite one, of x or of dy."""
    gradient = KernelGradient(name, case)
    for which in (gradient.x, "dy"):
        operands = {name: array.copy() for name, array in gradient.operands.items()}
        operands[which].reshape(-1, operands[which].shape[-1])[place, 1] = planted
        with np.errstate(all="ignore"):
            want = gradient.reference(gradient.rounded(operands))[gradient.dkernel].astype("float32")
        got = gradient.run(operands)[gradient.dkernel]
        np.testing.assert_array_equal(np.where(np.isfinite(got), 0, got), np.where(np.isfinite(want), 0, want))


@over_cases
def test_error_is_that_of_two_roundings(name, case):
    """Each operand is off by at most 2^-8 of itself; in a sum of random terms both together by about 2^-8 / sqrt(3)."""
    op, plan = forward(name, case)
    if getattr(case.attrs, "epilogue", Epilogue()).activation or "residual" in case.inputs:
        pytest.skip("the product alone is measured")
    inputs = draw(case)
    got = run_plan(plan, inputs, op.infer(dict(case.inputs), case.attrs))["y"]
    want = op.reference(widen(inputs), case.attrs)["y"]
    assert np.linalg.norm(got - want) <= 1.2 * 2**-8 / np.sqrt(3) * np.linalg.norm(want)


# ---- the same bits


@over_cases
def test_threads_and_company(name, case, monkeypatch):
    monkeypatch.setattr(runtime, "EAGER_SERIAL", 0.0)
    monkeypatch.setattr(runtime, "STEP_SERIAL", 0.0)
    op, plan = forward(name, case)
    results, inputs = op.infer(dict(case.inputs), case.attrs), draw(case)
    one = run_plan(plan, inputs, results)
    for threads in (2, 3):
        assert same_bits(one, run_plan(plan, inputs, results, threads))
    if name == "matmul":
        return
    each = {"x", "residual"}
    many = {
        n: np.concatenate([a[:1], draw(case, 7)[n][:1], draw(case, 8)[n][:1]]) if n in each else a
        for n, a in inputs.items()
    }
    alone = {n: a[:1] if n in each else a for n, a in inputs.items()}
    with config.precision("medium"):
        together = eager.forward(op, many, case.attrs)["y"]
        assert together[:1].tobytes() == eager.forward(op, alone, case.attrs)["y"].tobytes()


@pytest.mark.parametrize("planted", [np.nan, np.inf, -np.inf, np.finfo("f4").max])
@over_cases
def test_not_finite(name, case, planted):
    """Infinite and NaN where the sums of rounded operands are; the other images keep their bits."""
    op, plan = forward(name, case)
    results, inputs = op.infer(dict(case.inputs), case.attrs), draw(case)
    x = next(iter(inputs))
    clean = run_plan(plan, inputs, results)["y"]
    inputs[x] = inputs[x].copy()
    inputs[x][0].flat[3] = planted
    got = run_plan(plan, inputs, results)["y"]
    with np.errstate(all="ignore"):
        want = op.reference(widen(rounded(inputs, OPERANDS)), case.attrs)["y"].astype("float32")
    np.testing.assert_array_equal(np.where(np.isfinite(got), 0, got), np.where(np.isfinite(want), 0, want))
    if len(got) > 1:
        assert got[1:].tobytes() == clean[1:].tobytes()


# ---- where float32 stays


@pytest.mark.parametrize(
    ("x", "kernel", "options"),
    [
        ((1, 5, 5, 33), (3, 3, 33, 16), {"strides": 2}),  # odd
        ((1, 8, 8, 32), (3, 3, 1, 32), {"groups": 32}),
        ((1, 9, 9, 1), (3, 2, 1, 32), {}),  # rows of one word
        ((3, 1, 1, 9), (1, 1, 9, 33), {}),  # one pixel: no first layer, and odd
        ((3, 1, 1, 4), (1, 1, 4, 33), {}),  # few to sum
    ],
)
def test_float32_where_pairs_do_not_pay(x, kernel, options):
    rng = np.random.default_rng(0)
    x, kernel = rng.standard_normal(x, np.float32), rng.standard_normal(kernel, np.float32)
    with config.precision("medium"):
        medium = ops.conv2d(x, kernel, **options).numpy()
    with config.precision("high"):
        assert medium.tobytes() == ops.conv2d(x, kernel, **options).numpy().tobytes()


@pytest.mark.parametrize(("x", "kernel"), [((2, 8, 8, 19), (1, 1, 19, 64)), ((2, 8, 8, 64), (1, 1, 64, 19))])
def test_gradient_of_kernel_is_float32_where_pairs_do_not_pay(x, kernel):
    rng = np.random.default_rng(0)
    x, dy = rng.standard_normal(x, np.float32), rng.standard_normal((*x[:3], kernel[-1]), np.float32)
    results = []
    for mode in ("medium", "high"):
        weights = fastconv.tensor(np.zeros(kernel, "f4"), requires_grad=True)
        with config.precision(mode):
            ops.conv2d(x, weights).backward(dy)
        results.append(weights.grad.numpy().tobytes())
    assert results[0] == results[1]


# ---- what is stored as bfloat16


def subsets(groups):
    """Yield every choice of some of the groups, as the names of all in it."""
    for count in range(1, len(groups) + 1):
        for chosen in itertools.combinations(groups, count):
            yield frozenset(itertools.chain(*chosen))


@over([(op, index) for op, index in PAIRS if op.bfloat16 is not None])
def test_operands_are_read_and_written_as_bfloat16_where_an_op_says_so(op, index):
    s = sample(op, index)
    if not all(spec.size for spec in (*s.specs.values(), *s.results.values())):
        return
    written = op.outputs if op.plan_inference else (*op.outputs, *op.saved)
    with config.precision("medium"):
        if eager.lower(op, dict(s.specs), s.attrs, None, False) is None:
            return  # taken apart before anything is stored, or for the host
        for stored in subsets(list(op.bfloat16(dict(s.specs), s.attrs))):
            inputs = {n: nearest(array) if n in stored else array for n, array in s.inputs.items()}
            reference = op.reference(widen(inputs), s.attrs)
            operands = {n: half_words(a) if n in stored else a for n, a in inputs.items()}
            narrow = {n: Spec(spec.shape, "bfloat16") for n, spec in (s.specs | s.results).items() if n in stored}
            plan = eager.lower(op, {**s.specs, **narrow}, s.attrs, None, False)
            results = {n: s.results[n] for n in written}
            made = run_plan(plan, operands, {n: words_of(spec) if n in stored else spec for n, spec in results.items()})
            for name in op.outputs:
                got = widened(made[name]) if name in stored else made[name]
                scale = np.sqrt(np.mean(np.square(reference[name]))) + 1e-3
                assert np.abs(got - reference[name]).max() < 0.1 * scale, f"{name}, stored: {sorted(stored)}"


def half_words(x):
    """Return the upper halves of float32 numbers, bfloat16 as integers."""
    return (np.ascontiguousarray(x, np.float32).view(np.uint32) >> 16).astype(np.uint16)


def widened(words):
    return (words.astype(np.uint32) << 16).view(np.float32)


def words_of(spec):
    """Return as many integers of two bytes: a type that NumPy knows."""
    return SimpleNamespace(shape=spec.shape, dtype="uint16", nbytes=2 * spec.size)


# ---- where


def test_without_bfloat16_medium_is_high():
    rng = np.random.default_rng(0)
    x, kernel = rng.standard_normal((1, 6, 6, 32), np.float32), rng.standard_normal((1, 1, 32, 32), np.float32)
    with isa("avx2"):
        with config.precision("medium"):
            medium = ops.conv2d(x, kernel).numpy()
        with config.precision("high"):
            assert medium.tobytes() == ops.conv2d(x, kernel).numpy().tobytes()


def test_zeroed_rounding_fails():
    """As test_mutation has it for kernels that run at other precisions, too."""
    name, case = CASES[0]
    op, plan = forward(name, case)
    inputs, results = draw(case), op.infer(dict(case.inputs), case.attrs)
    whole = run_plan(plan, inputs, results)
    with runtime.zeroed("round") as zeroed:
        assert not same_bits(run_plan(plan, inputs, results), whole)
    assert zeroed.hits


def test_show_config_tells():
    assert fastconv.show_config()["bfloat16"] is True
    with isa("baseline"):
        assert fastconv.show_config()["bfloat16"] is False
