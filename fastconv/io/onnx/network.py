"""An ONNX graph that runs on Tensors: the walk over its nodes.

The same walk runs at once on arrays, records on the tape, or is traced into a program; see `fastconv.autograd.executor`. What
does not depend on the inputs' values, as the arithmetic on shapes that exporters write, is computed with NumPy on the way.
"""

import difflib
import functools
from dataclasses import replace

import numpy as np

from ...autograd import EAGER, Tensor, no_grad, using
from ...errors import FastconvError, ModelFormatError, ShapeError, UnsupportedOpError
from ...graph import labelled
from . import proto
from .check import check, function_key, normal, opset_versions
from .external import let_go
from .host import MAX_HOST_ELEMENTS, NotHeld, apply_host, cast
from .operand import Operand
from .operators import OPERATORS, Call, NotConstant
from .tensors import to_array


class Late(Operand):
    """Stands for a value that is known only after the network's program has run."""

    __slots__ = ()

    def __init__(self):
        pass


LATE = Late()

# What a function of arrays raises where a file, or what it is fed, makes no sense.
EXPLAINED = FastconvError, ArithmeticError, AttributeError, LookupError, MemoryError, TypeError, ValueError


class Network:
    """A checked ONNX model with its weights.

    Parameters
    ----------
    model : proto.Model
    folder : Path, optional
        Where external data may lie.
    outputs : sequence of str, optional
        Names of the values to return, whatever the file says: to cut a network.
    make_weight : callable, optional
        ``(node, name, array) -> Tensor``: makes and keeps a weight of a constant array, which may be a view.
    stubs : dict of str -> Spec, optional
        Inputs of the graph that stand for weights without values, which `make_weight` will not look at.

    Raises
    ------
    ModelFormatError, UnsupportedOpError
        When the file makes no sense, or needs operators that are not there: all of them are named.
    """

    def __init__(self, model, folder=None, outputs=None, make_weight=None, stubs=None):
        check(model, OPERATORS)
        self.model, self.folder = model, folder
        self.make_weight = make_weight or _constant
        self.versions = opset_versions(model.opset_import)
        self.functions = {function_key(f): f for f in model.functions}
        self.constants = {
            tensor.name: Operand(to_array(tensor, folder), key=tensor.name) for tensor in model.graph.initializer
        }
        for name, spec in (stubs or {}).items():
            zero = np.zeros((), spec.dtype)
            self.constants[name] = Operand(np.broadcast_to(zero, spec.shape), key=name)
        self.outputs = [value for value in model.graph.output if outputs is None or value.name in outputs]
        self.inputs = [value for value in model.graph.input if value.name not in self.constants]
        self.output_names = [value.name for value in model.graph.output] if outputs is None else list(outputs)
        self.weights = {}  # (name of a constant, order, form) -> Tensor
        # Of nodes, by id: a Reshape whose first number is the size of the batch, and so means that axis, whatever its size.
        self.rows_kept = set()
        self._attributes = {}
        self._bodies = {}
        self._readers(model.graph)

    def _readers(self, graph):
        """Cut the nodes that no output depends on, and note which values are read."""
        made = {name for node in graph.node for name in node.output}
        for name in self.output_names:
            if name not in made and name not in self.constants and name not in {v.name for v in graph.input}:
                like = difflib.get_close_matches(name, made, 3) or [n.output[0] for n in graph.node[-3:]]
                raise ModelFormatError(
                    f"output {name!r} is made by no node of the network; there is {', '.join(map(repr, like))} among others"
                )
        self.read = set(self.output_names)
        self.nodes = []
        for node in reversed(graph.node):
            if any(name in self.read for name in node.output if name):
                self.nodes.append(node)
                self.read.update(self.reads(node))
        self.nodes.reverse()

    def reads(self, node):
        """Return the names of all values that a node reads, those of its subgraphs from outside included."""
        names = [name for name in node.input if name]
        for graph in self.subgraphs(node):
            inside = {v.name for v in graph.input} | {t.name for t in graph.initializer}
            inside |= {name for inner in graph.node for name in inner.output}
            outer = [name for inner in graph.node for name in self.reads(inner)] + [v.name for v in graph.output]
            names += [name for name in outer if name not in inside]
        return names

    @staticmethod
    def subgraphs(node):
        """Return the graphs among a node's attributes."""
        held = [[a.g] if a.type == 5 else a.graphs if a.type == 10 else () for a in node.attribute]
        return [graph for graphs in held for graph in graphs if graph is not None]

    def title(self, node):
        """Return what to call a node in a message."""
        return (
            f"node {node.name!r} ({node.op_type})" if node.name else f"the {node.op_type} that makes {node.output[0]!r}"
        )

    def attributes(self, node):
        """Return {name: value} of a node's attributes."""
        found = self._attributes.get(id(node))
        if found is None:
            found = self._attributes[id(node)] = {a.name: _plain(a.value) for a in node.attribute}
        return found

    def weight(self, node, operand, order=None, form="", make=None):
        """Return a Tensor of a constant; see `Call.weight`."""
        if operand.constant is None:
            if make is not None:
                raise NotConstant
            return operand.tensor(order)
        key = operand.key and (operand.key, order, form)
        tensor = self.weights.get(key) if key else None
        if tensor is None:
            array = operand.constant if make is None else make(operand.constant)
            if order is not None:
                array = array.transpose(order)
            if not key:
                return Tensor(contiguous(array))
            tensor = self.weights.setdefault(key, self.make_weight(node, operand.key, array))
        return tensor

    def let_go(self):
        """Let the system take back the memory of the file: what programs need of it, they have packed."""
        let_go([x.constant for x in self.constants.values()])

    # ---- walking

    def __call__(self, feeds):
        """Return (values by name, late nodes): what can be computed now, and the nodes that cannot.

        Parameters
        ----------
        feeds : dict of str -> Operand
        """
        values = {**self.constants, **feeds}
        late = self.walk(self.nodes, values, self.versions, self.read)
        return values, late

    def finish(self, late, values):
        """Run late nodes, on values that are all known by now; their results go to `values`."""
        left = self.walk(late, values, self.versions, self.read)
        if left:
            raise UnsupportedOpError(f"{self.title(left[0])}: this form of the operator is not supported")

    def walk(self, nodes, values, versions, read, keyed=True):
        """Run `nodes` on `values`, where their results go, too; returns the nodes that cannot run now.

        `keyed` tells whether the names of values are unique, so that weights made of constants can be kept by name.
        """
        late = []
        for node in nodes:
            inputs = [values[name] if name else None for name in node.input]
            try:
                if any(values.get(name) is LATE for name in self.reads(node)):
                    raise NotConstant
                wanted = tuple(bool(n) and n in read for n in node.output)
                with labelled(node.name or next(filter(None, node.output), None)):
                    results = self.step(node, inputs, values, versions, wanted, keyed)
            except NotConstant:
                late.append(node)
                results = [LATE] * len(node.output)
            except EXPLAINED as error:
                _explain(error, self.title(node), inputs)
                raise
            if len(results) < sum(map(bool, node.output)):
                raise ModelFormatError(f"{self.title(node)} has {len(node.output)} outputs, expected {len(results)}")
            values.update((name, result) for name, result in zip(node.output, results, strict=False) if name)
        return late

    def step(self, node, inputs, values, versions, wanted, keyed):
        """Return the operands that a node makes."""
        function = self.functions.get(function_key(node))
        if function is not None:
            return self.call_function(node, function, inputs)
        domain = normal(node.domain)
        operator = OPERATORS[domain, node.op_type]
        call = Call(node, versions.get(domain, 1), self, wanted)
        stable = keyed and all(x is None or x.key is not None for x in inputs)
        known = all(x is None or x.constant is not None for x in inputs)
        if self.subgraphs(node):
            return operator.lower(call, functools.partial(self.run_subgraph, values, versions), *inputs)
        if known and operator.evaluate is not None:
            arrays = results_of(call, operator.evaluate, [None if x is None else x.constant for x in inputs])
            return [Operand(a, key=stable and name or None) for a, name in zip(arrays, node.output, strict=False)]
        if known:
            return self._at_once(operator, call, inputs, stable)
        if operator.lower is not None:
            results = self._lower(operator, call, inputs)
            if results is not NotImplemented:
                return results
        return self._host(operator, call, inputs)

    def _lower(self, operator, call, inputs):
        # Kernels know no half precision: float32 inside, rounded once at the end.
        halves = [x is not None and x.dtype == np.float16 for x in inputs]
        if any(halves):
            if operator.evaluate is not None:
                return NotImplemented
            inputs = [cast(x, "float32") if half else x for x, half in zip(inputs, halves, strict=True)]
        results = operator.lower(call, *inputs)
        if results is NotImplemented:
            return results
        results = results if isinstance(results, (tuple, list)) else [results]
        return [cast(x, "float16") for x in results] if any(halves) else results

    def _at_once(self, operator, call, inputs, stable):
        """Run the lowering of a node whose inputs are all known; the results are constants."""
        with using(EAGER), no_grad():
            results = self._lower(operator, call, inputs)
        if results is NotImplemented:
            raise UnsupportedOpError("this form of the operator is not supported")
        return [
            Operand(np.ascontiguousarray(x.array()).reshape(x.shape), key=stable and name or None)
            for x, name in zip(results, call.node.output, strict=False)
        ]

    def _host(self, operator, call, inputs):
        """Run a node by NumPy, as a step of the program where it is traced."""
        if operator.evaluate is None:
            raise UnsupportedOpError("this form of the operator is not supported")
        unknown = [i for i, x in enumerate(inputs) if x is not None and x.constant is None]
        if operator.dynamic or any(i in operator.shaping for i in unknown):
            raise NotConstant

        def function(*arrays):
            try:
                return results_of(call, operator.evaluate, arrays)
            except EXPLAINED as error:
                _explain(error, self.title(call.node), arrays)
                raise

        try:
            return apply_host(call.operator, function, inputs)
        except NotHeld:
            raise NotConstant from None  # so it runs on arrays, after the program

    def call_function(self, node, function, inputs):
        """Run the body of a model-local function."""
        values = dict(zip(function.input, inputs, strict=False)) | {"": None}
        values |= {name: None for name in function.input[len(inputs) :]}
        versions = opset_versions(function.opset_import) or self.versions
        body = self._bodies.get(id(node))
        if body is None:
            attributes = {a.name: a for a in (*function.attribute_proto, *node.attribute)}
            body = [_with_references(inner, attributes) for inner in function.node]
            # Attributes are remembered by node, so its nodes must live: of two threads that come here, the first one's stay.
            body = self._bodies.setdefault(id(node), body)
        if self.walk(body, values, versions, _Everything(), keyed=False):
            raise NotConstant
        return [values[name] for name in function.output]

    def run_subgraph(self, values, versions, graph, *inputs):
        """Return the outputs of a subgraph, which also reads the `values` around it."""
        inside = dict(values)
        inside.update((tensor.name, Operand(to_array(tensor, self.folder))) for tensor in graph.initializer)
        inside.update(zip((value.name for value in graph.input), inputs, strict=True))
        if self.walk(graph.node, inside, versions, _Everything(), keyed=False):
            raise NotConstant
        return [inside[value.name] for value in graph.output]


