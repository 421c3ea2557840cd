"""Bytes on disk <-> arrays and plain data. Nothing here runs what a file holds, or allocates what it merely claims.

=====================  ==================================================================================
`container`            the ``.fastconv`` file: `save` and `load` arrays with JSON metadata
`atomic`               `atomic_write`: a new file replaces the old one whole, or not at all
`bounded`              reading plain, gzip and tar files within a limit
`idx`                  `read_idx`: MNIST's format
`npz`                  `read_npz`: NumPy's archive, as Keras keeps MNIST
`pickles`              `read_pickle`: data out of a pickle by an opcode reader that has nothing to run
`cifar`                both layouts of CIFAR-10 and CIFAR-100
=====================  ==================================================================================
"""

import importlib

_HOMES = {
    "save": "container",
    "load": "container",
    "atomic_write": "atomic",
    "DataFormatError": "bounded",
    "read_idx": "idx",
    "read_npz": "npz",
    "read_pickle": "pickles",
}

__all__ = sorted(_HOMES)


def __getattr__(name):
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__():
    return sorted({*globals(), *__all__})
