"""Layer: weights, and a function of tensors that uses them.

A layer is built once, when the shape of its input is known: `build` makes the weights. After that ``layer(x)`` converts
arrays to tensors, sets the training phase and runs `call`. The same `call` serves three executors: it computes
on arrays, records under the tracer, and on symbolic tensors only infers shapes, which is the one way in which a layer
learns its output shape.
"""

import functools
import inspect
import types

import numpy as np

from .. import config, regularizers
from ..autograd import SYMBOLIC, Tensor, as_tensor, no_grad, symbol, using
from ..errors import ArgumentError, DTypeError, FastconvError, NotBuiltError, ShapeError, UnsupportedOpError
from ..graph import labelled
from .context import build_lock, context, skeleton, training_phase
from .naming import auto_name
from .node import LayerTensor, Node, flatten, is_shape, map_shapes, map_structure, shapes_of
from .serialization import resolve, serialize_value
from .weights import Weights


def _mark_built(build):
    """Wrap a class's `build`: the layer counts as built after it, and keeps nothing of a build that failed."""

    @functools.wraps(build)
    def wrapper(self, *args, **kwargs):
        with build_lock:
            counts = [len(kind) for kind in self._kinds]
            try:
                result = build(self, *args, **kwargs)
            except BaseException as error:
                for kind, count in zip(self._kinds, counts, strict=True):
                    del kind[count:]
                _name_error(error, self)
                raise
            self.built = True
            shape = args[0] if args else kwargs.get("input_shape")
            if shape is not None:
                self._build_shape = map_shapes(_without_batch, shape)
            return result

    return wrapper


def _under_the_name_of(cls, init):
    """Return a constructor that `cls` inherits as its own: Python's errors name the class that has it."""
    own = types.FunctionType(init.__code__, init.__globals__, init.__name__, init.__defaults__, init.__closure__)
    own.__qualname__, own.__kwdefaults__ = f"{cls.__qualname__}.__init__", init.__kwdefaults__
    return functools.update_wrapper(own, init, ("__module__", "__doc__", "__annotations__"))


def _without_batch(shape):
    return (None, *shape[1:])


def _name_error(error, layer):
    """Put the layer's name before the message of an error that came out of it; the innermost layer's stays."""
    if hasattr(error, "layer_name"):
        return
    error.layer_name = layer.name
    where = layer._title()
    if error.args and isinstance(error.args[0], str) and not isinstance(error, OSError):
        if not error.args[0].startswith(where):
            error.args = (f"{where}: {error.args[0]}", *error.args[1:])
    else:
        error.add_note(f"in {where}")


