"""What holds for every operation, by its declaration alone: kernels against references, gradients, shapes, threads, batch."""

import dataclasses

import numpy as np
import pytest

from fastconv._kernels import runtime
from fastconv.autograd import eager
from fastconv.errors import FastconvError
from fastconv.op import REGISTRY

from .conftest import (
    DIFFERENTIABLE,
    FLOATS,
    PAIRS,
    WITH_BACKWARD,
    WITH_FORWARD,
    backward_mismatch,
    backward_plan,
    draw,
    expected_backward,
    forward_mismatch,
    forward_plan,
    masks,
    over,
    rng_of,
    run_plan,
    same_bits,
    sample,
    stand_ins,
    widen,
)

# ---- declarations


@pytest.mark.parametrize("op", REGISTRY.values(), ids=REGISTRY.keys())
def test_declaration_is_complete(op):
    assert op.cases, "no cases: nothing is tested"
    assert bool(op.differentiable) == (op.reference_backward is not None)
    names = {name.rstrip("?") for name in op.inputs}
    assert op.differentiable <= names
    assert set(op.linear) <= op.differentiable
    assert not names & {*op.outputs, *op.saved}
    for case in op.cases:
        assert isinstance(case.attrs, op.attrs)
        hash(case.attrs)
        assert op.flops(dict(case.inputs), case.attrs) >= 0
        assert op.reduction(dict(case.inputs), case.attrs) >= 1 or not all(s.size for s in case.inputs.values())
    with pytest.raises(dataclasses.FrozenInstanceError):
        op.name = "other"


@over(PAIRS)
def test_inferred_is_what_comes(op, index):
    s = sample(op, index)
    assert set(s.results) == {*op.outputs, *op.saved}
    real = op.reference(s.inputs, s.attrs)
    assert set(real) == set(s.results)
    for name, spec in s.results.items():
        assert np.shape(real[name]) == spec.shape == np.shape(s.reference[name]), name
        assert np.asarray(real[name]).dtype == spec.dtype, name


@over([(op, i) for op, i in PAIRS if "x" in op.cases[i].inputs and op.cases[i].inputs["x"].shape])
def test_infer_without_batch_size(op, index):
    """A layer asks for shapes before the batch size is known."""
    s = sample(op, index)
    x = s.specs["x"]
    try:
        unknown = op.infer({**s.specs, "x": x._replace(shape=(None, *x.shape[1:]))}, s.attrs)
    except FastconvError:
        return
    for name, spec in s.results.items():
        assert len(unknown[name].shape) == len(spec.shape)
        assert all(m is None or m == n for m, n in zip(unknown[name].shape, spec.shape, strict=True)), name


# ---- kernels against references


@over(WITH_FORWARD)
def test_forward(op, index, isa):
    plan = forward_plan(op, index)
    if plan is None:
        pytest.skip("a host step: the reference itself runs")
    s = sample(op, index)
    got = run_plan(plan, s.inputs, s.results)
    assert forward_mismatch(op, index, got) is None
    for name in plan.inplace:
        assert same_bits(run_plan(plan, s.inputs, s.results, inplace=(name,)), got), f"{name} in place"
    if len(set(plan.inplace.values())) == len(plan.inplace) > 1:
        assert same_bits(run_plan(plan, s.inputs, s.results, inplace=tuple(plan.inplace)), got), "all in place"


@over(WITH_BACKWARD)
def test_backward(op, index, isa):
    kernels = False
    for needs in masks(op, index):
        plan, operands, results = backward_plan(op, index, needs)
        if plan is None:
            continue
        kernels = True
        got = run_plan(plan, operands, results)
        assert backward_mismatch(op, index, needs, got) is None, sorted(needs)
        for name in plan.inplace:
            assert same_bits(run_plan(plan, operands, results, inplace=(name,)), got), f"{name} in place"
    if not kernels:
        pytest.skip("a host step: the reference itself runs")


