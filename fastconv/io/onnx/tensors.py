"""Tensors of an ONNX file <-> NumPy arrays. No size that a file claims is believed before its bytes are there."""

import math

import numpy as np

from ...errors import DTypeError, ModelFormatError, UnsupportedOpError
from . import proto
from .external import Folder

MAX_RANK = 32  # NumPy 1.26's
# Products of dimensions stay far below what would wrap around in any index.
MAX_ELEMENTS = 1 << 40

# Data type -> (dtype of the data as they lie in raw_data, the field that holds them otherwise).
_STORED = {
    proto.FLOAT: ("<f4", "float_data"),
    proto.UINT8: ("u1", "int32_data"),
    proto.INT8: ("i1", "int32_data"),
    proto.UINT16: ("<u2", "int32_data"),
    proto.INT16: ("<i2", "int32_data"),
    proto.INT32: ("<i4", "int32_data"),
    proto.INT64: ("<i8", "int64_data"),
    proto.BOOL: ("u1", "int32_data"),
    proto.FLOAT16: ("<f2", "int32_data"),
    proto.DOUBLE: ("<f8", "double_data"),
    proto.UINT32: ("<u4", "uint64_data"),
    proto.UINT64: ("<u8", "uint64_data"),
    proto.COMPLEX64: ("<c8", "float_data"),
    proto.COMPLEX128: ("<c16", "double_data"),
    proto.BFLOAT16: ("<u2", "int32_data"),
}
STORED = {code: (np.dtype(dtype), name) for code, (dtype, name) in _STORED.items()}
# ONNX data type -> the NumPy dtype that `to_array` gives.
DTYPES = {code: dtype for code, (dtype, _) in STORED.items()} | {
    proto.BOOL: np.dtype(bool),
    proto.BFLOAT16: np.dtype("<f4"),
    proto.STRING: np.dtype(object),
}
_CODES = {dtype: code for code, dtype in DTYPES.items() if code != proto.BFLOAT16}


def to_array(tensor, folder=None):
    """Return what a tensor of an ONNX file holds.

    Parameters
    ----------
    tensor : proto.Tensor
    folder : Folder or path-like, optional
        Where its data may lie, if not in the file itself: the folder of the model, as `load_model` returns it.

    Returns
    -------
    array : ndarray
        Read-only, and a view of the file where the bytes are there as they are needed: then it need not be aligned.
        bfloat16 comes as float32, strings as an object array of bytes.

    Raises
    ------
    ModelFormatError
        The sizes do not fit the data, or external data lie outside the folder or are not there.
    UnsupportedOpError
        Of a data type that NumPy does not have: float8, int4, ...

    Examples
    --------
    >>> tensor = from_array(np.eye(2, dtype="float32"), "identity")
    >>> tensor.dims, to_array(tensor).sum()
    ([2, 2], np.float32(2.0))
    """
    check_size(tensor)
    code, shape = tensor.data_type, tuple(tensor.dims)
    if code == proto.STRING:
        array = np.empty(len(tensor.string_data), object)
        array[:] = tensor.string_data
        return _read_only(array.reshape(shape))
    dtype, name = STORED[code]
    if tensor.data_location == proto.EXTERNAL:
        if folder is None:
            raise ModelFormatError(
                f"the data of {label(tensor)} lie in another file: load the model by its path, so that it can be found"
            )
        folder = folder if isinstance(folder, Folder) else Folder(folder)
        array = np.frombuffer(folder.read(tensor, math.prod(shape) * dtype.itemsize), dtype)
    elif len(tensor.raw_data):
        array = np.frombuffer(tensor.raw_data, dtype)
    else:
        array = np.asarray(getattr(tensor, name))
        if code in (proto.FLOAT16, proto.BFLOAT16):  # the bits, as a number
            array = array.astype("<u2").view(dtype)
        elif dtype.kind == "c":
            array = array.view(dtype)
        else:
            array = array.astype(dtype, copy=False)
    if code == proto.BOOL:
        array = array != 0
    elif code == proto.BFLOAT16:
        array = (array.astype("<u4") << 16).view("<f4")
    return _read_only(array.reshape(shape))


def _read_only(array):
    array.flags.writeable = False
    return array


def label(tensor):
    """Return how an error calls a tensor."""
    return f"tensor {tensor.name!r}" if tensor.name else "a tensor without a name"


