"""An ONNX network as a `Model`: summary, predict, fit, save.

Weights are kept as the kernels read them (a convolution's as HWIO), each in the layer of the node that reads it first.
"""

import base64
from dataclasses import replace

import numpy as np

from ... import ops
from ...autograd import SYMBOLIC, Symbol, Tensor, no_grad, symbol, using
from ...errors import ArgumentError, FastconvError, NotBuiltError, ShapeError, UnsupportedOpError
from ...layers import Layer
from ...layers.context import context
from ...layers.node import is_shape
from ...layers.serialization import builtin
from ...models import Model
from ...models.data import is_stream
from ...models.saving import from_parts, to_parts
from ...op import Spec
from .files import load_model
from .host import cast
from .network import Network
from .operand import Operand
from .proto import ValueInfo, read_model, write_model
from .tensors import element_type

# Smaller weights stay in the description of a saved model, too: they may be numbers that fix shapes.
MIN_SAVED = 256


def load(path, outputs=None, input_shape=None, name=None):
    """Load an ONNX file as a `Model` that can be summarised, used, trained further and saved.

    Inputs and outputs are laid out as in the file: NCHW, as a rule. Batch normalisation and dropout work as in inference, also
    while the model is trained. A file that is made for one size of the batch, as many are for 1, takes any: it runs for one
    such batch after the other.

    Parameters
    ----------
    path : str, path, bytes or file
    outputs : sequence of str, optional
        Names of the values to return instead of the file's outputs: to cut off the head.
    input_shape : tuple of int, or dict of str -> tuple, optional
        With the batch (it may be None), for files that leave dimensions open: weights are made when shapes are known.
    name : str, optional
        Default: the name of the graph in the file.

    Returns
    -------
    Model

    Raises
    ------
    FileNotFoundError
    ModelFormatError, UnsupportedOpError
        When the file is damaged or foreign, or needs operators that are not there: all of them are named.
    ArgumentError, ShapeError
        When there is no input or output of a name, or the network does not take the `input_shape`.

    Examples
    --------
    >>> model = fastconv.onnx.load("squeezenet1.1.onnx")            # doctest: +SKIP
    >>> model.predict(images).argmax(-1)                            # doctest: +SKIP
    >>> body = fastconv.onnx.load("squeezenet1.1.onnx", outputs=["squeezenet0_concat7"])   # doctest: +SKIP
    >>> head = [body, layers.GlobalAveragePooling2D(data_format="channels_first"), layers.Dense(2)]   # doctest: +SKIP
    """
    if outputs is not None:
        outputs = [outputs] if isinstance(outputs, str) else outputs
        if not (isinstance(outputs, (list, tuple)) and outputs and all(isinstance(value, str) for value in outputs)):
            raise ArgumentError(f"outputs must be names of values in the file, at least one, or None; got {outputs!r}")
    proto, folder = load_model(path)
    model = OnnxModel(proto, folder, outputs and list(outputs), name=name or _plain(proto.graph.name))
    names = [value.name for value in model.network.inputs]
    for unknown in input_shape if isinstance(input_shape, dict) else ():
        if unknown not in names:
            raise ArgumentError(f"input_shape: there is no input {unknown!r}; there is {', '.join(map(repr, names))}")
    shapes = [model.declared_shape(value, input_shape) for value in model.network.inputs]
    if not any(map(_is_open, shapes)):
        model.build(shapes if len(shapes) > 1 else shapes[0])
    return model


def _filled(tensor, rows):
    """Return a tensor with so many rows of zeros behind its own."""
    return ops.pad(tensor, ((0, rows), *((0, 0),) * (tensor.ndim - 1))) if rows else tensor


def _keeps_rows(node, values, batch):
    """Tell whether a node is a Reshape of `batch` samples to as many, each by itself."""
    if node.op_type != "Reshape":
        return False
    ends = [values[name] for name in (node.input[0], node.output[0])]
    return all(getattr(value, "stored", None) is not None and value.shape[:1] == (batch,) for value in ends)


def _fits(shape, declared):
    """Tell whether a shape is a declared one, but for the batch."""
    return len(shape) == len(declared) and all(m in (n, None) for n, m in zip(shape[1:], declared[1:], strict=True))


