"""A fastconv model as an ONNX file that other engines run."""

import os

from ... import __version__
from ...autograd import no_grad
from ...errors import ArgumentError, DTypeError, NotBuiltError, ShapeError, UnsupportedOpError
from ...graph import trace
from ...layers.node import flatten, is_shape, map_shapes
from ...models import Model
from ...op import Spec
from ...storage import atomic_write
from . import export_moves, export_ops, proto, wire
from .emitter import Emitter
from .model import OnnxModel
from .reexport import loaded
from .tensors import value_info

TABLE = export_ops.TABLE | export_moves.TABLE
MIN_OPSET = 13
# What open dimensions are while a model is traced: its sizes may have to be multiples of a power of 2.
BATCH, SIZE, ODD_SIZE, OTHER_SIZE = 2, 256, 391, 384
GIVE_NUMBERS = "save it for one size, by input_shape with numbers"
_AXES = {3: ("length",), 4: ("height", "width"), 5: ("depth", "height", "width")}
MAX_BYTES = (1 << 31) - 1  # of a protobuf message, hence of a file
# The oldest version of the file format that may hold an opset.
_IR_VERSIONS = {13: 7, 14: 7, 19: 9, 20: 9, 21: 10, 22: 10, 23: 11, 24: 12, 25: 13, 26: 13, 27: 13, 28: 14}


def save(model, path, input_shape=None, opset=17):
    """Save a model as an ONNX file, for ONNX Runtime and other engines.

    The file takes what the model takes: images stay (N, H, W, C), transposed once on their way in. It computes what the
    model computes in inference. What the model leaves open stays open: the batch, and the sizes of images where no layer
    needs them.

    Parameters
    ----------
    model : Model
        Of any kind: sequential, functional, a class of one's own, or loaded from ONNX.
    path : str or os.PathLike
        What stood there is replaced as a whole, or left whole if anything fails.
    input_shape : tuple, or list or dict of tuples, optional
        Batch first; None leaves a dimension open. Needed where the model does not know its shape; else it may fix what the
        model leaves open. A model loaded from ONNX keeps its file's shapes.
    opset : int
        The version of ONNX's operators, 13 or later. A model loaded from ONNX keeps its own.

    Raises
    ------
    UnsupportedOpError
        The model does what ONNX has no operator for; all of it is named.
    NotBuiltError, ShapeError
        The shape of the input is needed, or does not fit.
    ArgumentError
        `model` is no model, `path` empty, there is no such opset, or the file would have more than 2 GiB.

    Examples
    --------
    >>> import os, tempfile
    >>> model = Sequential([layers.Conv2D(4, 3, activation="relu", input_shape=(8, 8, 1)), layers.Flatten()])
    >>> path = os.path.join(tempfile.mkdtemp(), "model.onnx")
    >>> fastconv.onnx.save(model, path)
    >>> fastconv.InferenceSession(path).get_inputs()[0].shape
    ['batch', 8, 8, 1]
    """
    try:
        path = os.fsdecode(path)
    except TypeError as error:
        raise DTypeError(f"path must be a string or os.PathLike, got {path!r:.200}") from error
    if not path:
        raise ArgumentError("path must name a file, as 'model.onnx' does; got ''")
    parts = wire.write(to_proto(model, input_shape, opset))
    size = sum(map(len, parts))
    if size > MAX_BYTES:
        raise ArgumentError(f"the model has {size} bytes; an ONNX file holds at most {MAX_BYTES}")
    with atomic_write(path) as file:
        for part in parts:
            file.write(part)


def to_proto(model, input_shape=None, opset=17):
    """Return a model as a `proto.Model`; see `save`."""
    if not isinstance(model, Model):
        raise ArgumentError(
            f"only a Model can be saved as ONNX, got {type(model).__name__}; put layers into a Sequential"
        )
    if not isinstance(opset, int) or not MIN_OPSET <= opset <= proto.OPSET:
        raise ArgumentError(f"opset must be a number from {MIN_OPSET} to {proto.OPSET}, got {opset!r}")
    if isinstance(model, OnnxModel):
        return loaded(model)
    inputs = _inputs(model, input_shape)
    graph, shapes = _trace(model, inputs)
    return _Export(model, graph, shapes, opset).proto()


