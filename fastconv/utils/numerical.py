"""Arrays of labels."""

import numpy as np

from ..errors import ArgumentError, DTypeError


def to_categorical(x, num_classes=None):
    """Turn class numbers into one-hot vectors, for ``loss="categorical_crossentropy"``.

    Parameters
    ----------
    x : array_like of int, shape (...) or (..., 1)
        Class numbers from 0 to `num_classes` - 1. Floats that are whole numbers are taken too.
    num_classes : int, optional
        ``max(x) + 1`` if left out.

    Returns
    -------
    categorical : ndarray of float64, shape (..., num_classes)
        A last axis of length 1 of `x` is dropped, so labels (n, 1) and (n,) give the same.

    Raises
    ------
    DTypeError
        `x` has no numbers.
    ArgumentError
        A class number out of range or not whole, or no `num_classes` for an empty `x`.

    Examples
    --------
    >>> to_categorical([0, 2, 1])
    array([[1., 0., 0.],
           [0., 0., 1.],
           [0., 1., 0.]])
    """
    x = np.asarray(x)
    if x.dtype.kind not in "biuf":
        raise DTypeError(f"x must hold class numbers, got dtype {x.dtype}")
    labels = x.astype(np.int64) if np.all(np.isfinite(x)) else None
    if labels is None or not np.array_equal(labels, x):
        raise ArgumentError("x must hold whole class numbers, got fractions, NaN or infinities")
    if labels.ndim > 1 and labels.shape[-1] == 1:
        labels = labels[..., 0]
    if num_classes is not None and (
        isinstance(num_classes, bool) or not isinstance(num_classes, (int, np.integer)) or num_classes < 1
    ):
        raise ArgumentError(f"num_classes must be an integer >= 1, got {num_classes!r}")
    if num_classes is None:
        if not labels.size:
            raise ArgumentError("x is empty: num_classes must be given")
        num_classes = int(labels.max()) + 1
    if labels.size and not 0 <= labels.min() <= labels.max() < num_classes:
        raise ArgumentError(
            f"x must be from 0 to num_classes - 1 = {num_classes - 1}, got {labels.min()} to {labels.max()}"
        )
    categorical = np.zeros((labels.size, num_classes))
    categorical[np.arange(labels.size), labels.ravel()] = 1
    return categorical.reshape(*labels.shape, num_classes)
