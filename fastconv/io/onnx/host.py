"""NumPy functions as operations of a graph: the host steps of a program, for what has no kernel."""

from typing import NamedTuple

import numpy as np

from ... import ops
from ...autograd import apply
from ...errors import UnsupportedOpError
from ...op import ITEM_SIZE, Op, Spec
from .operand import Operand

# Shapes are found by trying a function on zeros: not on more than this many.
MAX_HOST_ELEMENTS = 1 << 31


class NotHeld(UnsupportedOpError):
    """A result is of a dtype that a program cannot hold: strings, say."""


class Attrs(NamedTuple):
    """What a function needs beside its arrays is part of it."""


def make_op(name, function, inputs):
    """Return the `Op` that applies `function`, of arrays to a list of arrays, to those inputs that are not constant.

    Its shapes are found by running it on zeros: the function is the one place that knows them.
    """
    constants = [None if x is None else x.constant for x in inputs]
    places = [i for i, x in enumerate(inputs) if x is not None and x.constant is None]

    def compute(arrays):
        values = list(constants)
        for k, place in enumerate(places):
            values[place] = arrays[f"x{k}"]
        return {f"y{i}": np.asarray(result) for i, result in enumerate(function(*values))}

    def infer(specs, attrs):
        if sum(spec.size for spec in specs.values()) > MAX_HOST_ELEMENTS:
            raise UnsupportedOpError(f"{name} has no kernel, and its inputs are too large to do without: {specs}")
        results = compute({x: np.broadcast_to(np.zeros((), s.dtype), s.shape) for x, s in specs.items()})
        for result in results.values():
            if result.dtype.name not in ITEM_SIZE:
                raise NotHeld(f"{name} makes an array of {result.dtype}, which a program cannot hold")
        return {y: Spec(result.shape, result.dtype.name) for y, result in results.items()}

    count = len(infer({f"x{k}": Spec(inputs[i].shape, inputs[i].dtype.name) for k, i in enumerate(places)}, None))
    return Op(
        name=f"onnx.{name}",
        inputs=("*x",),
        outputs=tuple(f"y{i}" for i in range(count)),
        infer=infer,
        reference=lambda arrays, attrs: compute(arrays),
        attrs=Attrs,
    )


def apply_host(name, function, inputs):
    """Return the operands that a function makes of operands; it gets arrays, and None for None."""
    op = make_op(name, function, inputs)
    results = apply(op, [x.tensor() for x in inputs if x is not None and x.constant is None], Attrs())
    return [Operand(result) for result in (results if isinstance(results, tuple) else (results,))]


def cast(x, dtype):
    """Return an operand in another dtype."""
    if x.constant is not None:
        return Operand(x.constant.astype(dtype), key=x.key and f"{x.key}:{dtype}")
    if x.dtype == dtype:
        return x
    return Operand(ops.cast(x.stored, np.dtype(dtype).name), x.axes)
