"""Sum pooling: the sum of each window, channel by channel; padding adds nothing."""

from ..autograd import apply
from . import _pooling


def infer(specs, attrs):
    return {"y": _pooling.infer(specs, attrs, "sum_pool2d")}


def reference(arrays, attrs):
    return {"y": _pooling.sums(arrays["x"], attrs)}


# y[o] is the sum of x over the window o, so dx[p] is the sum of dy[o] over the windows o that cover p.
def reference_backward(arrays, attrs, needs):
    return {"dx": _pooling.spread(arrays["x"].shape, attrs, lambda tap: arrays["dy"])}


OP = _pooling.declare(
    "sum_pool2d",
    "sum",
    infer=infer,
    reference=reference,
    reference_backward=reference_backward,
    linear=("x",),
)


def sum_pool2d(x, pool_size=2, strides=None, padding="valid"):
    """Sum of each window, channel by channel.

    Parameters
    ----------
    x : Tensor or array, (N, H, W, C)
    pool_size, strides : int or (int, int)
        `strides` defaults to `pool_size`.
    padding : {"valid", "same"}, int, (int, int) or ((top, bottom), (left, right))
        Smaller than `pool_size`; padded pixels count as zero.

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
    >>> x = np.arange(16, dtype="float32").reshape(1, 4, 4, 1)
    >>> sum_pool2d(x).numpy()[0, :, :, 0].tolist()
    [[10.0, 18.0], [42.0, 50.0]]
    """
    return apply(OP, (x,), _pooling.attributes(pool_size, strides, padding))
