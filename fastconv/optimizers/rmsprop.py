"""RMSprop."""

import numpy as np

from .. import ops
from .optimizer import Optimizer, _check_number


class RMSprop(Optimizer):
    """Division by a running mean of the gradient's size (Tieleman and Hinton, 2012).

        s = rho * s + (1 - rho) * g²;   w = w - learning_rate * g / sqrt(s + epsilon)

    Parameters
    ----------
    learning_rate : float or callable
    rho : float
        In [0, 1).
    momentum : float
        Of the steps, if greater than 0.
    epsilon : float
    centered : bool
        Subtract the square of the running mean of g from s.
    weight_decay, clipnorm, clipvalue, global_clipnorm, name
        As in `Optimizer`.
    """

    def __init__(
        self,
        learning_rate=0.001,
        rho=0.9,
        momentum=0.0,
        epsilon=1e-7,
        centered=False,
        weight_decay=None,
        clipnorm=None,
        clipvalue=None,
        global_clipnorm=None,
        name="rmsprop",
    ):
        super().__init__(learning_rate, weight_decay, clipnorm, clipvalue, global_clipnorm, name)
        self.rho = _check_number(rho, "rho", "RMSprop", 0.0, 1.0)
        self.momentum = _check_number(momentum, "momentum", "RMSprop")
        self.epsilon = _check_number(epsilon, "epsilon", "RMSprop")
        self.centered = bool(centered)

    @property
    def slots(self):
        """Names of the arrays kept for each variable, in the order in which the operation returns them."""
        return ("square", *(("mean",) if self.centered else ()), *(("velocity",) if self.momentum else ()))

    def hyper(self):
        """Return learning rate, rho, momentum, epsilon and decay of the next step."""
        return np.array([self.learning_rate, self.rho, self.momentum, self.epsilon, self._decay])

    def rule(self, w, g, slots, hyper):
        """Return the new variable and slots."""
        return ops.rmsprop_update(w, g, slots["square"], hyper, slots.get("mean"), slots.get("velocity"))

    def get_config(self):
        """Return the constructor's arguments, for JSON."""
        own = {name: getattr(self, name) for name in ("rho", "momentum", "epsilon", "centered")}
        return {**super().get_config(), **own}
