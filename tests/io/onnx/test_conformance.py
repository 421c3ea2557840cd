"""The standard's own cases (`onnx.backend.test`): operators of convolutional networks, by name."""

import collections

import pytest

onnx = pytest.importorskip("onnx", reason="the package onnx is not installed (pip install onnx)")

from onnx.backend.test import BackendTest  # noqa: E402

from tests.io.onnx import conformance  # noqa: E402
from tests.io.onnx.backend import FastconvBackend  # noqa: E402

# What does not pass, and why.
KNOWN_FAILURES = {
    f"test_{name}": reason
    for reason, names in {
        "NumPy holds no numbers of 2, 4 or 8 bits with a point, nor integers of less than 8 bits": (
            "cast_FLOAT_to_FLOAT8E4M3FN cast_FLOAT16_to_FLOAT8E4M3FN cast_FLOAT_to_FLOAT8E4M3FNUZ "
            "cast_FLOAT16_to_FLOAT8E4M3FNUZ cast_FLOAT8E4M3FN_to_FLOAT cast_FLOAT8E4M3FN_to_FLOAT16 "
            "cast_FLOAT8E4M3FNUZ_to_FLOAT cast_FLOAT8E4M3FNUZ_to_FLOAT16 cast_FLOAT_to_FLOAT8E5M2 cast_FLOAT16_to_FLOAT8E5M2 "
            "cast_FLOAT_to_FLOAT8E5M2FNUZ cast_FLOAT16_to_FLOAT8E5M2FNUZ cast_FLOAT8E5M2_to_FLOAT cast_FLOAT8E5M2_to_FLOAT16 "
            "cast_FLOAT8E5M2FNUZ_to_FLOAT cast_FLOAT8E5M2FNUZ_to_FLOAT16 cast_FLOAT_to_UINT4 cast_FLOAT16_to_UINT4 "
            "cast_FLOAT_to_INT4 cast_FLOAT16_to_INT4 cast_UINT4_to_FLOAT cast_UINT4_to_FLOAT16 cast_UINT4_to_UINT8 "
            "cast_INT4_to_FLOAT cast_INT4_to_FLOAT16 cast_INT4_to_INT8 cast_FLOAT4E2M1_to_FLOAT cast_FLOAT4E2M1_to_FLOAT16 "
            "cast_FLOAT_to_FLOAT4E2M1 cast_FLOAT16_to_FLOAT4E2M1 cast_FLOAT_to_UINT2 cast_FLOAT16_to_UINT2 cast_FLOAT_to_INT2 "
            "cast_FLOAT16_to_INT2 cast_UINT2_to_FLOAT cast_UINT2_to_FLOAT16 cast_UINT2_to_UINT8 cast_INT2_to_FLOAT "
            "cast_INT2_to_FLOAT16 cast_INT2_to_INT8 cast_no_saturate_FLOAT_to_FLOAT8E4M3FN "
            "cast_no_saturate_FLOAT_to_FLOAT8E4M3FNUZ cast_no_saturate_FLOAT_to_FLOAT8E5M2 "
            "cast_no_saturate_FLOAT_to_FLOAT8E5M2FNUZ cast_no_saturate_FLOAT16_to_FLOAT8E4M3FN "
            "cast_no_saturate_FLOAT16_to_FLOAT8E4M3FNUZ cast_no_saturate_FLOAT16_to_FLOAT8E5M2 "
            "cast_no_saturate_FLOAT16_to_FLOAT8E5M2FNUZ cast_e8m0_FLOAT_to_FLOAT8E8M0 cast_e8m0_FLOAT16_to_FLOAT8E8M0 "
            "cast_e8m0_FLOAT8E8M0_to_FLOAT cast_e8m0_FLOAT8E8M0_to_FLOAT16 dequantizelinear_e4m3fn "
            "dequantizelinear_e4m3fn_float16 dequantizelinear_e4m3fn_zero_point dequantizelinear_e5m2 dequantizelinear_uint4 "
            "dequantizelinear_int4 dequantizelinear_uint2 dequantizelinear_int2 dequantizelinear_float4e2m1 "
            "quantizelinear_e4m3fn quantizelinear_e5m2 quantizelinear_uint4 quantizelinear_int4 quantizelinear_uint2 "
            "quantizelinear_int2 quantizelinear_float4e2m1"
        ),
        "NumPy has no bfloat16": "cast_FLOAT_to_BFLOAT16 cast_BFLOAT16_to_FLOAT celu_bfloat16 celu_bfloat16_expanded",
        "a network's inputs and outputs are tensors": "identity_sequence identity_opt",
    }.items()
    for name in names.split()
}

# (family, kind) -> how many cases pass at least, with onnx 1.23.
FLOORS = {
    ("act", "base"): 73,
    ("act", "exp"): 71,
    ("arith", "base"): 89,
    ("cast", "base"): 6,
    ("conv", "base"): 29,
    ("detect", "base"): 10,
    ("gemm", "base"): 27,
    ("loss", "base"): 52,
    ("loss", "exp"): 52,
    ("norm", "base"): 55,
    ("norm", "exp"): 61,
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


def _parameters():
    for name, _, case in CASES:
        reason = KNOWN_FAILURES.get(name)
        marks = pytest.mark.xfail(reason=reason, strict=True) if reason else ()
        for mode in ("plain",) if reason else conformance.MODES:
            yield pytest.param(case, mode, id=f"{name}-{mode}", marks=marks)


@pytest.mark.parametrize(("case", "mode"), list(_parameters()))
def test_case(case, mode):
    conformance.run_case(case, mode)


def test_the_list_of_failures_is_short():
    passing = collections.Counter(key for name, key, _ in CASES if name not in KNOWN_FAILURES)
    assert not {key: passing[key] for key, floor in FLOORS.items() if passing[key] < floor}
    assert not KNOWN_FAILURES.keys() - {name for name, _, _ in CASES}