class Layer(Weights):
    """Base class of layers.

    Parameters
    ----------
    name : str, optional
        Default: from the class, numbered: ``"conv2d"``, ``"conv2d_1"``.
    dtype : {"float32", "float64"}, optional
        Of the weights, and what arrays are cast to. Default `fastconv.config.floatx()`. float64 runs on the NumPy references.
    trainable : bool
        Whether an optimizer may change the weights.
    input_shape : tuple of int, optional
        Without the batch: for the first layer of a `Sequential`.

    Notes
    -----
    A subclass has `call(self, inputs)`, may have `build(self, input_shape)`, which makes weights by `add_weight`, and keeps
    the arguments of its constructor as attributes of the same name: `get_config` reads them.

    Examples
    --------
    >>> class Scale(Layer):
    ...     def build(self, input_shape):
    ...         self.scale = self.add_weight((input_shape[-1],), "ones", name="scale")
    ...     def call(self, inputs):
    ...         return inputs * self.scale
    >>> Scale()(np.ones((2, 3), "float32")).shape
    (2, 3)
    """

    _initialized = False
    _kept_as = {}  # constructor argument -> the attribute that holds it, where its own name means something else
    _class_name = None  # what stands in automatic names and in summaries, if not the class's own name

    def __init_subclass__(cls, **kwargs):
        super().__init_subclass__(**kwargs)
        # The package's own layers hold no others, which saves looking through their attributes at every step.
        cls._holds_layers = not cls.__module__.startswith("fastconv.layers.")
        if not cls._holds_layers and cls.__init__.__qualname__.startswith("_") and not cls.__name__.startswith("_"):
            cls.__init__ = _under_the_name_of(cls, cls.__init__)
        if "build" in cls.__dict__:
            cls.build = _mark_built(cls.build)
        if "call" in cls.__dict__:
            parameters = inspect.signature(cls.call).parameters
            cls._takes_training = "training" in parameters
            default = parameters["training"].default if cls._takes_training else None
            cls._default_training = None if default is inspect.Parameter.empty else default

    def __init__(
        self,
        *,
        activity_regularizer=None,
        trainable=True,
        dtype=None,
        name=None,
        input_shape=None,
        **kwargs,
    ):
        if name is not None and (not isinstance(name, str) or not name or "/" in name):
            raise ArgumentError(f"{type(self).__name__}: name must be a string without '/', got {name!r}")
        self._name = name or auto_name(self._class_name or type(self).__name__)
        self._initialized = True
        self.built = False
        self._trainable_own, self._non_trainable_own, self._states = [], [], []
        self._regularizers = {}  # name of a weight within the layer -> what is called with it
        self._nodes = []
        self._build_shape = None
        self._trainable = bool(trainable)
        if kwargs:
            raise ArgumentError(f"{self._title()}: unknown arguments {', '.join(kwargs)}")
        self._only_none(activity_regularizer=activity_regularizer)
        self._dtype = _float_type(self, dtype)
        self._input_shape_argument = None if input_shape is None else _check_input_shape(self, input_shape)

    def _title(self):
        return f"layer {self.name!r} ({type(self).__name__})"

    def _get(self, get, value, argument):
        """Return what the look-up `get` finds for a constructor argument; its errors name layer and argument."""
        try:
            return get(value)
        except FastconvError as error:
            error.args = (f"{self._title()}: {argument}: {error}",)
            raise

    def _refuse(self, **arguments):
        """Refuse arguments that Keras has and this engine does not: ignoring them would train another model."""
        for name, value in arguments.items():
            if value is not None:
                raise UnsupportedOpError(f"{self._title()}: {name}={value!r} is not yet supported, only None is")

    def _take_regularizers(self, **arguments):
        """Keep constructor arguments that name regularizers; a weight gets its own by `add_weight`."""
        for name, value in arguments.items():
            setattr(self, name, self._get(regularizers.get, value, name))

    def _only_none(self, **arguments):
        """Keep constructor arguments that may only be None so far."""
        self._refuse(**arguments)
        vars(self).update(arguments)

    # ---- what it is

    @property
    def name(self):
        """The layer's name, unique within a model."""
        return self._name

    @property
    def dtype(self):
        """Name of the float type of the weights."""
        return self._dtype

    compute_dtype = variable_dtype = dtype

    @property
    def trainable(self):
        """Whether an optimizer may change the weights. Setting it sets the layers inside as well."""
        return self._trainable

    @trainable.setter
    def trainable(self, value):
        self._trainable = bool(value)
        for weight in self._trainable_own:
            weight.requires_grad = self._trainable
        for layer in self._sublayers():
            layer.trainable = value

    def __repr__(self):
        return f"<{type(self).__name__} name={self.name}, built={self.built}>"

    # ---- building and calling

    def build(self, input_shape):
        """Make the weights for inputs of `input_shape` (batch first; None where not known)."""
        self.built = True
        self._build_shape = map_shapes(_without_batch, input_shape)

    def call(self, *args, **kwargs):
        """Compute the outputs. To be defined by every layer."""
        raise UnsupportedOpError(f"{self._title()}: {type(self).__name__} has no call(self, inputs)")

    _takes_training = False
    _default_training = None

    def __call__(self, *args, **kwargs):
        """Call the layer on tensors or arrays; on the tensors of `Input` it becomes part of a layer graph."""
        if not self._initialized:
            raise ArgumentError(f"{type(self).__name__}.__init__ must call super().__init__() before the layer is used")
        try:
            args, kwargs = self._to_tensors(args), self._to_tensors(kwargs)
            if any(isinstance(leaf, LayerTensor) for leaf in flatten((args, kwargs))):
                return self._call_on_graph(args, kwargs)
            return self._run(args, kwargs)
        except Exception as error:
            _name_error(error, self)
            raise

    def _run(self, args, kwargs):
        if not self.built:
            with build_lock:
                if not self.built:
                    self._build_for(args, kwargs)
        training = kwargs.pop("training", None)
        if training is None:
            training = context.training
        if training is None:
            training = self._default_training
        if training is not None and self._takes_training:
            kwargs["training"] = training
        with training_phase(training), labelled(self.name):
            return self.call(*args, **kwargs)

    def _build_for(self, args, kwargs):
        self.build(shapes_of(args[0] if args else next(iter(kwargs.values()), None)))

    def _call_on_graph(self, args, kwargs):
        """Infer what the call returns, and make a node of it."""
        plain_args, plain_kwargs = map_structure(_as_symbol, (args, kwargs))
        with using(SYMBOLIC), no_grad():
            results = self._run(plain_args, plain_kwargs)
        node = Node(self, args, kwargs, results)
        self._nodes.append(node)
        return node.outputs

    def _to_tensors(self, value):
        """Return a structure with its arrays as tensors of the layer's dtype. Tensors of floats stay what they are."""
        if isinstance(value, Tensor):
            if value.dtype not in ("float32", "float64") and isinstance(value.data, np.ndarray):
                return as_tensor(value, self.dtype)
            return value
        if isinstance(value, dict):
            return {key: self._to_tensors(item) for key, item in value.items()}
        if isinstance(value, (list, tuple)):
            if isinstance(value, list) and value and _is_numbers(value):
                return self._to_tensors(_array_of(value))
            items = [self._to_tensors(item) for item in value]
            return type(value)(*items) if hasattr(value, "_fields") else type(value)(items)
        if hasattr(value, "__array__") and not isinstance(value, np.generic):
            array = np.asarray(value)
            if array.dtype.kind not in "fiub":
                raise DTypeError(f"inputs must be numbers, got an array of {array.dtype}")
            return as_tensor(array, self.dtype)
        return value

    def compute_output_shape(self, input_shape):
        """Return the output shape for an input shape, or for a list of them. The layer stays as it is."""
        layer = self
        with skeleton(), using(SYMBOLIC), no_grad():
            if not self.built:
                layer = type(self).from_config(self.get_config())
            inputs = map_shapes(lambda shape: symbol(shape, layer.dtype), input_shape)
            return shapes_of(layer._run((inputs,), {"training": False} if layer._takes_training else {}))

    # ---- its place in a layer graph

    def _node(self, what):
        if len(self._nodes) != 1:
            why = "was not called on the tensors of Input yet" if not self._nodes else "was called more than once"
            raise NotBuiltError(f"{self._title()} has no single {what}: it {why}")
        return self._nodes[0]

    @property
    def input(self):
        """The symbolic tensor that the layer was called on, in a layer graph."""
        return self._node("input").inputs

    @property
    def output(self):
        """The symbolic tensor that the layer made, in a layer graph."""
        return self._node("output").outputs

    @property
    def input_shape(self):
        """Shape of the input, the batch None; a list of shapes for several inputs."""
        if len(self._nodes) == 1:
            return shapes_of(self._nodes[0].inputs)
        if self._build_shape is None:
            raise NotBuiltError(f"{self._title()} has no input shape yet: call it on data first")
        return self._build_shape

    @property
    def output_shape(self):
        """Shape of the output, the batch None; a structure of shapes for several outputs."""
        if len(self._nodes) == 1:
            return shapes_of(self._nodes[0].outputs)
        return self.compute_output_shape(self.input_shape)

    # ---- configuration

    def get_config(self):
        """Return the constructor's arguments as JSON-able data: attributes of the same names."""
        settings = {"name": self.name, "trainable": self.trainable, "dtype": self.dtype}
        if self._input_shape_argument is not None:
            settings["input_shape"] = list(self._input_shape_argument)
        for name in _constructor_arguments(type(self))[0]:
            if not hasattr(self, self._kept_as.get(name, name)):
                raise UnsupportedOpError(
                    f"{self._title()} cannot be saved: its constructor takes {name!r}, which is no attribute. Keep it as "
                    f"self.{name}, or define get_config and from_config"
                )
            settings[name] = serialize_value(getattr(self, self._kept_as.get(name, name)), self._title())
        return settings

    @classmethod
    def from_config(cls, config):
        """Return a layer, not built, from what `get_config` returned."""
        settings = resolve(config)
        accepted = _constructor_arguments(cls)[1]
        rest = {
            key: settings.pop(key) for key in ("name", "trainable", "dtype") if key in settings and key not in accepted
        }
        try:
            layer = cls(**settings)
        except TypeError as error:
            raise ArgumentError(f"{cls.__name__}: the configuration does not fit the constructor: {error}") from error
        # A constructor of one's own need not take what every layer has.
        layer._name = rest.get("name", layer._name)
        if "trainable" in rest:
            layer.trainable = rest["trainable"]
        return layer

    def __getstate__(self):
        # The graph that a layer is part of is not the layer: a copy of it starts outside of any.
        return {**vars(self), "_nodes": []}


