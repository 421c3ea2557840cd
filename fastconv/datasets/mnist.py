"""MNIST: 70,000 handwritten digits.

Y. LeCun, C. Cortes, C. J. C. Burges, The MNIST database of handwritten digits, 1998. http://yann.lecun.com/exdb/mnist/
"""

import os
from pathlib import Path

from . import _idx
from ._locate import Layout, locate

_IDX = Layout(_idx.NAMES, ("mnist", "MNIST/raw", "MNIST", "data/MNIST/raw", ""), optional_suffix=".gz")
_NPZ = Layout(("mnist.npz",), ("", "mnist"))
_NPZ_LIMIT = 60_000_000
_REMOTES = _idx.remotes(
    mirrors=(
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        "https://storage.googleapis.com/cvdf-datasets/mnist/",
    ),
    sha256=(
        "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
        "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
        "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
        "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
    ),
    nbytes=(9_912_422, 28_881, 1_648_877, 4_542),
)


def load_data(path=None):
    """Load MNIST.

    Parameters
    ----------
    path : str or os.PathLike, optional
        A folder with the four IDX files (``train-images-idx3-ubyte.gz`` ..., also unpacked), or one of them, or Keras's
        ``mnist.npz``. Without it: FASTCONV_HOME, ~/.fastconv, the caches of Keras and PyTorch, ./data, then a download.
        A bare file name that does not exist means no path, as the default ``"mnist.npz"`` does in Keras.

    Returns
    -------
    (x_train, y_train), (x_test, y_test) : tuples of ndarray
        Images uint8 (60000, 28, 28) and (10000, 28, 28), 0 background to 255 ink; labels uint8 (60000,) and (10000,).

    Raises
    ------
    DatasetNotFoundError
        Also a FileNotFoundError: nothing found, and no download.
    DataFormatError
        Also a ValueError: a file is damaged or is something else.

    Examples
    --------
    >>> from fastconv.datasets import mnist
    >>> (x_train, y_train), (x_test, y_test) = mnist.load_data()      # doctest: +SKIP
    >>> x_train.shape, y_train.shape                                  # doctest: +SKIP
    ((60000, 28, 28), (60000,))
    """
    if path is not None and not os.path.dirname(os.fspath(path)) and not Path(path).exists():
        path = None
    source = locate("MNIST", (_IDX, _NPZ), path, _REMOTES, "mnist")
    if source.layout.files == _NPZ.files:
        return _read_npz(source.files[0])
    return _idx.read(source.files)


def _read_npz(path):
    """Read Keras's file: an archive of four arrays."""
    from ..storage.npz import read_npz

    x_train, y_train, x_test, y_test = read_npz(path, ("x_train", "y_train", "x_test", "y_test"), _NPZ_LIMIT)
    _idx.check(x_train, y_train, path)
    _idx.check(x_test, y_test, path)
    return (x_train, y_train), (x_test, y_test)
