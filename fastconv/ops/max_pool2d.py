"""Max pooling: the largest value of each window, channel by channel.

The forward pass saves which position of the window won, so that the backward pass needs neither x nor y.
"""

import numpy as np

from ..autograd import apply
from ..op import Spec
from . import _pooling


def infer(specs, attrs):
    y = _pooling.infer(specs, attrs, "max_pool2d")
    return {"y": y, "index": Spec(y.shape, _pooling.index_dtype(attrs))}


def reference(arrays, attrs):
    x = arrays["x"]
    _, pads = _pooling.geometry(x.shape, attrs)
    padded, inside = _pooling.pad(x, pads, 0), _pooling.pad(np.ones_like(x, bool), pads, False)
    y = index = None
    for tap, region in _pooling.taps(x.shape, attrs):
        value, valid = padded[region], inside[region]
        if y is None:
            y, index = np.zeros_like(value), np.full(value.shape, -1)
        # The first value inside the image, then whatever is larger, then the first NaN.
        take = valid & ((index < 0) | (value > y) | (np.isnan(value) & ~np.isnan(y)))
        y, index = np.where(take, value, y), np.where(take, tap, index)
    return {"y": y, "index": index.astype(_pooling.index_dtype(attrs))}


# y[o] = x[index[o]], so dx[p] is the sum of dy[o] over the windows o whose index says p.
def reference_backward(arrays, attrs, needs):
    index, dy = arrays["index"], arrays["dy"]
    return {"dx": _pooling.spread(arrays["x"].shape, attrs, lambda tap: np.where(index == tap, dy, 0))}


OP = _pooling.declare(
    "max_pool2d",
    "max",
    infer=infer,
    reference=reference,
    reference_backward=reference_backward,
    saved=("index",),
    keeps=lambda attrs, needs: ("index",),
    plan_inference=_pooling.plan_inference,
    bfloat16=_pooling.bfloat16,
)


def max_pool2d(x, pool_size=2, strides=None, padding="valid"):
    """Largest value of each window, channel by channel; padding never wins, NaN always does.

    Parameters
    ----------
    x : Tensor or array, (N, H, W, C)
    pool_size, strides : int or (int, int)
        `strides` defaults to `pool_size`.
    padding : {"valid", "same"}, int, (int, int) or ((top, bottom), (left, right))
        Smaller than `pool_size`.

    Returns
    -------
    Tensor, (N, OH, OW, C)
        The first of equal values takes the gradient.

    Raises
    ------
    ShapeError, ArgumentError, DTypeError
        When x is not (N, H, W, C), or a window does not fit.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.arange(16, dtype="float32").reshape(1, 4, 4, 1)
    >>> max_pool2d(x).numpy()[0, :, :, 0].tolist()
    [[5.0, 7.0], [13.0, 15.0]]
    """
    return apply(OP, (x,), _pooling.attributes(pool_size, strides, padding))
