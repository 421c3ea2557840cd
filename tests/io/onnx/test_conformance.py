"""The standard's own cases (`onnx.backend.test`): operators of convolutional networks, by name."""

import collections

import pytest

onnx = pytest.importorskip("onnx", reason="the package onnx is not installed (pip install onnx)")

from tests.io.onnx import conformance  # noqa: E402

# What does not pass, and why.
KNOWN_FAILURES = {
    "test_celu_bfloat16": "NumPy has no bfloat16",
}

# (family, kind) -> how many cases pass at least, with onnx 1.23.
FLOORS = {
    ("act", "base"): 73,
    ("arith", "base"): 89,
    ("conv", "base"): 29,
    ("gemm", "base"): 27,
    ("loss", "base"): 52,
    ("norm", "base"): 55,
    ("pool", "base"): 74,
}

CASES = [
    (name, (conformance.family_of(operator), kind), case)
    for name, operator, kind, case in conformance.node_cases()
    if (conformance.family_of(operator), kind) in FLOORS
]


def _parameter(name, case):
    reason = KNOWN_FAILURES.get(name)
    return pytest.param(case, id=name, marks=pytest.mark.xfail(reason=reason, strict=True) if reason else ())


@pytest.mark.parametrize("case", [_parameter(name, case) for name, _, case in CASES])
def test_case(case):
    conformance.run_case(case)


def test_the_list_of_failures_is_short():
    passing = collections.Counter(key for name, key, _ in CASES if name not in KNOWN_FAILURES)
    assert not {key: passing[key] for key, floor in FLOORS.items() if passing[key] < floor}
    assert not KNOWN_FAILURES.keys() - {name for name, _, _ in CASES}
