"""Sequential: layers one after another."""

from ..autograd import Tensor
from ..errors import ArgumentError, NotBuiltError, ShapeError
from ..layers.base import Layer
from ..layers.context import build_lock
from ..layers.input import InputLayer
from ..layers.naming import number_by_class
from ..layers.node import LayerTensor, is_shape
from ..layers.serialization import builtin, custom_object_scope, deserialize, serialize
from .layer_graph import LayerGraph, fit
from .model import Model


@builtin
class Sequential(Model):
    """A stack of layers, each called on the result of the one before.

    Parameters
    ----------
    layers : sequence of Layer, optional
        The first may be an `Input`, or a layer with ``input_shape=``; otherwise the weights are made at the first call.
    trainable : bool
    name : str, optional

    Examples
    --------
    >>> model = Sequential([
    ...     layers.Conv2D(4, 3, activation="relu", input_shape=(8, 8, 1)),
    ...     layers.Flatten(),
    ...     layers.Dense(10, activation="softmax"),
    ... ])
    >>> model.output_shape
    (None, 10)
    """

    _lazy_graph = None

    def __init__(self, layers=None, trainable=True, name=None):
        super().__init__(name=name, trainable=trainable)
        self._layers = []
        self._taken = set()  # names of the layers
        self._tensors = []  # symbolic: the input, then the output of each layer; empty while the input is not known
        self._failure = None  # of the last build: ([(output shape, parameters) of each layer that went through], why the next did not)
        if isinstance(layers, Layer):
            layers = [layers]
        for layer in layers or ():
            self.add(layer)

    # ---- the stack

    @property
    def layers(self):
        """The layers, without the input."""
        return self._layers[1:] if self._layers and isinstance(self._layers[0], InputLayer) else list(self._layers)

    @property
    def operations(self):
        """The layers, without the input."""
        return self.layers

    def _children(self):
        return number_by_class(self._layers)

    def _sublayers(self):
        return list(self._layers)

    @property
    def dtype(self):
        """Name of the float type of the first layer."""
        return self._layers[0].dtype if self._layers else self._dtype

    def add(self, layer, rebuild=True):
        """Put a layer on top. If it does not fit, the model stays as it was."""
        if isinstance(layer, LayerTensor):
            layer = layer.producer.layer
        if not isinstance(layer, Layer):
            hint = f"; write {layer.__name__}(...)" if isinstance(layer, type) and issubclass(layer, Layer) else ""
            raise ArgumentError(f"{self._title()}: add takes a layer, got {layer!r:.200}{hint}")
        if isinstance(layer, InputLayer) and self._layers:
            raise ArgumentError(f"{self._title()}: Input must come first, there are layers already")
        if layer.name in self._taken:
            raise ArgumentError(
                f"{self._title()}: there is a layer named {layer.name!r} already; layers of a model need different names"
            )
        start = None if self._layers else _input_of(layer)
        if start is not None and start.name == layer.name:
            raise ArgumentError(f"{self._title()}: the layer {layer.name!r} has the name of its input")
        if isinstance(layer, InputLayer):
            self._begin(layer)
        elif start is not None:
            self._begin(start)
            try:
                self._append(layer)
            except BaseException:
                self._layers, self._tensors, self._taken = [], [], set()
                raise
        elif self._tensors:
            self._append(layer)
        else:
            self._push(layer)
        if not self.trainable:
            layer.trainable = False
        self._changed()

    def _begin(self, layer):
        self._layers, self._tensors, self._taken = [layer], [layer.output], {layer.name}

    def _push(self, layer):
        self._layers.append(layer)
        self._taken.add(layer.name)

    def _append(self, layer):
        """Call `layer` on the present output. It stays unbuilt if that fails."""
        self._tensors.append(_call(layer, self._tensors[-1]))
        self._push(layer)

    def pop(self, rebuild=True):
        """Take the last layer off and return it."""
        if not self.layers:
            raise ArgumentError(f"{self._title()} has no layers to pop")
        layer = self._layers.pop()
        self._taken.discard(layer.name)
        if self._tensors:
            node = self._tensors.pop().producer
            layer._nodes = [other for other in layer._nodes if other is not node]
        self._changed()
        return layer

    def _changed(self):
        """Bring what depends on the stack up to date."""
        self._failure = None
        self._programs.clear()
        self.built = len(self._tensors) > 1
        self._lazy_graph = None
        self._build_shape = self._tensors[0].shape if self.built else None

    @property
    def _layer_graph(self):
        # Made when it is asked for: made at every `add`, it would make a stack of n layers cost n^2.
        if self._lazy_graph is None and self.built:
            self._lazy_graph = LayerGraph(self._tensors[0], self._tensors[-1])
        return self._lazy_graph

    # ---- building and calling

    def build(self, input_shape=None):
        """Make the weights of all layers for inputs of `input_shape`, batch first. If one fails, none is built.

        An existing input shape is not changed.
        """
        if self.built or self._tensors:
            return
        if not self._layers:
            raise NotBuiltError(f"{self._title()} has no layers: add some first")
        if not is_shape(input_shape) or not len(input_shape):
            raise ShapeError(f"{self._title()}: build needs one input shape, batch first, got {input_shape!r}")
        layers, fresh = self._layers, [layer for layer in self._descendants() if not layer.built]
        start = InputLayer(batch_shape=(None, *input_shape[1:]), dtype=layers[0].dtype)
        tensors = [start.output]
        try:
            for layer in layers:
                tensors.append(_call(layer, tensors[-1]))
        except Exception as error:
            done = list(zip(layers, tensors[1:], strict=False))
            made = [(tensor.shape, layer.count_params()) for layer, tensor in done]
            for layer, tensor in done:
                layer._nodes = [node for node in layer._nodes if node is not tensor.producer]
            for layer in fresh:
                layer._unbuild()
            self._failure = made, str(error)
            raise
        self._layers, self._tensors = [start, *layers], tensors
        self._taken.add(start.name)
        self._changed()

    def _build_for(self, args, kwargs):
        self.build(tuple(args[0].shape) if args and isinstance(args[0], Tensor) else None)

    def call(self, inputs):
        """Compute the outputs."""
        if not self._layers:
            raise NotBuiltError("the model has no layers: add some first")
        if isinstance(inputs, (list, tuple)) and len(inputs) == 1:
            inputs = inputs[0]
        if isinstance(inputs, dict) and len(inputs) == 1:
            inputs = next(iter(inputs.values()))
        if not isinstance(inputs, Tensor):
            raise ArgumentError(f"a Sequential model takes one array, got {inputs!r:.200}")
        x = fit(inputs, self._tensors[0], self._layers[0].name) if self._tensors else inputs
        for layer in self.layers:
            x = layer(x)
        return x

    def compute_output_shape(self, input_shape):
        """Return the output shape for an input shape, batch first."""
        if self.built or self._layers:
            return super().compute_output_shape(input_shape)
        return tuple(input_shape)

    # ---- configuration

    @property
    def _is_functional(self):
        return type(self).__init__ is Sequential.__init__

    def get_config(self):
        """Return the layers, and the input shape if it is known."""
        if not self._is_functional:
            return Layer.get_config(self)
        return {
            "name": self.name,
            "trainable": self.trainable,
            "layers": [serialize(layer) for layer in self._layers],
        }

    @classmethod
    def from_config(cls, config, custom_objects=None):
        """Return a model, with new weights, from what `get_config` returned."""
        with custom_object_scope(custom_objects):
            if "layers" not in config:
                return Layer.from_config.__func__(cls, config)
            model = cls(name=config.get("name"))
            for entry in config["layers"]:
                model.add(deserialize(entry))
            model._trainable = bool(config.get("trainable", True))
            return model


def _input_of(layer):
    """Return the InputLayer that the first layer of a stack asks for, or None."""
    if isinstance(layer, Model):
        if layer._layer_graph is None or len(layer.inputs) != 1:
            return None
        return InputLayer(batch_shape=layer.inputs[0].shape, dtype=layer.dtype)
    if layer._input_shape_argument is None:
        return None
    return InputLayer(layer._input_shape_argument, dtype=layer.dtype)


def _call(layer, tensor):
    """Call `layer` on a symbolic tensor; if that fails, it is as unbuilt as before."""
    with build_lock:
        was_built = layer.built
        try:
            result = layer(tensor)
        except BaseException:
            if not was_built:
                layer._unbuild()
            raise
    if not isinstance(result, LayerTensor):
        layer._nodes.pop()
        raise ArgumentError(f"layer {layer.name!r} has several outputs; a Sequential model needs layers with one")
    return result
