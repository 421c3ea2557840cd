"""The protobuf wire format, as far as ONNX uses it: bytes <-> messages that a table of fields declares.

A message is a dataclass made by `message`; each `field` says its number, its kind, and whether it repeats. Reader and
writer are one generic walk over that table. The reader works on a memoryview and copies no long data; it believes
nothing that the bytes do not show: every length is checked against what is left, nesting and the number of messages
have a bound, and unknown fields are skipped.

References
----------
Protocol Buffers, Encoding. https://protobuf.dev/programming-guides/encoding
"""

import dataclasses
import struct
from typing import Any, NamedTuple

import numpy as np

from ...errors import ArgumentError, ModelFormatError

# The largest networks have some ten thousand nodes, of about ten messages each. One costs 150 bytes, or two in a file.
MAX_MESSAGES = 1_000_000
MAX_DEPTH = 100  # protobuf's own

_VARINT, _FIXED64, _LENGTH, _FIXED32 = 0, 1, 2, 5
_DEFAULTS = {"int": 0, "float": 0.0, "string": "", "bytes": b"", "view": b""}
_ARRAYS = {kind: np.dtype(kind) for kind in ("<f4", "<f8", "<i4", "<i8", "<u8")}
_FLOAT = struct.Struct("<f")
_CHUNK = 1 << 20


class Field(NamedTuple):
    """A field of a message, as `field` declares it."""

    name: str
    number: int
    kind: str | type
    repeated: bool
    default: Any
    shown_by: int | None


def field(number, kind, repeated=False, optional=False, shown_by=None):
    """Declare a field of a `message`.

    Parameters
    ----------
    number : int
    kind : str
        ``"int"`` (a varint, signed), ``"float"``, ``"string"``, ``"bytes"``, ``"view"`` (bytes that are not copied),
        ``"@"`` and the name of a message class, which `link` puts in its place, or packed numbers, which are one array:
        ``"<f4"``, ``"<f8"``, ``"<i4"``, ``"<i8"``, ``"<u8"``.
    repeated : bool
        A list, or () if there are none. Packed numbers always repeat.
    optional : bool
        None if absent. Otherwise an absent string is "", a number 0; an absent message is always None.
    shown_by : int, optional
        Written, even where it is the default, if the message's `type` is this.
    """
    repeated = repeated or kind in _ARRAYS
    default = () if repeated else None if optional else _DEFAULTS.get(kind)
    return dataclasses.field(default=default, metadata={"wire": (number, kind, repeated, default, shown_by)})


def message(cls):
    """Make a class whose attributes are `field`s a dataclass that `read` and `write` know."""
    cls = dataclasses.dataclass(slots=True)(cls)
    cls.FIELDS = sorted(
        (Field(f.name, *f.metadata["wire"]) for f in dataclasses.fields(cls)), key=lambda entry: entry.number
    )
    return cls


def link(classes):
    """Give each class its tables, now that all classes that fields name are there."""
    named = {"@" + cls.__name__: cls for cls in classes}
    for cls in classes:
        cls.FIELDS = [f._replace(kind=named.get(f.kind, f.kind)) for f in cls.FIELDS]
        cls.NUMBERS = {f.number: f.name for f in cls.FIELDS}
        cls.DECODERS = {f.number << 3 | wire: (f.name, *rest) for f in cls.FIELDS for wire, *rest in _decoders(f)}
        cls.ARRAYS = [f.name for f in cls.FIELDS if f.kind in _ARRAYS]


_SET, _APPEND, _EXTEND, _ONCE = range(4)  # what becomes of a value


def _decoders(f):
    """Yield (wire type, function, its last argument, what becomes of the value) for each way a field may come."""
    store = _APPEND if f.repeated else _SET
    if f.kind in _ARRAYS:
        yield _LENGTH, _Reader.array, _ARRAYS[f.kind], _APPEND
        yield {"<f4": _FIXED32, "<f8": _FIXED64}.get(f.kind, _VARINT), _Reader.element, _ARRAYS[f.kind], _APPEND
    elif f.kind == "int":
        yield _VARINT, _Reader.integer, None, store
        if f.repeated:
            yield _LENGTH, _Reader.array, _ARRAYS["<i8"], _EXTEND
    elif f.kind == "float":
        yield _FIXED32, _Reader.float, None, store
        if f.repeated:
            yield _LENGTH, _Reader.array, _ARRAYS["<f4"], _EXTEND
    elif isinstance(f.kind, type):
        yield _LENGTH, _Reader.message, f.kind, _APPEND if f.repeated else _ONCE
    else:
        yield _LENGTH, {"string": _Reader.string, "bytes": _Reader.bytes, "view": _Reader.bytes}[f.kind], f.kind, store


