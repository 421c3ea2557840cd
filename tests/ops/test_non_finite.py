"""One NaN or infinity in one operand: kernels are NaN and infinite exactly where the float32 reference is."""

import numpy as np
import pytest

from fastconv.op import Spec

from .conftest import (
    FLOATS,
    WITH_BACKWARD,
    WITH_FORWARD,
    masks,
    narrow,
    over,
    rng_of,
    run_plan,
    sample,
    stand_ins,
)

VALUES = pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf], ids=["nan", "inf", "-inf"])


def _plant(arrays, rng, value):
    """Yield (name, arrays with one element of the float operand `name` set to `value`)."""
    for name, array in arrays.items():
        if array.dtype.name in FLOATS and array.size:
            planted = array.copy()
            planted.reshape(-1)[rng.integers(array.size)] = value
            yield name, {**arrays, name: planted}


def _is_finite(array):
    return array.dtype.kind != "f" or np.isfinite(array).all()


def _compare(op, attrs, planted, operands, got, want):
    """Check that results are NaN and infinite where the references are; `planted` is the operand that holds the value.

    An operation says in its attributes which operands a kernel multiplies with padding that its reference leaves out; the
    NaN of such a product may come through maxima, too, next to an infinite pixel.
    """
    pooled = getattr(attrs, "pool", False)
    spreads = any(not _is_finite(operands[n]) for n in getattr(op.attrs, "meets_padding", ()) if n in operands)
    for name, result in got.items():
        if result.dtype.kind != "f":
            continue
        kernel, reference = (np.where(np.isfinite(a), 0, a).astype("float32") for a in (result, want[name]))
        if spreads:
            spread = np.isnan(result) & (np.isfinite(want[name]) | pooled)
            kernel, reference = np.where(spread, 0, kernel), np.where(spread, 0, reference)
        np.testing.assert_array_equal(kernel, reference, f"{name}, from one element of {planted}")


@VALUES
@over(WITH_FORWARD)
def test_forward(op, index, isa, value):
    s = sample(op, index)
    plan = op.plan(dict(s.specs), s.attrs)
    if plan is None:
        pytest.skip("a host step: the reference itself runs")
    for name, arrays in _plant(s.inputs, rng_of(op, index, f"plant {value}"), value):
        with np.errstate(all="ignore"):
            want = op.reference(arrays, s.attrs)
        _compare(op, s.attrs, name, arrays, run_plan(plan, arrays, s.results), want)


@VALUES
@over(WITH_BACKWARD)
def test_backward(op, index, isa, value):
    s = sample(op, index)
    needs = masks(op, index)[-1]
    dy_specs = {name: Spec(dy.shape, dy.dtype.name) for name, dy in s.dys.items()}
    specs = {**s.specs, **s.results, **dy_specs}
    plan = op.plan_backward(dict(specs), s.attrs, needs)
    if plan is None:
        pytest.skip("a host step: the reference itself runs")
    results = {"d" + name: specs[name] for name in sorted(needs)}
    keeps = op.keeps(s.attrs, needs)
    for name, arrays in _plant({**s.inputs, **s.dys}, rng_of(op, index, f"plant {value}"), value):
        inputs = {key: arrays[key] for key in s.inputs}
        with np.errstate(all="ignore"):
            known = {**inputs, **narrow(op.reference(inputs, s.attrs), s.results)}
            operands = {key: known[key] for key in keeps if key in known} | {key: arrays[key] for key in s.dys}
            if all(map(_is_finite, operands.values())):
                continue  # it reaches nothing that the backward reads
            want = op.reference_backward({**stand_ins(specs, operands), **operands}, s.attrs, needs)
        _compare(op, s.attrs, name, operands, run_plan(plan, operands, results), want)
