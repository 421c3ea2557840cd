"""Fashion-MNIST: 70,000 pictures of clothes, in MNIST's format.

H. Xiao, K. Rasul, R. Vollgraf, Fashion-MNIST: a Novel Image Dataset for Benchmarking Machine Learning Algorithms, 2017.
arXiv:1708.07747. MIT licence, Zalando SE.

Labels: 0 T-shirt/top, 1 trouser, 2 pullover, 3 dress, 4 coat, 5 sandal, 6 shirt, 7 sneaker, 8 bag, 9 ankle boot.
"""

from . import _idx
from ._locate import Layout, locate

# The files have the names of MNIST's, so only folders that say fashion are searched.
_FOLDERS = ("fashion-mnist", "fashion_mnist", "FashionMNIST/raw", "FashionMNIST", "data/FashionMNIST/raw")
_IDX = Layout(_idx.NAMES, _FOLDERS, optional_suffix=".gz")
_REMOTES = _idx.remotes(
    mirrors=(
        "https://storage.googleapis.com/tensorflow/tf-keras-datasets/",
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
    ),
    sha256=(
        "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
        "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
        "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
        "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
    ),
    nbytes=(40_000_000, 100_000, 8_000_000, 20_000),
)


def load_data(path=None):
    """Load Fashion-MNIST.

    Parameters
    ----------
    path : str or os.PathLike, optional
        A folder with the four IDX files (``train-images-idx3-ubyte.gz`` ..., also unpacked), or one of them. Without
        it: folders called fashion-mnist or FashionMNIST/raw in FASTCONV_HOME, ~/.fastconv, the caches of Keras and
        PyTorch and ./data, then a download.

    Returns
    -------
    (x_train, y_train), (x_test, y_test) : tuples of ndarray
        Images uint8 (60000, 28, 28) and (10000, 28, 28); labels uint8 (60000,) and (10000,).

    Raises
    ------
    DatasetNotFoundError
        Also a FileNotFoundError: nothing found, and no download.
    DataFormatError
        Also a ValueError: a file is damaged or is something else.

    Examples
    --------
    >>> from fastconv.datasets import fashion_mnist
    >>> (x_train, y_train), (x_test, y_test) = fashion_mnist.load_data()      # doctest: +SKIP
    """
    return _idx.read(locate("Fashion-MNIST", (_IDX,), path, _REMOTES, "fashion-mnist").files)
