"""The standard's own cases (`onnx.backend.test`): operators of convolutional networks, by name."""

import collections
import re

import pytest

onnx = pytest.importorskip("onnx", reason="the package onnx is not installed (pip install onnx)")

from onnx.backend.test import BackendTest  # noqa: E402

from tests.io.onnx import conformance  # noqa: E402
from tests.io.onnx.backend import FastconvBackend  # noqa: E402

# What does not pass, by name, and why; all that match have to fail.
KNOWN_FAILURES = {
    r"cast(like)?_\w*(FLOAT[48]E|INT[24]_|INT[24]$)\w*": "NumPy has no numbers of 4 or 8 bits with a point, no integers of 2 or 4",
    r"(de)?quantizelinear_(e4m3fn|e5m2|u?int[24]|float4e2m1)\w*": "NumPy has none of these types",
    r"\w*(BFLOAT16|bfloat16)\w*": "NumPy has no bfloat16",
    r"(identity|if)_(sequence|seq|opt)|loop1\d_seq\w*": "a network's values are tensors: no sequences, nothing optional",
    r"equal_string\w*": "a network's inputs are numbers",
    r"scan_sum": "Scan of operator set 8 has a batch axis",
}

# (family, kind) -> how many cases pass at least, with onnx 1.23.
FLOORS = {
    ("act", "base"): 73,
    ("act", "exp"): 71,
    ("arith", "base"): 89,
    ("cast", "base"): 6,
    ("conv", "base"): 29,
    ("detect", "base"): 10,
    ("flow", "base"): 5,
    ("gemm", "base"): 27,
    ("logic", "base"): 132,
    ("logic", "exp"): 22,
    ("loss", "base"): 52,
    ("loss", "exp"): 52,
    ("maths", "base"): 97,
    ("maths", "exp"): 6,
    ("norm", "base"): 55,
    ("norm", "exp"): 61,
    ("pick", "base"): 40,
    ("pick", "exp"): 3,
    ("pool", "base"): 74,
    ("quant", "base"): 14,
    ("quant", "exp"): 3,
    ("reduce", "base"): 130,
    ("reduce", "exp"): 41,
    ("shape", "base"): 175,
    ("shape", "exp"): 12,
}

CASES = [
    (name, (conformance.family_of(operator), kind), case)
    for name, operator, kind, case in conformance.node_cases()
    if (conformance.family_of(operator), kind) in FLOORS
]


# Whole networks: nine classic ones, and what PyTorch exported for each of its layers. Left out are sequences, strings and
# gradients as operators.
NETWORKS = BackendTest(FastconvBackend, __name__).include(
    "^test_(?!sequence_model|strnorm_model|gradient_of_add).*_cpu$"
)
for _name, _cases in NETWORKS.test_cases.items():
    for _method in [key for key, method in vars(_cases).items() if getattr(method, "__unittest_skip__", False)]:
        delattr(_cases, _method)  # the runner marks what is left out, and other devices
    if "Node" not in _name:
        globals()[_name] = _cases


@pytest.fixture(autouse=True)
def scratch(monkeypatch, tmp_path):
    """Let the runner write there, not into the home directory."""
    monkeypatch.setenv("ONNX_MODELS", str(tmp_path))


def _reason(name):
    """Return why a case is known to fail, or None."""
    return next((why for pattern, why in KNOWN_FAILURES.items() if re.fullmatch(f"test_({pattern})", name)), None)


def _parameters():
    for name, _, case in CASES:
        reason = _reason(name)
        marks = pytest.mark.xfail(reason=reason, strict=True) if reason else ()
        for mode in ("plain",) if reason else conformance.MODES:
            yield pytest.param(case, mode, id=f"{name}-{mode}", marks=marks)


@pytest.mark.parametrize(("case", "mode"), list(_parameters()))
def test_case(case, mode):
    conformance.run_case(case, mode)


def test_the_list_of_failures_is_short():
    passing = collections.Counter(key for name, key, _ in CASES if _reason(name) is None)
    assert not {key: passing[key] for key, floor in FLOORS.items() if passing[key] < floor}
