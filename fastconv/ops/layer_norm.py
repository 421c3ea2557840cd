"""Layer and group normalisation, of operations that exist: each sample loses its own mean and its own scale.

The variance is the mean of squares of what is left after the mean, by a second pass: it loses nothing where the mean is large.
"""

import numpy as np

from ..autograd import Tensor, as_tensor
from ..errors import ArgumentError, ShapeError
from ._checks import check_rank
from .elementwise import add, divide, multiply, sqrt, square, subtract
from .global_pool import global_avg_pool1d, global_avg_pool2d, global_avg_pool3d
from .matmul import matmul
from .reduce import mean, normalize_axis

_POOLS = {3: global_avg_pool1d, 4: global_avg_pool2d, 5: global_avg_pool3d}


def _centred(x, means, epsilon):
    """Return (x less its means, its deviations); `means` makes of an array those that it broadcasts with."""
    centred = subtract(x, means(x))
    return centred, sqrt(add(means(square(centred)), epsilon))


def layer_normalization(x, gamma=None, beta=None, axis=-1, epsilon=1e-3):
    """Return `x` with mean 0 and variance 1 along axes, then times `gamma` plus `beta` (Ba, Kiros, Hinton, 2016).

    Parameters
    ----------
    x : Tensor or array_like
        Of float32 or float64.
    gamma, beta : Tensor or array_like, optional
        Of the sizes of these axes, in their order.
    axis : int or sequence of int
    epsilon : float
        Added to the variance.

    Returns
    -------
    Tensor
        Of the shape of `x`.

    Raises
    ------
    ArgumentError, ShapeError, DTypeError
        When an axis is none of x, or gamma or beta do not fit.

    Examples
    --------
    >>> fastconv.ops.layer_normalization([[1.0, 3.0], [10.0, 30.0]], epsilon=1e-9).numpy()
    array([[-1.,  1.],
           [-1.,  1.]], dtype=float32)
    """
    x = as_tensor(x)
    axes = normalize_axis(axis, x.ndim)
    sizes = tuple(x.shape[i] for i in axes)
    spread = tuple(n if i in axes else 1 for i, n in enumerate(x.shape))

    def vector(value, name):
        if value is None:
            return None
        value = as_tensor(value)
        if value.shape != sizes:
            raise ShapeError(
                f"layer_normalization needs {name} of shape {sizes}, that of axes {axes}, got {value.shape}"
            )
        return value if spread[-len(axes) :] == sizes else value.reshape(spread)

    gamma, beta = vector(gamma, "gamma"), vector(beta, "beta")
    centred, deviation = _centred(x, lambda z: mean(z, axes, keepdims=True), epsilon)
    y = divide(centred, deviation)
    y = y if gamma is None else multiply(y, gamma)
    return y if beta is None else add(y, beta)


def group_normalization(x, gamma=None, beta=None, groups=32, epsilon=1e-3):
    """Return images with mean 0 and variance 1 in each group of channels, then times `gamma` plus `beta` (Wu and He, 2018).

    Parameters
    ----------
    x : Tensor or array_like
        (N, ..., C) of float32 or float64.
    gamma, beta : Tensor or array_like, optional
        (C,).
    groups : int
        Of neighbouring channels, all of one size; C of them normalise each channel of each image by itself.
    epsilon : float
        Added to the variance.

    Returns
    -------
    Tensor
        Of the shape of `x`.

    Raises
    ------
    ArgumentError, ShapeError, DTypeError
        When the groups do not divide the channels, or gamma or beta do not fit.

    Examples
    --------
    >>> x = np.arange(8.0).reshape(1, 2, 4)
    >>> fastconv.ops.group_normalization(x, groups=2).numpy().mean((0, 1)).round(2).tolist()
    [-0.24, 0.24, -0.24, 0.24]
    """
    x = as_tensor(x)
    check_rank("group_normalization", "x", x, "(N, ..., C)")
    channels = x.shape[-1]
    if channels is None or groups < 1 or channels % groups:
        raise ArgumentError(f"group_normalization needs groups that divide the channels, {channels}, got {groups!r}")
    pool, size = _POOLS.get(x.ndim), channels // groups
    # Of the means of channels those of their groups: any sizes of images, and no other shape of them.
    share = np.kron(np.eye(groups), np.full((size, size), 1 / size))
    share = None if size == 1 else Tensor(share.astype(x.dtype))

    def means(z):
        z = mean(z, tuple(range(1, z.ndim - 1)), keepdims=True) if pool is None else pool(z, keepdims=True)
        return z if share is None else matmul(z, share)

    centred, deviation = _centred(x, means, epsilon)
    y = divide(centred, deviation) if gamma is None else multiply(centred, divide(gamma, deviation))
    return y if beta is None else add(y, beta)
