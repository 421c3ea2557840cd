"""Adam and AdamW."""

import math

import numpy as np

from .. import ops
from .optimizer import Optimizer, _check_number


class Adam(Optimizer):
    """Adaptive moment estimation (Kingma and Ba, arXiv 1412.6980).

        m = beta_1 * m + (1 - beta_1) * g;   v = beta_2 * v + (1 - beta_2) * g²
        w = w - learning_rate * sqrt(1 - beta_2^t) / (1 - beta_1^t) * m / (sqrt(v) + epsilon)

    Parameters
    ----------
    learning_rate : float or callable
    beta_1, beta_2 : float
        In [0, 1).
    epsilon : float
        The paper's "epsilon hat".
    amsgrad : bool
        Divide by the greatest v so far (arXiv 1904.09237).
    weight_decay, clipnorm, clipvalue, global_clipnorm, name
        As in `Optimizer`.
    """

    def __init__(
        self,
        learning_rate=0.001,
        beta_1=0.9,
        beta_2=0.999,
        epsilon=1e-7,
        amsgrad=False,
        weight_decay=None,
        clipnorm=None,
        clipvalue=None,
        global_clipnorm=None,
        name="adam",
    ):
        super().__init__(learning_rate, weight_decay, clipnorm, clipvalue, global_clipnorm, name)
        owner = type(self).__name__
        self.beta_1 = _check_number(beta_1, "beta_1", owner, 0.0, 1.0)
        self.beta_2 = _check_number(beta_2, "beta_2", owner, 0.0, 1.0)
        self.epsilon = _check_number(epsilon, "epsilon", owner)
        self.amsgrad = bool(amsgrad)

    @property
    def slots(self):
        """Names of the arrays kept for each variable."""
        return ("m", "v", "greatest_v") if self.amsgrad else ("m", "v")

    def hyper(self):
        """Return bias-corrected rate, beta 1, beta 2, epsilon and decay of the next step."""
        step = self.iterations + 1
        rate = self.learning_rate * math.sqrt(1 - self.beta_2**step) / (1 - self.beta_1**step)
        return np.array([rate, self.beta_1, self.beta_2, self.epsilon, self._decay])

    def rule(self, w, g, slots, hyper):
        """Return the new variable and moments."""
        return ops.adam_update(w, g, slots["m"], slots["v"], hyper, slots.get("greatest_v"))

    def get_config(self):
        """Return the constructor's arguments, for JSON."""
        own = {name: getattr(self, name) for name in ("beta_1", "beta_2", "epsilon", "amsgrad")}
        return {**super().get_config(), **own}


class AdamW(Adam):
    """Adam with decoupled weight decay (Loshchilov and Hutter, arXiv 1711.05101).

    Parameters
    ----------
    learning_rate, beta_1, beta_2, epsilon, amsgrad
        As in `Adam`.
    weight_decay : float
        Every step first shrinks each variable by learning rate times this share.
    clipnorm, clipvalue, global_clipnorm, name
        As in `Optimizer`.
    """

    def __init__(
        self,
        learning_rate=0.001,
        weight_decay=0.004,
        beta_1=0.9,
        beta_2=0.999,
        epsilon=1e-7,
        amsgrad=False,
        clipnorm=None,
        clipvalue=None,
        global_clipnorm=None,
        name="adamw",
    ):
        super().__init__(
            learning_rate, beta_1, beta_2, epsilon, amsgrad, weight_decay, clipnorm, clipvalue, global_clipnorm, name
        )
