"""What must hold of a model before anything of it runs: names, order, operators, sizes."""

import collections
import contextlib
import heapq
import math

from ...errors import ModelFormatError, UnsupportedOpError
from . import proto
from .attributes import ANYWHERE, ATTRIBUTES
from .tensors import MAX_ELEMENTS, check_size

# Functions call functions: a small file could stand for more nodes than there are atoms.
MAX_NODES = 1_000_000
# Functions in functions and graphs in graphs: the walk over them takes a few of Python's frames for each level.
MAX_DEPTH = 64


def normal(domain):
    """Return a domain as nodes write it: the default one, "ai.onnx", is ""."""
    return "" if domain == "ai.onnx" else domain


def function_key(node):
    """Return what a model's own function is known by, of the function itself or of a node that calls it."""
    name = node.name if isinstance(node, proto.Function) else node.op_type
    return normal(node.domain), name, node.overload


def check(model, known_operators):
    """Check a model, and put its nodes, those of subgraphs and functions too, into an order in which they can run.

    Parameters
    ----------
    model : proto.Model
        Its nodes change their order where one needs the result of a later one.
    known_operators : container of (str, str)
        Tells by ``(domain, op_type) in known_operators`` what can be run; the default domain is "".

    Raises
    ------
    ModelFormatError
        Names that nobody or more than one makes, a cycle, sizes that the file does not hold, versions that do not exist.
    UnsupportedOpError
        One error for all that is missing, with names of nodes.
    """
    if model.graph is None:
        raise ModelFormatError("the model has no graph")
    if not 1 <= model.ir_version <= proto.IR_VERSION:
        raise ModelFormatError(
            f"the model has IR version {model.ir_version}; this fastconv reads 1 to {proto.IR_VERSION}: "
            "export it again for one of those"
        )
    _Checker(model, known_operators).run()