def read(cls, data):
    """Read a message.

    Parameters
    ----------
    cls : a class made by `message`
    data : bytes-like
        Kept alive, and seen through, by the arrays and views in what comes back.

    Returns
    -------
    message : cls

    Raises
    ------
    ModelFormatError
        The bytes are no such message: cut off, of another structure, nested too deep, of too many parts.
    """
    view = memoryview(data).cast("B").toreadonly()
    reader = _Reader(view)
    return reader.fields(cls, 0, len(view))


class _Reader:
    """The bytes of one file. Every method takes where to begin and where its message ends, and returns (value, next)."""

    def __init__(self, view):
        self.view = view
        self.depth = 0
        self.left = MAX_MESSAGES

    def fields(self, cls, at, stop):
        """Return a message whose fields are the bytes from `at` to `stop`."""
        self.count()
        result, decoders, view = cls(), cls.DECODERS, self.view
        while at < stop:
            begin, tag = at, view[at]
            at += 1
            if tag > 127:
                tag, at = self.varint(begin, stop)
            if tag not in decoders:
                at = self.skip(cls, tag, at, stop)
                continue
            name, decode, argument, store = decoders[tag]
            value, at = decode(self, at, stop, argument)
            if store == _SET:
                setattr(result, name, value)
            elif store == _APPEND:
                if values := getattr(result, name):
                    values.append(value)
                else:
                    setattr(result, name, [value])
            elif store == _EXTEND:
                if values := getattr(result, name):
                    values.extend(value.tolist())
                else:
                    setattr(result, name, value.tolist())
            elif getattr(result, name) is None:
                setattr(result, name, value)
            else:
                raise self.error(begin, f"{name} of {cls.__name__} is there twice")
        for name in cls.ARRAYS:
            if parts := getattr(result, name):
                setattr(result, name, parts[0] if len(parts) == 1 else np.concatenate(parts))
        return result

    def message(self, at, stop, cls):
        end, at = self.length(at, stop)
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise self.error(at, f"messages are nested more than {MAX_DEPTH} deep, which no network needs")
        result = self.fields(cls, at, end)
        self.depth -= 1
        return result, end

    def count(self):
        self.left -= 1
        if self.left < 0:
            raise ModelFormatError(f"the file has more than {MAX_MESSAGES} parts, which no network needs")

    def varint(self, at, stop):
        """Return an unsigned number."""
        view = self.view
        if at < stop and view[at] < 128:  # most of them
            return view[at], at + 1
        value = shift = 0
        for position in range(at, min(at + 10, stop)):
            byte = view[position]
            value |= (byte & 127) << shift
            if byte < 128:
                return value & 0xFFFF_FFFF_FFFF_FFFF, position + 1
            shift += 7
        raise self.error(at, "a number does not end")

    def length(self, at, stop):
        """Return where a length-delimited field ends, and where it begins."""
        if at < stop and (size := self.view[at]) < 128:
            at += 1
        else:
            size, at = self.varint(at, stop)
        if size > stop - at:
            raise self.error(at, f"a field claims {size} bytes where {stop - at} are left")
        return at + size, at

    def integer(self, at, stop, _):
        value, at = self.varint(at, stop)
        return value - (value >> 63 << 64), at

    def float(self, at, stop, _):
        if stop - at < 4:
            raise self.error(at, "a number is cut off")
        return _FLOAT.unpack_from(self.view, at)[0], at + 4

    def string(self, at, stop, _):
        end, at = self.length(at, stop)
        try:
            return str(self.view[at:end], "utf-8"), end
        except UnicodeDecodeError:
            raise self.error(at, "a name is not UTF-8") from None

    def bytes(self, at, stop, kind):
        end, at = self.length(at, stop)
        return self.view[at:end] if kind == "view" else bytes(self.view[at:end]), end

    def array(self, at, stop, dtype):
        """Return packed numbers: floats as a view of the file, integers decoded."""
        self.count()
        end, at = self.length(at, stop)
        if dtype.kind != "f":
            return self.varints(at, end, dtype), end
        if (end - at) % dtype.itemsize:
            raise self.error(at, f"{end - at} bytes are no whole number of {dtype.name}")
        return np.frombuffer(self.view[at:end], dtype), end

    def element(self, at, stop, dtype):
        """Return one number that should have been packed, as an array: so seldom that its cost does not matter."""
        self.count()
        if dtype.kind != "f":
            value, at = self.varint(at, stop)
            return np.array([value], "<u8").astype(dtype), at
        if stop - at < dtype.itemsize:
            raise self.error(at, "a number is cut off")
        return np.frombuffer(self.view[at : at + dtype.itemsize], dtype), at + dtype.itemsize

    def varints(self, at, end, dtype):
        """Return the numbers that the bytes from `at` to `end` hold. Those too large for `dtype` wrap around."""
        if end - at < 32:  # NumPy's calls would cost more than they save
            numbers = []
            while at < end:
                value, at = self.varint(at, end)
                numbers.append(value)
            return np.array(numbers, "<u8").astype(dtype)
        data = np.frombuffer(self.view[at:end], np.uint8)
        if len(data) and data[-1] > 127:
            raise self.error(at, "a number does not end")
        values = np.empty(np.count_nonzero(data < 128), dtype)
        first = done = 0
        while first < len(data):  # in parts: eight bytes a byte are needed on the way
            lasts = np.flatnonzero(data[first : first + _CHUNK] < 128)
            starts = np.concatenate([[0], lasts[:-1] + 1])
            sizes = lasts - starts + 1
            if not len(lasts) or sizes.max() > 10:
                raise self.error(at + first, "a number does not end")
            numbers = np.zeros(len(lasts), "<u8")
            for i in range(sizes.max()):
                longer = np.flatnonzero(sizes > i)
                digits = data[first + starts[longer] + i].astype("<u8")
                numbers[longer] |= (digits & np.uint64(127)) << np.uint64(7 * i)
            values[done : done + len(lasts)] = numbers.astype(dtype)
            done += len(lasts)
            first += int(lasts[-1]) + 1
        return values

    def skip(self, cls, tag, at, stop):
        """Return where a field that is not known ends. A known one of a type that it never has is an error."""
        number, wire = tag >> 3, tag & 7
        if number in cls.NUMBERS:
            raise self.error(at, f"{cls.NUMBERS[number]} of {cls.__name__} has wire type {wire}, which it never has")
        if number and wire == _VARINT:
            return self.varint(at, stop)[1]
        if number and wire == _LENGTH:
            return self.length(at, stop)[0]
        if number and wire in (_FIXED32, _FIXED64) and stop - at >= (size := 4 if wire == _FIXED32 else 8):
            return at + size
        raise self.error(at, f"no field has number {number} and wire type {wire}, or it is cut off")

    def error(self, at, what):
        return ModelFormatError(f"the file is damaged or no ONNX model: at byte {at} {what}")


