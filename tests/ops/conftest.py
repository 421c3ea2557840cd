"""What the registry-wide tests share: every case of every operation, drawn once, and a way to run a plan in guarded memory.

`expected_forward` and `expected_backward` hold what the references say in float64; `run_plan` runs a plan between guard bytes;
`assert_close` knows the one tolerance.
"""

import functools
import importlib
import itertools
import pkgutil
import zlib
from types import SimpleNamespace

import numpy as np
import pytest

import fastconv.ops
from fastconv._kernels import runtime
from fastconv.op import REGISTRY, Op, Spec

for _module in pkgutil.iter_modules(fastconv.ops.__path__):
    importlib.import_module(f"fastconv.ops.{_module.name}")

FLOATS = ("float32", "float64")
EPS = np.finfo(np.float32).eps
GUARD = 256  # bytes on both sides of a buffer
_NO_PLAN = Op.__dataclass_fields__["plan"].default
PAIRS = [(op, i) for op in REGISTRY.values() for i in range(len(op.cases))]
DIFFERENTIABLE = [(op, i) for op, i in PAIRS if op.reference_backward is not None]
WITH_FORWARD = [(op, i) for op, i in PAIRS if op.plan is not _NO_PLAN]
WITH_BACKWARD = [(op, i) for op, i in PAIRS if op.plan_backward is not _NO_PLAN]


def over(pairs):
    """Parametrize a test over cases."""
    return pytest.mark.parametrize(("op", "index"), pairs, ids=[f"{op.name}-{i}" for op, i in pairs])


# ---- drawing


def rng_of(op, index, purpose=""):
    """A generator that depends on the case alone."""
    return np.random.default_rng(zlib.crc32(f"{op.name}/{index}/{purpose}".encode()))


def draw(case, rng, specs=None):
    """Draw the inputs of a case, in the dtypes of its specs."""
    arrays = {}
    for name, spec in (specs or case.inputs).items():
        if name in case.draw:
            values = case.draw[name](rng, spec.shape)
        elif spec.dtype in FLOATS:
            values = rng.standard_normal(spec.shape)
        elif spec.dtype == "bool":
            values = rng.random(spec.shape) < 0.5
        else:
            raise AssertionError(f"a case has the {spec.dtype} input {name!r}, but no way to draw it")
        arrays[name] = np.ascontiguousarray(values, spec.dtype).reshape(spec.shape)
    return arrays


def widen(arrays):
    """Return the arrays with float32 as float64."""
    return {name: a.astype(np.float64) if a.dtype == np.float32 else a for name, a in arrays.items()}


def stand_ins(specs, names):
    """NaNs (zeros for integers) of the shapes of what a backward does not keep."""
    return {
        name: np.full(spec.shape, np.nan if spec.dtype in FLOATS else 0, spec.dtype)
        for name, spec in specs.items()
        if name not in names
    }


def narrow(arrays, specs):
    """Return arrays in the dtypes of `specs`."""
    return {name: np.array(arrays[name], spec.dtype, order="C") for name, spec in specs.items()}


@functools.cache
def sample(op, index):
    """The drawn inputs of a case, the specs and float64 references of its results, and output gradients."""
    case = op.cases[index]
    rng = rng_of(op, index)
    inputs = draw(case, rng)
    specs = dict(case.inputs)
    results = op.infer(dict(specs), case.attrs)
    reference = op.reference(widen(inputs), case.attrs)
    dys = {}
    for name in op.outputs:
        spec = results[name]
        dys["d" + name] = (
            rng.standard_normal(spec.shape).astype(spec.dtype)
            if spec.dtype in FLOATS
            else np.zeros(spec.shape, np.float32)
        )
    return SimpleNamespace(attrs=case.attrs, inputs=inputs, specs=specs, results=results, reference=reference, dys=dys)


def masks(op, index):
    """Every set of gradients that may be wanted: all subsets, or of many inputs singles and all."""
    names = [name for name in op.cases[index].inputs if op.is_differentiable(name)]
    sizes = range(1, len(names) + 1) if len(names) <= 4 else (1, len(names))
    return [frozenset(chosen) for n in sizes for chosen in itertools.combinations(names, n)]


def backward_operands(op, index, needs):
    """Return (what the backward reads, specs of everything), as `autograd` hands them over."""
    s = sample(op, index)
    known = {**s.inputs, **narrow(s.reference, s.results)}
    kept = {name: known[name] for name in op.keeps(s.attrs, needs) if name in known}
    specs = {**s.specs, **s.results, **{name: Spec(dy.shape, dy.dtype.name) for name, dy in s.dys.items()}}
    return {**kept, **s.dys}, specs


def reference_backward(op, operands, specs, attrs, needs):
    """Run the reference in float64; it sees NaNs where nothing was kept."""
    with np.errstate(all="ignore"):
        return op.reference_backward({**stand_ins(specs, operands), **widen(operands)}, attrs, needs)


@functools.cache
def expected_backward(op, index, needs):
    """What the reference says of the gradients in `needs`."""
    operands, specs = backward_operands(op, index, needs)
    return reference_backward(op, operands, specs, op.cases[index].attrs, needs)


# ---- running


