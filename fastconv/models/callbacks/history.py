"""The record that `fit` returns."""

from .callback import Callback


class History(Callback):
    """What was measured in every epoch.

    Attributes
    ----------
    history : dict of str -> list of float
        "loss", the metrics, and with validation the same with ``val_`` before the name.
    epoch : list of int
        The numbers of the epochs, from 0.
    """

    def __init__(self):
        super().__init__()
        self.epoch, self.history = [], {}

    def on_train_begin(self, logs=None):
        """Start anew."""
        self.epoch, self.history = [], {}

    def on_epoch_end(self, epoch, logs=None):
        """Append one epoch."""
        self.epoch.append(epoch)
        for name, value in (logs or {}).items():
            self.history.setdefault(name, []).append(value)