def _as_symbol(value):
    return symbol(value.shape, value.dtype) if isinstance(value, LayerTensor) else value


def _array_of(numbers):
    try:
        return np.asarray(numbers)
    except ValueError as error:
        raise ShapeError(f"inputs must be an array, got lists of different lengths: {error}") from error


def _is_numbers(value):
    return all(isinstance(leaf, (int, float, np.number)) for leaf in flatten(value))


def _float_type(layer, dtype):
    if dtype is None:
        return config.floatx()
    try:
        name = np.dtype(dtype).name
    except TypeError:
        name = None
    if name not in config.FLOAT_TYPES:
        raise DTypeError(f"{layer._title()}: dtype must be 'float32' or 'float64', got {dtype!r}")
    return name


def _check_input_shape(layer, shape):
    shape = (shape,) if isinstance(shape, (int, np.integer)) else shape
    if not is_shape(shape) or any(n is not None and n < 1 for n in shape):
        raise ShapeError(
            f"{layer._title()}: input_shape must be a tuple of positive integers or None, without the batch, got {shape!r}"
        )
    return tuple(None if n is None else int(n) for n in shape)


@functools.cache
def _constructor_arguments(cls):
    """Return the names that constructing `cls` takes beyond those of every layer, and those of the latter that it takes."""
    common = {name for name in inspect.signature(Layer.__init__).parameters if name not in ("self", "kwargs")}
    names = {}
    accepted = set(common)
    for base in cls.__mro__:
        if base is Layer:
            break
        if "__init__" not in base.__dict__:
            continue
        parameters = list(inspect.signature(base.__init__).parameters.values())[1:]
        names.update((p.name, None) for p in parameters if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL))
        if not any(p.kind is p.VAR_KEYWORD for p in parameters):
            accepted &= names.keys()
            break
    return tuple(name for name in names if name not in common), frozenset(accepted)
