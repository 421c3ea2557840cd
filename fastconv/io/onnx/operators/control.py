"""Subgraphs: branches and loops. They are walked in place: nothing of them is left in a program."""

import numpy as np

from ....errors import UnsupportedOpError
from ..operand import Operand
from ..tensors import element_type
from ._registry import NotConstant, lowers
from .movement import join

# Rounds of a loop that are put into a program one after the other; longer ones run after it.
MAX_ROUNDS = 256
# A loop may have no trip count, and a condition that stays true.
ENDLESS = 1_000_000


@lowers("If")
def if_(call, run, condition):
    return run(call.required("then_branch" if call.known(condition).item() else "else_branch"))


def _stack(parts, axis, value):
    """Return results of all rounds along a new axis; `value` describes one of them, where there was none."""
    if not parts:
        shape = value.type.tensor_type.shape
        sizes = [dim.dim_value or 0 for dim in shape.dim] if shape else []
        return Operand(np.zeros((*sizes[:axis], 0, *sizes[axis:]), element_type(value)))
    if all(part.constant is not None for part in parts):
        return Operand(np.stack([part.constant for part in parts], axis))
    axis = axis + parts[0].ndim + 1 if axis < 0 else axis
    shape = parts[0].shape
    return join([part.reshaped((*shape[:axis], 1, *shape[axis:])) for part in parts], axis)


def _check_rounds(rounds, operands):
    if rounds > MAX_ROUNDS and any(x.constant is None for x in operands):
        raise NotConstant


@lowers("Loop")
def loop(call, run, trips=None, condition=None, *carried):
    body = call.required("body")
    limit = np.inf if trips is None else call.known(trips).item()
    going = True if condition is None else bool(call.known(condition).item())
    state, parts, rounds = list(carried), [], 0
    while going and rounds < limit:
        _check_rounds(rounds + 1, state)
        if rounds >= ENDLESS:
            raise UnsupportedOpError(f"the loop has not ended after {ENDLESS} rounds; give it a smaller trip count")
        results = run(body, Operand(np.array(rounds, np.int64)), Operand(np.array(True)), *state)
        going = bool(call.known(results[0]).item())
        state = results[1 : 1 + len(state)]
        parts.append(results[1 + len(state) :])
        rounds += 1
    described = body.output[1 + len(state) :]
    return state + [_stack([part[i] for part in parts], 0, value) for i, value in enumerate(described)]


@lowers("Scan")
def scan(call, run, *inputs):
    if call.version < 9:
        raise UnsupportedOpError(
            "Scan of operator set 8 is not supported; convert the model to operator set 9 or later"
        )
    body, count = call.required("body"), call.required("num_scan_inputs")
    state, scanned = list(inputs[:-count]), inputs[-count:]
    axes = call.attribute("scan_input_axes", [0] * count)
    reverse = call.attribute("scan_input_directions", [0] * count)
    axes = [axis % x.ndim for axis, x in zip(axes, scanned, strict=True)]
    rounds = scanned[0].shape[axes[0]]
    _check_rounds(rounds, inputs)
    parts = []
    for i in range(rounds):
        rows = []
        for x, axis, back in zip(scanned, axes, reverse, strict=True):
            index = [slice(None)] * x.ndim
            index[axis] = rounds - 1 - i if back else i
            rows.append(x[tuple(index)])
        results = run(body, *state, *rows)
        state = results[: len(state)]
        parts.append(results[len(state) :])
    described = body.output[len(state) :]
    axes = call.attribute("scan_output_axes", [0] * len(described))
    back = call.attribute("scan_output_directions", [0] * len(described))
    columns = [[part[i] for part in parts] for i in range(len(described))]
    return state + [
        _stack(column[::-1] if b else column, axis, value)
        for column, axis, b, value in zip(columns, axes, back, described, strict=True)
    ]
