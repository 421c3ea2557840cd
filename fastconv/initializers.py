"""The values that weights start from.

``initializer(shape, dtype)`` returns a new array. Every one can be named by string (``"glorot_uniform"``), class or object,
and goes into a saved model as ``{"class_name": ..., "config": {...}}``.

=====================================  =========================================================================
``GlorotUniform``, ``GlorotNormal``    variance 2 / (fan_in + fan_out) (Glorot and Bengio 2010)
``HeUniform``, ``HeNormal``            variance 2 / fan_in (He et al. 2015)
``LecunUniform``, ``LecunNormal``      variance 1 / fan_in (LeCun et al. 1998)
``RandomUniform``, ``RandomNormal``    between two bounds; of a mean and deviation
``TruncatedNormal``                    as normal, drawn again beyond two deviations
``Zeros``, ``Ones``, ``Constant``      one value
=====================================  =========================================================================
"""

import math

import numpy as np

from . import config, named
from .errors import ArgumentError

# Standard deviation of a unit normal cut off at +-2: dividing by it restores the variance that was asked for.
_TRUNCATED_STDDEV = 0.87962566103423978
_BLOCK = 1 << 16  # numbers drawn at a time in float64, so that a large kernel needs no second copy of itself


class Initializer:
    """Base class: a subclass has `__call__(shape, dtype)`, and keeps its arguments as attributes of the same name."""

    def __call__(self, shape, dtype=None):
        """Return a new array of `shape`."""
        raise NotImplementedError(f"{type(self).__name__} must define __call__(self, shape, dtype=None)")

    def get_config(self):
        """Return the constructor's arguments, for JSON."""
        return {name: np.asarray(value).tolist() for name, value in vars(self).items()}

    @classmethod
    def from_config(cls, config):
        """Return an initializer from what `get_config` returned."""
        return cls(**config)

    def __repr__(self):
        return f"{type(self).__name__}({', '.join(f'{k}={v!r}' for k, v in self.get_config().items())})"


class Constant(Initializer):
    """One value, or an array that broadcasts to the shape (a fixed kernel, for instance)."""

    def __init__(self, value=0.0):
        self.value = value

    def __call__(self, shape, dtype=None):
        array = np.empty(shape, dtype or config.floatx())
        try:
            array[...] = self.value
        except ValueError as error:
            raise ArgumentError(
                f"Constant: a value of shape {np.shape(self.value)} does not broadcast to a weight of shape {shape}"
            ) from error
        return array


class Zeros(Constant):
    """All zero."""

    def __init__(self):
        super().__init__(0.0)

    def get_config(self):
        """Return the constructor's arguments: none."""
        return {}


class Ones(Constant):
    """All one."""

    def __init__(self):
        super().__init__(1.0)

    def get_config(self):
        """Return the constructor's arguments: none."""
        return {}


class RandomInitializer(Initializer):
    """Base of the random ones: `draw(rng, n, shape)` returns `n` numbers.

    With a `seed` every call gives the same numbers; without one each call takes the next of the process's seeds, which
    `fastconv.utils.set_random_seed` starts.
    """

    def __init__(self, seed=None):
        if seed is not None and (isinstance(seed, bool) or not isinstance(seed, (int, np.integer)) or seed < 0):
            raise ArgumentError(f"{type(self).__name__}: seed must be None or an integer >= 0, got {seed!r}")
        self.seed = seed

    def draw(self, rng, n, shape):
        """Return `n` numbers for a weight of `shape`."""
        raise NotImplementedError(f"{type(self).__name__} must define draw(self, rng, n, shape)")

    def __call__(self, shape, dtype=None):
        rng = np.random.Generator(np.random.Philox(config.next_seed() if self.seed is None else self.seed))
        array = np.empty(shape, dtype or config.floatx())
        flat = array.reshape(-1)
        for start in range(0, flat.size, _BLOCK):
            n = min(_BLOCK, flat.size - start)
            flat[start : start + n] = self.draw(rng, n, array.shape)
        return array


class RandomUniform(RandomInitializer):
    """Uniform on [minval, maxval)."""

    def __init__(self, minval=-0.05, maxval=0.05, seed=None):
        super().__init__(seed)
        self.minval, self.maxval = minval, maxval

    def draw(self, rng, n, shape):
        """Return `n` numbers."""
        return rng.uniform(self.minval, self.maxval, n)


class RandomNormal(RandomInitializer):
    """Normal of a mean and a standard deviation."""

    def __init__(self, mean=0.0, stddev=0.05, seed=None):
        super().__init__(seed)
        self.mean, self.stddev = mean, stddev

    def draw(self, rng, n, shape):
        """Return `n` numbers."""
        return rng.normal(self.mean, self.stddev, n)


class TruncatedNormal(RandomNormal):
    """Normal, with what lies beyond two standard deviations drawn again."""

    def draw(self, rng, n, shape):
        """Return `n` numbers."""
        return self.mean + self.stddev * _truncated(rng, n)


def _truncated(rng, n):
    values = rng.standard_normal(n)
    while (beyond := np.flatnonzero(np.abs(values) > 2)).size:
        values[beyond] = rng.standard_normal(beyond.size)
    return values


