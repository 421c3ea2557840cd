"""The model files that commands take, and the inputs of ONNX files."""

import errno
import os
import re

import numpy as np

from ..errors import ArgumentError, ShapeError


def check_there(path):
    """Raise FileNotFoundError, naming the file, unless it is there."""
    if not os.path.exists(path):
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)


def is_onnx(path):
    """Tell whether a file is called .onnx."""
    return os.path.splitext(path)[1].lower() == ".onnx"


def load(path, shapes=None):
    """Return the `Model` of a .onnx or .fastconv file, its weights made."""
    check_there(path)
    if is_onnx(path):
        from .. import onnx

        model = onnx.load(path, input_shape=shapes or None)
        for name, shape in model.open_inputs().items():
            raise _open_shape(name, shape)
        return model
    from ..models import load_model
    from ..models.saving import EXTENSION

    if not path.endswith(EXTENSION):
        raise ArgumentError(f"model files end in {EXTENSION!r} or '.onnx', got {path!r}")
    if shapes:
        raise ArgumentError("--shape is for .onnx files")
    return load_model(path, compile=False)


def open_session(path, threads=0):
    """Return an `InferenceSession` of a .onnx file."""
    from .. import InferenceSession, SessionOptions

    check_there(path)
    if path.endswith(".fastconv"):
        raise ArgumentError(f"{path} is no ONNX file: `fastconv convert {path} MODEL.onnx` makes one")
    options = SessionOptions()
    options.intra_op_num_threads = threads
    return InferenceSession(path, options)


def pairs(option, texts):
    """Return {name: value} of options written as NAME=VALUE."""
    found = {}
    for text in texts:
        name, equals, value = text.rpartition("=")
        if not equals or not name or not value:
            raise ArgumentError(f"{option} takes NAME=VALUE, got {text!r}")
        if name in found:
            raise ArgumentError(f"{option}: {name} is given twice")
        found[name] = value
    return found


def shapes_of(texts):
    """Return {name: shape} of what --shape was given."""
    shapes = {}
    for name, text in pairs("--shape", texts).items():
        if not re.fullmatch(r"\d+(x\d+)*", text):
            raise ArgumentError(f"--shape takes NAME=1x3x224x224, got {name}={text}")
        shapes[name] = tuple(int(size) for size in text.split("x"))
    return shapes


def dtype_of(argument):
    """Return the NumPy dtype of a session's input or output."""
    name = argument.type.removeprefix("tensor(").removesuffix(")")
    return np.dtype({"float": "float32", "double": "float64", "string": "object"}.get(name, name))


def describe(argument):
    """Return "x float32 Nx3x224x224", say, of a session's input or output; "?" stands for what the file leaves open."""
    sizes = ["..."] if argument.shape is None else ["?" if size is None else str(size) for size in argument.shape]
    return f"{argument.name} {dtype_of(argument)} {'x'.join(sizes) or 'scalar'}"


def inputs_of(session, shapes, batch=None):
    """Return {name: (shape, dtype)} of the inputs of a session.

    Parameters
    ----------
    session : InferenceSession
    shapes : dict of str -> tuple
        What --shape gave; it wins.
    batch : int, optional
        For a first dimension that the file leaves open; 1 by default. A --shape has this batch, too, if it is given.

    Raises
    ------
    ArgumentError, ShapeError
        When a shape remains open, or the file says another one.
    """
    arguments = session.get_inputs()
    unknown = [name for name in shapes if name not in {argument.name for argument in arguments}]
    if unknown:
        raise ArgumentError(f"--shape: there is no input {unknown[0]!r}; there is {_names(arguments)}")
    inputs = {}
    for argument in arguments:
        declared, given = argument.shape, shapes.get(argument.name)
        if given is None:
            if declared is None or not all(isinstance(size, int) for size in declared[1:]):
                raise _open_shape(argument.name, declared)
            given = declared
        if batch is not None or not given or not isinstance(given[0], int):
            given = (batch or 1, *given[1:]) if given else ()
        if declared is not None and not _fits(given, declared):
            raise ShapeError(f"input {argument.name!r} takes shape {declared}, not {list(given)}")
        inputs[argument.name] = tuple(given), dtype_of(argument).name
    return inputs


def _open_shape(name, shape):
    return ArgumentError(f"input {name!r} has the open shape {shape}: give --shape {name}=1x3x224x224, say")


def _fits(shape, declared):
    return len(shape) == len(declared) and all(
        not isinstance(m, int) or n == m for n, m in zip(shape, declared, strict=True)
    )


def _names(arguments):
    return ", ".join(repr(argument.name) for argument in arguments)
