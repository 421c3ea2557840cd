"""A program gives the bits of eager code: every case traced and compiled, forward, and with gradients of a projection."""

import numpy as np

from fastconv.autograd import Tensor, apply, eager, gradients
from fastconv.graph import Program, trace

from .conftest import DIFFERENTIABLE, FLOATS, PAIRS, over, same_bits, sample


def _function(op, attrs, names, dys):
    """Return a function of Tensors by name: the outputs of `op`, and the gradients of their projections on `dys`."""

    def call(**inputs):
        wanted = [name for name in names if dys and op.is_differentiable(name)]
        for name in wanted:
            inputs[name].requires_grad = True
        results = apply(op, _positional(op, inputs), attrs)
        ys = dict(zip(op.outputs, results if isinstance(results, tuple) else (results,), strict=True))
        found = dict(ys)
        for output, y in ys.items():
            if wanted and y.dtype in FLOATS:
                grads = gradients(y, [inputs[name] for name in wanted], dys["d" + output], retain_graph=True)
                found |= {f"d{output}_d{name}": grad for name, grad in zip(wanted, grads, strict=True)}
        return found

    return call


def _positional(op, inputs):
    if op.variadic:
        return list(inputs.values())
    return [inputs.get(name.rstrip("?")) for name in op.inputs]


@over(PAIRS)
def test_forward(op, index):
    s = sample(op, index)
    program = Program(trace(_function(op, s.attrs, tuple(s.inputs), None), s.specs))
    want = eager.forward(op, s.inputs, s.attrs)
    assert same_bits(program.run(**s.inputs), {name: np.asarray(want[name]) for name in op.outputs})


@over(DIFFERENTIABLE)
def test_gradients(op, index):
    s = sample(op, index)
    function = _function(op, s.attrs, tuple(s.inputs), s.dys)
    want = function(**{name: Tensor(array.copy()) for name, array in s.inputs.items()})
    program = Program(trace(function, s.specs))
    for _ in range(2):  # the second time in used memory
        assert same_bits(program.run(**s.inputs), {name: tensor.numpy() for name, tensor in want.items()})
