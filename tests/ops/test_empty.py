"""Every dimension of every input of every case set to 0 in turn: an empty result, or an error that says why not."""

import numpy as np

from fastconv.autograd import eager
from fastconv.errors import FastconvError

from .conftest import PAIRS, masks, over


def _emptied(case):
    """Yield the specs of a case with one dimension 0: of one input, and of all that have one of that size there."""
    for name, spec in case.inputs.items():
        for axis, size in enumerate(spec.shape):
            for others in (False, True):
                yield {
                    key: other._replace(shape=(*other.shape[:axis], 0, *other.shape[axis + 1 :]))
                    if key == name or (others and other.shape[axis : axis + 1] == (size,))
                    else other
                    for key, other in case.inputs.items()
                }


@over(PAIRS)
def test_empty(op, index):
    case = op.cases[index]
    for specs in _emptied(case):
        arrays = {name: np.ones(spec.shape, spec.dtype) for name, spec in specs.items()}
        try:
            got = eager.forward(op, arrays, case.attrs)
        except FastconvError as error:
            assert str(error), specs
            continue
        op.plan(dict(specs), case.attrs)  # the reference runs instead, but making a plan is harmless
        with np.errstate(all="ignore"):
            want = op.reference(arrays, case.attrs)
        results = op.infer(dict(specs), case.attrs)
        for name in results:
            assert got[name].shape == np.shape(want[name]) == results[name].shape, (name, specs)
        for needs in masks(op, index) if op.reference_backward else ():
            kept = {name: array for name, array in {**arrays, **got}.items() if name in op.keeps(case.attrs, needs)}
            dys = {
                "d" + name: np.ones(got[name].shape, got[name].dtype if got[name].dtype.kind == "f" else "float32")
                for name in op.outputs
            }
            op.plan_backward(
                {**specs, **results, **{name: eager.spec_of(dy) for name, dy in dys.items()}}, case.attrs, needs
            )
            grads = eager.backward(op, {**kept, **dys}, case.attrs, needs, {**specs, **results})
            assert {name: grad.shape for name, grad in grads.items()} == {"d" + n: specs[n].shape for n in needs}
            # A sum over nothing is 0, and all there is to a gradient where there is no output.
            if all(got[name].size == 0 for name in op.outputs):
                assert not any(grad.any() for grad in grads.values()), specs
