"""Reading files that other people made: plain, gzip and tar.gz, never past a limit that the reader sets."""

import gzip
import io
import os
import stat
import tarfile
import zlib

from ..errors import FastconvError

_CHUNK = 1 << 20
_GZIP = b"\x1f\x8b"


class DataFormatError(FastconvError, ValueError):
    """A data file is damaged, is not what its name says, or holds more than it may."""


def read_bytes(path, limit):
    """Return the contents of a file, decompressed if it is a gzip file (by its first bytes, not its name).

    Parameters
    ----------
    path : str or os.PathLike
    limit : int
        The most bytes, after decompression, that the file may hold. No more than that is ever allocated.

    Returns
    -------
    data : bytes

    Raises
    ------
    FileNotFoundError
    DataFormatError
        It holds more than `limit` bytes, is a folder or a device, or is a damaged gzip file.

    Examples
    --------
    >>> import gzip, os, tempfile
    >>> path = os.path.join(tempfile.mkdtemp(), "numbers.gz")
    >>> with gzip.open(path, "wb") as file:
    ...     _ = file.write(b"1 2 3")
    >>> read_bytes(path, limit=100)
    b'1 2 3'
    """
    with open_regular(path) as file:
        with decompressed(file, path) as stream:
            data = read_up_to(stream, limit + 1, path)
    if len(data) > limit:
        raise DataFormatError(f"{os.fspath(path)} holds more than the {limit} bytes that are expected of it")
    return data


def open_regular(path):
    """Open a regular file for reading; a folder, pipe or device is a `DataFormatError`."""
    name = os.fspath(path)
    if not stat.S_ISREG(os.stat(name).st_mode):
        raise DataFormatError(f"{name} is not a regular file")
    return open(name, "rb")


def decompressed(file, path):
    """Return a stream of what a binary file holds: itself, or what it decompresses to if it is a gzip file."""
    if file.read(2) == _GZIP:
        file.seek(0)
        return _Translated(gzip.GzipFile(fileobj=file), path)
    file.seek(0)
    return file


def read_up_to(stream, n, path):
    """Return `n` bytes of `stream`, fewer at its end. Memory grows with what really comes, not with `n`."""
    parts, missing = [], n
    while missing > 0:
        part = stream.read(min(missing, _CHUNK))
        if not part:
            break
        parts.append(part)
        missing -= len(part)
    return b"".join(parts)


class _Translated(io.RawIOBase):
    """A gzip stream whose complaints about its contents are `DataFormatError`; the disk's own errors pass."""

    def __init__(self, stream, path):
        self._stream, self._path = stream, os.fspath(path)

    def readable(self):
        return True

    def read(self, n=-1):
        try:
            return self._stream.read(n)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise DataFormatError(f"{self._path} is a damaged gzip file: {error}") from error


class _Counted:
    """A stream that fails after `limit` bytes: an archive may unpack to no more than that, skipped parts included."""

    def __init__(self, stream, limit, path):
        self._stream, self._left, self._path = stream, limit, path

    def read(self, n):
        data = read_up_to(self._stream, min(n, self._left + 1), self._path)
        self._left -= len(data)
        if self._left < 0:
            raise DataFormatError(f"{os.fspath(self._path)} unpacks to more than is expected of it")
        return data


def read_members(path, sets, limit, total):
    """Read some files out of a .tar or .tar.gz, into memory. Nothing is extracted, so no name in it can lead anywhere.

    Parameters
    ----------
    path : str or os.PathLike
    sets : sequence of sequence of str
        Each a set of names that belong together, as ``"folder/file"``; folders above that are ignored. Reading stops as
        soon as one set is complete.
    limit : int
        The most bytes that one wanted file may hold.
    total : int
        The most bytes that the archive may unpack to, up to where reading stops.

    Returns
    -------
    found : dict of str to bytes
        The files of the first set that came complete.

    Raises
    ------
    FileNotFoundError
    DataFormatError
        No set is complete, a limit is passed, a wanted name is a link or a sparse file, or the archive is damaged.
    """
    name, found = os.fspath(path), {}
    wanted = {member for group in sets for member in group}
    with open_regular(path) as file, decompressed(file, path) as stream:
        try:
            # "r|" reads straight through: no seeking by offsets that the archive claims.
            with tarfile.open(fileobj=_Counted(stream, total, path), mode="r|") as archive:
                for member in archive:
                    archive.members = []  # tarfile remembers every header otherwise
                    key = "/".join(member.name.split("/")[-2:])
                    if key not in wanted:
                        continue
                    found[key] = _read_member(archive, member, limit, name)
                    for group in sets:
                        if all(other in found for other in group):
                            return {other: found[other] for other in group}
        except (tarfile.TarError, EOFError, UnicodeError, OverflowError) as error:
            raise DataFormatError(f"{name} is not a tar archive, or is damaged: {error}") from error
    lacking = " or ".join(", ".join(other for other in group if other not in found) for group in sets)
    raise DataFormatError(f"{name} lacks {lacking}")


def _read_member(archive, member, limit, name):
    # Links would lead elsewhere, and a sparse file unpacks to zeros that are not in the archive.
    if not member.isreg() or member.issparse() or not 0 <= member.size <= limit:
        raise DataFormatError(f"{name}: {member.name} is no plain file of at most {limit} bytes")
    data = read_up_to(archive.extractfile(member), limit + 1, name)
    if len(data) != member.size:
        raise DataFormatError(f"{name}: {member.name} is truncated")
    return data
