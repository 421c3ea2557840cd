"""Optimizer: what all of them share. The rules are in sgd.py, adam.py and rmsprop.py, the arithmetic in `fastconv/ops`.

A step has two halves. On the host, `hyper` computes the few numbers that change from step to step (the learning rate,
bias corrections) as a float64 vector. On tensors, `update` makes new weights and slots of old ones, gradients and that
vector; it is traced once and runs as part of the training program, so a new learning rate needs no new program.
"""

import numpy as np

from .. import ops
from ..autograd import Tensor, as_tensor, no_grad
from ..errors import ArgumentError, ModelFormatError


def _check_number(value, name, owner, low=0.0, high=None):
    number = isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)
    if not number or not low <= value < (float("inf") if high is None else high):
        bounds = f">= {low}" if high is None else f"of at least {low} and below {high}"
        raise ArgumentError(f"{owner}: {name} must be a number {bounds}, got {value!r}")
    return float(value)


class Optimizer:
    """Base class of optimizers.

    Parameters
    ----------
    learning_rate : float or callable
        A callable is a schedule: it gets the number of the step, from 0, and returns the rate.
    weight_decay : float, optional
        Every step first shrinks each variable by learning rate times this share (decoupled: arXiv 1711.05101).
    clipnorm, global_clipnorm, clipvalue : float, optional
        Scale each gradient, or all gradients together, down to this norm; or cut every element to plus or minus this
        value. At most one of them.
    name : str, optional

    Attributes
    ----------
    iterations : int
        Steps made so far.
    trained : list of Tensor
        What `build` was told to change.
    """

    def __init__(
        self, learning_rate, weight_decay=None, clipnorm=None, clipvalue=None, global_clipnorm=None, name=None
    ):
        owner = type(self).__name__
        self.name = name or owner.lower()
        self.learning_rate = learning_rate
        self.weight_decay = None if weight_decay is None else _check_number(weight_decay, "weight_decay", owner)
        clips = {"clipnorm": clipnorm, "clipvalue": clipvalue, "global_clipnorm": global_clipnorm}
        if sum(value is not None for value in clips.values()) > 1:
            raise ArgumentError(f"{owner}: only one of clipnorm, clipvalue and global_clipnorm can be given")
        for key, value in clips.items():
            setattr(self, key, None if value is None else _check_number(value, key, owner))
        self.iterations = 0
        self.trained = []
        self._slots = []  # for each variable {slot name: Tensor}

    # ---- numbers that change from step to step

    @property
    def learning_rate(self):
        """The rate of the next step. May be set at any time, to a number or to a schedule."""
        if callable(self._learning_rate):
            return self._check_rate(self._learning_rate(self.iterations))
        return self._learning_rate

    @learning_rate.setter
    def learning_rate(self, value):
        self._learning_rate = value if callable(value) else self._check_rate(value)

    def _check_rate(self, value):
        value = value.item() if isinstance(value, (Tensor, np.ndarray)) else value
        return _check_number(value, "learning_rate", type(self).__name__)

    @property
    def _decay(self):
        return self.learning_rate * (self.weight_decay or 0.0)

    def hyper(self):
        """Return the numbers of the next step, float64, as the operation of this optimizer reads them."""
        raise NotImplementedError(f"{type(self).__name__} must define hyper()")

    @property
    def traced(self):
        """What is part of a traced step beside the slots, and so needs a new program when it changes."""
        return self.slots, self.clipnorm, self.clipvalue, self.global_clipnorm, getattr(self, "nesterov", None)

    # ---- slots

    slots = ()  # names, each an array like the variable

    @property
    def variables(self):
        """The optimizer's own arrays: the slots of every variable."""
        return [tensor for own in self._slots for tensor in own.values()]

    def build(self, variables):
        """Make slots for variables that have none yet; the slots of others stay."""
        known = {id(variable) for variable in self.trained}
        for variable in variables:
            if id(variable) not in known:
                known.add(id(variable))
                zeros = np.zeros(variable.shape, variable.dtype)
                self.trained.append(variable)
                self._slots.append(
                    {slot: Tensor(zeros.copy(), name=f"{self.name}/{slot}/{variable.name}") for slot in self.slots}
                )

    def _slots_of(self, variables):
        places = {id(variable): place for place, variable in enumerate(self.trained)}
        missing = [variable.name or variable.shape for variable in variables if id(variable) not in places]
        if missing:
            raise ArgumentError(f"{type(self).__name__}: build() was not called with the variables {missing}")
        return [self._slots[places[id(variable)]] for variable in variables]

    # ---- a step

    def rule(self, w, g, slots, hyper):
        """Return (new w, new slots...) as Tensors, by the operation of this optimizer."""
        raise NotImplementedError(f"{type(self).__name__} must define rule()")

    def update(self, variables, gradients, hyper):
        """Assign new values to variables and their slots. Traced, or run eagerly.

        Parameters
        ----------
        variables : sequence of Tensor
        gradients : sequence of (Tensor or None)
            None: the variable does not move.
        hyper : Tensor or array_like
            What `hyper()` returned.
        """
        pairs = [(w, g) for w, g in zip(variables, gradients, strict=True) if g is not None]
        slots = self._slots_of([w for w, _ in pairs])
        grads = self._clip([g for _, g in pairs])
        hyper = hyper if isinstance(hyper, Tensor) else as_tensor(np.asarray(hyper, np.float64))
        # All new values before any is assigned: an interruption leaves few moments in which they are half old.
        changes = [
            (target, value)
            for (w, _), g, own in zip(pairs, grads, slots, strict=True)
            for target, value in zip((w, *own.values()), self.rule(w, g, own, hyper), strict=True)
        ]
        for target, value in changes:
            target.assign(value)

    def _clip(self, gradients):
        if self.clipvalue is not None:
            return [ops.minimum(ops.maximum(g, -self.clipvalue), self.clipvalue) for g in gradients]
        if self.clipnorm is not None:
            return [_scale_down(g, ops.square(g).sum(), self.clipnorm) for g in gradients]
        if self.global_clipnorm is not None and gradients:
            total = ops.square(gradients[0]).sum()
            for g in gradients[1:]:
                total = total + ops.square(g).sum()
            return [_scale_down(g, total, self.global_clipnorm) for g in gradients]
        return gradients

    def apply(self, gradients, variables=None):
        """Make one step: for training loops of one's own.

        Parameters
        ----------
        gradients : sequence of Tensor
        variables : sequence of Tensor, optional
            Those of `build` if left out.
        """
        variables = self.trained if variables is None else list(variables)
        self.build(variables)
        with no_grad():
            self.update(variables, [None if g is None else as_tensor(g) for g in gradients], self.hyper())
        self.iterations += 1

    def apply_gradients(self, grads_and_vars):
        """Make one step from pairs of (gradient, variable)."""
        pairs = list(grads_and_vars)
        self.apply([g for g, _ in pairs], [v for _, v in pairs])

    # ---- saving

    def state(self, variables=None):
        """Return {name: array} of all that a later step depends on: "iterations", and ``"<i>/<slot>"`` for each slot.

        Parameters
        ----------
        variables : sequence of Tensor, optional
            Where each variable has its number i; those of `build` if left out. All weights of a model give numbers that
            do not depend on which of them are trained.
        """
        numbers = self._numbers(variables)
        arrays = {"iterations": np.array(self.iterations, np.int64)}
        for variable, slots in zip(self.trained, self._slots, strict=True):
            if id(variable) in numbers:
                arrays |= {f"{numbers[id(variable)]}/{slot}": value.numpy().copy() for slot, value in slots.items()}
        return arrays

    def load_state(self, arrays, variables=None):
        """Set slots and `iterations` from what `state` returned; variables that have slots there are built.

        Raises
        ------
        ModelFormatError
            When the arrays do not belong to this optimizer and these variables; nothing is changed then.
        """
        variables = self.trained if variables is None else list(variables)
        iterations = arrays.get("iterations")
        if iterations is None or np.shape(iterations) != () or np.asarray(iterations).dtype.kind not in "iu":
            raise ModelFormatError(f"the state of {type(self).__name__} holds no count of iterations")
        if int(iterations) < 0:
            raise ModelFormatError(f"the state of {type(self).__name__} counts {int(iterations)} iterations")
        found = {}
        for key, array in arrays.items():
            if key == "iterations":
                continue
            number, _, slot = key.partition("/")
            number = int(number) if number.isascii() and number.isdigit() and len(number) < 10 else -1
            if not 0 <= number < len(variables) or slot not in self.slots:
                raise ModelFormatError(
                    f"the state of {type(self).__name__} holds {key!r}, which is no slot of this model"
                )
            variable, array = variables[number], np.asarray(array)
            if array.shape != variable.shape or array.dtype.name != variable.dtype:
                raise ModelFormatError(
                    f"the state of {type(self).__name__} holds {key!r} of shape {array.shape}, {array.dtype}; the "
                    f"weight has {variable.shape}, {variable.dtype}"
                )
            found.setdefault(number, {})[slot] = array
        for number, slots in found.items():
            if slots.keys() != set(self.slots):
                raise ModelFormatError(f"the state of {type(self).__name__} lacks slots of weight {number}")
        built = [variables[number] for number in sorted(found)]
        self.build(built)
        for own, number in zip(self._slots_of(built), sorted(found), strict=True):
            for slot, tensor in own.items():
                tensor.assign(found[number][slot])
        self.iterations = int(iterations)

    def _numbers(self, variables):
        return {id(variable): i for i, variable in enumerate(self.trained if variables is None else variables)}

    def get_config(self):
        """Return the constructor's arguments, for JSON. Of a schedule, the rate that it has now."""
        return {
            "name": self.name,
            "learning_rate": self.learning_rate,
            "weight_decay": self.weight_decay,
            "clipnorm": self.clipnorm,
            "clipvalue": self.clipvalue,
            "global_clipnorm": self.global_clipnorm,
        }

    @classmethod
    def from_config(cls, config):
        """Return an optimizer from what `get_config` returned."""
        return cls(**config)

    def __repr__(self):
        return f"<{type(self).__name__} learning_rate={self.learning_rate:g}, iterations={self.iterations}>"


def _scale_down(g, squared_norm, limit):
    """Return g * limit / max(norm, limit), as 0 / 0 never arises for a limit above 0."""
    return g * (limit / ops.maximum(ops.sqrt(squared_norm), limit))