class _Checker:
    def __init__(self, model, known_operators):
        self.model, self.known = model, known_operators
        self.missing = collections.defaultdict(list)  # (domain, op_type, opset) -> labels of nodes
        self.other = []  # sentences about what else is missing
        self.functions = {}
        for function in model.functions:
            key = function_key(function)
            if key in self.functions:
                raise ModelFormatError(f"function {function.name!r} is defined twice")
            self.functions[key] = function
        # function -> (nodes it stands for, levels in it); None while it is being looked at
        self.sizes = {}
        self.parameters = frozenset()  # attributes of the function that is being looked at
        self.depth = self.deepest = 0  # levels around what is being looked at; the most that there were

    def run(self):
        model = self.model
        # Before version 3 of the format, opsets could be left out.
        self.opsets = opset_versions(model.opset_import) or ({"": 1} if model.ir_version < 3 else {})
        self.check_values(model.graph)
        free, size = self.graph(model.graph, "")
        if free:
            what = ", ".join(f"{name!r} (wanted by {label})" for name, label in list(free.items())[:10])
            raise ModelFormatError(f"nobody makes {what}")
        if size > MAX_NODES:
            raise ModelFormatError(f"with its functions the model has {size} nodes, which no network needs")
        self.report()

    def report(self):
        if not self.missing and not self.other:
            return
        lines = []
        for (domain, op_type, opset), labels in sorted(self.missing.items(), key=str):
            shown = ", ".join(labels[:5]) + (f" and {len(labels) - 5} more" if len(labels) > 5 else "")
            lines.append(f"{domain or 'ai.onnx'} {op_type} (opset {opset}): {shown}")
        raise UnsupportedOpError("fastconv has no\n  " + "\n  ".join([*lines, *self.other]))

    def check_values(self, graph):
        """Check the types of the model's own inputs and outputs."""
        for value in (*graph.input, *graph.output):
            kinds = [] if value.type is None else [k for k in value.type.__slots__ if k.endswith("_type")]
            for kind in kinds:
                if kind != "tensor_type" and getattr(value.type, kind) is not None:
                    self.other.append(f"{kind.removesuffix('_type')} inputs and outputs: {value.name!r}")

    def reach(self, levels):
        """Note that there are so many levels in the one that is being looked at."""
        self.deepest = max(self.deepest, self.depth + levels)
        if self.deepest > MAX_DEPTH:
            raise ModelFormatError(
                f"functions and subgraphs are nested more than {MAX_DEPTH} deep, which no network needs"
            )

    @contextlib.contextmanager
    def level(self):
        """Look at what is one level deeper."""
        self.reach(1)
        self.depth += 1
        yield
        self.depth -= 1

    def graph(self, graph, path):
        """Check a graph; return the names that it takes from around it, with who wants them, and its size."""
        for value in (*graph.input, *graph.output, *graph.value_info):
            _check_shape(value)
        if graph.sparse_initializer:
            names = ", ".join(repr(s.values.name) if s.values else "''" for s in graph.sparse_initializer[:10])
            self.other.append(f"sparse initializers: {names}")
        made = {}
        _define(made, (value.name for value in graph.input), "an input", path)
        initializers = {}
        _define(initializers, (tensor.name for tensor in graph.initializer), "an initializer", path)
        sparse = {s.values.name for s in graph.sparse_initializer if s.values}
        for tensor in graph.initializer:
            check_size(tensor)
        # An initializer may have the name of an input: it is its default then.
        own = set(made) | set(initializers) | sparse
        nodes, free, size = self.nodes(graph.node, own, path, self.opsets)
        graph.node = nodes
        seen = set()
        for value in graph.output:
            if not value.name or value.name in seen:
                raise ModelFormatError(f"the graph {path}has the output {value.name!r} twice, or without a name")
            seen.add(value.name)
            if value.name not in own:
                free.setdefault(value.name, f"the graph {path}as its output")
        return free, size

    def nodes(self, nodes, own, path, opsets):
        """Return nodes in order, the names they take from around them, and how many nodes they stand for.

        `own` gets the names that they make.
        """
        labels = [_label(node, i, path) for i, node in enumerate(nodes)]
        maker, needs, size = {}, [], 0
        for i, node in enumerate(nodes):
            for name in filter(None, node.output):
                if name in own or name in maker:
                    raise ModelFormatError(f"{labels[i]} makes {name!r}, which something else makes too")
                maker[name] = i
        for node, label in zip(nodes, labels, strict=True):
            wanted = dict.fromkeys(filter(None, node.input), label)
            names = set()
            for attribute in node.attribute:
                if attribute.name in names:
                    raise ModelFormatError(f"{label} has the attribute {attribute.name!r} twice")
                names.add(attribute.name)
                if attribute.ref_attr_name and attribute.ref_attr_name not in self.parameters:
                    raise ModelFormatError(
                        f"{label} takes its attribute {attribute.name!r} from {attribute.ref_attr_name!r}, "
                        "which is no attribute of a function around it"
                    )
                for tensor in (*filter(None, [attribute.t]), *attribute.tensors):
                    check_size(tensor)
                for graph in (*filter(None, [attribute.g]), *attribute.graphs):
                    with self.level():
                        inner, inner_size = self.graph(graph, f"{attribute.name} of {label} ")
                    size += inner_size
                    for name, who in inner.items():
                        wanted.setdefault(name, who)
            size += self.operator(node, label, opsets)
            needs.append(wanted)
        free = {}
        for wanted in needs:
            for name, who in wanted.items():
                if name not in own and name not in maker:
                    free.setdefault(name, who)
        order = _order(needs, maker, labels)
        own.update(maker)
        return [nodes[i] for i in order], free, size

    def operator(self, node, label, opsets):
        """Note a node whose operator is missing; return how many nodes it stands for."""
        domain = normal(node.domain)
        function = self.functions.get(function_key(node))
        if function is not None:  # it is what runs, also where there is an operator of that name
            return self.function(function)
        if (domain, node.op_type) in self.known:
            if domain not in opsets:
                raise ModelFormatError(f"{label} is of domain {domain!r}, whose version the model does not give")
            self.attributes(node, label)
            return 1
        self.missing[domain, node.op_type, opsets.get(domain, "not given")].append(label)
        return 1

    @staticmethod
    def attributes(node, label):
        """Raise where a node has an attribute that its operator does not have: nothing would read it."""
        known = ATTRIBUTES.get(node.op_type, ())
        for attribute in node.attribute:
            if attribute.name not in known and attribute.name not in ANYWHERE:
                raise ModelFormatError(
                    f"{label} has the attribute {attribute.name!r}, which {node.op_type} does not have in any version; "
                    f"it has {', '.join(map(repr, known)) or 'none'}"
                )

    def function(self, function):
        key = id(function)
        if key in self.sizes:
            if self.sizes[key] is None:
                raise ModelFormatError(f"function {function.name!r} calls itself")
            size, levels = self.sizes[key]
            self.reach(levels)
            return size
        self.sizes[key] = None
        around, self.deepest = self.deepest, self.depth
        path = f"function {function.name!r} "
        own = {}
        _define(own, function.input, "an input", path)
        own = set(own)
        # Subgraphs of its nodes follow the function's own opsets too.
        outer, self.opsets = self.opsets, opset_versions(function.opset_import) or self.opsets
        outside = self.parameters
        self.parameters = {*function.attribute, *(a.name for a in function.attribute_proto)}
        with self.level():
            function.node, free, size = self.nodes(function.node, own, path, self.opsets)
        self.opsets, self.parameters = outer, outside
        for name in function.output:
            if name not in own:
                free.setdefault(name, f"{path}as its output")
        if free:
            raise ModelFormatError(
                f"nobody makes {', '.join(map(repr, list(free)[:10]))} in function {function.name!r}"
            )
        self.sizes[key] = size, self.deepest - self.depth
        self.deepest = max(self.deepest, around)
        return size


