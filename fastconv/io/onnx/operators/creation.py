"""Constants, and tensors of which only the shape matters."""

import numpy as np

from ....errors import ModelFormatError, UnsupportedOpError
from ..operand import Operand
from ..tensors import DTYPES
from ._registry import evaluates, lowers
from ._shapes import axis_of, within


def _shape(call, x):
    return np.array(x.shape, np.int64)[slice(call.attribute("start", 0), call.attribute("end"))]


evaluates("Shape")(_shape)
evaluates("Size")(lambda call, x: np.array(x.size, np.int64))
# Known, whatever the values are.
lowers("Shape")(lambda call, x: Operand(_shape(call, x)))
lowers("Size")(lambda call, x: Operand(np.array(x.size, np.int64)))


@evaluates("Constant")
def constant(call):
    for name, dtype in (("value", None), ("value_float", np.float32), ("value_floats", np.float32),
                        ("value_int", np.int64), ("value_ints", np.int64), ("value_string", object),
                        ("value_strings", object)):  # fmt: skip
        value = call.attribute(name)
        if value is not None:
            return np.asarray(value, dtype)
    raise UnsupportedOpError("a constant of this kind is not supported; export it as a dense tensor")


@evaluates("ConstantOfShape", shaping=(0,))
def constant_of_shape(call, shape):
    value = call.attribute("value", np.zeros(1, np.float32))
    return np.broadcast_to(value.reshape(()), within(shape.tolist()))


def _eye(call, x):
    code = call.attribute("dtype")
    return np.eye(*x.shape, call.attribute("k", 0), x.dtype if code is None else DTYPES[code])


evaluates("EyeLike")(_eye)
lowers("EyeLike")(lambda call, x: Operand(_eye(call, x)))


@evaluates("Range", shaping=(0, 1, 2))
def range_(call, *inputs):
    start, limit, delta = (np.asarray(x).reshape(()) for x in inputs)
    if delta == 0 or not all(np.isfinite(number) for number in (start, limit, delta)):
        raise ModelFormatError(
            f"from {start} to {limit} in steps of {delta}: expected finite numbers, and a step that is not 0"
        )
    count = max(int(np.ceil((limit.astype(np.float64) - start) / delta)), 0)
    within((count,))
    return (start + np.arange(count).astype(start.dtype) * delta).astype(start.dtype)


@evaluates("OneHot", shaping=(1,))
def one_hot(call, indices, depth, values):
    depth = int(depth.item())
    axis = axis_of(call.attribute("axis", -1), indices.ndim + 1)
    within((*indices.shape, depth))
    indices = np.expand_dims(np.where(indices < 0, indices + depth, indices), axis)
    places = np.arange(depth).reshape((depth, *(1,) * (indices.ndim - 1 - axis)))
    return np.where(indices == places, values[1], values[0])


@lowers("Dropout")
def dropout(call, x, ratio=None, training=None):
    if training is not None and call.known(training).any():
        return NotImplemented
    return x, Operand(_all_kept(call, x))


@evaluates("Dropout")
def dropout_array(call, x, ratio=None, training=None):
    rate = 0.5 if ratio is None else ratio.item()
    if training is None or not training.any() or rate == 0:
        return x, _all_kept(call, x)
    seed = call.attribute("seed")
    kept = np.random.RandomState(seed if seed is None else seed % (1 << 32)).uniform(size=x.shape) >= rate
    return (x * kept / (1 - rate)).astype(x.dtype), kept


def _all_kept(call, x):
    return np.broadcast_to(np.ones((), bool if call.version >= 10 else x.dtype), x.shape)
