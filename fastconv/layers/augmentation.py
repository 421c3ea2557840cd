"""Augmentation: images that are flipped and shifted at random while training."""

import math

import numpy as np

from .. import ops
from ..autograd import as_tensor
from ..errors import ArgumentError
from .arguments import check_number
from .images import ImageLayer
from .random import RandomLayer

FLIPS = {"horizontal": (2,), "vertical": (1,), "horizontal_and_vertical": (1, 2)}  # the axes, channels last
# How far beyond an image of n a place is read: the place within it for each of -n ... 2 n - 1, None outside.
FILLS = {
    "constant": lambda i, n: i if 0 <= i < n else None,
    "nearest": lambda i, n: min(max(i, 0), n - 1),
    "reflect": lambda i, n: i % n if 0 <= i < n else (-1 - i) % n,
    "wrap": lambda i, n: i % n,
}


class _Augmentation(ImageLayer, RandomLayer):
    """What changes every image by random numbers of its own when training, and no image otherwise."""

    def __init__(self, seed, data_format, **kwargs):
        super().__init__(data_format, seed=seed, **kwargs)

    def call(self, inputs, training=True):
        """Compute the outputs."""
        self._check_rank(inputs.shape)
        if not training or not self.draws or None in inputs.shape:  # where sizes are open, only they are asked for
            return inputs
        return super().call(inputs)

    def _one_of(self, value, name, known):
        if not isinstance(value, str) or value not in known:
            raise ArgumentError(f"{self._title()}: {name} must be one of {', '.join(map(repr, known))}, got {value!r}")
        return value


class RandomFlip(_Augmentation):
    """Mirror half of the images, each or not by chance, when training.

    Parameters
    ----------
    mode : {"horizontal_and_vertical", "horizontal", "vertical"}
        Both: an image is turned by 180 degrees, or stays; put two layers one after another for one chance each.
    seed : int, optional
        Default: the next seed of the process, see `fastconv.utils.set_random_seed`.
    data_format : {"channels_last", "channels_first"}, optional

    Notes
    -----
    Inputs (N, H, W, C), outputs the same. Called by itself the layer is in training, as Keras's is; `predict` and `evaluate`
    leave images alone. The state is that of `Dropout`.

    Examples
    --------
    >>> x = np.arange(3.0).reshape(1, 1, 3, 1)
    >>> y = RandomFlip("horizontal", seed=1)(np.repeat(x, 1000, 0)).numpy()
    >>> bool(450 < (y[:, 0, 0, 0] == 2).sum() < 550)
    True
    """

    def __init__(self, mode="horizontal_and_vertical", seed=None, data_format=None, **kwargs):
        super().__init__(seed, data_format, **kwargs)
        self.mode = self._one_of(mode, "mode", FLIPS)

    def call_channels_last(self, inputs):
        """Compute the outputs from inputs, channels last."""
        ones = np.ones((inputs.shape[0], 1, 1, 1), inputs.dtype)
        chosen = ops.multiply(self.drawn(lambda state: ops.dropout(ones, state, 0.5)), 0.5)  # each 0 or 1
        flipped = inputs[tuple(slice(None, None, -1 if axis in FLIPS[self.mode] else None) for axis in range(4))]
        return ops.add(ops.multiply(inputs, 1.0 - chosen), ops.multiply(flipped, chosen))


