"""What the updates of all optimizers share: an operation (w, g, slots..., hyper) -> (new_w, new_slots...) in place.

`hyper` is a float64 vector that the host fills anew for each step, so that a program can run again with another
learning rate. It stays float64 also for float32 variables: 1 - 0.999 has no good float32.
"""

from functools import partial

import numpy as np

from .._kernels import optim
from ..errors import DTypeError
from ..op import Case, Op, Plan, Spec, register
from ._checks import check_float, check_shape


def infer(name, slots, hyper_names, specs, attrs):
    w = specs["w"]
    check_float(name, "w", w)
    for operand in ("g", *slots):
        check_float(name, operand, specs[operand], w.dtype)
        check_shape(name, operand, specs[operand].shape, w.shape)
    check_shape(name, f"hyper ({', '.join(hyper_names)})", specs["hyper"].shape, (len(hyper_names),))
    if specs["hyper"].dtype != "float64":
        raise DTypeError(f"{name} needs hyper of float64, got {specs['hyper'].dtype}; make it with np.array(...)")
    return {"new_" + operand: w for operand in ("w", *slots)}


def reference(function, slots, arrays, attrs):
    # Python floats take the dtype of the array that they meet.
    hyper = arrays["hyper"].tolist()
    results = function(arrays["w"], arrays["g"], [arrays[slot] for slot in slots], hyper, attrs)
    return {"new_" + name: value for name, value in zip(("w", *slots), results, strict=True)}


def plan(rule, slots, layout, flag, specs, attrs):
    if specs["w"].dtype != "float32":
        return None
    step = optim.update(rule, layout, specs["w"].size, flag(attrs))
    return Plan(phases=((step,),), inplace={"new_" + name: name for name in ("w", *slots)})


def draw_positive(rng, shape):
    """Draw what is never negative: a second moment."""
    return rng.uniform(0.5, 1.5, shape)


def make_update(name, rule, slots, layout, hyper, function, attrs, draw=None, flag=lambda attrs: False):
    """Register the update of one optimizer.

    Parameters
    ----------
    rule : str
        The kernel: see csrc/kernels/optim.h.
    slots : tuple of str
        Arrays like w that the optimizer keeps.
    layout : tuple of (str or None)
        The slots as the kernel orders them.
    hyper : dict of str -> float
        Layout of the hyper vector, with values for the cases.
    function : (w, g, slots, hyper, attrs) -> sequence of ndarray
        The reference: new w, then the new slots.
    attrs : tuple of NamedTuple
        The attributes of the cases.
    draw : dict of str -> callable, optional
        How the cases draw slots for which normal numbers will not do.
    flag : callable
        attrs -> bool, for the kernel.
    """
    values = np.array(list(hyper.values()))
    draw = {"hyper": lambda rng, shape: values.copy(), **(draw or {})}
    inputs = ("w", "g", *slots, "hyper")
    return register(
        Op(
            name=name,
            inputs=inputs,
            outputs=tuple("new_" + operand for operand in ("w", *slots)),
            settings=("hyper",),
            infer=partial(infer, name, slots, tuple(hyper)),
            reference=partial(reference, function, slots),
            plan=partial(plan, rule, slots, layout, flag),
            attrs=type(attrs[0]),
            cases=tuple(
                Case({**{i: Spec(shape) for i in inputs}, "hyper": Spec(values.shape, "float64")}, case_attrs, draw)
                for shape in ((1,), (3, 5), (2, 2, 3, 4), (17,), (8195,))
                for case_attrs in attrs
            ),
            flops=lambda specs, attrs: 12 * specs["w"].size,
        )
    )
