"""What the layers on images share: the order of the axes, and the checks of rank and channels.

Everything inside works on channels last: (N, L, C), (N, H, W, C) or (N, D, H, W, C), as the layer's `rank` says. A layer
with ``data_format="channels_first"`` turns its input and its output around.
"""

from .. import shapes
from ..errors import ArgumentError, ShapeError
from .base import Layer

FORMATS = ("channels_last", "channels_first")


def check_data_format(layer, data_format):
    """Return the data format, None being channels last."""
    data_format = FORMATS[0] if data_format is None else data_format
    if data_format not in FORMATS:
        raise ArgumentError(
            f"{layer._title()}: data_format must be 'channels_last' or 'channels_first', got {data_format!r}"
        )
    return data_format


def check_per_axis(layer, value, name):
    """Return an int, or one per spatial axis, as one per spatial axis."""
    try:
        return shapes.per_axis(value, name, layer.rank)
    except ArgumentError as error:
        raise ArgumentError(f"{layer._title()}: {error}") from None


def check_count(layer, value, name):
    """Return a positive integer."""
    if isinstance(value, bool) or not hasattr(value, "__index__") or value < 1:
        raise ArgumentError(f"{layer._title()}: {name} must be a positive integer, got {value!r}")
    return int(value)


def check_padding(layer, padding, names=("valid", "same")):
    """Return one of `names`, or numbers: a pair (before, after) per spatial axis."""
    if isinstance(padding, str) and padding.lower() in names:
        return padding.lower()
    try:
        return shapes.normalize_padding(padding, rank=layer.rank)
    except ArgumentError as error:
        raise ArgumentError(f"{layer._title()}: {error}") from None


class ImageLayer(Layer):
    """A layer on images of `rank` spatial axes. A subclass has `call_channels_last(inputs)`."""

    rank = 2

    def __init__(self, data_format=None, **kwargs):
        super().__init__(**kwargs)
        self.data_format = check_data_format(self, data_format)

    @property
    def _first(self):
        return self.data_format == "channels_first"

    def _check_rank(self, shape):
        if len(shape) != self.rank + 2:
            axes = ["steps"] if self.rank == 1 else shapes.AXES[self.rank]
            axes = ", ".join(["batch", "channels", *axes] if self._first else ["batch", *axes, "channels"])
            hint = "; images without a channel axis need one, x[..., None]" if len(shape) == self.rank + 1 else ""
            raise ShapeError(f"inputs must have {self.rank + 2} dimensions ({axes}), got shape {tuple(shape)}{hint}")

    def _channels(self, shape):
        """Return the number of channels in the input shape of a layer whose weights depend on it."""
        self._check_rank(shape)
        channels = shape[1 if self._first else -1]
        if channels is None:
            raise ShapeError(f"the number of channels must be known, got the input shape {tuple(shape)}")
        return channels

    def _check_channels(self, shape, expected):
        self._check_rank(shape)
        channels = shape[1 if self._first else -1]
        if channels != expected:
            raise ShapeError(
                f"inputs must have {expected} channels, as those it was built for, got shape {tuple(shape)}"
            )

    def call(self, inputs):
        """Compute the outputs."""
        self._check_rank(inputs.shape)
        if not self._first:
            return self.call_channels_last(inputs)
        last = self.rank + 1
        y = self.call_channels_last(inputs.transpose(0, *range(2, last + 1), 1))
        return y.transpose(0, last, *range(1, last)) if y.ndim == inputs.ndim else y

    def call_channels_last(self, inputs):
        """Compute the outputs from inputs, channels last."""
        raise NotImplementedError(f"{type(self).__name__} must define call_channels_last")