@over(PAIRS)
def test_eager_runs_the_same(op, index, monkeypatch):
    """Outputs come from the pool, here full of NaN."""
    s = sample(op, index)
    runtime.fill_new_blocks(0xFF)
    try:
        got = eager.forward(op, s.inputs, s.attrs)
        plan = forward_plan(op, index)
        if plan is not None:
            assert same_bits(got, run_plan(plan, s.inputs, s.results))
        assert forward_mismatch(op, index, got) is None
        for needs in masks(op, index) if op.reference_backward else ():
            plan, operands, results = backward_plan(op, index, needs)
            got = eager.backward(op, operands, s.attrs, needs, {**s.specs, **s.results})
            assert backward_mismatch(op, index, needs, got) is None
            if plan is not None:
                assert same_bits(got, run_plan(plan, operands, results))
    finally:
        runtime.fill_new_blocks(None)


# ---- gradients


@over(DIFFERENTIABLE)
def test_gradient_against_differences(op, index):
    """The reference's gradient in float64 against central differences along random directions."""
    s = sample(op, index)
    rng = rng_of(op, index, "differences")
    inputs = widen(draw(op.cases[index], rng))
    results = op.reference(inputs, s.attrs)
    dys = {
        "d" + name: rng.standard_normal(results[name].shape)
        if s.results[name].dtype in FLOATS
        else np.zeros(results[name].shape, np.float32)
        for name in op.outputs
    }

    def value(moved):
        out = op.reference(moved, s.attrs)
        return sum(float((out[name] * dys["d" + name]).sum()) for name in op.outputs)

    eps = 1e-6
    for needs in masks(op, index)[-1:]:
        known = {**inputs, **results}
        kept = {name: known[name] for name in op.keeps(s.attrs, needs) if name in known}
        specs = {**s.specs, **s.results}
        grads = op.reference_backward({**stand_ins(specs, kept), **kept, **dys}, s.attrs, needs)
        assert set(grads) >= {"d" + name for name in needs}
        for name in sorted(needs):
            dx = grads["d" + name]
            assert dx.shape == inputs[name].shape
            assert dx.dtype == np.float64
            for _ in range(2):
                u = rng.standard_normal(dx.shape)
                up, down = ({**inputs, name: inputs[name] + sign * eps * u} for sign in (1, -1))
                numeric = (value(up) - value(down)) / (2 * eps)
                size = np.linalg.norm(dx) + 1e-3
                assert abs(numeric - float((dx * u).sum())) <= 1e-5 * size + 1e-9 * abs(value(inputs)), name


@over(DIFFERENTIABLE)
def test_masks_agree(op, index):
    """A gradient does not depend on which others are wanted, and reads only what is kept for it."""
    *some, everything = masks(op, index)
    for needs in some:
        for name in needs:
            one, all_of_them = (expected_backward(op, index, m)["d" + name] for m in (needs, everything))
            np.testing.assert_allclose(one, all_of_them, rtol=1e-6, atol=1e-6 * np.abs(all_of_them).max(initial=0.0))


@over(DIFFERENTIABLE)
def test_reference_backward_is_float64(op, index):
    """A stray float32 constant or cast would spoil the reference."""
    grads = expected_backward(op, index, masks(op, index)[-1])
    assert all(np.asarray(grads[name]).dtype == np.float64 for name in grads)


def _is_linear(attrs):
    epilogue = getattr(attrs, "epilogue", None)
    return getattr(epilogue or attrs, "activation", None) in (None, "linear")


@over([(op, i) for op, i in PAIRS if op.linear and _is_linear(op.cases[i].attrs)])
def test_adjoint(op, index):
    """<f(x) - f(0), g> = <x, f^T(g)>, on the references and on the kernels."""
    s = sample(op, index)
    for name in (n for n in s.inputs if n in op.linear):
        needs = frozenset({name})
        plan, operands, results = backward_plan(op, index, needs)
        zeroed = {**s.inputs, name: np.zeros_like(s.inputs[name])}
        base = op.reference(widen(zeroed), s.attrs)
        sides = [(s.reference, base, expected_backward(op, index, needs), 1e-6)]
        forward = forward_plan(op, index)
        if plan is not None and forward is not None:
            outs = [widen(run_plan(forward, arrays, s.results)) for arrays in (s.inputs, zeroed)]
            sides.append((*outs, widen(run_plan(plan, operands, results)), 1e-4))
        for y, y0, grads, rtol in sides:
            left = sum(float(((y[o] - y0[o]) * s.dys["d" + o]).sum()) for o in op.outputs)
            size = sum(float(np.abs((y[o] - y0[o]) * s.dys["d" + o]).sum()) for o in op.outputs)
            right = float((s.inputs[name] * grads["d" + name]).sum())
            assert abs(left - right) <= rtol * size + 1e-30, name


