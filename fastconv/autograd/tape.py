"""The tape: how operations are recorded, and how gradients run back over it.

    x ──┐                       y = conv2d(x, kernel); z = relu(y)
        ├─ Node conv2d ─ y ─ Node relu ─ z          z.backward() visits relu, then conv2d
 kernel ┘

A `Node` keeps no tensors but leaves: an edge leads to the node that made an input, and of the data it holds only what
the operation's `keeps` names. Data are opaque here and handled by an *executor* (arrays in eager code, graph values under
the tracer), so the tape differentiates both.
"""

import heapq
import importlib
import itertools

import numpy as np

from ..errors import DTypeError, GradientError, ShapeError
from ..op import REGISTRY, Spec
from .executor import executor, is_grad_enabled

# ---- recording

_serial = itertools.count()


class Node:
    """One recorded operation. Nodes are numbered as they are made, so a node's consumers have higher numbers."""

    __slots__ = ("serial", "op", "attrs", "executor", "needs", "edges", "kept", "versions", "specs", "__weakref__")

    def __init__(self, op, attrs, runner, needs):
        self.serial = next(_serial)
        self.op, self.attrs, self.executor, self.needs = op, attrs, runner, needs
        self.edges = {}  # input -> (node, output of that node), or the leaf Tensor itself
        self.kept = {}  # name -> data; None once freed
        self.versions = []  # (name, version cell, version when recorded)
        self.specs = {}  # of inputs, outputs and saved

    def __repr__(self):
        return f"Node({self.op.name}, {self.serial})"

    def check(self):
        """Raise GradientError if this node cannot run backward any more."""
        if self.kept is None:
            raise GradientError(
                f"the tape of {self.op.name!r} was freed by an earlier backward(). Call backward(retain_graph=True) the "
                "first time, or compute the result again"
            )
        for name, cell, version in self.versions:
            if cell[0] != version:
                raise GradientError(
                    f"the operand {name!r} of {self.op.name!r} was changed by assign() after it was used, and its old "
                    "values are needed for the gradient. Call backward() before assign(), or use a copy in the operation"
                )

    def free(self):
        """Drop what was kept."""
        self.kept = None
        self.edges, self.versions = {}, []


def _check_floats(op, operands):
    found = {}
    for name, operand in operands.items():
        if operand.dtype in FLOATS and name not in op.settings:
            found.setdefault(operand.dtype, name)
    if len(found) > 1:
        raise DTypeError(
            f"{op.name} got {found['float32']!r} as float32 and {found['float64']!r} as float64; convert one of them, "
            'for example by fastconv.tensor(value, dtype="float32")'
        )


def _is_view(result, array):
    if not isinstance(result, np.ndarray) or not isinstance(array, np.ndarray):
        return False
    return result is array or (result.base is not None and (result.base is array or result.base is array.base))


def apply(op, inputs, attrs):
    """Run an operation on tensors, and record it if a gradient may be wanted.

    Parameters
    ----------
    op : Op
    inputs : sequence of Tensor, array_like or None
        In the order of ``op.inputs``; None for an optional one that is absent.
    attrs : tuple
        The operation's own attributes.

    Returns
    -------
    Tensor or tuple of Tensor
        ``op.outputs``.
    """
    operands = op.bind([value if value is None or isinstance(value, Tensor) else as_tensor(value) for value in inputs])
    _check_floats(op, operands)
    runner = executor()
    results = runner.forward(op, operands, attrs)
    outputs = {name: Tensor(results[name]) for name in op.outputs}
    for output in outputs.values():
        for operand in operands.values():
            if _is_view(output.data, operand.data):
                output._version = operand.version_cell()
    if is_grad_enabled():
        needs = frozenset(
            name for name, operand in operands.items() if operand.requires_grad and op.is_differentiable(name)
        )
        if needs:
            _record(op, attrs, runner, needs, operands, outputs, results)
    result = tuple(outputs.values())
    return result[0] if len(result) == 1 else result


def _record(op, attrs, runner, needs, operands, outputs, results):
    node = Node(op, attrs, runner, needs)
    for name in sorted(needs):
        operand = operands[name]
        node.edges[name] = operand if operand.node is None else (operand.node, operand.slot)
    node.specs = {name: operand.spec for name, operand in operands.items()}
    for name, data in results.items():
        node.specs[name] = outputs[name].spec if name in outputs else Tensor(data).spec
    for name in op.keeps(attrs, needs):
        if name in operands:
            node.kept[name] = runner.data(operands[name])
        elif name in results:
            node.kept[name] = results[name]
        tensor = operands.get(name, outputs.get(name))
        if tensor is not None:  # neither saved nor an absent optional input
            cell = tensor.version_cell()
            node.versions.append((name, cell, cell[0]))
    for name, output in outputs.items():
        if output.dtype in FLOATS:
            output._requires_grad = True
            output.node, output.slot = node, name


# ---- running back


