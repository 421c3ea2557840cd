"""Activations, and Softmax."""

import numpy as np

from .... import ops
from ..operand import Operand
from ._registry import lowers


@lowers("Relu")
def relu(call, x):
    return call.pointwise(ops.relu, x) if x.dtype == np.float32 else NotImplemented


@lowers("Sigmoid")
def sigmoid(call, x):
    return call.pointwise(ops.sigmoid, x)


@lowers("Softmax")
def softmax(call, x):
    axis = call.attribute("axis", -1 if call.version >= 13 else 1) % max(x.ndim, 1)
    if call.version < 13:  # the axes from `axis` on as one
        rows = x.tensor().reshape((int(np.prod(x.shape[:axis])), -1))
        return Operand(ops.softmax(rows).reshape(x.shape))
    order = (*(i for i in range(x.ndim) if i != axis), axis)
    return Operand(ops.softmax(x.tensor(order))).transposed(np.argsort(order))