def _constant(node, name, array):
    # Matrices and kernels are packed before they are used: a view of the file, in whatever order, will do.
    return Tensor(array if array.ndim > 1 else contiguous(array), name=name)


def contiguous(array):
    """Return an array in C order, copied if need be; its shape stays, also where it has no axes."""
    return np.ascontiguousarray(array).reshape(array.shape)


class _Everything:
    def __contains__(self, name):
        return True


def _plain(value):
    """Return what an attribute holds as str, number, array, graph, or list of them."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, proto.Tensor):
        return to_array(value)
    return [_plain(item) for item in value] if isinstance(value, (list, tuple)) else value


def results_of(call, evaluate, arrays):
    """Return the arrays that `evaluate` makes of arrays (None: left out), one for each output of the node."""
    with np.errstate(all="ignore"):
        results = evaluate(call, *arrays)
    results = results if isinstance(results, (tuple, list)) else (results,)
    arrays = [np.asarray(result) for result in results[: len(call.wanted)]]
    for array in arrays:
        # One that is repeated without taking memory would still keep whoever reads it busy.
        if array.size > MAX_HOST_ELEMENTS:
            raise ShapeError(f"an array of shape {array.shape} is too large for what runs on the host")
    return arrays


def _with_references(node, attributes):
    """Return a node of a function's body, with the values given for attributes that refer to the function's.

    Those of nodes in its subgraphs are replaced, too. What the caller does not give, and has no default, is left out.
    """
    found = [_resolved(a, attributes) for a in node.attribute]
    if all(new is old for new, old in zip(found, node.attribute, strict=True)):
        return node
    return replace(node, attribute=[a for a in found if a is not None])


def _resolved(attribute, attributes):
    if attribute.ref_attr_name:
        value = attributes.get(attribute.ref_attr_name)
        if value is not None and (value.g is not None or value.graphs):
            # It was checked where the caller stands, not where it would run.
            raise UnsupportedOpError(f"the function's attribute {value.name!r} is a graph, which is not supported")
        return value and replace(value, name=attribute.name)
    whole = None if attribute.g is None else _graph_with_references(attribute.g, attributes)
    graphs = [_graph_with_references(graph, attributes) for graph in attribute.graphs]
    if whole is attribute.g and all(new is old for new, old in zip(graphs, attribute.graphs, strict=True)):
        return attribute
    return replace(attribute, g=whole, graphs=graphs)


def _graph_with_references(graph, attributes):
    nodes = [_with_references(node, attributes) for node in graph.node]
    return graph if all(new is old for new, old in zip(nodes, graph.node, strict=True)) else replace(graph, node=nodes)


def _explain(error, title, inputs):
    """Put the node before the message of an error, once."""
    if getattr(error, "onnx_node", None) is not None:
        return
    error.onnx_node = title
    message = error.args[0] if error.args and isinstance(error.args[0], str) else repr(error)
    if isinstance(error, FastconvError):
        error.args = (f"{title}: {message}", *error.args[1:])
        return
    if isinstance(error, (AttributeError, LookupError, TypeError)):
        # Python's words are about functions in here, not about the file; they follow as the cause.
        message = (
            "an input is missing or one too many, or its number of axes does not fit the operator and its attributes"
        )
    got = ", ".join("nothing" if x is None else f"{x.dtype} {list(x.shape)}" for x in inputs) or "nothing"
    explained = ShapeError(f"{title} cannot run on ({got}): {message}")
    explained.onnx_node = title
    raise explained from error
