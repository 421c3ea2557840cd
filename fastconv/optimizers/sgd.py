"""Stochastic gradient descent."""

import numpy as np

from .. import ops
from ..errors import ArgumentError
from .optimizer import Optimizer, _check_number


class SGD(Optimizer):
    """Gradient descent, with momentum and Nesterov's variant (Sutskever et al., ICML 2013).

        w = w - learning_rate * g                                        without momentum
        v = momentum * v - learning_rate * g;  w = w + v                 with
        v = momentum * v - learning_rate * g;  w = w + momentum * v - learning_rate * g      with Nesterov

    Parameters
    ----------
    learning_rate : float or callable
    momentum : float
        In [0, 1].
    nesterov : bool
    weight_decay, clipnorm, clipvalue, global_clipnorm, name
        As in `Optimizer`.

    Examples
    --------
    >>> model.compile(SGD(0.01, momentum=0.9), "sparse_categorical_crossentropy")     # doctest: +SKIP
    """

    def __init__(
        self,
        learning_rate=0.01,
        momentum=0.0,
        nesterov=False,
        weight_decay=None,
        clipnorm=None,
        clipvalue=None,
        global_clipnorm=None,
        name="SGD",
    ):
        super().__init__(learning_rate, weight_decay, clipnorm, clipvalue, global_clipnorm, name)
        self.momentum = _check_number(momentum, "momentum", "SGD")
        if self.momentum > 1:
            raise ArgumentError(f"SGD: momentum must be from 0 to 1, got {momentum!r}")
        self.nesterov = bool(nesterov)

    @property
    def slots(self):
        """Names of the arrays kept for each variable."""
        return ("velocity",) if self.momentum else ()

    def hyper(self):
        """Return learning rate, momentum and decay of the next step."""
        return np.array([self.learning_rate, self.momentum, self._decay])

    def rule(self, w, g, slots, hyper):
        """Return the new variable and velocity."""
        return ops.sgd_update(w, g, hyper, slots.get("velocity"), self.nesterov)

    def get_config(self):
        """Return the constructor's arguments, for JSON."""
        return {**super().get_config(), "momentum": self.momentum, "nesterov": self.nesterov}
