"""The intermediate form: nodes (an operation in one direction) over values."""

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from ..op import Op, Spec


class Value:
    """What flows along an edge: a spec, and for a variable the tensor whose memory it is.

    Attributes
    ----------
    spec : Spec
    role : str
        "input", "variable" (bound to a tensor's memory), "strided" (copied from a tensor that is not contiguous at each
        run), "constant" (what no run changes, see `constants.py`) or "temporary".
    tensor : Tensor or None
    name : str
    derived : constants.Derived or None
        What computes a constant that is no variable.
    """

    __slots__ = ("spec", "role", "tensor", "name", "derived")

    def __init__(self, spec, role, name, tensor=None):
        self.spec, self.role, self.name, self.tensor = spec, role, name, tensor
        self.derived = None

    @property
    def shape(self):
        """Shape, all dimensions known."""
        return self.spec.shape

    @property
    def dtype(self):
        """The NumPy dtype."""
        return np.dtype(self.spec.dtype)

    @property
    def ndim(self):
        """Number of dimensions."""
        return len(self.spec.shape)

    @property
    def size(self):
        """Number of elements."""
        return self.spec.size

    def __repr__(self):
        return f"%{self.name}:{self.spec.dtype}{list(self.spec.shape)}"


@dataclass(eq=False)
class Node:
    """One operation in one direction.

    `inputs` holds what it reads; `specs` also the operands that a backward knows by shape only. `name` is what the network
    calls it, where it does: an ONNX node's or a layer's.
    """

    op: Op
    attrs: Any
    inputs: dict[str, Value]
    outputs: dict[str, Value]
    specs: dict[str, Spec]
    needs: frozenset | None = None  # None: forward
    name: str | None = None

    def with_inputs(self, inputs):
        """Return the node with other values, of the same specs, for its inputs."""
        return replace(self, inputs=inputs)

    def without_unread(self, read):
        """Return the node without outputs that nobody reads, which a host step may leave out; see `Graph.read`."""
        return replace(self, outputs={name: value for name, value in self.outputs.items() if id(value) in read})

    @property
    def saving(self):
        """Whether it makes what a backward node reads: all of it, or nothing."""
        return self.needs is None and any(name in self.outputs for name in self.op.saved)

    @property
    def title(self):
        """The operation and its direction: "conv2d", "conv2d.backward"."""
        return self.op.name if self.needs is None else f"{self.op.name}.backward"

    def __str__(self):
        reads = ", ".join(f"{name}={value!r}" for name, value in self.inputs.items())
        writes = ", ".join(f"{value!r}" for value in self.outputs.values())
        attrs = ", ".join(f"{k}={v!r}" for k, v in self.attrs._asdict().items()) if self.attrs else ""
        return f"{writes} = {self.title}({reads}){' {' + attrs + '}' if attrs else ''}"


@dataclass(eq=False)
class Graph:
    """A traced function: named inputs and outputs, nodes in order, and the variables that it changes.

    A pass that reads the number in a variable notes the variable and its version in `assumed`.
    """

    inputs: dict[str, Value]
    nodes: list[Node]
    outputs: dict[str, Value]
    updates: list[tuple[Any, Value]] = field(default_factory=list)  # (tensor, its new value)
    assumed: dict[int, tuple[Any, int]] = field(default_factory=dict)  # id(tensor) -> (tensor, version)

    def read(self):
        """Return the ids of all values that something reads: a node, or the graph's outputs and updates."""
        values = [value for node in self.nodes for value in node.inputs.values()]
        late = (*self.outputs.values(), *(value for _, value in self.updates))
        return {id(value) for value in (*values, *late)}

    def __str__(self):
        lines = [f"graph({', '.join(map(repr, self.inputs.values()))})"]
        lines += [f"  {node}" for node in self.nodes]
        lines += [f"  {tensor.name or 'variable'} <- {value!r}" for tensor, value in self.updates]
        returns = ", ".join(f"{name}={value!r}" for name, value in self.outputs.items())
        return "\n".join([*lines, f"  return {returns}"])
