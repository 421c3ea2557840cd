"""The update of stochastic gradient descent, with momentum and Nesterov's variant as in Keras 3."""

from typing import NamedTuple

from ..autograd import apply
from ._update import make_update

# decay = learning_rate * weight_decay: w shrinks by that share before the update.
HYPER = {"learning_rate": 0.1, "momentum": 0.9, "decay": 0.01}


class Attrs(NamedTuple):
    """`nesterov`: look ahead by the momentum; only with a velocity."""

    nesterov: bool = False


def _plain(w, g, slots, hyper, attrs):
    rate, _, decay = hyper
    return (w - w * decay - rate * g,)


# velocity' = momentum velocity - rate g;   w' = w + velocity', or w + momentum velocity' - rate g (Nesterov).
def _momentum(w, g, slots, hyper, attrs):
    rate, momentum, decay = hyper
    velocity = momentum * slots[0] - rate * g
    step = momentum * velocity - rate * g if attrs.nesterov else velocity
    return w - w * decay + step, velocity


PLAIN = make_update("sgd_update", "sgd", (), (None,), HYPER, _plain, (Attrs(),))
MOMENTUM = make_update(
    "sgd_momentum_update",
    "sgd",
    ("velocity",),
    ("velocity",),
    HYPER,
    _momentum,
    (Attrs(), Attrs(True)),
    flag=lambda attrs: attrs.nesterov,
)


def sgd_update(w, g, hyper, velocity=None, nesterov=False):
    """Return (new_w,) or (new_w, new_velocity) after one step of gradient descent.

    Parameters
    ----------
    w, g : Tensor or array_like
        Variable and gradient, of one shape; float32 or float64.
    hyper : Tensor or array_like
        float64: learning rate, momentum, decay (learning rate times weight decay).
    velocity : Tensor or array_like, optional
        Like `w`; without it there is no momentum.
    nesterov : bool
        Nesterov's variant (Sutskever et al., ICML 2013), with a velocity.

    Returns
    -------
    tuple of Tensor

    Raises
    ------
    ShapeError, DTypeError
        When an array does not fit `w`.

    Examples
    --------
    >>> (w,) = fastconv.ops.sgd_update([1.0], [2.0], np.array([0.1, 0.0, 0.0]))
    >>> w.numpy()
    array([0.8], dtype=float32)
    """
    if velocity is None:
        return (apply(PLAIN, (w, g, hyper), Attrs()),)
    return apply(MOMENTUM, (w, g, velocity, hyper), Attrs(bool(nesterov)))
