"""Average pooling: the mean of each window over the pixels that lie inside the image, as Keras and TensorFlow count."""

import numpy as np

from ..autograd import apply
from . import _pooling


def infer(specs, attrs):
    return {"y": _pooling.infer(specs, attrs, "avg_pool2d")}


def _counts(x_shape, attrs, dtype):
    """Return how many pixels each window holds, (1, OH, OW, 1)."""
    return _pooling.sums(np.ones((1, *x_shape[1:3], 1), dtype), attrs)


def reference(arrays, attrs):
    x = arrays["x"]
    return {"y": _pooling.sums(x, attrs) / _counts(x.shape, attrs, x.dtype)}


# y[o] is the mean of x over the window o, so dx[p] is the sum of dy[o] / count[o] over the windows o that cover p.
def reference_backward(arrays, attrs, needs):
    x_shape, dy = arrays["x"].shape, arrays["dy"]
    share = dy / _counts(x_shape, attrs, dy.dtype)
    return {"dx": _pooling.spread(x_shape, attrs, lambda tap: share)}


OP = _pooling.declare(
    "avg_pool2d",
    "average",
    infer=infer,
    reference=reference,
    reference_backward=reference_backward,
    linear=("x",),
    bfloat16=_pooling.bfloat16,
)


def avg_pool2d(x, pool_size=2, strides=None, padding="valid"):
    """Mean of each window, channel by channel; padding is not counted.

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

    Raises
    ------
    ShapeError, ArgumentError, DTypeError
        When x is not (N, H, W, C), or a window does not fit.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.arange(9, dtype="float32").reshape(1, 3, 3, 1)
    >>> avg_pool2d(x, padding="same").numpy()[0, :, :, 0].tolist()
    [[2.0, 3.5], [6.5, 8.0]]
    """
    return apply(OP, (x,), _pooling.attributes(pool_size, strides, padding))
