"""GaussianNoise and GaussianDropout: normal numbers added or multiplied while training."""

import math

from .. import ops
from .arguments import check_number
from .random import RandomLayer, check_rate


class _Noise(RandomLayer):
    """What `disturb` makes of inputs and of as many normal numbers of standard deviation `deviation`."""

    def call(self, inputs, training=False):
        """Compute the outputs."""
        if not training or not self.draws or None in inputs.shape:  # where sizes are open, only they are asked for
            return inputs
        normal = self.drawn(lambda state: ops.random_normal(state, inputs.shape, inputs.dtype))
        return self.disturb(inputs, ops.multiply(normal, self.deviation))

    def disturb(self, inputs, noise):
        """Put the noise into the inputs."""
        raise NotImplementedError(f"{type(self).__name__} must define disturb")


class GaussianNoise(_Noise):
    """Add normal noise when training.

    Parameters
    ----------
    stddev : float
        The standard deviation, from 0 to 1.
    seed : int, optional
        Default: the next seed of the process, see `fastconv.utils.set_random_seed`.

    Notes
    -----
    Outputs have the shape of the inputs. The state is that of `Dropout`.

    Examples
    --------
    >>> y = GaussianNoise(0.1, seed=1)(np.ones(10000), training=True).numpy()
    >>> bool(0.09 < y.std() < 0.11)
    True
    """

    def __init__(self, stddev, seed=None, **kwargs):
        super().__init__(seed, **kwargs)
        self.stddev = check_number(self, stddev, "stddev", "a number from 0 to 1", lambda n: 0 <= n <= 1)
        self.deviation = self.stddev
        self.draws = self.stddev > 0

    def disturb(self, inputs, noise):
        """Return the sum."""
        return ops.add(inputs, noise)


class GaussianDropout(_Noise):
    """Multiply by normal numbers of mean 1 when training.

    Parameters
    ----------
    rate : float
        At least 0 and less than 1: their standard deviation is ``sqrt(rate / (1 - rate))``, that of `Dropout`'s factors.
    seed : int, optional
        Default: the next seed of the process, see `fastconv.utils.set_random_seed`.

    Notes
    -----
    Outputs have the shape of the inputs. The state is that of `Dropout`. After Srivastava et al. 2014.

    Examples
    --------
    >>> y = GaussianDropout(0.5, seed=1)(np.ones(10000), training=True).numpy()
    >>> bool(0.97 < y.mean() < 1.03), bool(0.97 < y.std() < 1.03)
    (True, True)
    """

    def __init__(self, rate, seed=None, **kwargs):
        super().__init__(seed, **kwargs)
        self.rate = check_rate(self, rate)
        self.deviation = math.sqrt(self.rate / (1 - self.rate))
        self.draws = self.rate > 0

    def disturb(self, inputs, noise):
        """Return the product with 1 + noise."""
        return ops.multiply(inputs, ops.add(noise, 1.0))
