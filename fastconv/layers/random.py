"""What the layers that draw random numbers share: the seed, and a state that every draw moves."""

import numpy as np

from .. import config
from ..errors import ArgumentError
from .arguments import check_number
from .base import Layer


def check_rate(layer, rate):
    """Return a share of at least 0 and less than 1."""
    return check_number(layer, rate, "rate", "a number of at least 0 and less than 1", lambda n: 0 <= n < 1)


class RandomLayer(Layer):
    """A layer with a random state, where `draws` says that it needs one: a variable that is no weight, (key, counter)."""

    draws = True

    def __init__(self, seed, **kwargs):
        super().__init__(**kwargs)
        if seed is not None and (isinstance(seed, bool) or not isinstance(seed, (int, np.integer)) or seed < 0):
            raise ArgumentError(f"{self._title()}: seed must be None or an integer >= 0, got {seed!r}")
        self.seed = None if seed is None else int(seed)

    def build(self, input_shape):
        """Make the random state."""
        if self.draws:
            self.seed_state = self.add_state((2,), self._first_state, "uint64", "seed_state")

    def _first_state(self, shape, dtype):
        key = config.next_seed() if self.seed is None else self.seed
        return np.array([key % 2**64, 0], dtype)

    def drawn(self, draw):
        """Return the first of what `draw` makes of the state; the second is the state from now on."""
        y, new_state = draw(self.seed_state)
        self.seed_state.assign(new_state)
        return y
