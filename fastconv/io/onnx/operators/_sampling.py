"""Values of images between their pixels."""

import itertools

import numpy as np


def gather(x, places, inside=None):
    """Return pixels of images.

    Parameters
    ----------
    x : ndarray, (N, C, *size)
    places : list of integer ndarray, (N, *points)
        One for each spatial axis; what lies outside is taken from the border,
    inside : ndarray of bool, (N, *points), optional
        or is 0 where this is not true.

    Returns
    -------
    ndarray, (N, C, *points)
    """
    images, channels, *size = x.shape
    flat = np.zeros(places[0].shape, np.int64)
    for place, n in zip(places, size, strict=True):
        flat = flat * n + np.clip(place, 0, n - 1)
    points = flat.shape[1:]
    flat = np.broadcast_to(flat.reshape(images, 1, -1), (images, channels, flat[0].size))
    y = np.take_along_axis(x.reshape(images, channels, -1), flat, 2).reshape(images, channels, *points)
    return y if inside is None else np.where(inside[:, None], y, 0)


def sample_linear(x, where, outside=None):
    """Return images at points between pixels, by linear interpolation.

    Parameters
    ----------
    x : ndarray, (N, C, *size)
    where : list of ndarray, (N, *points)
        One for each spatial axis, in pixels.
    outside : callable, optional
        (places, size) -> places, for pixels outside: which ones take their place. None: they are 0.
    """
    lows = [np.floor(place) for place in where]
    total = 0
    for corner in itertools.product((0, 1), repeat=len(where)):
        weight = 1
        for place, low, far in zip(where, lows, corner, strict=True):
            weight = weight * (place - low if far else 1 - (place - low))
        places = [(low + far).astype(np.int64) for low, far in zip(lows, corner, strict=True)]
        total = total + pixels(x, places, outside) * weight[:, None]
    return total.astype(x.dtype)


def pixels(x, places, outside=None):
    """Return pixels, (N, C, *points); those outside are 0, or found by `outside`; see `sample_linear`."""
    size = x.shape[2:]
    if outside is not None:
        return gather(x, [outside(place, n) for place, n in zip(places, size, strict=True)])
    inside = np.ones(places[0].shape, bool)
    for place, n in zip(places, size, strict=True):
        inside &= (place >= 0) & (place < n)
    return gather(x, places, inside)
