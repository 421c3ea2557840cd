"""Batch normalisation in training with what follows it: one pass over memory instead of two or three.

    a = batch_norm_train(x, ...)                          a, y = batch_norm_train(x, ..., residual) {activation, adds}
    b = add_n(a, residual)             either, or both
    y = relu(b)

and in the backward pass

    db = relu.backward(y, dy)
    da, dresidual = add_n.backward(db)
    dx, dgamma, dbeta = batch_norm_train.backward(x, ..., da)

become one node in each direction. The results have the same bits, but for elements whose sum before the ReLU is within a
rounding of a bound: there the gradient is let through or not by a sum that is rounded once less.
"""

from dataclasses import replace
from typing import NamedTuple

from ..graph import Node

ACTIVATIONS = ("relu", "relu6")


class Uses:
    """Who makes a value, and who reads it."""

    def __init__(self, graph):
        self.position = {id(node): i for i, node in enumerate(graph.nodes)}
        self.maker = {id(value): node for node in graph.nodes for value in node.outputs.values()}
        self.readers = {}
        for node in graph.nodes:
            for value in node.inputs.values():
                self.readers.setdefault(id(value), []).append(node)
        for value in (*graph.outputs.values(), *(value for _, value in graph.updates)):
            self.readers.setdefault(id(value), []).append(None)

    def only_reader(self, value):
        """Return the one node that reads a value, once; None where there are none, several, or the graph itself."""
        readers = self.readers.get(id(value), ())
        return readers[0] if len(readers) == 1 else None

    def first_read(self, value):
        """Return the position of the first node that reads a value."""
        readers = self.readers.get(id(value), ())
        return min((self.position[id(node)] for node in readers if node is not None), default=len(self.position))

    def made_before(self, value, position):
        """Tell whether a value is there before the node at `position` runs."""
        maker = self.maker.get(id(value))
        return maker is None or self.position[id(maker)] < position


class Chain(NamedTuple):
    """Nodes that become one, in each direction; those that are not there are None."""

    norm: Node
    add: Node | None
    activation: Node | None
    norm_backward: Node | None
    add_backward: Node | None
    activation_backward: Node | None

    @property
    def forward(self):
        return [node for node in self[:3] if node is not None]

    @property
    def backward(self):
        return [node for node in self[:2:-1] if node is not None]  # in the order in which they run


def fuse_norm(graph):
    """Return the graph with such chains of nodes fused."""
    uses, replaced = Uses(graph), {}
    # From the back: of two normalised branches that are added the later one takes the sum.
    for node in reversed(graph.nodes):
        chain = _find_chain(node, uses)
        if chain and not any(id(member) in replaced for member in (*chain.forward, *chain.backward)):
            replaced |= {id(member): None for member in (*chain.forward, *chain.backward)}
            replaced[id(chain.forward[-1])] = _fused_forward(chain)
            if chain.backward:
                replaced[id(chain.backward[0])] = _fused_backward(chain)
    if not replaced:
        return graph
    nodes = [replaced.get(id(node), node) for node in graph.nodes]
    return replace(graph, nodes=[node for node in nodes if node is not None])


def _is(node, *names, backward=False):
    return node is not None and node.op.name in names and (node.needs is not None) == backward


def _find_chain(norm, uses):
    """Return the `Chain` that starts at a node, or None."""
    if not _is(norm, "batch_norm_train") or norm.attrs.activation or norm.attrs.adds:
        return None
    add = activation = None
    after = uses.only_reader(norm.outputs["y"])
    if _is(after, "add_n") and len(after.inputs) == 2:
        add, after = after, _activation_after(after, uses)
    if _is(after, *ACTIVATIONS):
        activation = after
    last = activation or add
    if last is None:
        return None
    # The fused node stands where the last one stood: nobody may want statistics before.
    stands = uses.position[id(last)]
    if any(uses.first_read(value) <= stands for name, value in norm.outputs.items() if name != "y"):
        return None
    return _with_backward(Chain(norm, add, activation, None, None, None), uses)


def _activation_after(add, uses):
    """Return the activation that alone reads a sum, its own backward not counted; else None."""
    after = uses.only_reader(add.outputs["y"])
    return after if _is(after, *ACTIVATIONS) else None


def _with_backward(chain, uses):
    """Return the chain with its nodes of the backward pass, or None where they are not one chain, too."""
    readers = uses.readers.get(id(chain.norm.outputs.get("mean")), ())  # nobody's, where nothing is saved
    norm = next((node for node in readers if _is(node, "batch_norm_train", backward=True)), None)
    add = activation = None
    if norm is not None:
        gradient = norm.inputs["dy"]
        if chain.add is not None:
            add = uses.maker.get(id(gradient))
            ours = next(name for name, value in chain.add.inputs.items() if value is chain.norm.outputs["y"])
            if not _is(add, "add_n", backward=True) or add.outputs.get("d" + ours) is not gradient:
                return None
            if uses.only_reader(gradient) is not norm:
                return None
            gradient = add.inputs["dy"]
        if chain.activation is not None:
            activation = uses.maker.get(id(gradient))
            if not _is(activation, chain.activation.op.name, backward=True):
                return None
            if activation.inputs["y"] is not chain.activation.outputs["y"]:
                return None
            if uses.only_reader(gradient) is not (add or norm):
                return None
    elif chain.activation is not None:
        readers = uses.readers.get(id(chain.activation.outputs["y"]), ())
        if any(_is(node, chain.activation.op.name, backward=True) for node in readers):
            return None  # the residual alone has a gradient
    chain = chain._replace(norm_backward=norm, add_backward=add, activation_backward=activation)
    if norm is not None:
        # The fused node stands where the first one stood.
        stands = uses.position[id(chain.backward[0])]
        if not all(uses.made_before(v, stands) for name, v in norm.inputs.items() if name != "dy"):
            return None
    return chain


def _fused_attrs(chain):
    activation = chain.activation.op.name if chain.activation else None
    return chain.norm.attrs._replace(activation=activation, adds=chain.add is not None)


def _residual(chain):
    """Return {"residual": value} where something is added."""
    if chain.add is None:
        return {}
    return {"residual": next(v for v in chain.add.inputs.values() if v is not chain.norm.outputs["y"])}


def _fused_forward(chain):
    residual = _residual(chain)
    return replace(
        chain.norm,
        attrs=_fused_attrs(chain),
        inputs={**chain.norm.inputs, **residual},
        outputs={**chain.norm.outputs, "y": chain.forward[-1].outputs["y"]},
        specs={**chain.norm.specs, **{name: value.spec for name, value in residual.items()}},
    )


def _fused_backward(chain):
    norm, attrs, residual = chain.norm_backward, _fused_attrs(chain), _residual(chain)
    needs, outputs = norm.needs, dict(norm.outputs)
    if chain.add_backward is not None:
        others = [value for value in chain.add_backward.outputs.values() if value is not norm.inputs["dy"]]
        if others:
            needs, outputs["dresidual"] = needs | {"residual"}, others[0]
    known = {**chain.norm.inputs, **residual, **chain.norm.outputs, "y": chain.forward[-1].outputs["y"]}
    inputs = {name: known[name] for name in norm.op.keeps(attrs, needs) if name in known}
    inputs |= {name: value for name, value in norm.inputs.items() if name.startswith("dnew_")}
    inputs["dy"] = chain.backward[0].inputs["dy"]
    specs = {name: value.spec for name, value in {**known, **inputs}.items()}
    return Node(norm.op, attrs, inputs, outputs, specs, needs)
