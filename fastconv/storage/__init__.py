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

from ..lazy import attach

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "save": ".container",
        "load": ".container",
        "atomic_write": ".atomic",
        "DataFormatError": ".bounded",
        "read_idx": ".idx",
        "read_npz": ".npz",
        "read_pickle": ".pickles",
    },
)