def _inputs(model, given):
    """Return the shapes of a model's inputs, batch first, None for what is open, as the model takes them."""
    shapes = given
    if shapes is None:
        if not model.built:
            raise NotBuiltError(f"{model._title()} has no weights yet: give input_shape, batch first")
        shapes = model.input_shape
    elif not model.built:
        model.build(given)
    found = []

    def check(shape):
        if not is_shape(shape) or not shape:
            raise ShapeError(f"input_shape must be a shape, batch first, None for what is open; got {shape!r}")
        found.append(shape)
        return shape

    map_shapes(check, shapes)
    if not found:
        raise ShapeError(f"input_shape must be a tuple, or a list or dict of them, got {given!r}")
    return shapes


def _trace(model, inputs):
    """Return (graph, shapes of its values, None for what depends on what is open).

    The model is traced for two sizes of the batch and of all else that is open. What differs depends on those.
    """
    try:
        graph = _trace_for(model, inputs, BATCH, SIZE)
    except ShapeError as error:
        if any(None in shape[1:] for shape in _leaves(inputs)):
            raise ShapeError(f"{model._title()} does not take inputs of any size: {error}; {GIVE_NUMBERS}") from error
        raise
    if not any(None in shape for shape in _leaves(inputs)):
        return graph, {}
    other = _trace_again(model, inputs)
    problems, shapes = [], {}
    if [node.title for node in graph.nodes] != [node.title for node in other.nodes]:
        raise UnsupportedOpError(f"{model._title()} does different things for different sizes: {GIVE_NUMBERS}")
    pairs = list(zip(graph.inputs.values(), other.inputs.values(), strict=True))
    for one, two in zip(graph.nodes, other.nodes, strict=True):
        if one.attrs != two.attrs and one.op.name != "reshape":
            problems.append(f"{one.op.name} with {one.attrs}")
        pairs += zip(
            (*one.inputs.values(), *one.outputs.values()), (*two.inputs.values(), *two.outputs.values()), strict=True
        )
    for one, two in pairs:
        if one.tensor is not None and one.shape != two.shape:
            problems.append(f"a constant of shape {one.shape}")
        shapes[one] = tuple(m if m == n else None for m, n in zip(one.shape, two.shape, strict=True))
    if problems:
        raise UnsupportedOpError(
            f"some of {model._title()} is made for one size of what is open, {', '.join(problems)}: {GIVE_NUMBERS}"
        )
    return graph, shapes


def _trace_again(model, inputs):
    """Return the graph for another batch, and an odd size if the model takes one: it shows what even ones would hide."""
    try:
        return _trace_for(model, inputs, BATCH + 1, ODD_SIZE)
    except ShapeError:
        return _trace_for(model, inputs, BATCH + 1, OTHER_SIZE)


def _leaves(inputs):
    found = []
    map_shapes(found.append, inputs)
    return found


def _trace_for(model, inputs, batch, size):
    specs, count = {}, 0

    def name(shape):
        nonlocal count
        key, count = f"x{count}", count + 1
        opened = (size if i else batch for i in range(len(shape)))
        specs[key] = Spec(tuple(m if n is None else n for n, m in zip(shape, opened, strict=True)), model.dtype)
        return key

    keys = map_shapes(name, inputs)

    def run(**tensors):
        with no_grad():
            return {f"y{i}": y for i, y in enumerate(flatten(model(_fill(keys, tensors), training=False)))}

    return trace(run, specs)


def _fill(keys, tensors):
    if isinstance(keys, str):
        return tensors[keys]
    if isinstance(keys, dict):
        return {key: _fill(item, tensors) for key, item in keys.items()}
    return [_fill(item, tensors) for item in keys]


