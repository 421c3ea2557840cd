"""Zeros at random while training: single ones, or whole channels."""

import numpy as np

from .. import ops
from ..errors import ArgumentError, ShapeError
from .docstring import fill_in
from .images import check_data_format
from .random import RandomLayer, check_rate


class _Dropout(RandomLayer):
    """What makes zeros: elements that share a random number live or die together."""

    def __init__(self, rate, seed, **kwargs):
        super().__init__(seed, **kwargs)
        self.rate = check_rate(self, rate)
        self.draws = self.rate > 0

    def _noise_shape(self, shape):
        """Return how many random numbers an input takes along each axis: its size, or 1."""
        raise NotImplementedError(f"{type(self).__name__} must define _noise_shape")

    def call(self, inputs, training=False):
        """Compute the outputs."""
        noise = self._noise_shape(inputs.shape)
        if not training or not self.draws or None in inputs.shape:  # where sizes are open, only they are asked for
            return inputs
        if noise == inputs.shape:
            return self.drawn(lambda state: ops.dropout(inputs, state, self.rate))
        ones = np.ones(noise, inputs.dtype)
        return ops.multiply(inputs, self.drawn(lambda state: ops.dropout(ones, state, self.rate)))


class Dropout(_Dropout):
    """Set elements to zero with probability `rate` when training, and multiply the others by ``1 / (1 - rate)``.

    Parameters
    ----------
    rate : float
        At least 0 and less than 1.
    noise_shape : tuple of int or None, optional
        With the batch: 1 where all places along an axis live or die together, None for the size of the input.
    seed : int, optional
        Default: the next seed of the process, see `fastconv.utils.set_random_seed`.

    Notes
    -----
    The state ``seed_state`` (key, counter) is a variable, not a weight: each training call uses it and moves it. After
    Srivastava et al. 2014.

    Examples
    --------
    >>> y = Dropout(0.5, noise_shape=(None, 1), seed=1)(np.ones((4, 3)), training=True).numpy()
    >>> y.min(1) == y.max(1)
    array([ True,  True,  True,  True])
    """

    def __init__(self, rate, noise_shape=None, seed=None, **kwargs):
        super().__init__(rate, seed, **kwargs)
        self.noise_shape = None
        if noise_shape is not None:
            if not isinstance(noise_shape, (list, tuple)) or not all(
                n is None or (isinstance(n, (int, np.integer)) and not isinstance(n, bool) and n > 0)
                for n in noise_shape
            ):
                raise ArgumentError(
                    f"{self._title()}: noise_shape must be positive integers or None, batch first, got {noise_shape!r}"
                )
            self.noise_shape = tuple(None if n is None else int(n) for n in noise_shape)

    def _noise_shape(self, shape):
        if self.noise_shape is None:
            return shape
        noise = self.noise_shape
        if len(noise) == len(shape):
            noise = tuple(n if m is None else m for m, n in zip(noise, shape, strict=True))
            if all(m == 1 or m == n or n is None for m, n in zip(noise, shape, strict=True)):
                return noise
        raise ShapeError(
            f"noise_shape={self.noise_shape} must be 1, None or the size along each axis of inputs {shape}"
        )


class _SpatialDropout(_Dropout):
    """Set whole channels to zero with probability `rate` when training, and multiply the others by ``1 / (1 - rate)``.

    Neighbouring pixels tell the same: without its neighbours, one is hardly missed.

    Parameters
    ----------
    rate : float
        At least 0 and less than 1.
    data_format : {"channels_last", "channels_first"}, optional
    seed : int, optional
        Default: the next seed of the process, see `fastconv.utils.set_random_seed`.

    Notes
    -----
    SHAPES The state is that of `Dropout`. After Tompson et al. 2015.

    Examples
    --------
    EXAMPLE
    """

    rank = 2

    def __init__(self, rate, data_format=None, seed=None, **kwargs):
        super().__init__(rate, seed, **kwargs)
        self.data_format = check_data_format(self, data_format)

    def _noise_shape(self, shape):
        if len(shape) != self.rank + 2:
            raise ShapeError(f"inputs must have {self.rank + 2} dimensions, got shape {tuple(shape)}")
        kept = (0, 1) if self.data_format == "channels_first" else (0, self.rank + 1)
        return tuple(n if i in kept else 1 for i, n in enumerate(shape))


def _doc(rank, shape):
    axes, sizes = tuple(range(1, rank + 1)), "8, " * rank
    example = f""">>> y = SpatialDropout{rank}D(0.5, seed=1)(np.ones((2, {sizes}5)), training=True).numpy()
    >>> bool((y.min({axes}) == y.max({axes})).all())
    True"""
    return fill_in(_SpatialDropout, SHAPES=f"Inputs {shape}, outputs the same.", EXAMPLE=example)


class SpatialDropout1D(_SpatialDropout):
    __doc__ = _doc(1, "(N, L, C)")
    rank = 1

    def __init__(self, rate, seed=None, data_format=None, **kwargs):
        super().__init__(rate, data_format, seed, **kwargs)


class SpatialDropout2D(_SpatialDropout):
    __doc__ = _doc(2, "(N, H, W, C)")
    rank = 2


class SpatialDropout3D(_SpatialDropout):
    __doc__ = _doc(3, "(N, D, H, W, C)")
    rank = 3
