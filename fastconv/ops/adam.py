"""The update of Adam, AMSGrad and AdamW, as in Keras 3."""

from typing import NamedTuple

import numpy as np

from ..autograd import apply
from ._update import draw_positive, make_update

# At step t = 1, 2, ...: rate = learning_rate * sqrt(1 - beta_2^t) / (1 - beta_1^t).
# decay = learning_rate * weight_decay.
HYPER = {"rate": 0.05, "beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-7, "decay": 0.01}


class Attrs(NamedTuple):
    """Adam's update has none: AMSGrad is an operation of its own, with one slot more."""


# m' = m + (g - m)(1 - beta_1);  v' = v + (g^2 - v)(1 - beta_2);  w' = w - w decay - rate m' / (sqrt(v') + epsilon),
# with AMSGrad the greatest v' so far in its place.
def _adam(w, g, slots, hyper, attrs):
    rate, beta_1, beta_2, epsilon, decay = hyper
    m, v, *greatest = slots
    m = m + (g - m) * (1 - beta_1)
    v = v + (g * g - v) * (1 - beta_2)
    greatest = [np.maximum(old, v) for old in greatest]
    w = w - w * decay - m * rate / (np.sqrt((greatest or [v])[0]) + epsilon)
    return w, m, v, *greatest


_SLOTS = ("m", "v", "greatest_v")
PLAIN = make_update("adam_update", "adam", _SLOTS[:2], _SLOTS[:2], HYPER, _adam, (Attrs(),), {"v": draw_positive})
AMSGRAD = make_update(
    "adam_amsgrad_update", "adam", _SLOTS, _SLOTS, HYPER, _adam, (Attrs(),), dict.fromkeys(_SLOTS[1:], draw_positive)
)


def adam_update(w, g, m, v, hyper, greatest_v=None):
    """Return (new_w, new_m, new_v), with AMSGrad also new_greatest_v, after one step of Adam.

    Kingma, Ba, "Adam: a method for stochastic optimization", arXiv 1412.6980.

    Parameters
    ----------
    w, g, m, v : Tensor or array_like
        Variable, gradient, first and second moment, of one shape; float32 or float64.
    hyper : Tensor or array_like
        float64: rate (learning rate * sqrt(1 - beta_2^t) / (1 - beta_1^t) at step t = 1, 2, ...), beta_1, beta_2,
        epsilon, decay (learning rate * weight decay, as AdamW: arXiv 1711.05101; 0 for Adam).
    greatest_v : Tensor or array_like, optional
        The greatest second moment so far, for AMSGrad.

    Returns
    -------
    tuple of Tensor

    Raises
    ------
    ShapeError, DTypeError
        When an array does not fit `w`.

    Examples
    --------
    >>> zero = np.zeros(1, "float32")
    >>> w, m, v = fastconv.ops.adam_update([1.0], [2.0], zero, zero, np.array([0.0316, 0.9, 0.999, 1e-7, 0.0]))
    >>> w.numpy().round(3)
    array([0.9], dtype=float32)
    """
    if greatest_v is None:
        return apply(PLAIN, (w, g, m, v, hyper), Attrs())
    return apply(AMSGRAD, (w, g, m, v, greatest_v, hyper), Attrs())
