"""Small helpers with Keras's names: `to_categorical`, `image_dataset_from_directory`, `set_random_seed`."""

import importlib

_HOMES = {
    "to_categorical": ".numerical",
    "image_dataset_from_directory": ".image_dataset",
    "set_random_seed": "..config",
}

__all__ = sorted(_HOMES)


def __getattr__(name):
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name], __name__), name)


def __dir__():
    return sorted({*globals(), *__all__})