def check_size(tensor):
    """Raise if the dimensions of a tensor do not fit the data that its file has for it."""
    if tensor.data_type not in DTYPES:
        known = proto.DATA_TYPES.get(tensor.data_type)
        if known is None or tensor.data_type == proto.UNDEFINED:
            raise ModelFormatError(f"{label(tensor)} has data type {tensor.data_type}, which ONNX does not have")
        raise UnsupportedOpError(f"{label(tensor)} is {known}, which fastconv does not read: export it as float32")
    if tensor.segment is not None:
        raise UnsupportedOpError(f"{label(tensor)} comes in segments, which fastconv does not read: save it whole")
    if len(tensor.dims) > MAX_RANK or any(d < 0 for d in tensor.dims):
        raise ModelFormatError(f"{label(tensor)} has dimensions {_short(tensor.dims)}")
    # Of the dimensions other than 0: NumPy multiplies those too.
    if math.prod(d for d in tensor.dims if d) > MAX_ELEMENTS:
        raise ModelFormatError(f"{label(tensor)} claims dimensions {_short(tensor.dims)}, too many to be true")
    if tensor.data_location == proto.EXTERNAL:
        return
    count = math.prod(tensor.dims)
    if tensor.data_type == proto.STRING:
        found, expected = len(tensor.string_data), count
    elif len(tensor.raw_data):
        found, expected = len(tensor.raw_data), count * STORED[tensor.data_type][0].itemsize
    else:
        dtype, name = STORED[tensor.data_type]
        found, expected = len(getattr(tensor, name)), count * (2 if dtype.kind == "c" else 1)
    if found != expected:
        unit = "bytes" if len(tensor.raw_data) else "values"
        raise ModelFormatError(
            f"{label(tensor)} has {found} {unit}, where its dimensions {_short(tensor.dims)} need {expected}"
        )


def _short(dims):
    return f"{dims}" if len(dims) <= 8 else f"[{', '.join(map(str, dims[:8]))}, ...], {len(dims)} of them"


def type_code(dtype):
    """Return ONNX's number for a NumPy dtype."""
    code = _CODES.get(np.dtype(dtype).newbyteorder("<"))
    if code is None:
        raise DTypeError(f"an ONNX file cannot hold arrays of {dtype}")
    return code


def from_array(array, name=""):
    """Return a tensor for an ONNX file.

    Parameters
    ----------
    array : array_like
        Of any dtype that ONNX has; strings as str or bytes.
    name : str

    Returns
    -------
    tensor : proto.Tensor
        Its data are a view of `array` where its layout is the file's.

    Raises
    ------
    DTypeError
        ONNX has no such dtype.
    """
    array = np.asarray(array)
    dims = list(array.shape)
    if array.dtype.kind in "SUO":
        items = array.ravel().tolist()
        if not all(isinstance(item, str | bytes) for item in items):
            raise DTypeError(f"array {name!r} holds objects that are no strings")
        items = [item.encode() if isinstance(item, str) else item for item in items]
        return proto.Tensor(name=name, dims=dims, data_type=proto.STRING, string_data=items)
    code = type_code(array.dtype)
    array = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
    return proto.Tensor(name=name, dims=dims, data_type=code, raw_data=memoryview(array.reshape(-1).view("u1")))


def element_type(value):
    """Return the NumPy dtype of an input or output (a proto.ValueInfo) that is a tensor."""
    tensor = value.type and value.type.tensor_type
    if not tensor or tensor.elem_type == proto.UNDEFINED:
        raise ModelFormatError(f"{value.name!r} has no type in the file, which every input needs")
    if tensor.elem_type not in DTYPES:
        kind = proto.DATA_TYPES.get(tensor.elem_type, tensor.elem_type)
        raise UnsupportedOpError(
            f"{value.name!r} is a tensor of {kind}, which NumPy does not hold: export it as float32"
        )
    return np.dtype(DTYPES[tensor.elem_type].name)


def value_info(name, shape, dtype):
    """Return the ValueInfo of a tensor; a dimension that is open is a name, or None: without one, the first is the batch."""
    dims = [
        proto.Dimension(dim_value=n)
        if isinstance(n, int)
        else proto.Dimension(dim_param=("" if i else "batch") if n is None else n)
        for i, n in enumerate(shape)
    ]
    kind = proto.TensorType(elem_type=type_code(dtype), shape=proto.TensorShape(dim=dims))
    return proto.ValueInfo(name=name, type=proto.Type(tensor_type=kind))
