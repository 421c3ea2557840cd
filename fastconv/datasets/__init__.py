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

from ..lazy import attach

_MODULES = ("cifar10", "cifar100", "digits", "fashion_mnist", "mnist")

__getattr__, __dir__, __all__ = attach(__name__, {**dict.fromkeys(_MODULES), "DatasetNotFoundError": "._locate"})