def compute_fans(shape):
    """Return (fan_in, fan_out) of a weight: inputs that feed one output, and outputs that one input feeds.

    A kernel is (..., in, out), what stands before is its window. A vector has its length for both.
    """
    if len(shape) < 2:
        fan = shape[0] if shape else 1
        return fan, fan
    window = math.prod(shape[:-2])
    return shape[-2] * window, shape[-1] * window


class VarianceScaling(RandomInitializer):
    """Mean 0 and variance ``scale / n``, where n is the fan that `mode` names.

    Parameters
    ----------
    scale : float
        Positive.
    mode : {"fan_in", "fan_out", "fan_avg"}
    distribution : {"truncated_normal", "untruncated_normal", "uniform"}
    seed : int, optional
    """

    def __init__(self, scale=1.0, mode="fan_in", distribution="truncated_normal", seed=None):
        super().__init__(seed)
        if not scale > 0:
            raise ArgumentError(f"VarianceScaling: scale must be positive, got {scale!r}")
        _check("mode", mode, ("fan_in", "fan_out", "fan_avg"))
        _check("distribution", distribution, ("truncated_normal", "untruncated_normal", "uniform"))
        self.scale, self.mode, self.distribution = scale, mode, distribution

    def draw(self, rng, n, shape):
        """Return `n` numbers."""
        fan_in, fan_out = compute_fans(shape)
        fan = {"fan_in": fan_in, "fan_out": fan_out, "fan_avg": (fan_in + fan_out) / 2}[self.mode]
        variance = self.scale / max(1.0, fan)
        if self.distribution == "uniform":
            limit = math.sqrt(3 * variance)
            return rng.uniform(-limit, limit, n)
        if self.distribution == "untruncated_normal":
            return rng.normal(0, math.sqrt(variance), n)
        return math.sqrt(variance) / _TRUNCATED_STDDEV * _truncated(rng, n)


def _check(name, value, choices):
    if value not in choices:
        raise ArgumentError(f"VarianceScaling: {name} must be one of {', '.join(choices)}, got {value!r}")


class _Scaled(VarianceScaling):
    """A `VarianceScaling` with everything but the seed fixed by the class."""

    fixed = (1.0, "fan_in", "uniform")

    def __init__(self, seed=None):
        super().__init__(*self.fixed, seed=seed)

    def get_config(self):
        """Return the constructor's arguments: the seed."""
        return {"seed": self.seed}


class GlorotUniform(_Scaled):
    """Uniform of variance 2 / (fan_in + fan_out): the default of kernels."""

    fixed = (1.0, "fan_avg", "uniform")


class GlorotNormal(_Scaled):
    """Truncated normal of variance 2 / (fan_in + fan_out)."""

    fixed = (1.0, "fan_avg", "truncated_normal")


class HeUniform(_Scaled):
    """Uniform of variance 2 / fan_in."""

    fixed = (2.0, "fan_in", "uniform")


class HeNormal(_Scaled):
    """Truncated normal of variance 2 / fan_in."""

    fixed = (2.0, "fan_in", "truncated_normal")


class LecunUniform(_Scaled):
    """Uniform of variance 1 / fan_in."""

    fixed = (1.0, "fan_in", "uniform")


class LecunNormal(_Scaled):
    """Truncated normal of variance 1 / fan_in."""

    fixed = (1.0, "fan_in", "truncated_normal")


CLASSES = {
    cls.__name__: cls
    for cls in (
        *(Zeros, Ones, Constant, RandomUniform, RandomNormal, TruncatedNormal, VarianceScaling),
        *(GlorotUniform, GlorotNormal, HeUniform, HeNormal, LecunUniform, LecunNormal),
    )
}
_NAMES = {
    "zeros": Zeros,
    "zero": Zeros,
    "ones": Ones,
    "one": Ones,
    "constant": Constant,
    "uniform": RandomUniform,
    "random_uniform": RandomUniform,
    "normal": RandomNormal,
    "random_normal": RandomNormal,
    "truncated_normal": TruncatedNormal,
    "variance_scaling": VarianceScaling,
    "glorot_uniform": GlorotUniform,
    "glorot_normal": GlorotNormal,
    "he_uniform": HeUniform,
    "he_normal": HeNormal,
    "lecun_uniform": LecunUniform,
    "lecun_normal": LecunNormal,
    **CLASSES,
}


def get(identifier):
    """Return the initializer that a name, class, configuration, object or function stands for; None stays None."""
    if identifier is None or isinstance(identifier, Initializer):
        return identifier
    if isinstance(identifier, str) and identifier in _NAMES:
        return _NAMES[identifier]()
    if isinstance(identifier, dict):
        return deserialize(identifier)
    if isinstance(identifier, type) and issubclass(identifier, Initializer):
        return identifier()
    if callable(identifier):
        return identifier
    names = ", ".join(sorted(name for name in _NAMES if name.islower()))
    raise ArgumentError(f"no initializer is named {identifier!r}; known are {names}")


def serialize(initializer):
    """Return ``{"class_name", "config"}`` of an initializer."""
    return {"class_name": type(initializer).__name__, "config": initializer.get_config()}


def deserialize(config):
    """Return an initializer from what `serialize` returned, looked up by name among those of this module."""
    return named.deserialize("initializer", config, CLASSES.values())
