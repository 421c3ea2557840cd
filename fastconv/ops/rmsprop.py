"""The update of RMSprop, plain, centered and with momentum, as in Keras 3."""

from functools import partial
from typing import NamedTuple

import numpy as np

from ..autograd import apply
from ._update import draw_positive, make_update

# decay = learning_rate * weight_decay.
HYPER = {"learning_rate": 0.05, "rho": 0.9, "momentum": 0.8, "epsilon": 1e-7, "decay": 0.01}


class Attrs(NamedTuple):
    """RMSprop's update has none: what it does follows from the slots."""


# square' = rho square + (1 - rho) g^2;  centered: mean' = rho mean + (1 - rho) g, and square' - mean'^2 in the root;
# step = rate g / sqrt(square' + epsilon);  with momentum velocity' = momentum velocity + step in its place.
def _rmsprop(centered, with_momentum, w, g, slots, hyper, attrs):
    rate, rho, momentum, epsilon, decay = hyper
    slots = list(slots)
    new = [rho * slots.pop(0) + (1 - rho) * g * g]
    spread = new[0]
    if centered:
        new.append(rho * slots.pop(0) + (1 - rho) * g)
        spread = spread - new[1] * new[1]
    step = rate * g / np.sqrt(spread + epsilon)
    if with_momentum:
        step = momentum * slots.pop(0) + step
        new.append(step)
    return w - w * decay - step, *new


# Means small enough that the mean square stays above the squared mean, as in any real run.
_DRAW = {"square": draw_positive, "mean": lambda rng, shape: rng.uniform(-0.3, 0.3, shape)}


def _make(centered, with_momentum):
    layout = ("square", "mean" if centered else None, "velocity" if with_momentum else None)
    name = "rmsprop" + "_centered" * centered + "_momentum" * with_momentum + "_update"
    slots = tuple(slot for slot in layout if slot)
    function = partial(_rmsprop, centered, with_momentum)
    return make_update(name, "rmsprop", slots, layout, HYPER, function, (Attrs(),), _DRAW)


OPS = {(centered, momentum): _make(centered, momentum) for centered in (False, True) for momentum in (False, True)}


def rmsprop_update(w, g, square, hyper, mean=None, velocity=None):
    """Return (new_w, new_square, ...) after one step of RMSprop (Tieleman, Hinton, 2012).

    Parameters
    ----------
    w, g, square : Tensor or array_like
        Variable, gradient and mean square, of one shape; float32 or float64.
    hyper : Tensor or array_like
        float64: learning rate, rho, momentum, epsilon, decay (learning rate * weight decay).
    mean : Tensor or array_like, optional
        The mean gradient: centered RMSprop.
    velocity : Tensor or array_like, optional
        With momentum.

    Returns
    -------
    tuple of Tensor
        new_w, new_square, then new_mean and new_velocity where given.

    Raises
    ------
    ShapeError, DTypeError
        When an array does not fit `w`.

    Examples
    --------
    >>> w, square = fastconv.ops.rmsprop_update([1.0], [2.0], [4.0], np.array([0.1, 0.9, 0.0, 1e-7, 0.0]))
    >>> w.numpy().round(3)
    array([0.9], dtype=float32)
    """
    op = OPS[mean is not None, velocity is not None]
    return apply(op, [operand for operand in (w, g, square, mean, velocity, hyper) if operand is not None], Attrs())
