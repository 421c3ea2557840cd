"""Arithmetic, element by element."""

import functools

import numpy as np

from .... import ops
from ..operand import Operand
from ._arrays import in_float32, of_one_type
from ._registry import evaluates, lowers
from ._unary import unary


def broadcast(call, function, *operands):
    """Return function(*operands) of operands that broadcast, in the order in which the largest one is stored."""
    ndim = max(x.ndim for x in operands)
    lead = max(operands, key=lambda x: (x.ndim == ndim, x.constant is None, x.size))

    def stored(x):
        shape = (1,) * (ndim - x.ndim) + x.shape
        if x.constant is not None:
            return call.weight(x, lead.order, f"in {ndim} axes", lambda array: array.reshape(shape))
        if x.size == 1:
            return x.stored.reshape((1,) * ndim)
        return x.reshaped(shape).tensor(lead.order)

    return Operand(function(*map(stored, operands)), lead.axes)


def along(a, b, axis):
    """Return b, operand or array, with axes of one entry behind, so that its axes are those of a from `axis` on."""
    shape = b.shape + (1,) * (a.ndim - axis - b.ndim)
    if isinstance(b, np.ndarray):
        return b.reshape(shape)
    if b.constant is not None:
        return Operand(b.constant.reshape(shape), key=b.key and f"{b.key}:{shape}")
    return b.reshaped(shape)


def aligned(call, a, b):
    """Return b as operator sets before 7 align it with a."""
    axis = call.attribute("axis")
    if call.version >= 7 or axis is None or not call.attribute("broadcast", 0):
        return b
    return along(a, b, axis + a.ndim if axis < 0 else axis)


def _binary(name, lowering, function):
    @lowers(name)
    def lower(call, a, b):
        if not a.dtype == b.dtype == np.float32:
            return NotImplemented
        return broadcast(call, getattr(ops, lowering), a, aligned(call, a, b))

    @evaluates(name)
    @of_one_type
    def evaluate(call, a, b):
        return function(a, aligned(call, a, b))


def divide(a, b):
    """Return a / b of arrays; of integers, the quotient cut off towards zero."""
    if a.dtype.kind == "f":
        return a / b
    quotient = a // b
    return quotient + ((quotient * b != a) & ((a < 0) != (b < 0)))


_binary("Add", "add", np.add)
_binary("Sub", "subtract", np.subtract)
_binary("Mul", "multiply", np.multiply)
_binary("Div", "divide", divide)


# ---- of any number of operands


def _variadic(name, lowering, function):
    @lowers(name)
    def lower(call, *xs):
        if any(x.dtype != np.float32 for x in xs):
            return NotImplemented
        return functools.reduce(functools.partial(broadcast, call, getattr(ops, lowering)), xs)

    @evaluates(name)
    @of_one_type
    @in_float32
    def evaluate(call, *xs):
        return functools.reduce(function, xs)


_variadic("Max", "maximum", np.maximum)
_variadic("Min", "minimum", np.minimum)


@lowers("Sum")
def total(call, *xs):
    if any(x.dtype != np.float32 for x in xs):
        return NotImplemented
    return broadcast(call, ops.add, *xs) if len(xs) > 1 else xs[0]


@lowers("Mean")
def mean(call, *xs):
    y = total(call, *xs)
    return y if y is NotImplemented else call.pointwise(lambda tensor: ops.multiply(tensor, 1 / len(xs)), y)


@evaluates("Sum")
@of_one_type
@in_float32
def total_arrays(call, *xs):
    return functools.reduce(np.add, xs)


@evaluates("Mean")
@of_one_type
@in_float32
def mean_arrays(call, *xs):
    return functools.reduce(np.add, xs) / len(xs)


# ---- powers


@lowers("Pow")
def power(call, x, exponent):
    if x.dtype != np.float32:
        return NotImplemented
    if exponent.constant is not None and exponent.size == 1 and exponent.ndim <= x.ndim:
        number = float(exponent.constant.reshape(()))
        if number in (0.5, 1, 2):
            return x if number == 1 else call.pointwise(ops.sqrt if number == 0.5 else ops.square, x)
        return call.pointwise(lambda tensor: ops.power(tensor, number), x)
    if exponent.dtype != np.float32:
        return NotImplemented
    return broadcast(call, ops.power, x, aligned(call, x, exponent))


@evaluates("Pow")
def power_arrays(call, x, exponent):
    exponent = aligned(call, x, exponent)
    if x.dtype.kind in "iu" and exponent.dtype.kind in "iu" and not (exponent < 0).any():
        return np.power(x, exponent.astype(x.dtype))
    if x.dtype == exponent.dtype and x.dtype.kind == "f" and x.itemsize >= 4:
        return np.power(x, exponent)
    return np.power(x.astype(np.float64), exponent.astype(np.float64)).astype(x.dtype)


# ---- of one operand

unary("Abs", np.abs, "abs")
unary("Exp", np.exp, "exp")
unary("Log", np.log, "log")
unary("Neg", np.negative, "negative")
unary("Reciprocal", lambda x: 1 / x, "reciprocal")
unary("Sqrt", np.sqrt, "sqrt")