def _total(runner, terms):
    """Return the sum of gradients that reached one place, in the order in which they came."""
    if len(terms) == 1:
        return terms[0]
    if "add_n" not in REGISTRY:
        getattr(importlib.import_module("fastconv.ops"), "add_n")  # noqa: B009  operations load when they are named
    op = REGISTRY["add_n"]
    return runner.forward(op, op.bind([Tensor(term) for term in terms]), op.attrs())[op.outputs[0]]


def _seed(y, dy):
    """Return the executor and the data to start from."""
    if not y.requires_grad:
        raise GradientError(
            f"{y._title()} does not depend on any tensor with requires_grad=True, or was computed under no_grad()"
        )
    runner = y.node.executor if y.node is not None else executor()
    if dy is None:
        if any(n != 1 for n in y.shape):
            raise GradientError(
                f"backward() of a tensor of shape {y.shape} needs dy, of the same shape; or take the sum"
            )
        return runner, runner.full(y.spec, 1.0)
    if not isinstance(dy, Tensor):
        dy = as_tensor(dy, y.dtype)
    if dy.shape != y.shape:
        raise ShapeError(f"dy must have the shape of the tensor, {y.shape}, got {dy.shape}")
    if dy.dtype != y.dtype:
        raise DTypeError(f"dy must have the dtype of the tensor, {y.dtype}, got {dy.dtype}")
    return runner, runner.data(dy)


def _run_back(y, dy, retain_graph, targets=()):
    """Return {leaf Tensor, or (node, output) in `targets`: gradient data} in the order in which they were met."""
    runner, seed = _seed(y, dy)
    leaves, found, queue = {}, {}, []
    pending = {}  # node -> {output: [gradients that came so far]}

    def arrive(edge, data):
        if isinstance(edge, Tensor):
            leaves.setdefault(edge, []).append(data)
            return
        node, slot = edge
        if node not in pending:
            if node.executor is not runner:
                raise GradientError(
                    f"the result of {node.op.name!r} was computed outside of the function that is being traced, so its "
                    "gradient cannot be part of the trace; compute it inside, or detach() it"
                )
            node.check()
            pending[node] = {}
            heapq.heappush(queue, (-node.serial, node))
        pending[node].setdefault(slot, []).append(data)

    arrive(y if y.node is None else (y.node, y.slot), seed)
    while queue:
        # The highest number first: all consumers of a node have come before it.
        _, node = heapq.heappop(queue)
        slots = {slot: _total(runner, terms) for slot, terms in pending.pop(node).items()}
        found.update({(node, slot): data for slot, data in slots.items() if (node, slot) in targets})
        operands = dict(node.kept)
        for name in node.op.outputs:
            operands["d" + name] = slots[name] if name in slots else _zero(runner, node.specs[name])
        grads = runner.backward(node.op, operands, node.attrs, node.needs, node.specs)
        for name, edge in node.edges.items():
            arrive(edge, grads["d" + name])
        if not retain_graph:
            node.free()
    return {**{leaf: _total(runner, terms) for leaf, terms in leaves.items()}, **found}


def _zero(runner, spec):
    """Return the gradient of an output that nothing used; integer outputs have float32 zeros for theirs."""
    return runner.full(spec if spec.dtype in FLOATS else Spec(spec.shape), 0.0)


def _unshared(arrays, seen):
    """Copy those arrays that share memory with one met before: whoever writes into a gradient owns it."""
    for key, data in arrays.items():
        if isinstance(data, np.ndarray):
            if id(_owner(data)) in seen or not data.flags.writeable:
                data = data.copy()
            seen.add(id(_owner(data)))
        yield key, data


def _owner(array):
    """Return the array that a view of a view is of."""
    while isinstance(array.base, np.ndarray):
        array = array.base
    return array


def _owners(dy):
    array = dy.data if isinstance(dy, Tensor) else dy
    return {id(_owner(array))} if isinstance(array, np.ndarray) else set()


def backward(y, dy=None, retain_graph=False):
    """Add the gradients of `y` to ``grad`` of its leaves; see `Tensor.backward`."""
    for leaf, data in _unshared(_run_back(y, dy, retain_graph), _owners(dy)):
        leaf.grad = Tensor(data if leaf.grad is None else _total(executor(), [leaf.grad.data, data]))


def gradients(y, xs, dy=None, retain_graph=False):
    """Return the gradients of `y` with respect to `xs`, leaving every ``grad`` as it is.

    Parameters
    ----------
    y : Tensor
    xs : sequence of Tensor
        Leaves or results in between.
    dy : Tensor or array_like, optional
        As in `Tensor.backward`.
    retain_graph : bool
        Keep the tape for another call.

    Returns
    -------
    list of Tensor or None
        None where `y` does not depend on the tensor.
    """
    keys = [x if x.node is None else (x.node, x.slot) for x in xs]
    results = _run_back(y, dy, retain_graph, {key for key in keys if isinstance(key, tuple)})
    results = dict(_unshared({key: results[key] for key in keys if key in results}, _owners(dy)))
    return [Tensor(results[key]) if key in results else None for key in keys]


from .tensor import FLOATS, Tensor, as_tensor  # noqa: E402  a tensor needs the tape's functions, the tape makes tensors
