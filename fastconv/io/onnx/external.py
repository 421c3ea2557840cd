"""Data of tensors that lie in files beside the model. No path in a model leads out of the model's folder."""

import mmap
import os
import re
import stat
import weakref

import numpy as np

from ...errors import ModelFormatError


class Folder:
    """The folder of a model: the only place where its tensors may keep their data.

    A file is mapped into memory once, for all tensors in it, and stays so as long as an array from it lives. Do not
    write into a file while a model from it is in use; replace it (as `fastconv` and most tools do).

    Parameters
    ----------
    path : str or os.PathLike
    """

    def __init__(self, path):
        self.path = os.path.abspath(os.fspath(path))
        self._maps = weakref.WeakValueDictionary()

    def __fspath__(self):
        return self.path

    def __repr__(self):
        return f"Folder({self.path!r})"

    def read(self, tensor, size):
        """Return the bytes of a tensor whose data location is external.

        Parameters
        ----------
        tensor : proto.Tensor
        size : int
            How many bytes its dimensions need.

        Returns
        -------
        data : ndarray of uint8, shape (size,)
            Read-only.

        Raises
        ------
        ModelFormatError
            The location is outside the folder, there is no such file, or it is too short.
        """
        entries = {entry.key: entry.value for entry in tensor.external_data}
        where = f"the external data of tensor {tensor.name!r}"
        location = entries.get("location", "")
        offset, length = (_number(entries, key, where) for key in ("offset", "length"))
        offset = offset or 0
        if length not in (None, size):
            raise ModelFormatError(f"{where} are {length} bytes, where its dimensions need {size}")
        if size == 0:
            return np.empty(0, "u1")
        data = self._map(self._resolve(location, where), where)
        if offset > len(data) - size:
            raise ModelFormatError(
                f"{where} are {size} bytes from byte {offset} of {location!r}, which has {len(data)}"
            )
        return data[offset : offset + size]

    def _resolve(self, location, where):
        parts = re.split(r"[/\\]", location)
        # A drive letter or a stream of Windows too: a file should mean the same everywhere.
        if not location or "" in parts[:1] or ".." in parts or ":" in location or "\0" in location:
            raise ModelFormatError(f"{where} are at {location!r}, which is no place inside the model's folder: refused")
        real, root = os.path.realpath(os.path.join(self.path, *parts)), os.path.realpath(self.path)
        if os.path.commonpath([real, root]) != root:
            raise ModelFormatError(
                f"{where} are at {location!r}, a link out of the model's folder: refused. If you trust it, "
                "put the file itself there"
            )
        return real

    def _map(self, path, where):
        data = self._maps.get(path)
        if data is None:
            try:
                # Looked at before it is opened: opening a pipe would wait for its writer.
                if not stat.S_ISREG(os.stat(path).st_mode):
                    raise ModelFormatError(f"{where} are in {path}, which is not a regular file")
                data = map_file(path)
            except OSError as error:
                raise ModelFormatError(f"{where} should be in {path}: {error.strerror}") from error
            self._maps[path] = data
        return data


def map_file(path):
    """Return the bytes of a regular file as a read-only array that the system fills from it as it is read."""
    if os.stat(path).st_size == 0:
        return np.empty(0, "u1")
    return np.asarray(np.memmap(path, "u1", mode="r"))


def let_go(arrays):
    """Let the system take back the memory of files that `map_file` mapped for these arrays: they are read again if need be."""
    maps = {}
    for array in arrays:
        while isinstance(array, (np.ndarray, memoryview)):
            array = array.base if isinstance(array, np.ndarray) else array.obj
        if isinstance(array, mmap.mmap):
            maps[id(array)] = array
    for mapped in maps.values():
        if hasattr(mmap, "MADV_DONTNEED"):
            mapped.madvise(mmap.MADV_DONTNEED)


def _number(entries, key, where):
    text = entries.get(key)
    if text is None:
        return None
    if not re.fullmatch(r"[0-9]{1,40}", text):
        raise ModelFormatError(f"{where} have {key} {text[:40]!r}, expected a number of bytes, 0 or more")
    return int(text)
