"""Normal numbers, with the random state as an explicit input and output."""

from typing import NamedTuple

import numpy as np

from .. import shapes
from .._kernels import random
from ..autograd import apply
from ..errors import ArgumentError, DTypeError
from ..op import Case, Op, Plan, Spec, register
from ._checks import FLOATS
from ._random import check_state, random_words, words_used


class Attrs(NamedTuple):
    """`shape` and `dtype` of y."""

    shape: tuple[int, ...]
    dtype: str = "float32"


def infer(specs, attrs):
    check_state("random_normal", specs["state"])
    return {"y": Spec(attrs.shape, attrs.dtype), "new_state": specs["state"]}


# Box and Muller: two normal numbers are a vector whose direction is uniform, and whose length is sqrt(-2 log u). Words 0 and
# 1 of a block of random words make one vector, 2 and 3 another; 16 blocks make a group, word by word.
def reference(arrays, attrs):
    size = shapes.size(attrs.shape)
    used = words_used(size)
    words = random_words(arrays["state"], used).reshape(-1, 2, 2, 16)
    uniform = ((words >> np.uint64(9)) + 0.5) / 2**23  # in no case 0 or 1
    length, turn = np.sqrt(-2 * np.log(uniform[:, :, 0])), 2 * np.pi * uniform[:, :, 1]
    y = np.stack([length * np.cos(turn), length * np.sin(turn)], 2).reshape(-1)[:size].reshape(attrs.shape)
    return {"y": y.astype(attrs.dtype), "new_state": arrays["state"] + np.array([0, used], np.uint64)}


def plan(specs, attrs):
    if attrs.dtype != "float32":
        return None
    size = shapes.size(attrs.shape)
    draw = random.normal("state", "y", size)
    return Plan(
        phases=((draw,), (random.advance("state", "new_state", words_used(size)),)), inplace={"new_state": "state"}
    )


def _state(rng, shape):
    # A counter near a carry into its high half: blocks on both sides of 2^32.
    return np.array([0x0123456789ABCDEF, 4 * 2**32 - 64], np.uint64)


OP = register(
    Op(
        name="random_normal",
        inputs=("state",),
        outputs=("y", "new_state"),
        infer=infer,
        reference=reference,
        plan=plan,
        attrs=Attrs,
        cases=tuple(
            Case({"state": Spec((2,), "uint64")}, Attrs(shape), {"state": _state})
            for shape in ((1,), (3, 5), (16,), (17,), (63,), (64,), (65,), (2, 5, 7, 3), (16411,))
        ),
        flops=lambda specs, attrs: shapes.size(attrs.shape),
    )
)


def random_normal(state, shape, dtype="float32"):
    """Return numbers of mean 0 and variance 1, normally distributed (Box and Muller, 1958).

    They are a function of the state and of an element's index: the same for any number of threads.

    Parameters
    ----------
    state : Tensor or array_like
        uint64 of shape (2,): a key, and a counter that starts at any multiple of 4.
    shape : sequence of int
    dtype : {"float32", "float64"}

    Returns
    -------
    y : Tensor
        From -5.8 to 5.8.
    new_state : Tensor
        The same key with the counter moved past the random words used, for the next call.

    Raises
    ------
    ArgumentError
        When `shape` does not hold sizes.
    DTypeError, ShapeError
        When `state` is not two uint64, or `dtype` no float type.

    Examples
    --------
    >>> y, state = fastconv.ops.random_normal(np.array([7, 0], "uint64"), (1000,))
    >>> bool(abs(y.numpy().mean()) < 0.1), bool(abs(y.numpy().std() - 1) < 0.1)
    (True, True)
    """
    if dtype not in FLOATS:
        raise DTypeError(f"random_normal makes float32 or float64, got {dtype!r}")
    try:
        sizes = tuple(int(n) for n in shape)
    except (TypeError, ValueError):
        sizes = (-1,)
    if any(n < 0 for n in sizes):
        raise ArgumentError(f"random_normal needs a shape of sizes >= 0, got {shape!r}")
    return apply(OP, (state,), Attrs(sizes, dtype))
