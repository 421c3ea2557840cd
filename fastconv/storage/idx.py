"""IDX, the format of MNIST: two zero bytes, a type code, the rank, big-endian u32 sizes, then the values."""

import math
import os

import numpy as np

from .bounded import DataFormatError, decompressed, open_regular, read_up_to

_TYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}


def read_idx(path, ndim=None, limit=1 << 31):
    """Read an IDX file, plain or compressed with gzip.

    Parameters
    ----------
    path : str or os.PathLike
    ndim : int, optional
        The rank that the file must have.
    limit : int
        The most bytes of values that the file may hold.

    Returns
    -------
    array : ndarray
        In the machine's own byte order, C-contiguous and writable. uint8, int8, int16, int32, float32 or float64.

    Raises
    ------
    FileNotFoundError
    DataFormatError
        Not an IDX file, of another rank, above the limit, or with more or fewer values than its header says.

    References
    ----------
    "The IDX file format", http://yann.lecun.com/exdb/mnist/

    Examples
    --------
    >>> import os, tempfile
    >>> path = os.path.join(tempfile.mkdtemp(), "labels-idx1-ubyte")
    >>> with open(path, "wb") as file:
    ...     _ = file.write(bytes([0, 0, 8, 1, 0, 0, 0, 3, 7, 2, 1]))
    >>> read_idx(path)
    array([7, 2, 1], dtype=uint8)
    """
    name = os.fspath(path)
    with open_regular(path) as file, decompressed(file, path) as stream:
        magic = read_up_to(stream, 4, path)
        if len(magic) < 4 or magic[:2] != b"\0\0" or magic[2] not in _TYPES:
            raise DataFormatError(f"{name} is not an IDX file: it begins with {magic.hex() or 'nothing'}")
        if ndim is not None and magic[3] != ndim:
            raise DataFormatError(f"{name}: expected {ndim} dimensions, got {magic[3]}")
        sizes = read_up_to(stream, 4 * magic[3], path)
        if len(sizes) < 4 * magic[3]:
            raise DataFormatError(f"{name} is truncated within its header")
        shape = tuple(int(size) for size in np.frombuffer(sizes, ">u4"))
        dtype = np.dtype(_TYPES[magic[2]])
        nbytes = math.prod(shape) * dtype.itemsize
        if nbytes > limit:
            raise DataFormatError(f"{name}: shape {shape} takes {nbytes} bytes, more than the {limit} expected")
        data = read_up_to(stream, nbytes + 1, path)
    if len(data) != nbytes:
        what = "more" if len(data) > nbytes else f"only {len(data)}"
        raise DataFormatError(f"{name}: its header says {nbytes} bytes of shape {shape}, it holds {what}")
    try:
        array = np.frombuffer(data, dtype).reshape(shape)
    except ValueError as error:  # more dimensions than NumPy has
        raise DataFormatError(f"{name}: shape {shape} is none: {error}") from error
    return array.astype(dtype.newbyteorder("="))