def _is_open(shape):
    return shape is None or None in shape[1:]


def _plain(name):
    """Return a name that a layer may have."""
    return name.replace("/", ".").strip(".") or None


def common_shape(first, second):
    """Return the shape of a value, from its shapes for two sizes of the batch: a dimension that differs depends on it."""
    return tuple(m if m == n else None for m, n in zip(first, second, strict=True))


def _grows(first, second, batch, single):
    """Tell whether the values of two walks, for `batch` samples and one more, have a first axis that grows with them.

    Those named in `single` are inputs that hold no samples.
    """
    for name, one in first.items():
        if getattr(one, "stored", None) is not None and name not in single:
            m, n = one.shape, second[name].shape
            if m[1:] != n[1:] or not m or m[0] * (batch + 1) != n[0] * batch:
                return False
    return True


class OnnxOperator(Layer):
    """A node of an ONNX network: its place in the summary, and its weights. The network runs it."""

    def __init__(self, node, name):
        super().__init__(name=name)
        self._class_name = node.op_type
        self.built, self._shape = True, None

    @property
    def output_shape(self):
        """Shape of the first output, the batch None."""
        return self._shape


@builtin
class OnnxModel(Model):
    """What `load` returns. The file's graph is its configuration."""

    def __init__(self, proto, folder=None, outputs=None, name=None, trainable=True, stubs=None):
        super().__init__(name=name, trainable=trainable)
        self._class_name = "OnnxModel"
        self.network = Network(proto, folder, outputs, self._make_weight, stubs)
        self.fixed_batch = None  # how many samples the file is made for, once that is known to be so
        taken = {}
        self.operators = []
        for node in self.network.nodes:
            stem = _plain(node.name or node.output[0]) or node.op_type
            taken[stem] = taken.get(stem, -1) + 1
            self.operators.append(OnnxOperator(node, f"{stem}_{taken[stem]}" if taken[stem] else stem))
        self._owner = {id(node): layer for node, layer in zip(self.network.nodes, self.operators, strict=True)}

    def declared_shape(self, value, given=None):
        """Return the shape (batch first, None where open) of an input: what is given for it, or what the file says."""
        shape = given.get(value.name) if isinstance(given, dict) else given
        if shape is None:
            tensor = value.type.tensor_type
            shape = None if tensor.shape is None else [max(d.dim_value or 0, 0) or None for d in tensor.shape.dim]
        if shape is not None and not is_shape(shape):
            raise ShapeError(f"input_shape of {value.name!r} must be a tuple of integers and None, got {shape!r}")
        return None if shape is None else tuple(shape)

    def open_inputs(self):
        """Return {name: shape} of the inputs whose open dimensions the model waits for: empty once it is built."""
        shapes = {} if self.built else {value.name: self.declared_shape(value) for value in self.network.inputs}
        return {name: shape for name, shape in shapes.items() if _is_open(shape)}

    def summary(self, *args, **kwargs):
        """Print a table of the nodes, see `Model.summary`; NotBuiltError while the shape of an input is open."""
        for name, shape in self.open_inputs().items():
            raise NotBuiltError(
                f"{self._title()} has no weights to show yet, for its input {name!r} has the open shape {shape}: call it on "
                f"data first, or give fastconv.onnx.load(..., input_shape={{{name!r}: (1, 3, 224, 224)}}), say"
            )
        super().summary(*args, **kwargs)

    def _make_weight(self, node, name, array):
        """Return a new weight, kept by the layer of the node that asks for it."""
        layer = self._owner.get(id(node), self.operators[0])
        kind = layer._trainable_own if array.dtype == np.float32 else layer._non_trainable_own
        # A copy: training writes into it, and the array may lie in the file.
        data = Symbol(Spec(array.shape, array.dtype.name)) if context.skeleton else np.array(array, order="C")
        weight = Tensor(data, kind is layer._trainable_own and layer.trainable, f"{layer.name}/{_plain(name)}")
        kind.append(weight)
        return weight

    # ---- what a model needs

    @property
    def operations(self):
        """The nodes that run: those that only work out shapes are left out."""
        return [layer for layer in self.operators if layer._shape is not None]

    @property
    def input_names(self):
        """Names of the inputs in the file."""
        return [value.name for value in self.network.inputs]

    @property
    def output_names(self):
        """Names of the outputs in the file."""
        return self.network.output_names

    def build(self, input_shape):
        """Make the weights, for inputs of this shape or list of shapes, batch first."""
        first, second = self.walk_twice([input_shape] if is_shape(input_shape) else list(input_shape))
        for node, layer in zip(self.network.nodes, self.operators, strict=True):
            if getattr(first.get(node.output[0]), "stored", None) is not None:
                layer._shape = common_shape(first[node.output[0]].shape, second[node.output[0]].shape)
        self._remember_shape(input_shape)

    def walk_twice(self, shapes):
        """Return the values, shapes only, for two sizes of the batch: the same ones, if the file is made for one size.

        The first dimension that the file declares is often that of the example which was exported, and so is the first number
        of a Reshape that leaves the batch as it is. It binds where the network does not run for another one, or somewhere makes
        something else of its batch than a first axis that grows with it.
        """
        batch = self._declared_batch()
        if batch is None:
            return self._shapes_for(shapes, 2), self._shapes_for(shapes, 3)
        shapes = [(None, *shape[1:]) if shape else () for shape in shapes]
        first = self._shapes_for(shapes, batch)
        self.network.rows_kept = {id(node) for node in self.network.nodes if _keeps_rows(node, first, batch)}
        try:
            second = self._shapes_for(shapes, batch + 1)
        except FastconvError:
            second = None
        single = {value.name for value in self.network.inputs if self.declared_shape(value) == ()}
        if second is not None and _grows(first, second, batch, single):
            return first, second
        self.network.rows_kept, self.fixed_batch = set(), batch
        return first, first

    def _declared_batch(self):
        declared = {shape[0] for shape in map(self.declared_shape, self.network.inputs) if shape}
        return declared.pop() if len(declared) == 1 else None

    def _shapes_for(self, shapes, batch):
        """Return the values, shapes only, for inputs whose unknown first dimension is `batch`."""
        sized = [(batch if shape[:1] == (None,) else shape[0], *shape[1:]) if shape else () for shape in shapes]
        with using(SYMBOLIC), no_grad():
            return self._walk([symbol(shape) for shape in sized])[0]

    def _walk(self, tensors):
        if len(tensors) != len(self.network.inputs):
            raise ArgumentError(f"{self._title()} takes {self.input_names}, got {len(tensors)} inputs")
        feeds, unlike = {}, None
        for value, tensor in zip(self.network.inputs, tensors, strict=True):
            declared = self.declared_shape(value)
            if declared is not None and not _fits(tensor.shape, declared):
                unlike = f"{self._title()} takes {value.name!r} of shape {declared}, got {tensor.shape}"
                if tensor.ndim != len(declared):
                    raise ShapeError(unlike)
            operand, dtype = Operand(tensor), element_type(value)
            feeds[value.name] = operand if operand.dtype == dtype else cast(operand, dtype)
        try:
            return self.network(feeds)
        except FastconvError as error:
            if unlike is None:
                raise
            # Other sizes than the file's are fine where the network takes them. This one does not.
            raise ShapeError(f"{unlike}: {error}") from error

    def call(self, inputs):
        """Run the network on a tensor, a list of them, or a dict by the names of the inputs."""
        if isinstance(inputs, dict):
            unknown = [name for name in inputs if name not in self.input_names]
            missing = [name for name in self.input_names if name not in inputs]
            if unknown or missing:
                raise ArgumentError(f"{self._title()} takes {self.input_names}, got {list(inputs)}")
            inputs = [inputs[name] for name in self.input_names]
        inputs = list(inputs) if isinstance(inputs, (list, tuple)) else [inputs]
        if any(None in tensor.shape for tensor in inputs):  # part of a layer graph: only shapes are wanted
            first, second = self.walk_twice([tensor.shape for tensor in inputs])
            results = [symbol(self._result_shape(name, first, second)) for name in self.output_names]
        elif self.fixed_batch is None or {tensor.shape[0] for tensor in inputs if tensor.ndim} == {self.fixed_batch}:
            results = self._results(inputs)
        else:
            results = self._results_in_turn(inputs)
        return results[0] if len(results) == 1 else results

    def _results(self, inputs):
        values, late = self._walk(inputs)
        if late:
            raise UnsupportedOpError(
                f"{self._title()}: {self.network.title(late[0])} has a shape that depends on data; "
                "run such networks by fastconv.InferenceSession, or cut them by fastconv.onnx.load(..., outputs=[...])"
            )
        return [values[name].tensor() for name in self.output_names]

    def _results_in_turn(self, inputs):
        """Return the results for any number of samples, of one batch of the file's size after the other; the last is filled."""
        single = [self.declared_shape(value) == () for value in self.network.inputs]
        step, parts = self.fixed_batch, []
        count = max(tensor.shape[0] for tensor, alone in zip(inputs, single, strict=True) if not alone)
        for start in range(0, max(count, 1), step):
            rest = max(start + step - count, 0)
            parts.append(
                self._results(
                    [
                        tensor if alone else _filled(tensor[start : start + step], rest)
                        for tensor, alone in zip(inputs, single, strict=True)
                    ]
                )
            )
        for name, result in zip(self.output_names, parts[0], strict=True):
            self._check_result(name, result.shape)
        return [ops.concatenate(results, axis=0)[:count] for results in zip(*parts, strict=True)]

    def predict(self, x, batch_size=None, *args, **kwargs):
        """Return the outputs for a data set, see `Model.predict`; by default in batches of the file's size, if it has one."""
        return super().predict(x, self._usual_batch(x, batch_size), *args, **kwargs)

    def evaluate(self, x=None, y=None, batch_size=None, *args, **kwargs):
        """Return loss and metrics, see `Model.evaluate`; by default in batches of the file's size, if it has one."""
        return super().evaluate(x, y, self._usual_batch(x, batch_size), *args, **kwargs)

    def _usual_batch(self, x, given):
        if given is not None or is_stream(x):
            return given
        return self.fixed_batch if self.built else self._declared_batch()

    def _result_shape(self, name, first, second):
        shape = common_shape(first[name].shape, second[name].shape)
        return (None, *shape[1:]) if self.fixed_batch is not None and shape[:1] == (self.fixed_batch,) else shape

    def _check_result(self, name, shape):
        if shape[:1] != (self.fixed_batch,):
            raise ShapeError(
                f"{self._title()}: the file is made for {self.fixed_batch} samples at once, and its output {name!r} of shape "
                f"{shape} has no row for each: give it that many, or cut it by fastconv.onnx.load(..., outputs=[...])"
            )

    # ---- configuration

    def get_config(self):
        """Return the graph, its weights left out, and what makes the model."""
        graph = self.network.model.graph
        left_out = {key[0] for key, tensor in self.network.weights.items() if tensor.size >= MIN_SAVED}
        constants = self.network.constants
        stubs = {n: [list(constants[n].shape), constants[n].dtype.name] for n in constants if n in left_out}
        bare = replace(
            graph,
            initializer=[t for t in graph.initializer if t.name not in stubs],
            input=[v for v in graph.input if v.name not in stubs] + [ValueInfo(name=name) for name in stubs],
        )
        text = base64.b64encode(write_model(replace(self.network.model, graph=bare))).decode("ascii")
        return {
            "name": self.name,
            "trainable": self.trainable,
            "outputs": self.network.output_names,
            "weights": stubs,
            "onnx": text,
        }

    def __reduce__(self):
        return from_parts, (to_parts(self),)

    @classmethod
    def from_config(cls, config, custom_objects=None):
        """Return a model, its weights without values, from what `get_config` returned."""
        proto = read_model(base64.b64decode(config["onnx"], validate=True))
        stubs = {name: Spec(tuple(shape), dtype) for name, (shape, dtype) in config["weights"].items()}
        return cls(
            proto,
            outputs=config["outputs"],
            name=config.get("name"),
            trainable=config.get("trainable", True),
            stubs=stubs,
        )