class _Export:
    """One traced graph on its way into a file."""

    def __init__(self, model, graph, shapes, opset):
        self.model, self.graph, self.opset = model, graph, opset
        names = {id(variable): path for path, variable in model.variable_paths().items()}
        self.emitter = Emitter(opset, shapes, names)

    def proto(self):
        """Return the file's message."""
        e, graph, model = self.emitter, self.graph, self.model
        names = (
            list(model.input_names or ()) if len(model.input_names or ()) == len(graph.inputs) else list(graph.inputs)
        )
        inputs = []
        for name, value in zip(names, graph.inputs.values(), strict=True):
            name = e.unique(name)
            e.define(value, name)
            inputs.append(value_info(name, _dimensions(e.shape(value), f"{name}_" if inputs else ""), value.dtype))
        self.nodes()
        outputs = self.outputs()
        graph_proto = proto.Graph(
            name=model.name, node=e.nodes, initializer=e.initializers, input=inputs, output=outputs
        )
        return proto.Model(
            ir_version=_IR_VERSIONS.get(self.opset, 8),
            producer_name="fastconv",
            producer_version=__version__,
            opset_import=[proto.OperatorSetId(version=self.opset)],
            graph=graph_proto,
        )

    def nodes(self):
        """Write the nodes that an output depends on. What cannot be written is one error."""
        wanted = set(self.graph.outputs.values())
        needed = []
        for node in reversed(self.graph.nodes):
            if wanted.intersection(node.outputs.values()):
                needed.append(node)
                wanted.update(node.inputs.values())
        problems = {}
        if self.graph.updates:
            problems["variables that change while the model runs"] = 1
        failed = set()
        for node in reversed(needed):
            blocked = not failed.isdisjoint(node.inputs.values())
            if node.op.name not in TABLE:
                problem = f"operation {node.title!r}"
            else:
                problem = None if blocked else self.write(node)
            if problem is not None:
                problems[problem] = problems.get(problem, 0) + 1
            if blocked or problem is not None:
                failed.update(node.outputs.values())
        if problems:
            listed = "\n  ".join(f"{what}{f' ({n} times)' if n > 1 else ''}" for what, n in problems.items())
            raise UnsupportedOpError(
                f"{self.model._title()} cannot be saved as ONNX, which has no form for\n  {listed}"
            )

    def write(self, node):
        """Write a node; returns what ONNX has no form for, or None."""
        try:
            TABLE[node.op.name](self.emitter, node)
        except UnsupportedOpError as error:
            return str(error)
        return None

    def outputs(self):
        """Give the outputs their order of axes and their names."""
        e, model = self.emitter, self.model
        values = list(self.graph.outputs.values())
        names = model.output_names
        if not names or len(names) != len(values):
            names = [f"output_{i}" for i in range(len(values))] if len(values) > 1 else ["output"]
        tensors = [e.tensor(value) for value in values]
        made = {name for node in e.nodes for name in node.output}
        infos, renamed = [], {}
        for stem, value, old in zip(names, values, tensors, strict=True):
            name = e.unique(stem)
            if old in renamed or old not in made:  # another output, an input or a weight: the same under a second name
                e.rename(e.node("Identity", renamed.get(old, old)), name)
            else:
                e.rename(old, name)
                renamed[old] = name
            shape = e.shape(value)
            if shape[:1] == (None,) and value.shape[0] != BATCH:  # several for each of the batch
                shape = ("", *shape[1:])
            infos.append(value_info(name, shape, value.dtype))
        return infos


def _dimensions(shape, prefix):
    """Return the shape of an input with names for what is open; None stays for the batch, which all inputs share."""
    names = (None, *_AXES.get(len(shape), ()))
    names += tuple(f"axis{i}" for i in range(len(names), len(shape)))
    return tuple(name and prefix + name if n is None else n for n, name in zip(shape, names, strict=True))
