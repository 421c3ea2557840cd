"""Shapes without values: how a layer learns its output shape before there are data."""

from ..errors import GradientError
from ..op import Spec
from .tensor import Tensor


class Symbol:
    """Stands for an array of which only shape and dtype are known; dimensions may be None."""

    __slots__ = ("spec",)

    def __init__(self, spec):
        self.spec = spec

    @property
    def shape(self):
        return self.spec.shape

    @property
    def dtype(self):
        return self.spec.dtype

    def __repr__(self):
        return f"Symbol(shape={self.shape}, dtype={self.dtype})"


class Symbolic:
    """The executor that only infers."""

    @staticmethod
    def data(tensor):
        """Return the symbol of a tensor."""
        return tensor.data if isinstance(tensor.data, Symbol) else Symbol(tensor.spec)

    @staticmethod
    def forward(op, operands, attrs):
        """Infer the shapes of the results."""
        specs = op.results({name: operand.spec for name, operand in operands.items()}, attrs)
        return {name: Symbol(spec) for name, spec in specs.items()}

    @staticmethod
    def backward(op, operands, attrs, needs, specs):
        """Raise: a gradient needs values."""
        raise GradientError(f"no gradient of {op.name!r} can be computed from shapes alone")

    @staticmethod
    def full(spec, value):
        """Return a symbol."""
        return Symbol(spec)

    @staticmethod
    def assign(tensor, value):
        """Nothing is written while shapes are inferred."""


SYMBOLIC = Symbolic()


def symbol(shape, dtype="float32", name=None):
    """Return a tensor that has a shape and no values."""
    return Tensor(Symbol(Spec(tuple(shape), dtype)), name=name)