class RandomTranslation(_Augmentation):
    """Shift each image by a random share of its size when training.

    Parameters
    ----------
    height_factor, width_factor : float, or (float, float)
        The least and the largest shift as a share of the size, from -1 to 1, down and to the right; one number f: from -f to f.
    fill_mode : {"reflect", "constant", "nearest", "wrap"}
        What comes in at the edges: ``d c b a | a b c d | d c b a``, `fill_value`, ``a a a a | a b c d | d d d d``,
        ``a b c d | a b c d | a b c d``.
    interpolation : {"bilinear", "nearest"}
        Between pixels, or shifts by whole pixels.
    seed : int, optional
        Default: the next seed of the process, see `fastconv.utils.set_random_seed`.
    fill_value : float
    data_format : {"channels_last", "channels_first"}, optional

    Notes
    -----
    Inputs (N, H, W, C), outputs the same. Called by itself the layer is in training, as Keras's is; `predict` and `evaluate`
    leave images alone. The state is that of `Dropout`.

    Examples
    --------
    >>> x = np.arange(4.0).reshape(1, 1, 4, 1)
    >>> RandomTranslation(0.0, (0.25, 0.25), fill_mode="nearest")(x).numpy().ravel()
    array([0., 0., 1., 2.], dtype=float32)
    """

    def __init__(
        self,
        height_factor,
        width_factor,
        fill_mode="reflect",
        interpolation="bilinear",
        seed=None,
        fill_value=0.0,
        data_format=None,
        **kwargs,
    ):
        super().__init__(seed, data_format, **kwargs)
        self.height_factor, self.width_factor = height_factor, width_factor
        self._ranges = self._range(height_factor, "height_factor"), self._range(width_factor, "width_factor")
        self.fill_mode = self._one_of(fill_mode, "fill_mode", FILLS)
        self.interpolation = self._one_of(interpolation, "interpolation", ("bilinear", "nearest"))
        self.fill_value = check_number(self, fill_value, "fill_value", "a finite number", math.isfinite)
        self.draws = self._ranges != ((0, 0), (0, 0))

    def _range(self, factor, name):
        pair = factor if isinstance(factor, (list, tuple)) and len(factor) == 2 else (factor,)
        ends = [check_number(self, n, name, "a number from -1 to 1, or two", lambda n: -1 <= n <= 1) for n in pair]
        return (min(ends), max(ends)) if len(ends) == 2 else (-abs(ends[0]), abs(ends[0]))

    def call_channels_last(self, inputs):
        """Compute the outputs from inputs, channels last."""
        shape = (inputs.shape[0], 2)
        normal = self.drawn(lambda state: ops.random_normal(state, shape, inputs.dtype))
        uniform = 0.5 + 0.5 * ops.erf(normal * math.sqrt(0.5))  # a normal number's share of the distribution is uniform
        fill = self.fill_value if self.fill_mode == "constant" else 0.0
        y = inputs - fill if fill else inputs  # what comes in are then zeros
        for axis, (low, high) in enumerate(self._ranges):
            if (low, high) != (0, 0):
                y = self._shifted(y, axis + 1, low + (high - low) * uniform[:, axis])
        return y + fill if fill else y

    def _shifted(self, x, axis, shares):
        """Return images shifted along an axis, by a product: each place is a mean of two places, by their distances from it."""
        n = x.shape[axis]
        shifts = shares.reshape(-1, 1, 1) * float(n)
        if self.interpolation == "nearest":
            shifts = ops.round(shifts)
        places = as_tensor(np.arange(n, dtype=x.dtype).reshape(1, n, 1)) - shifts
        distances = ops.abs(places - as_tensor(np.arange(-n, 2 * n, dtype=x.dtype)))
        matrices = ops.matmul(ops.relu(1.0 - distances), as_tensor(_fill(self.fill_mode, n, x.dtype)))
        order = (0, axis, *(i for i in (1, 2, 3) if i != axis))
        turned = x if axis == 1 else x.transpose(*order)
        y = ops.matmul(matrices, turned.reshape(x.shape[0], n, -1)).reshape(*turned.shape)
        return y if axis == 1 else y.transpose(*order)  # two axes change places: the same order leads back


def _fill(mode, n, dtype):
    """Return the matrix (3 n, n) that says which place within an image stands for each of -n ... 2 n - 1."""
    matrix = np.zeros((3 * n, n), dtype)
    for row, i in enumerate(range(-n, 2 * n)):
        place = FILLS[mode](i, n)
        if place is not None:
            matrix[row, place] = 1
    return matrix
