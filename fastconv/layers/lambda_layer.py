"""Lambda: a function as a layer."""

import inspect

from ..errors import ArgumentError, UnsupportedOpError
from .base import Layer
from .serialization import registered_name


class Lambda(Layer):
    """Call a function of tensors.

    Parameters
    ----------
    function : callable
        Takes the inputs, and `training` if it has such an argument; returns tensors. It is traced like `Layer.call`, so it uses
        operators and `fastconv.ops`, not NumPy.
    output_shape : None
        The outputs' shape is inferred; anything else is refused.
    mask : None
        Anything else is refused.
    arguments : dict, optional
        More keyword arguments of the function.

    Notes
    -----
    A file holds data and no code: only a function that `register_serializable` knows can be saved.

    Examples
    --------
    >>> Lambda(lambda x: x * 2.0)(np.array([1.0, 2.0])).numpy()
    array([2., 4.], dtype=float32)
    """

    _kept_as = {"output_shape": "_given_output_shape"}  # `output_shape` of a layer is what it has inferred

    def __init__(self, function, output_shape=None, mask=None, arguments=None, **kwargs):
        super().__init__(**kwargs)
        if not callable(function):
            raise ArgumentError(f"{self._title()}: function must be callable, got {function!r}")
        if arguments is not None and not isinstance(arguments, dict):
            raise ArgumentError(f"{self._title()}: arguments must be a dict of keyword arguments, got {arguments!r}")
        self._refuse(output_shape=output_shape)
        self._only_none(mask=mask)
        self._given_output_shape = None
        self.function, self.arguments = function, dict(arguments or {})
        try:
            self._asks_for_training = "training" in inspect.signature(function).parameters
        except ValueError:  # a built-in function need not have a signature
            self._asks_for_training = False

    def call(self, inputs, training=None):
        """Compute the outputs."""
        more = {"training": training} if self._asks_for_training else {}
        return self.function(inputs, **self.arguments, **more)

    def get_config(self):
        """Return the constructor's arguments, if the function has a name that a file can hold."""
        if registered_name(self.function) is None:
            raise UnsupportedOpError(
                f"{self._title()} cannot be saved, a file holds no code: decorate a named function with "
                "fastconv.layers.register_serializable, or write a subclass of Layer"
            )
        return super().get_config()
