"""Data out of a pickle, by a reader of opcodes that has nothing to run.

A pickle is a program for a small stack machine, and the standard library's machine can import and call anything. This
one knows the opcodes that plain data and NumPy arrays need; a global name is looked up in a short table and stands for
a function of this file, or the pickle is refused. It reads what Python 2 wrote (the official CIFAR files) and protocols
2 to 5 of today.
"""

import math
import struct

import numpy as np

from .bounded import DataFormatError

_DTYPES = frozenset("b1 u1 i1 u2 i2 u4 i4 u8 i8 f4 f8".split())
_MARK = object()
_NDARRAY = object()


class _Dtype:
    """A NumPy dtype being rebuilt: the code comes first, the byte order with its state."""

    def __init__(self, code, *flags):
        code = _text(code)
        if code not in _DTYPES:
            raise DataFormatError(f"an array of dtype {code!r} is not data that is read here")
        self.dtype = np.dtype(code)

    def build(self, state):
        if not isinstance(state, tuple) or len(state) < 2 or _text(state[1]) not in ("<", ">", "|", "="):
            raise DataFormatError("a malformed dtype")
        self.dtype = self.dtype.newbyteorder(_text(state[1]))


class _Array:
    """A NumPy array being rebuilt: empty first, its shape and bytes come with its state."""

    value = None

    def build(self, state):
        if not isinstance(state, tuple) or len(state) != 5:
            raise DataFormatError("a malformed array")
        _, shape, dtype, fortran, data = state
        self.value = _make(data, dtype, shape, "F" if fortran is True else "C")


def _make(data, dtype, shape, order):
    if not isinstance(dtype, _Dtype) or not isinstance(data, bytes) or not isinstance(shape, tuple):
        raise DataFormatError("a malformed array")
    if any(type(size) is not int or size < 0 for size in shape) or _text(order) not in ("C", "F"):
        raise DataFormatError("a malformed array")
    if math.prod(shape) * dtype.dtype.itemsize != len(data):
        raise DataFormatError(f"an array of shape {shape} and dtype {dtype.dtype} with {len(data)} bytes")
    return np.frombuffer(data, dtype.dtype).reshape(shape, order=_text(order))


def _text(value):
    """Return a string that Python 2 may have written as bytes."""
    if isinstance(value, bytes):
        return value.decode("latin-1")
    if not isinstance(value, str):
        raise DataFormatError(f"expected a string, got {type(value).__name__}")
    return value


def _reconstruct(kind, shape, code):
    if kind is not _NDARRAY:
        raise DataFormatError("an array of a class other than numpy.ndarray")
    return _Array()


def _from_buffer(data, dtype, shape, order):
    array = _Array()
    array.value = _make(data, dtype, shape, order)
    return array


def _scalar(dtype, data):
    return _make(data, dtype, (), "C")[()].item()


def _encode(text, encoding):
    # How Python 3 writes bytes into protocol 2.
    if not isinstance(text, str) or encoding != "latin1":
        raise DataFormatError("text in an encoding that is not read here")
    return text.encode("latin-1")


def _bytes():
    return b""


_GLOBALS = {
    ("numpy", "ndarray"): _NDARRAY,
    ("numpy", "dtype"): _Dtype,
    ("_codecs", "encode"): _encode,
    ("__builtin__", "bytes"): _bytes,
    **{(f"numpy.{core}.multiarray", "_reconstruct"): _reconstruct for core in ("core", "_core")},
    **{(f"numpy.{core}.multiarray", "scalar"): _scalar for core in ("core", "_core")},
    **{(f"numpy.{core}.numeric", "_frombuffer"): _from_buffer for core in ("core", "_core")},
}


class _Machine:
    def __init__(self, data):
        self.data, self.at, self.stack, self.memo = data, 0, [], {}

    def take(self, n):
        if n < 0 or self.at + n > len(self.data):
            raise DataFormatError("the pickle is truncated")
        part = self.data[self.at : self.at + n]
        self.at += n
        return part

    def number(self, code):
        return struct.unpack(code, self.take(struct.calcsize(code)))[0]

    def line(self):
        stop = self.data.find(b"\n", self.at, self.at + 256)
        if stop < 0:
            raise DataFormatError("the pickle is truncated")
        return self.take(stop + 1 - self.at)[:-1].decode("latin-1")

    def pop(self):
        if not self.stack or self.stack[-1] is _MARK:
            raise DataFormatError("the pickle takes from an empty stack")
        return self.stack.pop()

    def pop_to_mark(self):
        items = []
        while self.stack:
            item = self.stack.pop()
            if item is _MARK:
                return items[::-1]
            items.append(item)
        raise DataFormatError("the pickle takes from an empty stack")

    def top(self, kind):
        if not self.stack or not isinstance(self.stack[-1], kind):
            raise DataFormatError("the pickle adds to something that is no list or dict")
        return self.stack[-1]

    def push_many(self, n):
        self.stack.append(tuple([self.pop() for _ in range(n)][::-1]))

    def set_items(self, items):
        target = self.top(dict)
        if len(items) % 2 or any(not isinstance(key, (bytes, str, int)) for key in items[::2]):
            raise DataFormatError("the pickle has a dict with keys that are not names")
        target.update(zip(items[::2], items[1::2], strict=True))

    def recall(self, index):
        if index not in self.memo:
            raise DataFormatError("the pickle refers to something that it has not stored")
        self.stack.append(self.memo[index])

    def remember(self, index):
        value = self.pop()
        self.stack.append(value)
        self.memo[index] = value

    def find(self, module, name):
        if (module, name) not in _GLOBALS:
            raise DataFormatError(f"the pickle asks for {module}.{name}, which is not data: refused")
        self.stack.append(_GLOBALS[module, name])

    def reduce(self):
        arguments, function = self.pop(), self.pop()
        # A look-up by identity, for the pickle's own values must never be called.
        if not any(function is known for known in _GLOBALS.values()) or function is _NDARRAY:
            raise DataFormatError("the pickle calls something that is not a function")
        if not isinstance(arguments, tuple):
            raise DataFormatError("the pickle calls a function without arguments")
        try:
            self.stack.append(function(*arguments))
        except TypeError as error:
            raise DataFormatError(f"the pickle calls a function wrongly: {error}") from error

    def build(self):
        state = self.pop()
        self.top((_Dtype, _Array)).build(state)


