"""One image file to one float32 array of a given size. Decoding is Pillow's."""

import numpy as np

from ..storage.bounded import DataFormatError

MODES = {"grayscale": "L", "rgb": "RGB", "rgba": "RGBA"}
INTERPOLATIONS = ("bilinear", "nearest", "bicubic", "area", "lanczos3")


def pillow():
    """Return the module PIL.Image, or say how to get it."""
    try:
        from PIL import Image
    except ImportError as error:
        raise ImportError("reading images needs Pillow: pip install 'fastconv[image]'") from error
    return Image


def load_image(path, color_mode, size, interpolation, fit):
    """Read an image file.

    Parameters
    ----------
    path : str
    color_mode : {"grayscale", "rgb", "rgba"}
    size : (height, width) or None
        None: as it is.
    interpolation : str
        One of `INTERPOLATIONS`.
    fit : {"stretch", "crop", "pad"}
        What to do with another ratio of sides.

    Returns
    -------
    image : ndarray of float32, shape (height, width, 1, 3 or 4)
        0 to 255.

    Raises
    ------
    DataFormatError
        Pillow cannot read the file, or thinks that it is a decompression bomb.
    """
    image = _decode(path, color_mode)
    if size is None:
        return image.astype(np.float32)
    height, width = image.shape[:2]
    if fit == "crop":
        # The largest window in the middle that has the wanted ratio.
        rows = min(height, max(1, width * size[0] // size[1]))
        columns = min(width, max(1, height * size[1] // size[0]))
        top, left = (height - rows) // 2, (width - columns) // 2
        image = image[top : top + rows, left : left + columns]
    elif fit == "pad":
        scale = min(size[0] / height, size[1] / width)
        inner = (min(size[0], max(1, int(height * scale))), min(size[1], max(1, int(width * scale))))
        top, left = (size[0] - inner[0]) // 2, (size[1] - inner[1]) // 2
        padded = np.zeros((*size, image.shape[2]), np.float32)
        padded[top : top + inner[0], left : left + inner[1]] = resize(image, inner, interpolation)
        return padded
    return resize(image, size, interpolation)


def _decode(path, color_mode):
    Image = pillow()
    try:
        with Image.open(path) as image:
            if image.mode.startswith("I"):  # 16 bits: the upper byte, since Pillow's conversion would clip instead
                image = Image.fromarray((np.asarray(image) >> 8).clip(0, 255).astype(np.uint8))
            pixels = np.asarray(image.convert(MODES[color_mode]))
    except (OSError, ValueError, SyntaxError, EOFError, Image.DecompressionBombError) as error:
        if isinstance(error, (FileNotFoundError, PermissionError)):
            raise
        raise DataFormatError(f"{path} is not an image that Pillow can read: {error}") from error
    return pixels.reshape(*pixels.shape[:2], -1)


def resize(image, size, interpolation):
    """Resize a uint8 image (h, w, channels) to `size`, as float32.

    "bilinear" and "nearest" sample at pixel centres without smoothing first, as Keras does; the others are Pillow's,
    which smooths when it shrinks.
    """
    if image.shape[:2] == tuple(size):
        return image.astype(np.float32)
    if interpolation == "nearest":
        rows, columns = (_nearest(new, old) for new, old in zip(size, image.shape, strict=False))
        return image[rows[:, None], columns].astype(np.float32)
    if interpolation == "bilinear":
        image = _interpolate(image.astype(np.float32), size[0])
        return np.ascontiguousarray(_interpolate(image.swapaxes(0, 1), size[1]).swapaxes(0, 1))
    Image = pillow()
    method = {"bicubic": Image.Resampling.BICUBIC, "area": Image.Resampling.BOX, "lanczos3": Image.Resampling.LANCZOS}
    planes = [Image.fromarray(image[..., c]).resize(size[::-1], method[interpolation]) for c in range(image.shape[2])]
    return np.stack([np.asarray(plane) for plane in planes], axis=-1).astype(np.float32)


def _nearest(new, old):
    return np.minimum(((np.arange(new) + 0.5) * (old / new)).astype(np.int64), old - 1)


def _interpolate(image, new):
    """Interpolate linearly along the first axis."""
    old = len(image)
    at = np.clip((np.arange(new) + 0.5) * (old / new) - 0.5, 0, old - 1)
    low = at.astype(np.int64)
    weight = (at - low).astype(np.float32).reshape(-1, 1, 1)
    return image[low] * (1 - weight) + image[np.minimum(low + 1, old - 1)] * weight
