"""Pooling: the largest, mean or summed value of each window, or of the whole map."""

from .. import ops
from .images import ImageLayer, check_padding, check_pair


class _Pooling(ImageLayer):
    """Windows over the map.

    Parameters
    ----------
    pool_size : int or (int, int)
    strides : int or (int, int), optional
        Default: `pool_size`.
    padding : {"valid", "same"}, or numbers
        Also an int, (vertical, horizontal), ((top, bottom), (left, right)). What is padded never counts.
    data_format : {"channels_last", "channels_first"}, optional

    Notes
    -----
    Inputs (N, H, W, C), outputs (N, OH, OW, C).
    """

    operation = None  # name of the function in fastconv.ops

    def __init__(self, pool_size=(2, 2), strides=None, padding="valid", data_format=None, name=None, **kwargs):
        super().__init__(data_format, name=name, **kwargs)
        self.pool_size = check_pair(self, pool_size, "pool_size")
        self.strides = self.pool_size if strides is None else check_pair(self, strides, "strides")
        self.padding = check_padding(self, padding)

    def call_channels_last(self, inputs):
        """Compute the outputs from inputs (N, H, W, C)."""
        pool = getattr(ops, self.operation)
        return pool(inputs, pool_size=self.pool_size, strides=self.strides, padding=self.padding)


class MaxPooling2D(_Pooling):
    __doc__ = _Pooling.__doc__.replace("Windows over the map.", "The largest value of each window.")
    operation = "max_pool2d"


class AveragePooling2D(_Pooling):
    __doc__ = _Pooling.__doc__.replace("Windows over the map.", "The mean of each window.")
    operation = "avg_pool2d"


class SumPooling2D(_Pooling):
    __doc__ = _Pooling.__doc__.replace("Windows over the map.", "The sum of each window. Keras has no such layer.")
    operation = "sum_pool2d"


class _GlobalPooling(ImageLayer):
    """The whole map.

    Parameters
    ----------
    data_format : {"channels_last", "channels_first"}, optional
    keepdims : bool
        Keep height and width, as 1.

    Notes
    -----
    Inputs (N, H, W, C), outputs (N, C), or (N, 1, 1, C).
    """

    operation = None

    def __init__(self, data_format=None, keepdims=False, **kwargs):
        super().__init__(data_format, **kwargs)
        self.keepdims = bool(keepdims)

    def call_channels_last(self, inputs):
        """Compute the outputs from inputs (N, H, W, C)."""
        return getattr(ops, self.operation)(inputs, keepdims=self.keepdims)


class GlobalAveragePooling2D(_GlobalPooling):
    __doc__ = _GlobalPooling.__doc__.replace("The whole map.", "The mean of each channel.")
    operation = "global_avg_pool2d"


class GlobalMaxPooling2D(_GlobalPooling):
    __doc__ = _GlobalPooling.__doc__.replace("The whole map.", "The largest value of each channel.")
    operation = "global_max_pool2d"
