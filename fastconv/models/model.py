"""Model: layers with a training loop. Functional, ``Model(inputs, outputs)``, or a subclass with a `call` of its own."""

import copyreg

import numpy as np

from ..autograd import SYMBOLIC, no_grad, symbol, using
from ..errors import ArgumentError, NotBuiltError, UnsupportedOpError
from ..layers.base import Layer
from ..layers.naming import number_by_class
from ..layers.node import map_shapes, shapes_of
from ..layers.operation import Operation
from ..layers.serialization import builtin, custom_object_scope, serialize
from ..layers.weights import layers_in
from .layer_graph import LayerGraph, connect
from .training import Trainer


@builtin
class Model(Trainer, Layer):
    """Layers that are trained, evaluated, used and saved as one.

    Parameters
    ----------
    inputs : LayerTensor, or list, tuple, dict of them
        Made by `Input`.
    outputs : LayerTensor, or list, tuple, dict of them
        What layers made of the inputs.
    name : str, optional
    trainable : bool

    Examples
    --------
    >>> x = layers.Input((8, 8, 1))
    >>> y = layers.Conv2D(4, 3, activation="relu")(x)
    >>> y = layers.Dense(10, activation="softmax")(layers.Flatten()(y))
    >>> model = Model(x, y)
    >>> model.output_shape
    (None, 10)
    """

    _layer_graph = None

    def __init__(self, inputs=None, outputs=None, name=None, **kwargs):
        if (inputs is None) != (outputs is None):
            raise ArgumentError("Model takes both inputs and outputs, or neither in a subclass with its own call()")
        graph = None if inputs is None else LayerGraph(inputs, outputs)
        if graph is not None:
            kwargs.setdefault("dtype", graph.inputs_flat[0].dtype)
            if type(self) is Model:
                self._class_name = "Functional"
        super().__init__(name=name, **kwargs)
        if graph is not None:
            self._layer_graph = graph
            self.built, self._build_shape = True, shapes_of(graph.inputs)
            if not self.trainable:
                self.trainable = False

    # ---- layers

    def _graph_layers(self):
        return [] if self._layer_graph is None else self._layer_graph.layers

    def _attribute_layers(self):
        """Return {path: layer} of the layers in attributes that are not part of the graph, each once."""
        seen = {id(layer) for layer in self._graph_layers()}
        children = {}
        for path, layer in layers_in({key: value for key, value in vars(self).items() if key != "_layer_graph"}):
            if id(layer) not in seen:
                seen.add(id(layer))
                children[path] = layer
        return children

    def _children(self):
        return number_by_class(self._graph_layers()) | self._attribute_layers()

    def _sublayers(self):
        return [*self._graph_layers(), *self._attribute_layers().values()]

    @property
    def operations(self):
        """The layers and, in a functional model, the operations between them (``x * 2.0``), in order."""
        return self._sublayers()

    @property
    def layers(self):
        """The layers, in order, without `operations`; those within other layers are left to them."""
        return [layer for layer in self.operations if not isinstance(layer, Operation)]

    def get_layer(self, name=None, index=None):
        """Return the layer or operation of a name, or the layer at an index."""
        if (name is None) == (index is None):
            raise ArgumentError("get_layer takes either a name or an index")
        layers = self.layers
        if index is not None:
            if not -len(layers) <= index < len(layers):
                raise ArgumentError(f"get_layer: there are {len(layers)} layers, no index {index}")
            return layers[index]
        for layer in self.operations:
            if layer.name == name:
                return layer
        raise ArgumentError(
            f"no layer is named {name!r}; there is {', '.join(layer.name for layer in layers) or 'none'}"
        )

    # ---- inputs and outputs

    def _graph_or_error(self, what):
        if self._layer_graph is None:
            raise NotBuiltError(
                f"{self._title()} has no {what}: it is not a graph of layers, or its input shape is not known"
            )
        return self._layer_graph

    @property
    def inputs(self):
        """List of the symbolic input tensors."""
        return self._graph_or_error("inputs").inputs_flat

    @property
    def outputs(self):
        """List of the symbolic output tensors."""
        return self._graph_or_error("outputs").outputs_flat

    @property
    def input(self):
        """The symbolic inputs as they were given."""
        return self._graph_or_error("input").inputs

    @property
    def output(self):
        """The symbolic outputs as they were given."""
        return self._graph_or_error("output").outputs

    @property
    def input_names(self):
        """Names of the input layers, or None for a model that is no graph."""
        return None if self._layer_graph is None else self._layer_graph.input_names

    @property
    def output_names(self):
        """Names of the layers that make the outputs, or None for a model that is no graph."""
        return None if self._layer_graph is None else self._layer_graph.output_names

    @property
    def input_shape(self):
        """Shape of the input, the batch None; for several inputs, as they were given."""
        return super().input_shape if self._layer_graph is None else shapes_of(self._layer_graph.inputs)

    @property
    def output_shape(self):
        """Shape of the output, the batch None; for several outputs, as they were given."""
        return super().output_shape if self._layer_graph is None else shapes_of(self._layer_graph.outputs)

    # ---- building and calling

    def build(self, input_shape=None):
        """Make the weights of all layers for inputs of `input_shape`, batch first; or of a list or dict of shapes."""
        if self._layer_graph is not None:
            return
        if input_shape is None:
            raise ArgumentError(f"{self._title()}: build needs input_shape")
        with using(SYMBOLIC), no_grad():
            inputs = map_shapes(lambda shape: symbol(shape, self.dtype), input_shape)
            self.call(inputs, **({"training": False} if self._takes_training else {}))
        self._remember_shape(input_shape)

    def _remember_shape(self, input_shape):
        self.built = True
        self._build_shape = map_shapes(lambda shape: (None, *shape[1:]), input_shape)

    def _build_for(self, args, kwargs):
        # The layers of a subclass are built as its call reaches them, which is about to happen.
        if type(self).build is not Model.build:
            super()._build_for(args, kwargs)
            return
        self._programs.clear()
        self._remember_shape(shapes_of(args[0] if args else next(iter(kwargs.values()), None)))

    def _run(self, args, kwargs):
        if self.built:
            return super()._run(args, kwargs)
        fresh = [layer for layer in (self, *self._descendants()) if not layer.built]
        try:
            return super()._run(args, kwargs)
        except BaseException:
            # What was built for an input that does not fit would refuse the next one, which may.
            for layer in fresh:
                layer._unbuild()
            raise

    def call(self, inputs):
        """Compute the outputs. To be defined by a subclass that is not functional."""
        if self._layer_graph is None:
            raise UnsupportedOpError(
                f"{type(self).__name__} needs inputs and outputs, or a call(self, inputs) of its own"
            )
        return self._layer_graph.run(self._layer_graph.match(inputs))

    # ---- configuration

    @property
    def _is_functional(self):
        return self._layer_graph is not None and type(self).__init__ is Model.__init__

    def get_config(self):
        """Return the layers and how they are connected, or the constructor's arguments of a subclass."""
        if not self._is_functional:
            return super().get_config()
        return {"name": self.name, "trainable": self.trainable, **self._layer_graph.get_config()}

    @classmethod
    def from_config(cls, config, custom_objects=None):
        """Return a model, with new weights, from what `get_config` returned."""
        with custom_object_scope(custom_objects):
            if "layers" not in config:
                return super().from_config(config)
            model = cls(*connect(config), name=config.get("name"))
            model._trainable = bool(config.get("trainable", True))
            return model

    def to_json(self, **kwargs):
        """Return the architecture as JSON text; see `fastconv.models.model_from_json`."""
        import json

        return json.dumps(serialize(self), **kwargs)

    # ---- what others do

    def summary(
        self,
        line_length=None,
        positions=None,
        print_fn=None,
        expand_nested=False,
        show_trainable=False,
        layer_range=None,
    ):
        """Print a table of the layers: type, output shape, number of parameters.

        Parameters
        ----------
        line_length : int, optional
            Width of the table.
        positions : list of float, optional
            Where the columns end, as shares of the width (or absolute).
        print_fn : callable, optional
            Called with the text instead of `print`.
        expand_nested : bool
            Show the layers of models within the model.
        show_trainable : bool
            Add a column that tells whether a layer is trained.
        layer_range : (str, str), optional
            Names (regular expressions) of the first and the last layer to show.
        """
        from .summary import print_summary

        print_summary(self, line_length, positions, print_fn, expand_nested, show_trainable, layer_range)

    def memory_plan(self, batch_size=1):
        """Return what memory `predict` takes for a batch, before it runs: `fastconv.graph.MemoryReport`, which prints.

        Raises
        ------
        NotBuiltError, UnsupportedOpError
            When the shapes of the inputs are not known, or `predict` runs without a program: in float64, eagerly, or by a
            `predict_step` of one's own.

        Examples
        --------
        >>> model = Sequential([layers.Conv2D(4, 3, input_shape=(8, 8, 1)), layers.Conv2D(4, 3), layers.Flatten()])
        >>> model.memory_plan().arena
        576
        """
        if not self.built:
            raise NotBuiltError(f"{self._title()} is not built: call it on data first, or build it for a shape")
        dtype = np.dtype(self.dtype)
        x = map_shapes(lambda shape: self._stand_in(shape, batch_size, dtype), self.input_shape)
        data, keys = self._adapt(x)
        step = self._get_ready("predict", data, keys)
        if getattr(step, "eager", True):
            raise UnsupportedOpError(f"{self._title()} predicts operation by operation: there is no memory plan")
        return step.program(step.feed(data.arrays)).memory_plan()

    def _stand_in(self, shape, batch_size, dtype):
        if None in shape[1:]:
            raise NotBuiltError(f"{self._title()}: the input shape {shape} is not known well enough")
        return np.broadcast_to(np.zeros((), dtype), (batch_size, *shape[1:]))

    def save(self, filepath, overwrite=True, include_optimizer=False):
        """Save architecture, weights and compile settings to a ``.fastconv`` file; see `fastconv.models.save_model`."""
        from .saving import save_model

        save_model(self, filepath, overwrite, include_optimizer)

    def save_weights(self, filepath, overwrite=True):
        """Save the weights to a ``.fastconv`` file."""
        from .saving import save_weights

        save_weights(self, filepath, overwrite)

    def load_weights(self, filepath):
        """Set the weights from a file of `save_weights` or `save`: all of them, or none if one does not fit."""
        from .saving import load_weights

        load_weights(self, filepath)

    def __reduce__(self):
        from .saving import from_parts, to_parts

        if self._is_functional or self._layer_graph is not None:
            return from_parts, (to_parts(self),)
        return copyreg.__newobj__, (type(self),), self.__getstate__()

    def __getstate__(self):
        state = super().__getstate__()
        return {**state, "_program_cache": None, "history": None}
