"""Tensors and automatic differentiation. Knows the contract of an operation (`fastconv/op.py`), never an operation.

    tensor.py     Tensor: data, gradient, version
    executor.py   who runs operations, and whether they are recorded
    tape.py       apply records operations; backward and gradients run back over the record
    eager.py      runs operations on arrays at once
    symbolic.py   runs only their shape inference
    gradcheck.py  compares gradients with central differences

See docs/architecture.md, "autograd".
"""

from .executor import EAGER, Executor, enable_grad, executor, is_grad_enabled, no_grad, using
from .gradcheck import gradcheck
from .symbolic import SYMBOLIC, Symbol, symbol
from .tape import Node, apply, gradients
from .tensor import Tensor, as_tensor, tensor

__all__ = [
    "EAGER",
    "SYMBOLIC",
    "Executor",
    "Node",
    "Symbol",
    "Tensor",
    "apply",
    "as_tensor",
    "enable_grad",
    "executor",
    "gradcheck",
    "gradients",
    "is_grad_enabled",
    "no_grad",
    "symbol",
    "tensor",
    "using",
]
