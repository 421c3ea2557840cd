"""Shapes, and data that move."""

import numpy as np

from .... import ops
from ..operand import Operand
from ._registry import evaluates, lowers


@lowers("Transpose")
def transpose(call, x):
    return x.transposed(call.attribute("perm", list(range(x.ndim))[::-1]))


@evaluates("Transpose")
def transpose_array(call, x):
    return x.transpose(call.attribute("perm"))


@lowers("Identity", "Dropout")
def identity(call, x, *_):
    return x


@lowers("Reshape")
def reshape(call, x, shape=None):
    target = call.attribute("shape") if shape is None else call.known(shape).tolist()
    if not call.attribute("allowzero", 0):
        target = [n or x.shape[i] for i, n in enumerate(target)]
    return Operand(x.tensor().reshape(tuple(target)))


@lowers("Flatten")
def flatten(call, x):
    axis = call.attribute("axis", 1)
    axis = axis + x.ndim if axis < 0 else axis
    shape = (int(np.prod(x.shape[:axis])), int(np.prod(x.shape[axis:])))
    return Operand(x.tensor().reshape(shape))


@lowers("Concat")
def concat(call, *xs):
    axis = call.required("axis") % xs[0].ndim
    lead = next((x for x in xs if x.constant is None), xs[0])
    y = ops.concatenate([x.tensor(lead.order) for x in xs], lead.axes[axis])
    return Operand(y, lead.axes)


@lowers("Shape")
def shape(call, x):
    part = slice(call.attribute("start", 0), call.attribute("end"))
    return Operand(np.array(x.shape, np.int64)[part])  # known, whatever x is
