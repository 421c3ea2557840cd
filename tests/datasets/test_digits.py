"""The data set that the package carries."""

import hashlib
from importlib.resources import files

import numpy as np

from fastconv.datasets import digits


def test_shapes_and_values():
    (x_train, y_train), (x_test, y_test) = digits.load_data()
    assert x_train.shape == (1437, 8, 8) and y_train.shape == (1437,)
    assert x_test.shape == (360, 8, 8) and y_test.shape == (360,)
    assert {a.dtype.name for a in (x_train, y_train, x_test, y_test)} == {"uint8"}
    assert x_train.min() == 0 and x_train.max() == 16 and x_test.max() == 16


def test_split_is_stratified_and_fixed():
    (x_train, y_train), (x_test, y_test) = digits.load_data()
    share = np.bincount(y_test) / np.bincount(np.concatenate([y_train, y_test]))
    np.testing.assert_allclose(share, 360 / 1797, atol=0.005)
    digest = hashlib.sha256(b"".join(a.tobytes() for a in (x_train, y_train, x_test, y_test))).hexdigest()
    assert digest == "52ee9c9b8f89da26054b8eade8639a97c7d42133a29482b1441795981b9b23d0"


def test_parts_are_separate_and_writable():
    (x_train, _), (x_test, _) = digits.load_data()
    x_train[:] = 0
    assert x_test.any() and digits.load_data()[0][0].any()


def test_size_citation_and_licence():
    folder = files("fastconv.datasets")
    assert len(folder.joinpath("digits.npz").read_bytes()) < 100_000
    note = folder.joinpath("DIGITS.md").read_text()
    assert "10.24432/C50P49" in note and "Alpaydin" in note and "Attribution 4.0" in note


def test_nearest_neighbour_recognises_them():
    (x_train, y_train), (x_test, y_test) = digits.load_data()
    a, b = x_test.reshape(-1, 64).astype(int), x_train.reshape(-1, 64).astype(int)
    nearest = ((b * b).sum(1) - 2 * a @ b.T).argmin(1)
    assert (y_train[nearest] == y_test).mean() > 0.97
