"""Comparisons, choices, booleans and bits."""

import numpy as np

from .... import ops
from ._arrays import check_types, of_one_type
from ._registry import evaluates, lowers
from .arithmetic import aligned, broadcast

BINARY = {
    "And": np.logical_and,
    "Or": np.logical_or,
    "Xor": np.logical_xor,
    "Equal": np.equal,
    "Greater": np.greater,
    "GreaterOrEqual": np.greater_equal,
    "Less": np.less,
    "LessOrEqual": np.less_equal,
    "BitwiseAnd": np.bitwise_and,
    "BitwiseOr": np.bitwise_or,
    "BitwiseXor": np.bitwise_xor,
}


def _binary(name, function):
    @evaluates(name)
    @of_one_type
    def evaluate(call, a, b):
        return function(a, aligned(call, a, b))


for _name, _function in BINARY.items():
    _binary(_name, _function)

evaluates("Not")(lambda call, x: ~x)
evaluates("BitwiseNot")(lambda call, x: ~x)
evaluates("IsNaN")(lambda call, x: np.isnan(x))


@evaluates("Where")
def where_arrays(call, condition, a, b):
    check_types(a, b)
    return np.where(condition, a, b)


@lowers("Where")
def where(call, condition, a, b):
    return broadcast(call, ops.where, condition, a, b)


@evaluates("IsInf")
def is_inf(call, x):
    positive, negative = call.attribute("detect_positive", 1), call.attribute("detect_negative", 1)
    return np.isinf(x) & (((x > 0) & bool(positive)) | ((x < 0) & bool(negative)))


@evaluates("Mod")
@of_one_type
def mod(call, a, b):
    return np.fmod(a, b) if call.attribute("fmod", 0) else np.mod(a, b)


@evaluates("BitShift")
def bit_shift(call, x, count):
    bits = 8 * x.dtype.itemsize
    inside = (count >= 0) & (count < bits)
    safe = np.where(inside, count, 0).astype(x.dtype)
    if call.required("direction") == "LEFT":
        return np.where(inside, np.left_shift(x, safe), 0).astype(x.dtype)
    return np.where(inside, np.right_shift(x, safe), np.where(x < 0, -1, 0).astype(x.dtype)).astype(x.dtype)
