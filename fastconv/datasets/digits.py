"""The optical digits of the UCI Machine Learning Repository, carried inside the package: see DIGITS.md."""


def load_data():
    """Load 1,797 handwritten digits of 8x8 pixels. No download, no arguments.

    Returns
    -------
    (x_train, y_train), (x_test, y_test) : tuples of ndarray
        Images uint8 (1437, 8, 8) and (360, 8, 8), 0 background to 16 ink; labels uint8 (1437,) and (360,). The split is
        part of the file: each class has its share in both parts, and it is the same on every machine.

    References
    ----------
    E. Alpaydin, C. Kaynak, Optical Recognition of Handwritten Digits, UCI Machine Learning Repository, 1998.
    https://doi.org/10.24432/C50P49 (CC BY 4.0)

    Examples
    --------
    >>> from fastconv.datasets import digits
    >>> (x_train, y_train), (x_test, y_test) = digits.load_data()
    >>> x_train.shape, x_test.shape, int(x_train.max())
    ((1437, 8, 8), (360, 8, 8), 16)
    """
    from importlib.resources import files

    import numpy as np

    with files(__package__).joinpath("digits.npz").open("rb") as file, np.load(file, allow_pickle=False) as archive:
        images, labels, n = archive["images"], archive["labels"], int(archive["n_train"])
    # Copies, so that the parts are arrays of their own and not views that keep one another alive.
    return (images[:n].copy(), labels[:n].copy()), (images[n:].copy(), labels[n:].copy())