_OPCODES = {
    0x80: lambda m: m.take(1),  # PROTO
    0x95: lambda m: m.take(8),  # FRAME
    ord("("): lambda m: m.stack.append(_MARK),
    ord("N"): lambda m: m.stack.append(None),
    0x88: lambda m: m.stack.append(True),
    0x89: lambda m: m.stack.append(False),
    ord("K"): lambda m: m.stack.append(m.take(1)[0]),
    ord("M"): lambda m: m.stack.append(m.number("<H")),
    ord("J"): lambda m: m.stack.append(m.number("<i")),
    0x8A: lambda m: m.stack.append(int.from_bytes(m.take(m.take(1)[0]), "little", signed=True)),
    ord("G"): lambda m: m.stack.append(m.number(">d")),
    ord("U"): lambda m: m.stack.append(m.take(m.take(1)[0])),  # str of Python 2: bytes
    ord("T"): lambda m: m.stack.append(m.take(m.number("<i"))),
    ord("C"): lambda m: m.stack.append(m.take(m.take(1)[0])),
    ord("B"): lambda m: m.stack.append(m.take(m.number("<I"))),
    0x8E: lambda m: m.stack.append(m.take(m.number("<Q"))),
    0x96: lambda m: m.stack.append(m.take(m.number("<Q"))),  # bytearray
    0x8C: lambda m: m.stack.append(m.take(m.take(1)[0]).decode()),
    ord("X"): lambda m: m.stack.append(m.take(m.number("<I")).decode()),
    0x8D: lambda m: m.stack.append(m.take(m.number("<Q")).decode()),
    ord("]"): lambda m: m.stack.append([]),
    ord("}"): lambda m: m.stack.append({}),
    ord(")"): lambda m: m.stack.append(()),
    ord("t"): lambda m: m.stack.append(tuple(m.pop_to_mark())),
    0x85: lambda m: m.push_many(1),
    0x86: lambda m: m.push_many(2),
    0x87: lambda m: m.push_many(3),
    ord("a"): lambda m: _append(m, [m.pop()]),
    ord("e"): lambda m: _append(m, m.pop_to_mark()),
    ord("s"): lambda m: m.set_items([m.pop(), m.pop()][::-1]),
    ord("u"): lambda m: m.set_items(m.pop_to_mark()),
    ord("q"): lambda m: m.remember(m.take(1)[0]),
    ord("r"): lambda m: m.remember(m.number("<I")),
    0x94: lambda m: m.remember(len(m.memo)),
    ord("h"): lambda m: m.recall(m.take(1)[0]),
    ord("j"): lambda m: m.recall(m.number("<I")),
    ord("c"): lambda m: m.find(m.line(), m.line()),
    0x93: lambda m: m.find(*[_text(part) for part in (m.pop(), m.pop())][::-1]),
    ord("R"): lambda m: m.reduce(),
    ord("b"): lambda m: m.build(),
}


def _append(machine, items):
    machine.top(list).extend(items)


def read_pickle(data):
    """Read a dict of plain data and arrays from a pickle, without running anything.

    Parameters
    ----------
    data : bytes
        The whole pickle, protocol 2 to 5. Strings of Python 2 come as bytes.

    Returns
    -------
    values : dict
        Of bytes, str, int, float, bool, None, tuples, lists and dicts; read-only arrays, only as direct values of
        the dict.

    Raises
    ------
    DataFormatError
        The pickle is damaged, is no dict, or wants anything but data: a class, a function, an outside object.

    Examples
    --------
    >>> import pickle
    >>> read_pickle(pickle.dumps({"labels": [3, 5]}, protocol=2))
    {'labels': [3, 5]}
    """
    machine = _Machine(bytes(data))
    try:
        while (opcode := machine.take(1)[0]) != ord("."):
            if opcode not in _OPCODES:
                raise DataFormatError(f"the pickle has opcode {opcode:#04x}, which data does not need: refused")
            _OPCODES[opcode](machine)
        value = machine.pop()
    except (ValueError, OverflowError) as error:  # bad UTF-8, too many dimensions
        if isinstance(error, DataFormatError):
            raise
        raise DataFormatError(f"the pickle is malformed: {error}") from error
    if not isinstance(value, dict):
        raise DataFormatError(f"the pickle holds a {type(value).__name__}, expected a dict")
    return {key: item.value if isinstance(item, _Array) else item for key, item in value.items()}
