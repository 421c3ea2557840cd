"""The ``.fastconv`` file: a safetensors file whose metadata describes the model and carries a checksum of every byte.

::

    u64 length | {"__metadata__": {"fastconv": "{...}"}, "name": {"dtype", "shape", "data_offsets"}, ...} | tensors
                                               |
                                               +-- {"sha256": "<64 digits>", "format": 1, "metadata": <the caller's>}

The digest is that of the whole file with 64 zeros in the digest's own place, so not one byte can change unnoticed, in
the header or in the tensors. It guards against damage, not against forgery: what keeps a forged file harmless is that
nothing in it is run and nothing is allocated that is not there. Any safetensors reader can open the file.
"""

import hashlib
import json
import os
import re
import stat

import numpy as np

from ..errors import ArgumentError, DTypeError, ModelFormatError
from .atomic import atomic_write

FORMAT = 1
_KEY = "fastconv"
_BLANK = "0" * 64
# The entry is JSON within a JSON string: hence the backslashes. The first match counts, when saving and when loading.
_DIGEST = re.compile(rb'\\"sha256\\": ?\\"([0-9a-f]{64})\\"')
_DTYPES = frozenset("bool uint8 int8 uint16 int16 uint32 int32 uint64 int64 float16 float32 float64".split())


def save(path, arrays, metadata):
    """Write arrays and their description to one file, atomically.

    Parameters
    ----------
    path : str or os.PathLike
        The file to write. What stood there is replaced as a whole, or left whole if anything fails.
    arrays : dict of str to array_like
        Any shape (also 0-d and empty), any layout; bool, integer or float to 64 bits. Stored little-endian in C order.
    metadata : dict
        JSON-able. Tuples come back as lists, and NaN and infinities as themselves.

    Raises
    ------
    DTypeError
        An array of another dtype.
    ArgumentError
        A name that is not a string, or metadata that JSON cannot hold.
    OSError
        The disk is full, the folder is missing, ...

    Examples
    --------
    >>> import os, tempfile
    >>> path = os.path.join(tempfile.mkdtemp(), "model.fastconv")
    >>> save(path, {"kernel": np.ones((2, 3), "float32")}, {"layers": ["Dense"]})
    >>> arrays, metadata = load(path)
    >>> arrays["kernel"].shape, metadata
    ((2, 3), {'layers': ['Dense']})
    """
    from safetensors.numpy import save as encode

    tensors = {_check_name(name): _check_array(name, array) for name, array in arrays.items()}
    try:
        entry = json.dumps({"sha256": _BLANK, "format": FORMAT, "metadata": metadata})
    except (TypeError, ValueError, RecursionError) as error:
        raise ArgumentError(f"metadata cannot be written as JSON: {error}") from error
    data = memoryview(encode(tensors, metadata={_KEY: entry}))
    start, stop = _find_digest(data)
    digest = _digest(data, start, stop)
    with atomic_write(path) as file:
        for part in (data[:start], digest, data[stop:]):
            file.write(part)


def load(path):
    """Read what `save` wrote.

    Parameters
    ----------
    path : str or os.PathLike

    Returns
    -------
    arrays : dict of str to ndarray
        Writable, C-contiguous, bit for bit as saved, in sorted order of their names.
    metadata : dict

    Raises
    ------
    FileNotFoundError
        There is no such file.
    ModelFormatError
        The file is truncated, altered, of a later format, or something else altogether: text, an archive, a folder.
        Memory use stays within a small multiple of the file's real size whatever its header claims.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load as decode

    name = os.fspath(path)
    data = _read(name)
    header = _header(name, data)
    entry = _entry(name, header)
    try:
        tensors = decode(data)
        # The library hands out read-only or unaligned views on some versions; weights must be neither.
        arrays = {key: np.require(tensors[key], requirements="CWA") for key in sorted(tensors)}
    except (SafetensorError, ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise ModelFormatError(f"{name}: the tensors cannot be read: {error}") from error
    return arrays, entry["metadata"]


def _check_name(name):
    # "__metadata__" is the format's own key: a tensor of that name would make a file that nobody can open.
    if not isinstance(name, str) or name == "__metadata__":
        raise ArgumentError(f"array names must be strings other than '__metadata__', got {name!r}")
    try:
        name.encode()
    except UnicodeEncodeError as error:
        raise ArgumentError(f"array name {name!r} cannot be written as UTF-8") from error
    return name


def _check_array(name, array):
    array = np.asarray(array, order="C")
    if array.dtype.name not in _DTYPES:
        raise DTypeError(f"array {name!r} has dtype {array.dtype}; a model file holds {', '.join(sorted(_DTYPES))}")
    return array.astype(array.dtype.newbyteorder("<"), copy=False)


def _find_digest(data):
    """Return where the 64 digits stand in `data`, as (start, stop), or None."""
    stop = 8 + int.from_bytes(data[:8], "little")
    match = _DIGEST.search(data, 8, stop)
    return match.span(1) if match else None


def _digest(data, start, stop):
    """Return the hexadecimal SHA-256 of `data` with zeros for bytes `start` to `stop`, as 64 bytes."""
    state = hashlib.sha256(data[:start])
    state.update(_BLANK.encode())
    state.update(data[stop:])
    return state.hexdigest().encode()


def _read(name):
    """Return the bytes of a regular file. Devices and pipes, which never end, are refused."""
    if os.path.isdir(name):
        raise ModelFormatError(f"{name} is a folder, not a model file")
    with open(name, "rb", opener=_open_without_waiting) as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise ModelFormatError(f"{name} is not a regular file")
        return file.read(status.st_size)


def _open_without_waiting(name, flags):
    return os.open(name, flags | getattr(os, "O_NONBLOCK", 0))  # opening a pipe would wait for its writer


def _header(name, data):
    """Check the frame and the checksum of `data`, and return the header, parsed."""
    if len(data) < 8:
        raise ModelFormatError(f"{name} is no fastconv model: it is {len(data)} bytes long")
    length = int.from_bytes(data[:8], "little")
    if data[8:9] != b"{":
        raise ModelFormatError(f"{name} is no fastconv model: it does not begin as a safetensors file does")
    if length > len(data) - 8:
        raise ModelFormatError(f"{name} is truncated or altered: a header of {length} bytes in a file of {len(data)}")
    span = _find_digest(data)
    if span is None:
        raise ModelFormatError(
            f"{name} is no fastconv model, or is altered: it may be a safetensors file of another program, "
            "for it has no fastconv entry in its metadata"
        )
    if _digest(memoryview(data), *span) != data[slice(*span)]:
        raise ModelFormatError(f"{name} is truncated or altered: its bytes do not match their SHA-256")
    return _parse(name, data[8 : 8 + length])


def _entry(name, header):
    """Return fastconv's own entry of the header's metadata."""
    try:
        text = header["__metadata__"][_KEY]
    except (KeyError, TypeError) as error:
        raise ModelFormatError(f"{name} has no fastconv entry in its metadata") from error
    entry = _parse(name, text)
    if not isinstance(entry, dict) or not isinstance(entry.get("format"), int) or "metadata" not in entry:
        raise ModelFormatError(f"{name}: the fastconv entry of its metadata is malformed")
    if entry["format"] != FORMAT:
        raise ModelFormatError(f"{name} has format {entry['format']}; this fastconv reads {FORMAT}: update fastconv")
    return entry


def _parse(name, text):
    try:
        return json.loads(text)
    except (TypeError, ValueError, RecursionError) as error:
        raise ModelFormatError(f"{name}: the header cannot be read: {error}") from error
