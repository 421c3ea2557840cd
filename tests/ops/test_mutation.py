"""Zero what a kernel writes, and the comparison with the reference must fail: for every kernel that any case uses."""

import pytest

from fastconv._kernels import runtime

from .conftest import (
    PAIRS,
    backward_mismatch,
    backward_plan,
    forward_mismatch,
    forward_plan,
    masks,
    run_plan,
    sample,
)


def _runs():
    """Yield (plan, operands, results, compare) of every case, forward and all gradients."""
    for op, index in PAIRS:
        s = sample(op, index)
        plan = forward_plan(op, index)
        if plan is not None:
            yield plan, s.inputs, s.results, lambda got, op=op, i=index: forward_mismatch(op, i, got)
        for needs in masks(op, index) if op.reference_backward else ():
            plan, operands, results = backward_plan(op, index, needs)
            if plan is not None:
                compare = lambda got, op=op, i=index, needs=needs: backward_mismatch(op, i, needs, got)  # noqa: E731
                yield plan, operands, results, compare


def _by_step():
    found = {}
    for run in _runs():
        names = {step.name for phase in (*run[0].prologue, *run[0].phases) for step in phase}
        # The step "zero" writes zeros anyway; repairs wait for results that are not finite: see test_winograd.
        for name in {name for name in names - {"zero"} if not name.startswith("repair_")}:
            found.setdefault(name, []).append(run)
    return found


STEPS = _by_step()


def test_a_name_is_one_kernel():
    """Else zeroing it would prove something of only one of them."""
    kernels = {}
    for runs in STEPS.values():
        for plan, *_ in runs:
            for phase in (*plan.prologue, *plan.phases):
                for step in phase:
                    kernels.setdefault(step.name, set()).add(step.function)
    assert not {name for name, functions in kernels.items() if len(functions) > 1}


@pytest.mark.parametrize("name", sorted(STEPS))
def test_zeroed_kernel_fails(name):
    with runtime.zeroed(name) as zeroed:
        caught = 0
        for plan, operands, results, compare in STEPS[name]:
            caught += compare(run_plan(plan, operands, results)) is not None
            if caught:
                break
    assert zeroed.hits > 0
    assert caught, f"nothing notices that {name} writes zeros, in {len(STEPS[name])} cases"