def write(value):
    """Write a message.

    Parameters
    ----------
    value : an instance of a class made by `message`

    Returns
    -------
    parts : list of bytes-like
        To be written one after the other. Long data are not copied.

    Raises
    ------
    ArgumentError
        A field holds what its kind does not.
    """
    parts = []
    _write(value, parts)
    return parts


def _write(value, parts):
    """Append the parts of a message, and return their size in bytes."""
    total = 0
    for f in type(value).FIELDS:
        content = getattr(value, f.name)
        if f.repeated:
            if len(content) == 0:
                continue
            # ONNX declares only the numbers of tensors packed; elsewhere each has a tag of its own.
            contents = [content] if f.kind in _ARRAYS else content
        elif content is None or (content == f.default and (f.shown_by is None or value.type != f.shown_by)):
            continue
        else:
            contents = [content]
        for item in contents:
            if isinstance(f.kind, type):
                total += _write_message(f, item, parts)
                continue
            try:
                part = _encode(f.number, f.kind, item)
            except (TypeError, ValueError, AttributeError, struct.error) as error:
                raise ArgumentError(f"{f.name} of {type(value).__name__} cannot be {item!r:.60}: {error}") from error
            parts += part
            total += sum(map(len, part))
    return total


def _write_message(f, item, parts):
    if not isinstance(item, f.kind):
        raise ArgumentError(f"{f.name} must be a {f.kind.__name__}, got {type(item).__name__}")
    place = len(parts)
    parts.append(b"")
    size = _write(item, parts)
    parts[place] = _varint(f.number << 3 | _LENGTH) + _varint(size)
    return len(parts[place]) + size


def _encode(number, kind, item):
    """Return a field with its tag as a list of parts."""
    if kind == "int":
        if not -(1 << 63) <= item < 1 << 64:
            raise ValueError("it needs more than 64 bits")
        return [_varint(number << 3 | _VARINT) + _varint(int(item) & 0xFFFF_FFFF_FFFF_FFFF)]
    if kind == "float":
        return [_varint(number << 3 | _FIXED32) + _FLOAT.pack(item)]
    if kind == "string":
        body = item.encode()
    elif kind in ("<f4", "<f8"):
        body = memoryview(np.ascontiguousarray(item, kind)).cast("B")
    elif kind in _ARRAYS:
        numbers = np.ascontiguousarray(item, kind).tolist()
        body = b"".join(_varint(value & 0xFFFF_FFFF_FFFF_FFFF) for value in numbers)
    else:
        body = memoryview(item).cast("B")
    return [_varint(number << 3 | _LENGTH) + _varint(len(body)), body]


def _varint(value):
    """Return an unsigned number, seven bits a byte, the low ones first."""
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)
