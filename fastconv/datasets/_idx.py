"""What MNIST and Fashion-MNIST share: four IDX files."""

from ..storage.bounded import DataFormatError
from ..storage.idx import read_idx
from . import _download

NAMES = (
    "train-images-idx3-ubyte.gz",
    "train-labels-idx1-ubyte.gz",
    "t10k-images-idx3-ubyte.gz",
    "t10k-labels-idx1-ubyte.gz",
)
_LIMIT = 60_000 * 28 * 28


def remotes(mirrors, sha256, nbytes):
    """Return the four `Remote`s, in the order of `NAMES`."""
    return [_download.Remote(*row, mirrors) for row in zip(NAMES, sha256, nbytes, strict=True)]


def read(files):
    """Read the four files into Keras's tuples of uint8 arrays, (n, 28, 28) and (n,)."""
    arrays = [read_idx(file, ndim, _LIMIT) for file, ndim in zip(files, (3, 1, 3, 1), strict=True)]
    for i in (0, 2):
        check(arrays[i], arrays[i + 1], files[i])
    x_train, y_train, x_test, y_test = arrays
    return (x_train, y_train), (x_test, y_test)


def check(images, labels, name):
    """Raise `DataFormatError` unless these are uint8 images (n, 28, 28) with n uint8 labels from 0 to 9."""
    if images.shape[1:] != (28, 28) or images.dtype != "uint8":
        raise DataFormatError(f"{name}: expected uint8 images of 28x28, got {images.dtype} {images.shape}")
    if labels.shape != images.shape[:1] or labels.dtype != "uint8":
        raise DataFormatError(f"{name}: {len(images)} images, but labels {labels.dtype} {labels.shape}")
    if labels.size and labels.max() > 9:
        raise DataFormatError(f"{name}: labels go up to {labels.max()}, expected 0 to 9")