class Memory:
    """Buffers between guard bytes, every byte 0xff (as floats: NaN) before it is written."""

    def __init__(self):
        self.raw, self.views, self.buffers = {}, {}, {}

    def add(self, name, nbytes, content=None):
        """Make a buffer, 64-byte aligned; one with `content` is a user's array, aligned to its elements only."""
        raw = np.full(nbytes + 2 * GUARD + 128, 0xFF, np.uint8)
        start = -raw.__array_interface__["data"][0] % 64 + GUARD + (0 if content is None else content.itemsize)
        self.raw[name] = raw, start, nbytes
        self.views[name] = raw[start : start + nbytes]
        if content is not None:
            self.views[name][:] = np.ascontiguousarray(content).reshape(-1).view(np.uint8)
        self.buffers[name] = raw.__array_interface__["data"][0] + start, nbytes

    def check(self):
        """Fail where a guard byte was written."""
        for name, (raw, start, nbytes) in self.raw.items():
            assert (raw[:start] == 0xFF).all(), f"wrote before the buffer {name!r}"
            assert (raw[start + nbytes :] == 0xFF).all(), f"wrote past the buffer {name!r}"


def run_plan(plan, operands, results, threads=1, inplace=()):
    """Run a plan in guarded memory; returns {name: array} for `results` (specs).

    `inplace` lists outputs that take over the memory that ``plan.inplace`` names.
    """
    memory = Memory()
    for name, array in operands.items():
        memory.add(name, array.nbytes, array)
    for name, spec in results.items():
        shared = plan.inplace[name] if name in inplace else plan.alias.get(name)
        if shared is None:
            memory.add(name, spec.nbytes)
        else:
            memory.views[name], memory.buffers[name] = memory.views[shared], memory.buffers[shared]
    for name, nbytes in (*plan.workspace.items(), *plan.packed.items()):
        memory.add(name, nbytes)
    runtime.execute((*plan.prologue, *plan.phases), memory.buffers, threads)
    memory.check()
    taken = {plan.inplace[name] for name in inplace}
    for name, array in operands.items():
        if name not in taken:
            assert memory.views[name].tobytes() == array.tobytes(), f"wrote into the input {name!r}"
    return {
        name: np.frombuffer(memory.views[name].tobytes(), spec.dtype).reshape(spec.shape)
        for name, spec in results.items()
    }


def forward_plan(op, index):
    """Return the forward plan of a case for the instruction set in use, or None."""
    s = sample(op, index)
    return op.plan(dict(s.specs), s.attrs)


def backward_plan(op, index, needs):
    """Return (plan or None, operands, specs of the results)."""
    operands, specs = backward_operands(op, index, needs)
    plan = op.plan_backward(dict(specs), op.cases[index].attrs, needs)
    return plan, operands, {"d" + name: specs[name] for name in sorted(needs)}


# ---- comparing


def same_bits(a, b):
    """Whether two sets of arrays are equal, bit for bit."""
    return a.keys() == b.keys() and all(a[name].tobytes() == b[name].tobytes() for name in a)


def _jitter(arrays, rng):
    """Move every float32 value by half a unit in the last place, up or down."""
    return {
        name: a * (1 + 0.5 * EPS * rng.choice([-1.0, 1.0], a.shape)) if a.dtype == np.float32 else a
        for name, a in arrays.items()
    }


def mismatch(got, expected, reduction, again=None, operands=None):
    """Return a description of the first result that is too far from the reference, or None.

    The allowance is ``(4 + 2 sqrt(reduction)) * (eps * max|expected| + sensitivity)``: a float32 sum of n terms errs by about
    sqrt(n) roundings, each of the size of the partial sums. The sensitivity is how far the reference itself moves when its
    inputs are rounded another way: it stands for the size of terms that cancel. It is computed by `again` (the reference as a
    function of the float32 `operands`) only where the first term does not do.
    """
    factor = 4 + 2 * np.sqrt(reduction)
    sensitivity = None
    for name, value in got.items():
        want = np.asarray(expected[name])
        if value.shape != want.shape:
            return f"{name} has shape {value.shape}, expected {want.shape}"
        if value.dtype.kind != "f":
            if not np.array_equal(value, want):
                return f"{name} differs in {np.count_nonzero(value != want)} of {want.size} elements"
            continue
        with np.errstate(invalid="ignore"):
            error = np.where((value == want) | (np.isnan(value) & np.isnan(want)), 0.0, np.abs(value - want))
        size = np.abs(want[np.isfinite(want)]).max(initial=0.0)
        if (error <= factor * EPS * size).all():
            continue
        if again is not None and sensitivity is None:
            moved = [again(_jitter(operands, np.random.default_rng(seed))) for seed in range(4)]
            sensitivity = {
                key: max(np.abs(m[key] - expected[key]).max(initial=0.0) for m in moved)
                for key in got
                if got[key].dtype.kind == "f"
            }
        allowed = factor * (EPS * size + (sensitivity[name] if sensitivity else 0.0))
        if not (error <= allowed).all():
            worst = np.unravel_index(np.argmax(np.where(np.isnan(error), np.inf, error)), error.shape)
            return f"{name}{list(map(int, worst))} is {value[worst]:.9g}, expected {want[worst]:.9g} +- {allowed:.3g}"
    return None


def forward_mismatch(op, index, got):
    """Compare forward results with the reference."""
    s = sample(op, index)

    def again(inputs):
        return op.reference(widen(inputs), s.attrs)

    return mismatch(got, s.reference, op.reduction(s.specs, s.attrs), again, s.inputs)


def backward_mismatch(op, index, needs, got):
    """Compare gradients with the reference."""
    s = sample(op, index)
    operands, specs = backward_operands(op, index, needs)

    def again(moved):
        return reference_backward(op, moved, specs, s.attrs, needs)

    return mismatch(got, expected_backward(op, index, needs), op.reduction(s.specs, s.attrs), again, operands)
