"""Zeros around images, less of them, and more pixels: ZeroPadding, Cropping and UpSampling in one to three dimensions."""

from .. import ops, shapes
from ..errors import ArgumentError
from .images import ImageLayer, check_per_axis


class _Framing(ImageLayer):
    """Shared by padding and cropping: pairs (before, after) per spatial axis."""

    def _pairs(self, value, name):
        # A sequence has one axis: two numbers are its two ends.
        if self.rank == 1 and isinstance(value, (list, tuple)) and all(isinstance(n, int) for n in value):
            value = (value,)
        try:
            if not isinstance(value, str):
                return shapes.normalize_padding(value, name, self.rank)
        except ArgumentError:
            pass
        raise ArgumentError(
            f"{self._title()}: {name} must be an integer from 0 to {shapes.MAX_POSITIONS}, or per spatial axis one or a "
            f"pair (before, after), got {value!r}"
        )


class _ZeroPadding(_Framing):
    """Zeros around the input.

    Parameters
    ----------
    padding : int, or per spatial axis an int or a pair (before, after)
        In one dimension (left, right).
    data_format : {"channels_last", "channels_first"}, optional
    """

    def __init__(self, padding=1, data_format=None, **kwargs):
        super().__init__(data_format, **kwargs)
        self.padding = self._pairs(padding, "padding")

    def call_channels_last(self, inputs):
        """Compute the outputs from inputs, channels last."""
        return ops.pad(inputs, ((0, 0), *self.padding, (0, 0)))


class _Cropping(_Framing):
    """The input without its border.

    Parameters
    ----------
    cropping : int, or per spatial axis an int or a pair (before, after)
        In one dimension (left, right).
    data_format : {"channels_last", "channels_first"}, optional
    """

    def __init__(self, cropping=1, data_format=None, **kwargs):
        super().__init__(data_format, **kwargs)
        self.cropping = self._pairs(cropping, "cropping")

    def call_channels_last(self, inputs):
        """Compute the outputs from inputs, channels last."""
        return ops.pad(inputs, ((0, 0), *((-before, -after) for before, after in self.cropping), (0, 0)))


class _UpSampling(ImageLayer):
    """Every pixel repeated along the spatial axes.

    Parameters
    ----------
    size : int, or one per spatial axis
        How often.
    data_format : {"channels_last", "channels_first"}, optional
    """

    def __init__(self, size=2, data_format=None, **kwargs):
        super().__init__(data_format, **kwargs)
        self.size = check_per_axis(self, size, "size")

    def call_channels_last(self, inputs):
        """Compute the outputs from inputs, channels last."""
        return ops.upsample(inputs, self.size)


class ZeroPadding1D(_ZeroPadding):
    __doc__ = _ZeroPadding.__doc__
    rank = 1


class ZeroPadding2D(_ZeroPadding):
    __doc__ = _ZeroPadding.__doc__
    rank = 2


class ZeroPadding3D(_ZeroPadding):
    __doc__ = _ZeroPadding.__doc__
    rank = 3


class Cropping1D(_Cropping):
    __doc__ = _Cropping.__doc__
    rank = 1


class Cropping2D(_Cropping):
    __doc__ = _Cropping.__doc__
    rank = 2

    def __init__(self, cropping=0, data_format=None, **kwargs):
        super().__init__(cropping, data_format, **kwargs)


class Cropping3D(_Cropping):
    __doc__ = _Cropping.__doc__
    rank = 3


class UpSampling1D(_UpSampling):
    __doc__ = _UpSampling.__doc__
    rank = 1


# As Keras has them: between the centres of pixels; Keys' cubic with -1/2, and no weight for what lies outside.
INTERPOLATION = {
    "bilinear": {"mode": "linear"},
    "bicubic": {"mode": "cubic", "cubic_coefficient": -0.5, "exclude_outside": True},
}


class UpSampling2D(_UpSampling):
    """More pixels along the spatial axes.

    Parameters
    ----------
    size : int or (int, int)
        How many for each.
    data_format : {"channels_last", "channels_first"}, optional
    interpolation : {"nearest", "bilinear", "bicubic"}
        "nearest" repeats every pixel.
    """

    rank = 2

    def __init__(self, size=2, data_format=None, interpolation="nearest", **kwargs):
        super().__init__(size, data_format, **kwargs)
        if interpolation != "nearest" and interpolation not in INTERPOLATION:
            known = ", ".join(("nearest", *INTERPOLATION))
            raise ArgumentError(f"{self._title()}: interpolation must be one of {known}, got {interpolation!r}")
        self.interpolation = interpolation

    def call_channels_last(self, inputs):
        """Compute the outputs from inputs, channels last."""
        if self.interpolation == "nearest":
            return super().call_channels_last(inputs)
        return ops.resize(inputs, scale=self.size, **INTERPOLATION[self.interpolation])


class UpSampling3D(_UpSampling):
    __doc__ = _UpSampling.__doc__
    rank = 3
