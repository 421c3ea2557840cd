"""CIFAR-10: 60,000 colour pictures of ten kinds of things.

A. Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009. https://www.cs.toronto.edu/~kriz/cifar.html

Labels: 0 airplane, 1 automobile, 2 bird, 3 cat, 4 deer, 5 dog, 6 frog, 7 horse, 8 ship, 9 truck.
"""

from . import _cifar
from ._download import Remote

_BATCHES = tuple(f"data_batch_{i}" for i in range(1, 6))
_FORMS = (
    _cifar.python_form("cifar-10-batches-py", _BATCHES, "test_batch", "labels", 10),
    _cifar.binary_form("cifar-10-batches-bin", tuple(f"{name}.bin" for name in _BATCHES), "test_batch.bin", (1, 0), 10),
)
_ARCHIVES = ("cifar-10-python.tar.gz", "cifar-10-batches-py.tar.gz", "cifar-10-binary.tar.gz")
_REMOTE = Remote(
    "cifar-10-python.tar.gz",
    "6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce",
    170_500_000,
    ("https://www.cs.toronto.edu/~kriz/", "http://www.cs.toronto.edu/~kriz/"),
)


def load_data(path=None):
    """Load CIFAR-10.

    Parameters
    ----------
    path : str or os.PathLike, optional
        A folder with the official files, python (``data_batch_1`` ...) or binary (``data_batch_1.bin`` ...), or with
        their own folder; or an official archive (``cifar-10-python.tar.gz``, ``cifar-10-binary.tar.gz``). Without it:
        FASTCONV_HOME, ~/.fastconv, the caches of Keras and PyTorch, ./data, then a download.

    Returns
    -------
    (x_train, y_train), (x_test, y_test) : tuples of ndarray
        Images uint8 (50000, 32, 32, 3) and (10000, 32, 32, 3), RGB; labels uint8 (50000, 1) and (10000, 1).

    Raises
    ------
    DatasetNotFoundError
        Also a FileNotFoundError: nothing found, and no download.
    DataFormatError
        Also a ValueError: a file is damaged, is something else, or is a pickle of more than data.

    Examples
    --------
    >>> from fastconv.datasets import cifar10
    >>> (x_train, y_train), (x_test, y_test) = cifar10.load_data()      # doctest: +SKIP
    >>> x_train.shape, y_train.shape                                    # doctest: +SKIP
    ((50000, 32, 32, 3), (50000, 1))
    """
    return _cifar.load("CIFAR-10", _FORMS, _ARCHIVES, path, _REMOTE)
