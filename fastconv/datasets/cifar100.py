"""CIFAR-100: 60,000 colour pictures of a hundred kinds of things in twenty groups.

A. Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009. https://www.cs.toronto.edu/~kriz/cifar.html
"""

from ..errors import ArgumentError
from . import _cifar
from ._download import Remote

_CLASSES = {"fine": 100, "coarse": 20}
_ARCHIVES = ("cifar-100-python.tar.gz", "cifar-100-binary.tar.gz")
_REMOTE = Remote(
    "cifar-100-python.tar.gz",
    "85cd44d02ba6437773c5bbd22e183051d648de2e7d6b014e1ef29b855ba677a7",
    170_500_000,
    ("https://www.cs.toronto.edu/~kriz/", "http://www.cs.toronto.edu/~kriz/"),
)


def load_data(label_mode="fine", path=None):
    """Load CIFAR-100.

    Parameters
    ----------
    label_mode : {"fine", "coarse"}
        The hundred classes, or the twenty groups of five that they fall into.
    path : str or os.PathLike, optional
        A folder with the official files, python (``train``, ``test``) or binary (``train.bin``, ``test.bin``), or with
        their own folder; or an official archive (``cifar-100-python.tar.gz``, ``cifar-100-binary.tar.gz``). Without it:
        FASTCONV_HOME, ~/.fastconv, the caches of Keras and PyTorch, ./data, then a download.

    Returns
    -------
    (x_train, y_train), (x_test, y_test) : tuples of ndarray
        Images uint8 (50000, 32, 32, 3) and (10000, 32, 32, 3), RGB; labels uint8 (50000, 1) and (10000, 1).

    Raises
    ------
    ArgumentError
        Another `label_mode`.
    DatasetNotFoundError
        Also a FileNotFoundError: nothing found, and no download.
    DataFormatError
        Also a ValueError: a file is damaged, is something else, or is a pickle of more than data.

    Examples
    --------
    >>> from fastconv.datasets import cifar100
    >>> (x_train, y_train), (x_test, y_test) = cifar100.load_data(label_mode="coarse")      # doctest: +SKIP
    """
    if label_mode not in ("fine", "coarse"):
        raise ArgumentError(f"label_mode must be 'fine' or 'coarse', got {label_mode!r}")
    classes = _CLASSES[label_mode]
    forms = (
        _cifar.python_form("cifar-100-python", ("train",), "test", f"{label_mode}_labels", classes),
        # The coarse label stands first in a record.
        _cifar.binary_form("cifar-100-binary", ("train.bin",), "test.bin", (2, int(label_mode == "fine")), classes),
    )
    return _cifar.load("CIFAR-100", forms, _ARCHIVES, path, _REMOTE)