# ---- the same bits


@pytest.fixture
def always_threaded(monkeypatch):
    monkeypatch.setattr(runtime, "EAGER_SERIAL", 0.0)
    monkeypatch.setattr(runtime, "STEP_SERIAL", 0.0)


@over([pair for pair in PAIRS if pair in WITH_FORWARD or pair in WITH_BACKWARD])
def test_threads(op, index, always_threaded):
    """1, 2 and 3 threads give the same bits."""
    runs = []
    s = sample(op, index)
    plan = forward_plan(op, index)
    if plan is not None and plan.phases:
        runs.append((plan, s.inputs, s.results))
    if op.reference_backward is not None:
        runs += [run for run in (backward_plan(op, index, needs) for needs in masks(op, index)[-1:]) if run[0]]
    if not runs:
        pytest.skip("a host step")
    for plan, operands, results in runs:
        one, two, three = (run_plan(plan, operands, results, threads) for threads in (1, 2, 3))
        assert same_bits(one, two)
        assert same_bits(one, three)


def _batched(op, index):
    """Return (inputs of the same case with a batch of 7, names of inputs with a batch axis), or None.

    Which inputs have one is not declared, so it is tried: x alone, then every input that is as long. The reference decides
    whether the operation works on each sample by itself.
    """
    case = op.cases[index]
    first = "x0" if op.variadic else "x"
    if first not in case.inputs or not case.inputs[first].shape or not case.inputs[first].shape[0]:
        return None
    n = case.inputs[first].shape[0]
    same = {name for name, spec in case.inputs.items() if spec.shape[:1] == (n,)}
    for names in ({first}, same):
        specs = {
            name: spec._replace(shape=(7, *spec.shape[1:])) if name in names else spec
            for name, spec in case.inputs.items()
        }
        try:
            results = op.infer(dict(specs), case.attrs)
            inputs = draw(case, rng_of(op, index, "batch"), specs)
            whole = op.reference(widen(inputs), case.attrs)
            alone = _sample_of(inputs, names, 3)
            single = op.reference(widen(alone), case.attrs)
        except (FastconvError, ValueError, IndexError):
            continue
        if all(
            results[name].shape[:1] == (7,)
            and results[name].dtype in FLOATS
            and single[name].shape[:1] == (1,)
            and np.allclose(whole[name][3:4], single[name], rtol=1e-12, atol=1e-12)
            for name in op.outputs
        ):
            return inputs, names
    return None


def _sample_of(inputs, names, i):
    return {name: np.ascontiguousarray(a[i : i + 1]) if name in names else a for name, a in inputs.items()}


@over(WITH_FORWARD)
def test_batch(op, index):
    """A sample alone and within a batch of 7 gives the same bits."""
    if forward_plan(op, index) is None:
        pytest.skip("a host step")
    found = _batched(op, index)
    if found is None:
        pytest.skip("not an operation on samples")
    inputs, names = found
    attrs = op.cases[index].attrs
    whole = eager.forward(op, inputs, attrs)
    for i in (0, 3, 6):
        alone = eager.forward(op, _sample_of(inputs, names, i), attrs)
        for name in op.outputs:
            assert alone[name].tobytes() == whole[name][i : i + 1].tobytes(), name


def test_batch_covers_what_it_should():
    """The search above finds the operations that are known to work on samples."""
    known = {"conv2d", "depthwise_conv2d", "max_pool2d", "avg_pool2d", "relu", "softmax", "dense"} & set(REGISTRY)
    for name in known:
        assert any(_batched(REGISTRY[name], i) for i in range(len(REGISTRY[name].cases))), name
