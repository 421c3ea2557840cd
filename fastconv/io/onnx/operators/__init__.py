"""Operators of ONNX, a file for each family; importing this package fills `OPERATORS`."""

import importlib

from ._registry import OPERATORS, Call, NotConstant, Operator

FAMILIES = (
    "activation",
    "arithmetic",
    "cast",
    "control",
    "convolution",
    "creation",
    "detection",
    "logic",
    "loss",
    "mathematics",
    "matrix",
    "movement",
    "normalization",
    "pooling",
    "quantization",
    "quantized",
    "reduction",
    "resize",
    "sampling",
    "selection",
)

for _family in FAMILIES:
    importlib.import_module(f"{__name__}.{_family}")

__all__ = ["OPERATORS", "Call", "NotConstant", "Operator"]
