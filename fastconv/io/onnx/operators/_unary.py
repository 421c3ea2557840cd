"""Functions of one tensor, element by element: how they are registered."""

import numpy as np

from .... import ops
from ..operand import Operand
from ._arrays import in_float32
from ._registry import evaluates, lowers


def unary(name, function, lowering=None, domain="", **defaults):
    """Register an operator that is a function of one tensor.

    Parameters
    ----------
    name : str
    function : callable
        (array, **attributes) -> array.
    lowering : str or callable, optional
        The same for float32, a function of `fastconv.ops` by name, or (Tensor, **attributes) -> Tensor or NotImplemented.
    **defaults
        The attributes, with the values they have when a node lacks them.
    """

    def given(call):
        return {key: call.attribute(key, value) for key, value in defaults.items()}

    @evaluates(name, domain=domain)
    @in_float32
    def arrays(call, x):
        return np.asarray(function(x, **given(call))).astype(x.dtype, copy=False)  # of no axes, NumPy 1 makes float64

    if lowering is not None:

        @lowers(name, domain=domain)
        def operands(call, x):
            if x.dtype != np.float32:
                return NotImplemented
            traced = getattr(ops, lowering) if isinstance(lowering, str) else lowering
            result = traced(x.tensor(x.order), **given(call))
            return result if result is NotImplemented else Operand(result, x.axes)
