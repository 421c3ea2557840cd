"""The protocol of a callback, and the list that the training loop talks to."""

from ...errors import ArgumentError


class Callback:
    """Base class: methods that `fit`, `evaluate` and `predict` call at their places. Each does nothing here.

    Attributes
    ----------
    model : Model
        What is trained. Set ``model.stop_training = True`` to end `fit` after the present epoch.
    params : dict
        "epochs", "steps" (None where not known) and "verbose".

    Notes
    -----
    `logs` holds the running metrics of the epoch; at the end of an epoch also those of validation, ``val_`` before
    their names. In `predict`, ``logs["outputs"]`` is the batch's output.
    """

    def __init__(self):
        self.params = None
        self.model = None

    def set_params(self, params):
        """Take the facts about the run."""
        self.params = params

    def set_model(self, model):
        """Take the model."""
        self.model = model

    def on_train_begin(self, logs=None):
        """Run before the first step of `fit`."""

    def on_train_end(self, logs=None):
        """Run at the end of `fit`, also when it was interrupted."""

    def on_epoch_begin(self, epoch, logs=None):
        """Run before each epoch; `epoch` counts from 0."""

    def on_epoch_end(self, epoch, logs=None):
        """Run after each epoch and its validation."""

    def on_batch_begin(self, batch, logs=None):
        """Another name for `on_train_batch_begin`."""

    def on_batch_end(self, batch, logs=None):
        """Another name for `on_train_batch_end`."""

    def on_train_batch_begin(self, batch, logs=None):
        """Run before each training step; `batch` counts from 0 in each epoch."""
        self.on_batch_begin(batch, logs)

    def on_train_batch_end(self, batch, logs=None):
        """Run after each training step."""
        self.on_batch_end(batch, logs)

    def on_test_begin(self, logs=None):
        """Run when evaluation or validation begins."""

    def on_test_end(self, logs=None):
        """Run when evaluation or validation has ended."""

    def on_test_batch_begin(self, batch, logs=None):
        """Run before each batch of evaluation."""

    def on_test_batch_end(self, batch, logs=None):
        """Run after each batch of evaluation."""

    def on_predict_begin(self, logs=None):
        """Run when prediction begins."""

    def on_predict_end(self, logs=None):
        """Run when prediction has ended."""

    def on_predict_batch_begin(self, batch, logs=None):
        """Run before each batch of prediction."""

    def on_predict_batch_end(self, batch, logs=None):
        """Run after each batch of prediction."""


HOOKS = tuple(name for name in vars(Callback) if name.startswith("on_"))


class CallbackList:
    """Hands every hook on to a list of callbacks, in order.

    Parameters
    ----------
    callbacks : Callback, sequence of Callback or None
    model : Model
    **params
        What the callbacks get as `params`.
    """

    def __init__(self, callbacks=None, model=None, **params):
        if callbacks is None:
            callbacks = []
        self.callbacks = list(callbacks) if isinstance(callbacks, (list, tuple)) else [callbacks]
        for callback in self.callbacks:
            if not isinstance(callback, Callback):
                given = f"the class {callback.__name__}" if isinstance(callback, type) else repr(callback)
                raise ArgumentError(f"callbacks must be Callback objects, got {given}")
        self.model, self.params = model, params

    def begin(self):
        """Tell the callbacks which model and run they belong to."""
        for callback in self.callbacks:
            callback.set_params(self.params)
            callback.set_model(self.model)

    def append(self, callback):
        """Add a callback at the end."""
        self.callbacks.append(callback)


def _forward(hook):
    """Make the method that calls `hook` of every callback; `logs` always goes along, by position."""
    counted = "epoch" in hook or "batch" in hook

    def call_counted(self, number, logs=None):
        for callback in self.callbacks:
            getattr(callback, hook)(number, {} if logs is None else logs)

    def call(self, logs=None):
        for callback in self.callbacks:
            getattr(callback, hook)({} if logs is None else logs)

    method = call_counted if counted else call
    method.__name__ = hook
    method.__doc__ = f"Call `{hook}` of every callback."
    return method


for _hook in HOOKS:
    setattr(CallbackList, _hook, _forward(_hook))
