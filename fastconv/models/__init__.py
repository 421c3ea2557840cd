"""Models: `Sequential`, functional and subclassed `Model`, training, summary, saving, callbacks."""

import importlib

_HOMES = {
    "Model": "model",
    "Sequential": "sequential",
    "save_model": "saving",
    "load_model": "saving",
    "model_from_json": "saving",
    "clone_model": "saving",
    "callbacks": None,
}

__all__ = sorted(_HOMES)


def __getattr__(name):
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if _HOMES[name] is None:
        return importlib.import_module(f"{__name__}.{name}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__():
    return sorted({*globals(), *__all__})
