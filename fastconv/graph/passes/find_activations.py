"""Activations that are written as arithmetic, as other frameworks export them, become one node.

    x * sigmoid(x)                          silu
    x * hard_sigmoid(x)                     hard_swish
    x * clip(x + 3, 0, 6) / 6               hard_swish, the division where it may stand
    x * tanh(softplus(x))                   mish
    maximum(x, 0)                           relu
    minimum(maximum(x, low), high)          clip, also with one limit

The last two keep the bits; the others round once where the arithmetic did several times. Only numbers that nobody has
written to are taken for such: a graph in which one was written to is compiled again.
"""

from math import inf, isnan

from ...op import REGISTRY
from ...ops.activation import Attrs
from ..graph import Node
from .rewrite import Rewriter

PRODUCTS = {"sigmoid": "silu", "hard_sigmoid": "hard_swish"}


def find_activations(graph):
    """Return the graph with such nodes in place of the arithmetic."""
    rewriter = Rewriter(graph)
    for node in rewriter.forward_nodes("maximum", "minimum"):
        _limits(rewriter, node)
    for node in rewriter.forward_nodes("multiply", "divide"):
        _product(rewriter, node)
    return rewriter.graph(graph)


def _replace(rewriter, old, x, name, *numbers):
    if name in REGISTRY:
        last = old[-1]
        new = Node(REGISTRY[name], Attrs(*numbers), {"x": x}, {"y": last.outputs["y"]}, {"x": x.spec})
        rewriter.put([new], old)


def _with_number(rewriter, node):
    """Return (x, number) of a node with two operands of which one, of a division the divisor, is a number, or (None, None)."""
    a, b = node.inputs["a"], node.inputs["b"]
    for x, other in ((a, b), (b, a)) if node.op.name != "divide" else ((a, b),):
        if node.outputs["y"].spec == x.spec and not rewriter.is_constant(x):
            number = rewriter.number(other)
            if number is not None:
                return x, number
    return None, None


# ---- minimum, maximum


def _limits(rewriter, node):
    x, number = _with_number(rewriter, node)
    if x is None or isnan(number):
        return
    low, high = (number, inf) if node.op.name == "maximum" else (-inf, number)
    before = rewriter.maker(x, "clip", "relu")
    old = [node]
    if before is not None and rewriter.read_only_by(x, node):
        limits = tuple(before.attrs) if before.op.name == "clip" else (0.0, inf)
        if limits[0] <= high and low <= limits[1]:  # else the one outside decides alone, which a clip does not say
            low, high = max(low, limits[0]), min(high, limits[1])
            x, old = before.inputs["x"], [before, node]
    if (low, high) == (0.0, inf):
        _replace(rewriter, old, x, "relu")
    elif (low, high) == (0.0, 6.0):
        _replace(rewriter, old, x, "relu6")
    else:
        _replace(rewriter, old, x, "clip", low, high)


# ---- x times a function of x


def _factors(rewriter, node):
    """Yield (x, the node that makes the other factor) of a product of values."""
    a, b = node.inputs["a"], node.inputs["b"]
    for x, other in ((a, b), (b, a)):
        maker = rewriter.maker(other)
        if x is not other and maker is not None and rewriter.read_only_by(other, node) and x.spec == other.spec:
            yield x, maker


def _product(rewriter, node):
    x, number = _with_number(rewriter, node)
    if x is not None:
        # x * clip(x + 3, 0, 6), divided after that
        inner = rewriter.maker(x, "multiply")
        if inner is not None and rewriter.read_only_by(x, node) and _sixth(node, number):
            for y, factor in _factors(rewriter, inner):
                ramp = _ramp(rewriter, factor, y)
                if ramp:
                    _replace(rewriter, [*ramp, inner, node], y, "hard_swish", 1 / 6, 0.5)
                    return
        return
    for y, factor in _factors(rewriter, node) if node.op.name == "multiply" else ():
        old = [factor, node]
        reads = factor.inputs.get("x")
        if factor.op.name in PRODUCTS and reads is y:
            _replace(rewriter, old, y, PRODUCTS[factor.op.name], *factor.attrs)
            return
        if factor.op.name == "tanh":
            inner = rewriter.maker(reads, "softplus")
            if inner is not None and inner.inputs["x"] is y and rewriter.read_only_by(reads, factor):
                _replace(rewriter, [inner, *old], y, "mish")
                return
        if factor.op.name in ("divide", "multiply"):
            reads, number = _with_number(rewriter, factor)
            ramp = reads is not None and _sixth(factor, number) and rewriter.maker(reads)
            ramp = ramp and rewriter.read_only_by(reads, factor) and _ramp(rewriter, ramp, y)
            if ramp:
                _replace(rewriter, [*ramp, *old], y, "hard_swish", 1 / 6, 0.5)
                return


def _sixth(node, number):
    """Tell whether a node takes the sixth part."""
    return number == 6 if node.op.name == "divide" else abs(number - 1 / 6) < 1e-7


def _ramp(rewriter, node, x):
    """Return the nodes of clip(x + 3, 0, 6), of which `node` is the last; None if it is something else."""
    if node.op.name != "relu6" and not (node.op.name == "clip" and tuple(node.attrs) == (0.0, 6.0)):
        return None
    reads = node.inputs["x"]
    plus = rewriter.maker(reads, "add")
    if plus is None or not rewriter.read_only_by(reads, node):
        return None
    base, number = _with_number(rewriter, plus)
    return [plus, node] if base is x and number == 3 else None
