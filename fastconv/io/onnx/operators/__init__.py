"""Operators of ONNX, a file for each family; importing this package fills `OPERATORS`."""

from . import activation, arithmetic, convolution, matrix, movement, pooling
from ._registry import OPERATORS, Call, NotConstant, Operator

__all__ = ["OPERATORS", "Call", "NotConstant", "Operator"]
