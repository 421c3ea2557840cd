"""Callbacks: code of one's own at the turning points of `fit`, `evaluate` and `predict`."""

from .callback import Callback, CallbackList
from .early_stopping import EarlyStopping
from .history import History
from .lambda_callback import LambdaCallback
from .model_checkpoint import ModelCheckpoint

__all__ = ["Callback", "CallbackList", "EarlyStopping", "History", "LambdaCallback", "ModelCheckpoint"]
