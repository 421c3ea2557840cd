"""Watching one number of the logs: what early stopping and checkpoints share."""

import operator
import warnings

from ...errors import ArgumentError
from .callback import Callback

_LARGER_IS_BETTER = ("acc", "accuracy", "auc")


class Monitor(Callback):
    """A callback that compares the number `monitor` with the best so far.

    Parameters
    ----------
    monitor : str
        A key of the logs: "val_loss", "accuracy", ...
    mode : {"auto", "min", "max"}
        Which direction is better. "auto": accuracies upwards, everything else downwards.
    min_delta : float
        A smaller change does not count.
    """

    def __init__(self, monitor, mode="auto", min_delta=0.0):
        super().__init__()
        if mode not in ("auto", "min", "max"):
            raise ArgumentError(f"{type(self).__name__}: mode must be 'auto', 'min' or 'max', got {mode!r}")
        if not isinstance(monitor, str):
            raise ArgumentError(f"{type(self).__name__}: monitor must be a key of the logs, got {monitor!r}")
        if isinstance(min_delta, bool) or not isinstance(min_delta, (int, float)) or min_delta != min_delta:
            raise ArgumentError(f"{type(self).__name__}: min_delta must be a number, got {min_delta!r}")
        if mode == "auto":
            mode = "max" if monitor.endswith(_LARGER_IS_BETTER) else "min"
        self.monitor, self.mode = monitor, mode
        self.min_delta = abs(min_delta)
        self.best = None

    def value(self, logs):
        """Return the watched number, or None with a warning where the logs lack it."""
        current = (logs or {}).get(self.monitor)
        if current is None:
            known = ", ".join(logs or {}) or "nothing"
            warnings.warn(
                f"{type(self).__name__} watches {self.monitor!r}, which is not available; there is: {known}",
                stacklevel=2,
            )
        return current

    def improves(self, value, best):
        """Tell whether `value` is better than `best` by more than `min_delta`. NaN never is."""
        if best is None:
            return value == value
        if self.mode == "max":
            return operator.gt(value - self.min_delta, best)
        return operator.lt(value + self.min_delta, best)
