"""A path, bytes or an open file to a model, or to a sentence that says what else it is."""

import io
import os
import stat

from ...errors import ArgumentError, ModelFormatError
from . import proto
from .external import Folder, map_file

# What a file begins with -> what it is, and what to do with it.
_FOREIGN = (
    (b"PK\x03\x04", "a zip archive, perhaps a .keras or PyTorch file: export the network as ONNX first"),
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file, perhaps of Keras: export the network as ONNX first"),
    (b"version https://git-lfs", "a pointer of Git LFS, not the file itself: run `git lfs pull`"),
    (b"\x1f\x8b", "a gzip file: unpack it first"),
    (b"BZh", "a bzip2 file: unpack it first"),
    (b"\xfd7zXZ", "an xz file: unpack it first"),
    (b"\x28\xb5\x2f\xfd", "a zstandard file: unpack it first"),
    (b"7z\xbc\xaf", "a 7z archive: unpack it first"),
    (b"\x93NUMPY", "a NumPy array"),
    (b"%PDF", "a PDF document"),
    (b"\x80\x02", "a pickle, perhaps of PyTorch: export the network as ONNX first"),
    (b"\x80\x03", "a pickle: export the network as ONNX first"),
    (b"\x80\x04", "a pickle: export the network as ONNX first"),
    (b"\x80\x05", "a pickle: export the network as ONNX first"),
)
_MARKUP = (
    (b"<!doctype html", "an HTML page: the download went to a web page instead of the file"),
    (b"<html", "an HTML page: the download went to a web page instead of the file"),
    (b"<?xml", "an XML file, perhaps of OpenVINO: export the network as ONNX"),
    (b"{", "JSON text"),
)
_AT_4 = {b"TFL3": "a TensorFlow Lite file", b"ORTM": "a file in ONNX Runtime's own format: save it as .onnx"}


def load_model(source):
    """Read an ONNX model from wherever it is.

    Parameters
    ----------
    source : str, os.PathLike, bytes-like or binary file object
        A path is mapped into memory, not read: do not write into the file while the model is in use (replacing it is
        fine).

    Returns
    -------
    model : proto.Model
    folder : Folder or None
        Where the model's external data may lie; None if `source` is no path.

    Raises
    ------
    FileNotFoundError
    ModelFormatError
        It is no ONNX model; the message says what it seems to be.
    ArgumentError
        `source` is nothing of the kind.
    """
    folder = None
    if isinstance(source, bytes | bytearray | memoryview):
        data, name = source, "the data"
    elif isinstance(source, str | os.PathLike):
        name = os.fsdecode(source)
        mode = os.stat(name).st_mode  # a FileNotFoundError names it
        if stat.S_ISDIR(mode):
            raise ModelFormatError(f"{name} is a folder, expected an .onnx file")
        if not stat.S_ISREG(mode):
            raise ModelFormatError(f"{name} is not a regular file")
        data, folder = map_file(name), Folder(os.path.dirname(os.path.abspath(name)))
    elif hasattr(source, "read"):
        name = getattr(source, "name", "the file")
        data = None if isinstance(source, io.TextIOBase) else source.read()
        if not isinstance(data, bytes | bytearray | memoryview):
            raise ArgumentError(f"{name} is open as text: open it with mode 'rb'")
    else:
        hint = ": give its SerializeToString()" if hasattr(source, "SerializeToString") else ""
        raise ArgumentError(f"a model is a path, bytes or a binary file, got {type(source).__name__}{hint}")
    if name == "the data" and _is_path(source):
        raise ModelFormatError(f"the data is a path, {bytes(source)!r}, not a model: give the path as a str")
    refuse_foreign(bytes(data[:64]), name)
    try:
        model = proto.read_model(data)
    except ModelFormatError as error:
        raise ModelFormatError(f"{name}: {error}") from error
    if model.graph is None:
        raise ModelFormatError(f"{name} is no ONNX model: it has no graph")
    return model, folder


def _is_path(data):
    """Tell whether bytes that should be a model are the path of a file, as some functions of the system return paths."""
    return 0 < len(data) < 4096 and b"\0" not in bytes(data) and os.path.exists(bytes(data))


def refuse_foreign(head, name):
    """Raise if the first bytes of a file are those of another format."""
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    kind = None
    if not head:
        kind = "empty"
    elif head[8:9] == b"{" and int.from_bytes(head[:8], "little") < 1 << 40:
        kind = "a safetensors or .fastconv file, not ONNX: see fastconv.models.load_model"
    else:
        kind = next((what for start, what in _FOREIGN if head.startswith(start)), None)
        kind = kind or next((what for start, what in _MARKUP if text.startswith(start)), None)
        kind = kind or _AT_4.get(head[4:8])
    if kind is not None:
        raise ModelFormatError(f"{name} is {kind}")
