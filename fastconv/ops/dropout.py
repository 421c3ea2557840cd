"""Dropout, with its random state as an explicit input and output."""

from typing import NamedTuple

import numpy as np

from .._kernels import random
from ..autograd import apply
from ..op import Case, Op, Plan, Spec, register
from ._checks import check_float, check_range
from ._random import check_state, random_words, words_used


class Attrs(NamedTuple):
    """`rate`: the share of elements that become 0, in [0, 1)."""

    rate: float


def _threshold(rate):
    return min(round(rate * 2**32), 2**32 - 1)


def infer(specs, attrs):
    x, state = specs["x"], specs["state"]
    check_float("dropout", "x", x)
    check_range("dropout", "rate", attrs.rate, 0, 1)
    check_state("dropout", state)
    size = None if None in x.shape else -(-x.size // 8)
    return {"y": x, "new_state": state, "mask": Spec((size,), "uint8")}


def reference(arrays, attrs):
    x, state = arrays["x"], arrays["state"]
    keep = random_words(state, x.size) >= _threshold(attrs.rate)
    new_state = state + np.array([0, words_used(x.size)], np.uint64)
    y = np.where(keep.reshape(x.shape), x / (1 - attrs.rate), 0)
    return {"y": y, "new_state": new_state, "mask": np.packbits(keep, bitorder="little")}


# y = keep x / (1 - rate), so dx = keep dy / (1 - rate), with one bit of the mask per element.
def reference_backward(arrays, attrs, needs):
    dy = arrays["dy"]
    keep = np.unpackbits(arrays["mask"], count=dy.size, bitorder="little").reshape(dy.shape)
    return {"dx": np.where(keep, dy / (1 - attrs.rate), 0)}


def plan(specs, attrs):
    size = specs["x"].size
    draw = random.dropout("x", "state", "y", "mask", size, _threshold(attrs.rate), 1 / (1 - attrs.rate))
    return Plan(
        phases=((draw,), (random.advance("state", "new_state", words_used(size)),)),
        inplace={"y": "x", "new_state": "state"},
    )


def plan_backward(specs, attrs, needs):
    step = random.dropout_backward("dy", "mask", "dx", specs["dy"].size, 1 / (1 - attrs.rate))
    return Plan(phases=((step,),), inplace={"dx": "dy"})


def _state(rng, shape):
    # A counter near a carry into its high half: blocks on both sides of 2^32.
    return np.array([0x0123456789ABCDEF, 4 * 2**32 - 64], np.uint64)


OP = register(
    Op(
        name="dropout",
        inputs=("x", "state"),
        outputs=("y", "new_state"),
        saved=("mask",),
        infer=infer,
        reference=reference,
        reference_backward=reference_backward,
        plan=plan,
        plan_backward=plan_backward,
        keeps=lambda attrs, needs: ("mask",),
        differentiable=frozenset({"x"}),
        linear=("x",),
        attrs=Attrs,
        cases=tuple(
            Case({"x": Spec(shape), "state": Spec((2,), "uint64")}, Attrs(rate), {"state": _state})
            for shape, rate in (
                ((1,), 0.5), ((3, 5), 0.25), ((63,), 0.5), ((64,), 0.0), ((65,), 0.9), ((2, 5, 7, 3), 0.3),
                ((16411,), 0.5),
            )
        ),
        flops=lambda specs, attrs: specs["x"].size,
    )
)  # fmt: skip


def dropout(x, state, rate):
    """Set a random share `rate` of the elements to 0 and divide the others by 1 - rate (Srivastava et al., JMLR 2014).

    The mask is a function of the state and of an element's index: the same for any number of threads.

    Parameters
    ----------
    x : Tensor or array_like
        Of any shape; float32 or float64.
    state : Tensor or array_like
        uint64 of shape (2,): a key, and a counter that starts at any multiple of 4.
    rate : float
        In [0, 1).

    Returns
    -------
    y : Tensor
        Of the shape of `x`.
    new_state : Tensor
        The same key with the counter moved past the random words used, for the next call.

    Raises
    ------
    ArgumentError
        When `rate` is out of range.
    DTypeError, ShapeError
        When `state` is not two uint64.

    Examples
    --------
    >>> y, state = fastconv.ops.dropout(np.ones(8, "float32"), np.array([7, 0], "uint64"), rate=0.5)
    >>> state.numpy()
    array([ 7, 64], dtype=uint64)
    """
    return apply(OP, (x, state), Attrs(float(rate)))
