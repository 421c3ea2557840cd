"""The weights of a layer and of the layers inside it: making, finding, reading and setting them."""

import itertools

import numpy as np

from .. import initializers, regularizers
from ..autograd import Symbol, Tensor
from ..errors import DTypeError, NotBuiltError, ShapeError
from ..op import Spec
from .context import context


class Weights:
    """The half of `Layer` that holds variables.

    A layer's own are in three lists: trainable weights, other weights, and states such as the random key of a dropout.
    """

    @property
    def _kinds(self):
        return self._trainable_own, self._non_trainable_own, self._states

    def add_weight(
        self,
        shape=None,
        initializer=None,
        dtype=None,
        trainable=True,
        regularizer=None,
        constraint=None,
        name=None,
    ):
        """Make a weight and keep it.

        Parameters
        ----------
        shape : tuple of int
        initializer : str, callable or Initializer
            Default: Glorot-uniform.
        dtype : str
            Default: the layer's.
        trainable : bool
        regularizer : str, callable or Regularizer, optional
            Its penalty is among `losses` while the weight is trainable.
        constraint : None
            Anything else is refused.
        name : str
            Within the layer: ``"kernel"`` of the layer ``"conv2d"`` becomes ``"conv2d/kernel"``.

        Returns
        -------
        Tensor
        """
        self._refuse(constraint=constraint)
        kept = self._trainable_own if trainable else self._non_trainable_own
        regularizer = self._get(regularizers.get, regularizer, "regularizer")
        weight = self._add(kept, () if shape is None else shape, initializer, dtype or self.dtype, trainable, name)
        self._regularizers[_own_name(weight)] = regularizer
        return weight

    def add_state(self, shape, initializer, dtype, name):
        """Make a variable that belongs to the layer but is no weight (a random key): among `variables`, not `weights`."""
        return self._add(self._states, shape, initializer, dtype, False, name)

    def _add(self, kept, shape, initializer, dtype, trainable, name):
        shape = (shape,) if isinstance(shape, (int, np.integer)) else tuple(shape)
        name = self._free_name(name or "variable")
        if not all(isinstance(n, (int, np.integer)) and n >= 0 for n in shape):
            raise ShapeError(
                f"{self._title()}: weight {name!r} would have the shape {shape}; every dimension of the input that a "
                "weight depends on must be known"
            )
        shape = tuple(int(n) for n in shape)
        if context.skeleton:
            data = Symbol(Spec(shape, dtype))
        else:
            initializer = initializers.get("glorot_uniform" if initializer is None else initializer)
            data = np.array(initializer(shape, dtype=dtype), dtype, order="C")
            if data.shape != shape:
                raise ShapeError(
                    f"{self._title()}: the initializer of {name!r} made shape {data.shape}, expected {shape}"
                )
        weight = Tensor(data, trainable and self.trainable, f"{self.name}/{name}")
        kept.append(weight)
        return weight

    def _free_name(self, name):
        taken = {_own_name(weight) for kind in self._kinds for weight in kind}
        names = (f"{name}_{i}" if i else name for i in itertools.count())
        return next(candidate for candidate in names if candidate not in taken)

    _holds_layers = True

    def _children(self):
        """Return {path: layer} of the layers kept in attributes, also within lists, tuples and dicts, each once.

        The path is that of attributes: it is the same when the constructor runs again, which automatic names are not.
        """
        found = {}
        for path, layer in layers_in(vars(self)) if self._holds_layers else ():
            found.setdefault(id(layer), (path, layer))
        return dict(found.values())

    def _sublayers(self):
        return list(self._children().values())

    def _descendants(self):
        """Return the layers inside, and inside those."""
        return [layer for child in self._sublayers() for layer in (child, *child._descendants())]

    def variable_paths(self):
        """Return {path: variable}, by which variables are saved: ``{"conv2d/kernel": ...}``."""
        paths = {}
        seen = set()

        def visit(layer, prefix):
            for variable in (*layer._trainable_own, *layer._non_trainable_own, *layer._states):
                if id(variable) not in seen:
                    seen.add(id(variable))
                    paths[prefix + _own_name(variable)] = variable
            for path, child in layer._children().items():
                visit(child, f"{prefix}{path}/")

        visit(self, "")
        return paths

    def _collect(self, own, kind):
        found = {id(weight): weight for weight in own}
        for layer in self._sublayers():
            found.update((id(weight), weight) for weight in getattr(layer, kind))
        return list(found.values())

    @property
    def variables(self):
        """Every variable: the weights, and states such as the random key of a dropout."""
        return self._collect(self._trainable_own + self._non_trainable_own + self._states, "variables")

    @property
    def weights(self):
        """Every weight: trainable ones first, then the others, then those of the layers inside."""
        return self._collect(self._trainable_own + self._non_trainable_own, "weights")

    @property
    def trainable_weights(self):
        """The weights that an optimizer may change."""
        return self._collect(self._trainable_own, "trainable_weights") if self.trainable else []

    @property
    def non_trainable_weights(self):
        """The weights that an optimizer leaves alone."""
        return self._collect(self._non_trainable_own, "non_trainable_weights") if self.trainable else self.weights

    @property
    def losses(self):
        """The penalties of regularizers on `trainable_weights`, computed now: a Tensor of shape () each."""
        trained, found = {id(weight) for weight in self.trainable_weights}, []
        for layer in (self, *self._descendants()):
            for weight in layer._trainable_own:
                regularizer = layer._regularizers.get(_own_name(weight))
                if regularizer is not None and id(weight) in trained:
                    trained.remove(id(weight))  # a shared layer counts once
                    found.append(regularizer(weight))
        return found

    @property
    def trainable_variables(self):
        """As `trainable_weights`."""
        return self.trainable_weights

    @property
    def non_trainable_variables(self):
        """Every variable that is not among `trainable_weights`."""
        trained = {id(weight) for weight in self.trainable_weights}
        return [variable for variable in self.variables if id(variable) not in trained]

    def get_weights(self):
        """Return copies of the weights as NumPy arrays, in the order of `weights`."""
        return [np.array(weight.numpy()) for weight in self.weights]

    def set_weights(self, weights):
        """Set the weights from arrays in the order of `weights`: all of them, or none if one does not fit."""
        own = self.weights
        try:
            arrays = [weight.numpy() if isinstance(weight, Tensor) else np.asarray(weight) for weight in weights]
        except (TypeError, ValueError) as error:
            raise DTypeError(
                f"{self._title()}: set_weights takes a list of arrays, as get_weights returns: {error}"
            ) from error
        if len(arrays) != len(own):
            built = "" if self.built else ". It is not built yet: call it on data first"
            raise ShapeError(f"{self._title()} has {len(own)} weights, set_weights got {len(arrays)}{built}")
        for weight, array in zip(own, arrays, strict=True):
            if array.shape != weight.shape:
                raise ShapeError(f"{self._title()}: weight {weight.name!r} has shape {weight.shape}, got {array.shape}")
            if array.dtype.kind not in "fiub":
                raise DTypeError(f"{self._title()}: weight {weight.name!r} takes numbers, got {array.dtype}")
        # A copy first: an array may be a view of another weight of this layer.
        for weight, array in zip(own, [np.array(array) for array in arrays], strict=True):
            weight.assign(array)

    def count_params(self):
        """Return the number of elements of all weights."""
        if not self.built:
            raise NotBuiltError(f"{self._title()} is not built, so it has no weights to count: call it on data first")
        return sum(weight.size for weight in self.weights)

    def _unbuild(self):
        """Forget the weights, as after a build of the model around that failed."""
        for kind in self._kinds:
            kind.clear()
        for layer in self._sublayers():
            layer._unbuild()
        self.built, self._build_shape = False, None


def _own_name(variable):
    """Return a variable's name within its layer."""
    return variable.name.rpartition("/")[2]


def layers_in(value, path=""):
    """Yield (path, layer) of the layers in nested dicts, lists and tuples."""
    if isinstance(value, Weights):
        yield path, value
    elif isinstance(value, (dict, list, tuple)):
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield from layers_in(item, f"{path}/{key}" if path else str(key))
