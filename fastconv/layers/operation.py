"""Operation: a function of `fastconv.ops` in a layer graph, which is what ``x * 2.0`` makes on the tensors of `Input`."""

import numpy as np

from .. import ops
from ..autograd import Tensor, as_tensor
from ..autograd.tensor import FLOATS
from ..errors import ArgumentError
from ..graph import labelled
from .base import Layer
from .node import LayerTensor, flatten, map_structure

# What Keras calls an operation, where it is not the name of the function.
_NAMES = {"abs": "absolute", "divide": "true_divide", "getitem": "get_item"}


class Operation(Layer):
    """A function of `fastconv.ops` as a layer: of tensors, and of constants that the model's configuration keeps.

    There is rarely a need to make one: operators, ``x[...]`` and the functions of `fastconv.ops` do, where they meet a tensor
    of `Input`.

    Parameters
    ----------
    function : str
        Its name: ``"multiply"``.
    name : str, optional
        Default: Keras's name of the operation, numbered: ``"multiply"``, ``"multiply_1"``.

    Notes
    -----
    Called with the arguments of the function. Where a tensor of `Input` is among them, arrays are copied, and those of floats
    take its type; tensors that require a gradient are refused: nobody would train or save them, as those of a layer.

    Examples
    --------
    >>> x = Input((4, 4, 2))
    >>> y = x * (x + 3.0) / np.array([6.0, 3.0])
    >>> y.shape
    (None, 4, 4, 2)
    >>> Model(x, y[:, 0, 0] - fastconv.ops.mean(y, axis=(1, 2))).predict(np.ones((1, 4, 4, 2)), verbose=0).shape
    (1, 2)
    """

    def __init__(self, function, *, name=None):
        if not isinstance(function, str) or function not in ops.FUNCTIONS:
            raise ArgumentError(
                f"an Operation is one of fastconv.ops by its name, as 'multiply' is; got {function!r:.200}"
            )
        self.function = function
        self._class_name = _NAMES.get(function, function).title().replace("_", "")
        super().__init__(name=name)
        self.built = True

    def _title(self):
        return f"operation {self.name!r}"

    def _to_tensors(self, value):
        return value  # the function takes arrays as they are

    def _run(self, args, kwargs):
        # A `training` among the arguments is the function's own.
        with labelled(self.name):
            return self.call(*args, **kwargs)

    def _call_on_graph(self, args, kwargs):
        floats = [x.dtype for x in flatten((args, kwargs)) if isinstance(x, LayerTensor) and x.dtype in FLOATS]
        return super()._call_on_graph(*map_structure(lambda leaf: _constant(leaf, floats[:1]), (args, kwargs)))

    def call(self, *args, **kwargs):
        """Return what the function returns."""
        result = getattr(ops, self.function)(*args, **kwargs)
        if not all(isinstance(leaf, Tensor) for leaf in flatten(result)):
            raise ArgumentError(f"fastconv.ops.{self.function} returns no tensor, which an Operation must")
        return result

    def get_config(self):
        """Return the constructor's arguments."""
        return {"name": self.name, "function": self.function}


def _constant(value, floats):
    """Return an argument as a layer graph keeps it; arrays of floats as what `floats` names, if anything."""
    if value is None or value is Ellipsis or isinstance(value, (LayerTensor, bool, int, float, str)):
        return value
    if isinstance(value, slice) and all(part is None or hasattr(part, "__index__") for part in _parts(value)):
        return slice(*(None if part is None else part.__index__() for part in _parts(value)))
    if isinstance(value, np.dtype) or (isinstance(value, type) and issubclass(value, np.generic)):
        return np.dtype(value).name
    if isinstance(value, np.generic) and value.dtype.kind in "fiub":
        return value.item()
    if isinstance(value, Tensor) and value.requires_grad:
        raise ArgumentError(
            f"{value._title()} requires a gradient, but is no weight of a layer: nobody would train or save it. Make it by "
            "add_weight in a layer of your own, or hand over a constant, tensor.detach()"
        )
    if isinstance(value, Tensor) and not isinstance(value.data, np.ndarray):
        raise ArgumentError(
            "a tensor of Input meets one of a layer's call, which the graph does not know: pass both as inputs"
        )
    if isinstance(value, (Tensor, np.ndarray)):
        tensor = as_tensor(value)
        return np.array(tensor.data, floats[0] if floats and tensor.dtype in FLOATS else tensor.dtype)
    raise ArgumentError(
        f"an argument of {type(value).__name__} cannot be part of a model: give numbers, strings, slices, arrays of numbers, "
        f"or lists of them; got {value!r:.100}"
    )


def _parts(value):
    return value.start, value.stop, value.step
