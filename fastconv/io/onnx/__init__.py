"""ONNX files: other people's models.

`load_model` reads and checks a file, `Network` runs it on Tensors.
"""

from .files import load_model
from .network import Network
from .operand import Operand
from .tensors import element_type

__all__ = ["Network", "Operand", "element_type", "load_model"]
