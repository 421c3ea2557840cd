"""Resizing: images of one size from images of any."""

from .. import ops
from ..errors import ArgumentError, UnsupportedOpError
from .framing import INTERPOLATION
from .images import ImageLayer, check_count

_HOW = {"nearest": {"mode": "nearest", "rounding": "round_prefer_ceil"}, **INTERPOLATION}
_UNKNOWN = ("lanczos3", "lanczos5")  # of Keras's


class Resizing(ImageLayer):
    """Images of another size, by interpolation between the centres of pixels.

    Parameters
    ----------
    height, width : int
        Of the outputs.
    interpolation : {"bilinear", "nearest", "bicubic"}
    crop_to_aspect_ratio : bool
        Cut off of the longer side first, the same on both ends, what would change the shape of things.
    pad_to_aspect_ratio : bool
        Put `fill_value` around the shorter side first, instead.
    fill_mode : {"constant"}
    fill_value : float
    antialias : bool
        Where the outputs are smaller, let every pixel count.
    data_format : {"channels_last", "channels_first"}, optional

    Notes
    -----
    Inputs (N, H, W, C), or one image (H, W, C); outputs (N, height, width, C) or (height, width, C), floats also of bytes.

    Examples
    --------
    >>> Resizing(2, 2)(np.arange(16).reshape(1, 4, 4, 1)).numpy()[0, :, :, 0]
    array([[ 2.5,  4.5],
           [10.5, 12.5]], dtype=float32)
    """

    def __init__(
        self,
        height,
        width,
        interpolation="bilinear",
        crop_to_aspect_ratio=False,
        pad_to_aspect_ratio=False,
        fill_mode="constant",
        fill_value=0.0,
        antialias=False,
        data_format=None,
        **kwargs,
    ):
        super().__init__(data_format, **kwargs)
        self.height, self.width = check_count(self, height, "height"), check_count(self, width, "width")
        if interpolation in _UNKNOWN:
            raise UnsupportedOpError(
                f"{self._title()}: interpolation={interpolation!r} is not yet supported, only {', '.join(_HOW)} are"
            )
        if interpolation not in _HOW:
            raise ArgumentError(
                f"{self._title()}: interpolation must be one of {', '.join(_HOW)}, got {interpolation!r}"
            )
        if crop_to_aspect_ratio and pad_to_aspect_ratio:
            raise ArgumentError(f"{self._title()}: either crop_to_aspect_ratio or pad_to_aspect_ratio may be True")
        if fill_mode != "constant":
            raise ArgumentError(f"{self._title()}: fill_mode must be 'constant', got {fill_mode!r}")
        if isinstance(fill_value, bool) or not isinstance(fill_value, (int, float)):
            raise ArgumentError(f"{self._title()}: fill_value must be a number, got {fill_value!r}")
        self.interpolation = interpolation
        self.crop_to_aspect_ratio, self.pad_to_aspect_ratio = bool(crop_to_aspect_ratio), bool(pad_to_aspect_ratio)
        self.fill_mode, self.fill_value, self.antialias = fill_mode, float(fill_value), bool(antialias)

    def call(self, inputs):
        """Compute the outputs."""
        return super().call(inputs[None])[0] if inputs.ndim == 3 else super().call(inputs)

    def call_channels_last(self, inputs):
        """Compute the outputs from inputs, channels last."""
        how = _HOW[self.interpolation]
        if self.antialias and self.interpolation != "nearest":
            how = {**how, "antialias": True, "exclude_outside": True}
        return ops.resize(self._framed(inputs), size=(self.height, self.width), **how)

    def _framed(self, x):
        """Return the images cut or padded to the ratio of the outputs; as they are where their size is not known yet."""
        height, width = x.shape[1:3]
        if None in (height, width) or not (self.crop_to_aspect_ratio or self.pad_to_aspect_ratio):
            return x
        # The height that the width would have in the outputs' ratio, and the other way round.
        rows, columns = width * self.height // self.width, height * self.width // self.height
        if self.pad_to_aspect_ratio:
            before = (max(rows - height, 0) // 2,) * 2, (max(columns - width, 0) // 2,) * 2
            return ops.pad(x, ((0, 0), *before, (0, 0)), value=self.fill_value) if any(map(any, before)) else x
        rows, columns = max(min(rows, height), 1), max(min(columns, width), 1)
        top, left = (height - rows) // 2, (width - columns) // 2
        return x[:, top : top + rows, left : left + columns]
