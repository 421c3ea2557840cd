"""One file of CIFAR-10 or CIFAR-100, in either official layout, to arrays.

Both hold an image as 3,072 bytes: the red plane, then the green, then the blue, each 32 rows of 32. The Python layout
is a pickled dict, the binary layout a record per image: one label byte (CIFAR-100: coarse, then fine), then the image.

References
----------
A. Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009. https://www.cs.toronto.edu/~kriz/cifar.html
"""

import numpy as np

from .bounded import DataFormatError
from .pickles import read_pickle

PIXELS = 3072


def parse_python(data, name, label_key, classes):
    """Read one file of the Python layout.

    Parameters
    ----------
    data : bytes
        The file's contents.
    name : str
        What errors call the file.
    label_key : str
        ``"labels"``, ``"fine_labels"`` or ``"coarse_labels"``.
    classes : int
        Labels are below it.

    Returns
    -------
    images : ndarray of uint8, shape (n, 32, 32, 3)
    labels : ndarray of uint8, shape (n, 1)

    Raises
    ------
    DataFormatError
        Damaged, of another layout, or with contents that are not data.
    """
    try:
        items = read_pickle(data).items()
    except DataFormatError as error:
        raise DataFormatError(f"{name}: {error}") from error
    batch = {key.decode("latin-1") if isinstance(key, bytes) else key: value for key, value in items}
    for key in ("data", label_key):
        if key not in batch:
            raise DataFormatError(f"{name} has no {key!r}: it has {', '.join(map(str, batch)) or 'nothing'}")
    planes, labels = batch["data"], batch[label_key]
    if not isinstance(planes, np.ndarray) or planes.dtype != np.uint8 or planes.ndim != 2 or planes.shape[1] != PIXELS:
        raise DataFormatError(f"{name}: 'data' is not a uint8 array of shape (n, {PIXELS})")
    if isinstance(labels, list) and all(type(label) is int for label in labels):
        labels = np.array([label if 0 <= label < classes else -1 for label in labels], np.int64)
    if not isinstance(labels, np.ndarray) or labels.dtype.kind not in "iu" or labels.shape != planes.shape[:1]:
        raise DataFormatError(f"{name}: {label_key!r} is not a list of {len(planes)} integers")
    return _images(planes), _labels(labels, classes, name)


def parse_binary(data, name, label_bytes, label_index, classes):
    """Read one file of the binary layout.

    Parameters
    ----------
    data : bytes
    name : str
        What errors call the file.
    label_bytes : int
        How many labels stand before each image: 1 in CIFAR-10, 2 in CIFAR-100.
    label_index : int
        Which of them is wanted.
    classes : int
        Labels are below it.

    Returns
    -------
    images : ndarray of uint8, shape (n, 32, 32, 3)
    labels : ndarray of uint8, shape (n, 1)

    Raises
    ------
    DataFormatError
        The size is not a whole number of records, or a label is out of range.
    """
    record = label_bytes + PIXELS
    if not data or len(data) % record:
        raise DataFormatError(f"{name}: {len(data)} bytes are not a whole number of records of {record}")
    records = np.frombuffer(data, np.uint8).reshape(-1, record)
    return _images(records[:, label_bytes:]), _labels(records[:, label_index], classes, name)


def _images(planes):
    return np.ascontiguousarray(planes.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1))


def _labels(labels, classes, name):
    if labels.size and not 0 <= int(labels.min()) <= int(labels.max()) < classes:
        raise DataFormatError(f"{name} has labels outside 0 to {classes - 1}")
    return labels.astype(np.uint8).reshape(-1, 1)
