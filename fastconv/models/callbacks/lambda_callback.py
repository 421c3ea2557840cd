"""A callback from functions."""

from ...errors import ArgumentError
from .callback import HOOKS, Callback


class LambdaCallback(Callback):
    """Make a callback of functions, one for each hook that is wanted.

    Parameters
    ----------
    on_epoch_begin, on_epoch_end : callable, optional
        (epoch, logs)
    on_train_begin, on_train_end : callable, optional
        (logs)
    on_train_batch_begin, on_train_batch_end : callable, optional
        (batch, logs)
    **kwargs : callable
        Any other hook of `Callback`, by name.

    Examples
    --------
    >>> show = LambdaCallback(on_epoch_end=lambda epoch, logs: print(epoch, logs["loss"]))
    """

    def __init__(
        self,
        on_epoch_begin=None,
        on_epoch_end=None,
        on_train_begin=None,
        on_train_end=None,
        on_train_batch_begin=None,
        on_train_batch_end=None,
        **kwargs,
    ):
        super().__init__()
        given = {
            "on_epoch_begin": on_epoch_begin,
            "on_epoch_end": on_epoch_end,
            "on_train_begin": on_train_begin,
            "on_train_end": on_train_end,
            "on_train_batch_begin": on_train_batch_begin,
            "on_train_batch_end": on_train_batch_end,
            **kwargs,
        }
        for name, function in given.items():
            if function is None:
                continue
            if name not in HOOKS or not callable(function):
                raise ArgumentError(
                    f"LambdaCallback: {name}={function!r} must be a function, named as one of {', '.join(HOOKS)}"
                )
            setattr(self, name, function)
