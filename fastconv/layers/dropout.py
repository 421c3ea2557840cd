"""Dropout: zeros at random while training."""

import numpy as np

from .. import config, ops
from ..errors import ArgumentError
from .base import Layer


class Dropout(Layer):
    """Set elements to zero with probability `rate` when training, and multiply the others by ``1 / (1 - rate)``.

    Parameters
    ----------
    rate : float
        At least 0 and less than 1.
    noise_shape : None
        Anything else is refused.
    seed : int, optional
        Default: the next seed of the process, see `fastconv.utils.set_random_seed`.

    Notes
    -----
    The state ``seed_state`` (key, counter) is a variable, not a weight: each training call uses it and moves it. After
    Srivastava et al. 2014.
    """

    def __init__(self, rate, noise_shape=None, seed=None, **kwargs):
        super().__init__(**kwargs)
        if isinstance(rate, bool) or not isinstance(rate, (int, float, np.number)) or not 0 <= rate < 1:
            raise ArgumentError(f"{self._title()}: rate must be a number of at least 0 and less than 1, got {rate!r}")
        if seed is not None and (isinstance(seed, bool) or not isinstance(seed, (int, np.integer)) or seed < 0):
            raise ArgumentError(f"{self._title()}: seed must be None or an integer >= 0, got {seed!r}")
        self.rate, self.seed = float(rate), None if seed is None else int(seed)
        self._only_none(noise_shape=noise_shape)

    def build(self, input_shape):
        """Make the random state."""
        if self.rate > 0:
            self.seed_state = self.add_state((2,), self._first_state, "uint64", "seed_state")

    def _first_state(self, shape, dtype):
        key = config.next_seed() if self.seed is None else self.seed
        return np.array([key % 2**64, 0], dtype)

    def call(self, inputs, training=False):
        """Compute the outputs."""
        if not training or self.rate == 0:
            return inputs
        y, new_state = ops.dropout(inputs, self.seed_state, self.rate)
        self.seed_state.assign(new_state)
        return y
