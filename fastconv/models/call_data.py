"""What layers were called with in a layer graph <-> data that JSON can hold.

Numbers, strings, lists and dicts are data. What JSON has no word for becomes a dict of one entry, its kind: tensors of the
graph, and the constants of operations.
"""

import numpy as np

from ..errors import ArgumentError
from ..layers.node import LayerTensor
from ..layers.serialization import serialize_value
from ..op import DTYPES

TENSOR = "__tensor__"  # [layer name, call, output]
TUPLE = "__tuple__"  # [items]
SLICE = "__slice__"  # [start, stop, step]
ELLIPSIS = "__ellipsis__"  # []
ARRAY = "__array__"  # [dtype, values]


def to_data(value, refer):
    """Return arguments, or a structure of tensors, as data; ``refer(tensor)`` is what stands for a tensor of the graph."""
    if isinstance(value, LayerTensor):
        return {TENSOR: refer(value)}
    if isinstance(value, dict):
        return {str(key): to_data(item, refer) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        items = [to_data(item, refer) for item in value]
        return {TUPLE: items} if isinstance(value, tuple) else items
    if isinstance(value, slice):
        return {SLICE: [value.start, value.stop, value.step]}
    if value is Ellipsis:
        return {ELLIPSIS: []}
    if isinstance(value, np.ndarray):
        return {ARRAY: [value.dtype.name, value.tolist()]}
    return serialize_value(value, "an argument of a layer's call")


def from_data(data, tensors):
    """Return what `to_data` made data of, with tensors by their keys."""
    if isinstance(data, list):
        return [from_data(item, tensors) for item in data]
    if not isinstance(data, dict):
        return data
    kind = next(iter(data)) if len(data) == 1 else None
    if kind == TENSOR:
        return tensors[_key_of(data)]
    if kind == TUPLE:
        return tuple(from_data(item, tensors) for item in data[TUPLE])
    if kind == SLICE:
        return slice(*data[SLICE])
    if kind == ELLIPSIS:
        return Ellipsis
    if kind == ARRAY:
        return _array(*data[ARRAY])
    return {key: from_data(item, tensors) for key, item in data.items()}


def references(data):
    """Yield the keys, (layer name, call, output), of the tensors that arguments name."""
    if isinstance(data, dict):
        if TENSOR in data:
            yield _key_of(data)
            return
        data = list(data.values())
    if isinstance(data, list):
        for item in data:
            yield from references(item)


def _key_of(reference):
    name, call, index = reference[TENSOR]
    return name, call, index


def _array(dtype, values):
    if dtype not in DTYPES:
        raise ArgumentError(f"an array in a layer's call must be of {', '.join(DTYPES)}, got {dtype!r:.200}")
    return np.array(values, dtype)