def opset_versions(imports):
    """Return {domain: version} of what a model or function imports."""
    opsets = {}
    for entry in imports:
        domain = normal(entry.domain)
        if entry.version < 1 or opsets.setdefault(domain, entry.version) != entry.version:
            raise ModelFormatError(f"the model has version {entry.version} of domain {domain!r}, or several")
    if opsets.get("", 1) > proto.OPSET:
        raise UnsupportedOpError(
            f"the model is of opset {opsets['']}; this fastconv knows those up to {proto.OPSET}: export it for one of them"
        )
    return opsets


def _define(made, names, what, path):
    for name in names:
        if not name or name in made:
            raise ModelFormatError(f"the graph {path}has {what} named {name!r} twice, or without a name")
        made[name] = True


def _check_shape(value):
    tensor = value.type and (value.type.tensor_type or value.type.sparse_tensor_type)
    if tensor and tensor.shape:
        known = [d.dim_value for d in tensor.shape.dim if d.dim_value]
        if math.prod(abs(d) for d in known) > MAX_ELEMENTS:
            raise ModelFormatError(f"{value.name!r} has dimensions {known[:8]}, too many to be true")


def _label(node, index, path):
    return (
        f"{path}{node.op_type or 'node'} {node.name!r}"
        if node.name
        else f"{path}{node.op_type or 'node'} number {index}"
    )


def _order(needs, maker, labels):
    """Return the numbers of nodes in an order in which they can run: as they are, where that can be."""
    waits = [{maker[name] for name in wanted if name in maker} for wanted in needs]
    if all(not others or max(others) < i for i, others in enumerate(waits)):
        return range(len(needs))
    users = collections.defaultdict(list)
    for i, others in enumerate(waits):
        for other in others:
            users[other].append(i)
    missing = [len(others) for others in waits]
    ready = [i for i, count in enumerate(missing) if not count]
    order = []
    while ready:
        i = heapq.heappop(ready)
        order.append(i)
        for user in users[i]:
            missing[user] -= 1
            if not missing[user]:
                heapq.heappush(ready, user)
    if len(order) < len(needs):
        stuck = [labels[i] for i in _cycle(waits, set(range(len(needs))) - set(order))]
        shown = " -> ".join(stuck[:10]) + (f" and {len(stuck) - 10} more" if len(stuck) > 10 else "")
        raise ModelFormatError(f"nodes wait for each other in a circle: {shown}")
    return order


def _cycle(waits, left):
    """Return the numbers of nodes on one cycle. Every node in `left` waits for another one in it."""
    path, seen = [min(left)], {}
    while path[-1] not in seen:
        seen[path[-1]] = len(path) - 1
        path.append(min(waits[path[-1]] & left))
    return path[seen[path[-1]] : -1][::-1]
