"""The table of ONNX operators: how each is computed.

An operator has one or both of

    @lowers("Relu")                       operands in, operands out, by `fastconv.ops`: what is traced, differentiated, fast
    def relu(call, x):
        return call.pointwise(ops.relu, x)

    @evaluates("Gather")                  arrays in, arrays out, by NumPy: for constants, for what no kernel takes
    def gather(call, data, indices):
        return np.take(data, indices, call.attribute("axis", 0))

Where every input is known, and to finish a network after its program, the second is preferred; for tensors the first, unless it
returns NotImplemented, and then the second becomes a host step of the program.
"""

from dataclasses import dataclass
from typing import NamedTuple

from ....errors import ModelFormatError


@dataclass
class Operator:
    """An ONNX operator.

    Attributes
    ----------
    lower, evaluate : callable or None
        Called with a `Call` and the inputs; None for inputs that are left out.
    shaping : tuple of int
        Inputs of `evaluate` on whose values, not only shapes, the shape of the result depends.
    dynamic : bool
        Whether the shape of what `evaluate` returns depends on the values of every input.
    """

    lower: object = None
    evaluate: object = None
    shaping: tuple[int, ...] = ()
    dynamic: bool = False


OPERATORS: dict[tuple[str, str], Operator] = {}  # (domain, name)


def lowers(*names, domain=""):
    """Register a function of operands; see above."""

    def register(function):
        for name in names:
            OPERATORS.setdefault((domain, name), Operator()).lower = function
        return function

    return register


def evaluates(*names, domain="", shaping=(), dynamic=False):
    """Register a function of arrays; see above."""

    def register(function):
        for name in names:
            operator = OPERATORS.setdefault((domain, name), Operator())
            operator.evaluate, operator.shaping, operator.dynamic = function, tuple(shaping), dynamic
        return function

    return register


class NotConstant(Exception):
    """A value is needed that is known only when the network runs."""


class Call(NamedTuple):
    """A node of a network, as the function of its operator sees it.

    Attributes
    ----------
    node : proto.Node
    version : int
        Of the operator set.
    network : Network
        Keeps the weights.
    wanted : tuple of bool
        For each output, whether anybody reads it.
    """

    node: object
    version: int
    network: object
    wanted: tuple[bool, ...]

    @property
    def operator(self):
        """The operator's name."""
        return self.node.op_type

    def attribute(self, name, default=None):
        """Return an attribute: int, float, str, list of them, ndarray or proto.Graph; `default` where the node has none."""
        return self.network.attributes(self.node).get(name, default)

    def required(self, name):
        """Return an attribute that has no default."""
        value = self.attribute(name)
        if value is None:
            raise ModelFormatError(f"lacks its attribute {name!r}")
        return value

    def known(self, operand):
        """Return the array of an operand, None for None; raise NotConstant where it is not known yet."""
        if operand is None:
            return None
        if operand.constant is None:
            raise NotConstant
        return operand.constant

    def weight(self, operand, order=None, form="", make=None):
        """Return a Tensor of a constant operand, its axes in `order`, made once for each `form` of it.

        `make`, if given, is a function of the array that returns what is kept instead: the same numbers in another shape, for
        else a weight could not go back into a file. Operands that are no constants are transposed in the network; `make` cannot
        be applied to them.
        """
        return self.network.weight(self.node, operand, order, form, make)

    def pointwise(self, function, x):
        """Return function(x) as an operand, the order of its axes in memory kept."""
        return type(x)(function(x.tensor(x.order)), x.axes)
