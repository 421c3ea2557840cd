"""Who runs operations, and whether they are recorded: both hold for one Python thread.

An executor gives meaning to an operation: run it on arrays (`Eager`), infer shapes only (`symbolic.py`), append it to a graph
(`fastconv/graph/trace.py`).
"""

import contextlib
import functools
import threading
from typing import Protocol

import numpy as np

from . import eager


class Executor(Protocol):
    """What runs operations. It may also have ``assign(tensor, value)``, which takes the place of a write to a variable."""

    def data(self, tensor):
        """Return what this executor calls the tensor's data; raise if it cannot work with it."""

    def forward(self, op, operands, attrs):
        """Return {name: data} of outputs and saved; `operands` are Tensors by name."""

    def backward(self, op, operands, attrs, needs, specs):
        """Return {"d" + name: data} for `needs`.

        `operands` are data: what the op keeps, and d + every output. `specs` are those of all inputs, outputs and saved.
        """

    def full(self, spec, value):
        """Return data of one value."""


class Eager:
    """The executor of arrays: everything is computed at once."""

    @staticmethod
    def data(tensor):
        """Return the array of a tensor."""
        return tensor._array("an operation outside of a layer or a traced function")

    @staticmethod
    def forward(op, operands, attrs):
        """Run `op`."""
        leaves = {name: (t, t.version) for name, t in operands.items() if t.requires_grad and t.node is None}
        arrays = {name: Eager.data(operand) for name, operand in operands.items()}
        return eager.forward(op, arrays, attrs, leaves)

    @staticmethod
    def backward(op, operands, attrs, needs, specs):
        """Run the backward of `op`."""
        return eager.backward(op, operands, attrs, needs, specs)

    @staticmethod
    def full(spec, value):
        """Return an array of one value."""
        return np.full(spec.shape, value, spec.dtype)


EAGER = Eager()


class _State(threading.local):
    def __init__(self):
        self.executors = [EAGER]
        self.grad_enabled = True


STATE = _State()


def executor():
    """Return the executor that runs operations on this Python thread now."""
    return STATE.executors[-1]


@contextlib.contextmanager
def using(new_executor):
    """Context manager: run operations on `new_executor`."""
    STATE.executors.append(new_executor)
    try:
        yield new_executor
    finally:
        STATE.executors.pop()


class _GradMode:
    """Sets whether operations are recorded: ``with no_grad():``, or ``@no_grad()`` and ``@no_grad`` on a function."""

    enabled = False

    def __new__(cls, function=None):
        self = super().__new__(cls)
        self._before = []
        return self if function is None else self(function)

    def __enter__(self):
        self._before.append(STATE.grad_enabled)
        STATE.grad_enabled = self.enabled
        return self

    def __exit__(self, *error):
        STATE.grad_enabled = self._before.pop()

    def __call__(self, function):
        @functools.wraps(function)
        def call(*args, **kwargs):
            with type(self)():
                return function(*args, **kwargs)

        return call


class no_grad(_GradMode):
    """Record nothing: as ``with no_grad():`` or as a decorator. Holds for this Python thread."""


class enable_grad(_GradMode):
    """Record again, inside a `no_grad` block."""

    enabled = True


def is_grad_enabled():
    """Tell whether operations are recorded on this Python thread."""
    return STATE.grad_enabled
