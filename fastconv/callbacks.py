"""Callbacks, by the name that tutorials import them by; they live in `fastconv.models.callbacks`."""

from .models.callbacks import Callback, CallbackList, EarlyStopping, History, LambdaCallback, ModelCheckpoint

__all__ = ["Callback", "CallbackList", "EarlyStopping", "History", "LambdaCallback", "ModelCheckpoint"]
