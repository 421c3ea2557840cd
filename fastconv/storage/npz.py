"""Arrays out of a .npz archive, allocated only as they are really there."""

import io
import math
import os
import zipfile

import numpy as np

from .bounded import DataFormatError, read_bytes, read_up_to


def read_npz(path, names, limit):
    """Read some arrays of a .npz file. Unlike ``numpy.load``, this does not believe the sizes that headers claim.

    Parameters
    ----------
    path : str or os.PathLike
    names : sequence of str
    limit : int
        The most bytes that the file, and each of its arrays, may have.

    Returns
    -------
    arrays : list of ndarray
        Of bools, integers or floats, in the order of `names`, C-contiguous and writable.

    Raises
    ------
    FileNotFoundError
    DataFormatError
        The file is damaged, lacks an array, holds more than `limit`, or holds Python objects, which are pickles.

    Examples
    --------
    >>> import os, tempfile
    >>> path = os.path.join(tempfile.mkdtemp(), "a.npz")
    >>> np.savez(path, x=np.arange(3), y=np.ones(2))
    >>> read_npz(path, ["y"], limit=10_000)
    [array([1., 1.])]
    """
    data = read_bytes(path, limit)
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            return [_read_array(archive, f"{name}.npy", limit) for name in names]
    except MemoryError:
        raise
    # From here on everything is in memory, so any failure is the contents' own; zipfile alone has nine ways to fail.
    except Exception as error:
        raise DataFormatError(f"{os.fspath(path)} is not the .npz file expected, or is damaged: {error}") from error


def _read_array(archive, name, limit):
    with archive.open(name) as file:
        data = read_up_to(file, limit + 1, name)
    if len(data) > limit:
        raise DataFormatError(f"{name} has more than {limit} bytes")
    stream = io.BytesIO(data)
    version = np.lib.format.read_magic(stream)
    if version not in ((1, 0), (2, 0)):
        raise DataFormatError(f"{name} has version {version}")
    read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, fortran, dtype = read_header(stream)
    if dtype.kind not in "biuf":
        raise DataFormatError(f"{name} has dtype {dtype}")
    values = stream.read()
    if math.prod(shape) * dtype.itemsize != len(values):
        raise DataFormatError(f"{name} has {len(values)} bytes for shape {shape} of {dtype}")
    array = np.frombuffer(values, dtype).reshape(shape, order="F" if fortran else "C")
    return array.astype(dtype.newbyteorder("="), order="C")
