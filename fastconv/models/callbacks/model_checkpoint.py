"""Saving a model while it is trained."""

import os
from string import Formatter

from ...errors import ArgumentError
from .monitor import Monitor


class ModelCheckpoint(Monitor):
    """Save the model, or its weights, after epochs or every so many batches.

    Parameters
    ----------
    filepath : str or os.PathLike
        May hold ``{epoch}`` (from 1), ``{batch}`` and any key of the logs, as in
        ``"{epoch:02d}-{val_loss:.2f}.fastconv"``.
    monitor : str
        What `save_best_only` looks at.
    verbose : {0, 1}
        1 prints every save.
    save_best_only : bool
        Save only when `monitor` has improved.
    save_weights_only : bool
        Call ``model.save_weights`` instead of ``model.save``.
    mode : {"auto", "min", "max"}
        Which direction is better.
    save_freq : "epoch" or int
        An integer: after that many batches, counted over epochs.
    initial_value_threshold : float, optional
        With `save_best_only`, the value to beat at first.
    """

    def __init__(
        self,
        filepath,
        monitor="val_loss",
        verbose=0,
        save_best_only=False,
        save_weights_only=False,
        mode="auto",
        save_freq="epoch",
        initial_value_threshold=None,
    ):
        super().__init__(monitor, mode)
        if save_freq != "epoch" and (isinstance(save_freq, bool) or not isinstance(save_freq, int) or save_freq < 1):
            raise ArgumentError(f"ModelCheckpoint: save_freq must be 'epoch' or an integer >= 1, got {save_freq!r}")
        self.filepath, self.verbose = self._check_path(filepath), verbose
        self.save_best_only, self.save_weights_only = save_best_only, save_weights_only
        self.save_freq, self.best = save_freq, initial_value_threshold
        self._batches = self._epoch = 0

    def on_epoch_begin(self, epoch, logs=None):
        """Note the epoch, for names of files saved within it."""
        self._epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        """Save every `save_freq` batches."""
        self._batches += 1
        if self.save_freq != "epoch" and self._batches % self.save_freq == 0:
            self._save(self._epoch, batch, logs)

    def on_epoch_end(self, epoch, logs=None):
        """Save, where saving goes by epochs."""
        if self.save_freq == "epoch":
            self._save(epoch, None, logs)

    def _save(self, epoch, batch, logs):
        if self.save_best_only:
            current = self.value(logs)
            if current is None:
                return
            if not self.improves(current, self.best):
                self._say(f"Epoch {epoch + 1}: {self.monitor} did not improve from {self.best:.5f}")
                return
            before = "" if self.best is None else f" from {self.best:.5f}"
            self._say(f"Epoch {epoch + 1}: {self.monitor} improved{before} to {current:.5f}")
        path = self._path(epoch, batch, logs)
        os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
        (self.model.save_weights if self.save_weights_only else self.model.save)(path)
        if self.save_best_only:
            self.best = current  # only once the file is whole
        self._say(f"Epoch {epoch + 1}: saved model to {path}")

    @staticmethod
    def _check_path(filepath):
        """Return the path as a string; what can be wrong with it should show before an epoch was spent on it."""
        from ..saving import check_path

        path = check_path(filepath)
        try:
            # Every field becomes a number, so a format such as {epoch:02d} is tried as it will be used.
            fields = {name: 1 if name in ("epoch", "batch") else 1.0 for _, name, *_ in Formatter().parse(path) if name}
            path.format(**fields)
        except (ValueError, LookupError, AttributeError) as error:
            raise ArgumentError(f"ModelCheckpoint: filepath {path!r} is no valid format: {error}") from error
        return path

    def _path(self, epoch, batch, logs):
        facts = {**(logs or {}), "epoch": epoch + 1, **({} if batch is None else {"batch": batch + 1})}
        try:
            return self.filepath.format(**facts)
        except (KeyError, IndexError) as error:
            raise ArgumentError(
                f"ModelCheckpoint: filepath {self.filepath!r} names {error}, but there is only {', '.join(facts)}"
            ) from error

    def _say(self, text):
        if self.verbose:
            print(text)
