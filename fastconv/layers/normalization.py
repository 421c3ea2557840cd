"""Normalization: mean 0 and variance 1 by statistics of a data set, known before training."""

import math

import numpy as np

from .. import ops
from ..autograd import Tensor, as_tensor
from ..errors import ArgumentError, DTypeError, ShapeError
from .arguments import check_numbers
from .axes import check_axes, resolve_axes
from .base import Layer

EPSILON = 1e-7  # the smallest standard deviation
_SAMPLES = 1024  # of an array are looked at together: in float64, they take eight bytes a number


class Normalization(Layer):
    """``(inputs - mean) / sqrt(variance)``, by statistics that are given, or found in data by `adapt`.

    Parameters
    ----------
    axis : int, list of int, or None
        The axes that keep a mean and a variance for each of their places; None: one for all.
    mean, variance : float or list, optional
        Both or none; of the shape of these axes, or what broadcasts to it.
    invert : bool
        Undo it: ``inputs * sqrt(variance) + mean``.

    Notes
    -----
    Outputs have the shape of the inputs. Without `mean` there are the weights ``mean``, ``variance`` and ``count``, which Keras
    has and does not use; an optimizer leaves them alone.

    Examples
    --------
    >>> layer = Normalization()
    >>> layer.adapt(np.array([[0.0, 10.0], [2.0, 30.0]]))
    >>> layer(np.array([[1.0, 40.0]])).numpy()
    array([[0., 2.]], dtype=float32)
    >>> Normalization(mean=3.0, variance=4.0)(np.array([[1.0], [5.0]])).numpy().ravel()
    array([-1.,  1.], dtype=float32)
    """

    _kept_as = {"mean": "input_mean", "variance": "input_variance"}

    def __init__(self, axis=-1, mean=None, variance=None, invert=False, **kwargs):
        super().__init__(**kwargs)
        axis = () if axis is None else axis
        self.axis = () if axis in ((), []) else tuple(np.atleast_1d(check_axes(self, axis)).tolist())
        if (mean is None) != (variance is None):
            raise ArgumentError(
                f"{self._title()}: give both mean and variance, or none; got {mean!r:.100} and {variance!r:.100}"
            )
        self.input_mean = self.input_variance = None
        if mean is not None:
            self.input_mean = check_numbers(self, mean, "mean")
            self.input_variance = check_numbers(self, variance, "variance")
            shape = np.shape(self.input_mean)
            if shape != np.shape(self.input_variance) or len(shape) > len(self.axis):
                raise ArgumentError(
                    f"{self._title()}: mean and variance must have one shape, of at most {len(self.axis)} axes for "
                    f"axis={self.axis}, got {shape} and {np.shape(self.input_variance)}"
                )
        self.invert = bool(invert)
        self.mean = self.variance = None

    def build(self, input_shape):
        """Make ``mean``, ``variance`` and ``count``, or take what was given."""
        self._kept = resolve_axes(self.axis, input_shape)
        shape = tuple(input_shape[axis] for axis in self._kept)
        if None in shape:
            raise ShapeError(f"the sizes of axis={self.axis} must be known, got the input shape {tuple(input_shape)}")
        self._spread = tuple(n if i in self._kept else 1 for i, n in enumerate(input_shape))
        if self.input_mean is None:
            self.mean = self.add_weight(shape, "zeros", trainable=False, name="mean")
            self.variance = self.add_weight(shape, "ones", trainable=False, name="variance")
            self.count = self.add_weight((), "zeros", dtype="int32", trainable=False, name="count")
            return
        try:
            given = [np.broadcast_to(value, shape) for value in (self.input_mean, self.input_variance)]
        except ValueError:
            raise ShapeError(
                f"mean of shape {np.shape(self.input_mean)} does not broadcast to {shape}, axis={self.axis} of the "
                f"input shape {tuple(input_shape)}"
            ) from None
        self.mean, self.variance = (as_tensor(np.array(value, self.dtype)) for value in given)

    def call(self, inputs):
        """Compute the outputs."""
        self._check(inputs.shape)
        mean = self.mean.reshape(self._spread)
        deviation = ops.maximum(ops.sqrt(self.variance.reshape(self._spread)), EPSILON)
        return inputs * deviation + mean if self.invert else (inputs - mean) / deviation

    def _check(self, shape):
        if len(shape) != len(self._spread) or any(shape[i] not in (None, self._spread[i]) for i in self._kept):
            raise ShapeError(
                f"inputs must have {len(self._spread)} axes and fit {self._spread}, the shape of mean and variance, as "
                f"those it was built for, got shape {tuple(shape)}"
            )

    def adapt(self, data):
        """Take mean and variance from data, in place of what they were.

        Parameters
        ----------
        data : array, or iterable of arrays
            All samples, or batches of them; of pairs (x, y), as data sets yield them, x counts.

        Raises
        ------
        ArgumentError
            The layer was given its mean, or there is no data.
        DTypeError, ShapeError
            It holds no numbers, or does not fit what the layer was built for.
        """
        if self.input_mean is not None:
            raise ArgumentError(f"{self._title()}: adapt would overwrite the mean that was given")
        count, mean, squares = 0, 0.0, 0.0
        for batch in self._batches(data):
            if not self.built:
                self.build(batch.shape)
            self._check(batch.shape)
            others = tuple(i for i in range(batch.ndim) if i not in self._kept)
            # The sum of squares of two parts: Chan, Golub, LeVeque, "Updating formulae", 1979.
            size = math.prod(batch.shape[i] for i in others)
            own, total = batch.mean(others), count + size
            squares = squares + batch.var(others) * size + np.square(own - mean) * (count * size / total)
            mean, count = mean + (own - mean) * (size / total), total
        if not count:
            raise ArgumentError(f"{self._title()}: adapt got no data")
        self.mean.assign(np.asarray(mean, self.dtype))
        self.variance.assign(np.asarray(squares / count, self.dtype))

    def _batches(self, data):
        """Yield arrays of float64."""
        if isinstance(data, (np.ndarray, Tensor)):
            array = self._numbers(data)
            # Where the batch keeps its places there is nothing to cut.
            whole = not array.ndim or 0 in resolve_axes(self.axis, array.shape)
            cuts = [array] if whole else (array[i : i + _SAMPLES] for i in range(0, len(array), _SAMPLES))
        elif hasattr(data, "__iter__") and not isinstance(data, (str, bytes, dict)):
            cuts = (self._numbers(batch[0] if isinstance(batch, tuple) else batch) for batch in data)
        else:
            raise DTypeError(
                f"{self._title()}: adapt takes an array or an iterable of batches, got {type(data).__name__}"
            )
        return (cut.astype(np.float64) for cut in cuts if cut.size)

    def _numbers(self, value):
        array = value.numpy() if isinstance(value, Tensor) else np.asarray(value)
        if array.dtype.kind not in "fiub":
            raise DTypeError(f"{self._title()}: adapt takes numbers, got an array of {array.dtype}")
        return array
