"""Input: where a layer graph begins."""

import numpy as np

from ..autograd import Symbol
from ..errors import ArgumentError, ShapeError
from ..op import Spec
from .base import Layer
from .node import Node, is_shape


class InputLayer(Layer):
    """The layer behind `Input`; passes on what it gets.

    Parameters
    ----------
    shape : tuple of int or None
        Without the batch; None where a dimension may vary.
    batch_size : int, optional
    dtype : {"float32", "float64"}, optional
    sparse : None
        Anything but None and False is refused.
    batch_shape : tuple, optional
        With the batch, instead of `shape` and `batch_size`.
    """

    def __init__(
        self,
        shape=None,
        batch_size=None,
        dtype=None,
        sparse=None,
        batch_shape=None,
        optional=False,
        name=None,
        **kwargs,
    ):
        super().__init__(name=name, dtype=dtype, **kwargs)
        self._refuse(sparse=sparse or None, optional=optional or None)
        if (shape is None) == (batch_shape is None):
            raise ArgumentError(f"{self._title()}: give either shape or batch_shape")
        if shape is not None:
            if isinstance(shape, (int, np.integer)):
                raise ShapeError(f"{self._title()}: shape must be a tuple, got {shape!r}; one number is ({shape},)")
            batch_shape = (batch_size, *shape) if is_shape(shape) else shape
        if not is_shape(batch_shape) or not batch_shape or any(n is not None and n < 1 for n in batch_shape):
            raise ShapeError(
                f"{self._title()}: the shape must be positive integers or None, got {batch_shape!r} (batch first)"
            )
        self.batch_shape = tuple(None if n is None else int(n) for n in batch_shape)
        self.built, self._build_shape = True, self.batch_shape
        self._nodes.append(Node(self, (), {}, Symbol(Spec(self.batch_shape, self.dtype))))

    @property
    def batch_size(self):
        """The batch size, None where it may vary."""
        return self.batch_shape[0]

    @property
    def input(self):
        """The symbolic tensor."""
        return self.output

    @property
    def input_shape(self):
        """The shape, batch first."""
        return self.batch_shape

    def call(self, inputs):
        """Return the inputs."""
        return inputs

    def get_config(self):
        """Return the constructor's arguments."""
        return {"batch_shape": list(self.batch_shape), "dtype": self.dtype, "name": self.name}

    def __reduce__(self):
        return type(self).from_config, (self.get_config(),)


def Input(shape=None, batch_size=None, dtype=None, sparse=None, batch_shape=None, name=None, optional=False):
    """Return the symbolic tensor with which a layer graph begins.

    Parameters
    ----------
    shape : tuple of int or None
        Without the batch; None where a dimension may vary.
    batch_size : int, optional
    dtype : {"float32", "float64"}, optional
    batch_shape : tuple, optional
        With the batch, instead of `shape` and `batch_size`.
    name : str, optional

    Examples
    --------
    >>> x = Input((28, 28, 1))
    >>> x.shape
    (None, 28, 28, 1)
    """
    layer = InputLayer(shape, batch_size, dtype, sparse, batch_shape, optional, name)
    return layer.output
