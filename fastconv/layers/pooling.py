"""Pooling: the largest, mean or summed value of each window, or of the whole map."""

from .. import ops
from .docstring import fill_in
from .images import ImageLayer, check_padding, check_per_axis

SHAPES = {
    1: "Inputs (N, L, C), outputs (N, OL, C).",
    2: "Inputs (N, H, W, C), outputs (N, OH, OW, C).",
    3: "Inputs (N, D, H, W, C), outputs (N, OD, OH, OW, C).",
}


class _Pooling(ImageLayer):
    """WHAT of each window.

    Parameters
    ----------
    pool_size : int, or one per spatial axis
    strides : int, or one per spatial axis, optional
        Default: `pool_size`.
    padding : {"valid", "same"}, or numbers
        Also an int, one per spatial axis, a pair (before, after) per spatial axis. What is padded never counts.
    data_format : {"channels_last", "channels_first"}, optional

    Notes
    -----
    SHAPES
    """

    operation = None  # name of the function in fastconv.ops

    def __init__(self, pool_size=2, strides=None, padding="valid", data_format=None, name=None, **kwargs):
        super().__init__(data_format, name=name, **kwargs)
        self.pool_size = check_per_axis(self, pool_size, "pool_size")
        self.strides = self.pool_size if strides is None else check_per_axis(self, strides, "strides")
        self.padding = check_padding(self, padding)

    def call_channels_last(self, inputs):
        """Compute the outputs from inputs, channels last."""
        pool = getattr(ops, self.operation)
        return pool(inputs, pool_size=self.pool_size, strides=self.strides, padding=self.padding)


class _GlobalPooling(ImageLayer):
    """WHAT of each channel.

    Parameters
    ----------
    data_format : {"channels_last", "channels_first"}, optional
    keepdims : bool
        Keep the spatial axes, as 1.

    Notes
    -----
    SHAPES
    """

    operation = None

    def __init__(self, data_format=None, keepdims=False, **kwargs):
        super().__init__(data_format, **kwargs)
        self.keepdims = bool(keepdims)

    def call_channels_last(self, inputs):
        """Compute the outputs from inputs, channels last."""
        return getattr(ops, self.operation)(inputs, keepdims=self.keepdims)


def _window_doc(what, rank):
    return fill_in(_Pooling, WHAT=what, SHAPES=SHAPES[rank])


def _global_doc(what, rank):
    inputs = SHAPES[rank].partition(", outputs")[0]
    ones = ", 1" * rank
    return fill_in(_GlobalPooling, WHAT=what, SHAPES=f"{inputs}, outputs (N, C), or (N{ones}, C).")


class MaxPooling1D(_Pooling):
    __doc__ = _window_doc("The largest value", 1)
    rank, operation = 1, "max_pool1d"


class MaxPooling2D(_Pooling):
    __doc__ = _window_doc("The largest value", 2)
    rank, operation = 2, "max_pool2d"


class MaxPooling3D(_Pooling):
    __doc__ = _window_doc("The largest value", 3)
    rank, operation = 3, "max_pool3d"


class AveragePooling1D(_Pooling):
    __doc__ = _window_doc("The mean", 1)
    rank, operation = 1, "avg_pool1d"


class AveragePooling2D(_Pooling):
    __doc__ = _window_doc("The mean", 2)
    rank, operation = 2, "avg_pool2d"


class AveragePooling3D(_Pooling):
    __doc__ = _window_doc("The mean", 3)
    rank, operation = 3, "avg_pool3d"


class SumPooling2D(_Pooling):
    __doc__ = _window_doc("The sum (Keras has no such layer)", 2)
    rank, operation = 2, "sum_pool2d"


class GlobalAveragePooling1D(_GlobalPooling):
    __doc__ = _global_doc("The mean", 1)
    rank, operation = 1, "global_avg_pool1d"


class GlobalAveragePooling2D(_GlobalPooling):
    __doc__ = _global_doc("The mean", 2)
    rank, operation = 2, "global_avg_pool2d"


class GlobalAveragePooling3D(_GlobalPooling):
    __doc__ = _global_doc("The mean", 3)
    rank, operation = 3, "global_avg_pool3d"


class GlobalMaxPooling1D(_GlobalPooling):
    __doc__ = _global_doc("The largest value", 1)
    rank, operation = 1, "global_max_pool1d"


class GlobalMaxPooling2D(_GlobalPooling):
    __doc__ = _global_doc("The largest value", 2)
    rank, operation = 2, "global_max_pool2d"


class GlobalMaxPooling3D(_GlobalPooling):
    __doc__ = _global_doc("The largest value", 3)
    rank, operation = 3, "global_max_pool3d"
