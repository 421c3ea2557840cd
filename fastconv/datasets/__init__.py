"""Data sets, with Keras's names and tuples: ``(x_train, y_train), (x_test, y_test) = datasets.mnist.load_data()``.

=================  =========================================  ==================================
`digits`           1,437 + 360 images, 8x8, carried along     UCI optical digits
`mnist`            60,000 + 10,000 images, 28x28              official IDX files, or Keras's npz
`fashion_mnist`    60,000 + 10,000 images, 28x28              official IDX files
`cifar10`          50,000 + 10,000 images, 32x32x3            official python or binary files
`cifar100`         50,000 + 10,000 images, 32x32x3            official python or binary files
=================  =========================================  ==================================

Files are looked for in ``path=``, in FASTCONV_HOME and in the usual caches before anything is downloaded;
FASTCONV_OFFLINE=1 forbids downloads. `_locate` holds the order.
"""

import importlib

_MODULES = ("cifar10", "cifar100", "digits", "fashion_mnist", "mnist")

__all__ = [*_MODULES, "DatasetNotFoundError"]


def __getattr__(name):
    if name in _MODULES:
        return importlib.import_module(f"{__name__}.{name}")
    if name == "DatasetNotFoundError":
        return importlib.import_module(f"{__name__}._locate").DatasetNotFoundError
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__():
    return sorted({*globals(), *__all__})
