"""MNIST and Fashion-MNIST from small files in every place and form, and the real MNIST."""

import gzip

import numpy as np
import pytest

from fastconv.datasets import DatasetNotFoundError, fashion_mnist, mnist
from fastconv.errors import FastconvError
from fastconv.storage import DataFormatError

from .layouts import assert_same, idx_bytes, make_mnist


@pytest.mark.parametrize("compress", [True, False])
def test_folder_and_file(tmp_path, compress):
    expected = make_mnist(tmp_path, compress=compress)
    suffix = ".gz" if compress else ""
    for path in (tmp_path, str(tmp_path), tmp_path / f"t10k-labels-idx1-ubyte{suffix}"):
        assert_same(mnist.load_data(path), expected)
        assert_same(fashion_mnist.load_data(path), expected)


@pytest.mark.parametrize("inside", ["mnist", "MNIST/raw"])
def test_folder_above(tmp_path, inside):
    expected = make_mnist(tmp_path / inside)
    assert_same(mnist.load_data(tmp_path), expected)


@pytest.mark.parametrize("inside", ["", "datasets", "mnist", "datasets/mnist", "MNIST/raw"])
def test_fastconv_home(tmp_path, monkeypatch, inside):
    monkeypatch.setenv("FASTCONV_HOME", str(tmp_path))
    expected = make_mnist(tmp_path / inside)
    assert_same(mnist.load_data(), expected)


@pytest.mark.parametrize(
    "place", [".fastconv/datasets/mnist", ".cache/torch/MNIST/raw", "data/MNIST/raw", "data/mnist"]
)
def test_caches(nowhere, place):
    expected = make_mnist(nowhere / place)
    assert_same(mnist.load_data(), expected)


def test_order_of_places(nowhere, tmp_path, monkeypatch):
    first, second = make_mnist(tmp_path / "mnist", 1), make_mnist(nowhere / ".fastconv/datasets/mnist", 2)
    assert_same(mnist.load_data(), second)
    monkeypatch.setenv("FASTCONV_HOME", str(tmp_path))
    assert_same(mnist.load_data(), first)


def test_fashion_is_not_taken_from_mnist(nowhere):
    digits = make_mnist(nowhere / ".keras/datasets", 1)
    clothes = make_mnist(nowhere / ".keras/datasets/fashion-mnist", 2)
    assert_same(mnist.load_data(), digits)
    assert_same(fashion_mnist.load_data(), clothes)


def npz(path, arrays):
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(path, **arrays)


def test_npz_of_keras(nowhere, tmp_path):
    expected = make_mnist(tmp_path / "m")
    (x_train, y_train), (x_test, y_test) = expected
    arrays = {"x_train": x_train, "y_train": y_train, "x_test": x_test, "y_test": y_test}
    npz(nowhere / ".keras/datasets/mnist.npz", arrays)
    npz(tmp_path / "renamed.npz", arrays)
    assert_same(mnist.load_data(), expected)
    assert_same(mnist.load_data("mnist.npz"), expected)  # Keras's default argument
    assert_same(mnist.load_data(tmp_path / "renamed.npz"), expected)


def test_npz_of_anything_else(tmp_path):
    x, y = np.zeros((3, 28, 28), np.uint8), np.zeros(3, np.uint8)
    good = {"x_train": x, "y_train": y, "x_test": x, "y_test": y}
    path = tmp_path / "mnist.npz"
    objects = np.array([print, None, None], object)
    wrongs = [{"x_train": objects}, {"x_train": x[:2]}, {"x_train": x.astype("f4")}, {"y_test": y + 10}, {"x_test": y}]
    for wrong in wrongs:
        npz(path, {**good, **wrong})
        with pytest.raises(DataFormatError):
            mnist.load_data(path)
    npz(path, {"x_train": x})
    with pytest.raises(DataFormatError):
        mnist.load_data(path)
    npz(path, good)
    data = path.read_bytes()
    for n in range(0, len(data), 7):
        path.write_bytes(data[:n])
        with pytest.raises(DataFormatError):
            mnist.load_data(path)
    for i in range(0, len(data), 3):
        path.write_bytes(data[:i] + bytes([data[i] ^ 0xFF]) + data[i + 1 :])
        try:
            mnist.load_data(path)
        except DataFormatError:
            pass


def test_npz_bomb(tmp_path):
    np.savez_compressed(tmp_path / "mnist.npz", x_train=np.zeros(120_000_000, np.uint8))
    with pytest.raises(DataFormatError, match="more than"):
        mnist.load_data(tmp_path / "mnist.npz")


def test_offline_says_what_and_where(tmp_path, monkeypatch):
    monkeypatch.setenv("FASTCONV_HOME", str(tmp_path))
    for module, folder in ((mnist, "mnist"), (fashion_mnist, "fashion-mnist")):
        with pytest.raises(DatasetNotFoundError) as caught:
            module.load_data()
        message = str(caught.value)
        target = str(tmp_path / "datasets" / folder)
        for part in ("train-images-idx3-ubyte.gz", "FASTCONV_OFFLINE", target, ".keras", "path="):
            assert part in message
        assert isinstance(caught.value, FileNotFoundError) and isinstance(caught.value, FastconvError)


def test_path_without_the_files(nowhere, tmp_path):
    make_mnist(nowhere / ".fastconv/datasets/mnist")
    for path in (tmp_path, tmp_path / "nothing", tmp_path / "no" / "mnist.npz"):
        with pytest.raises(DatasetNotFoundError, match="path="):
            mnist.load_data(path)
    make_mnist(tmp_path)
    (tmp_path / "t10k-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(DatasetNotFoundError, match="t10k-labels"):
        mnist.load_data(tmp_path)


@pytest.mark.parametrize("array", [np.zeros((7, 28, 28), np.uint8), np.zeros((8, 28, 27), np.uint8)])
def test_images_that_do_not_fit(tmp_path, array):
    make_mnist(tmp_path)
    (tmp_path / "t10k-images-idx3-ubyte.gz").write_bytes(gzip.compress(idx_bytes(array)))
    with pytest.raises(DataFormatError):
        mnist.load_data(tmp_path)


def test_more_than_mnist_is_refused(tmp_path):
    make_mnist(tmp_path)
    data = gzip.compress(idx_bytes(np.zeros((60001, 28, 28), np.uint8)))
    (tmp_path / "train-images-idx3-ubyte.gz").write_bytes(data)
    with pytest.raises(DataFormatError, match="more than"):
        mnist.load_data(tmp_path)


def test_real_files(real):
    (x_train, y_train), (x_test, y_test) = mnist.load_data(real("mnist"))
    assert x_train.shape == (60000, 28, 28) and x_test.shape == (10000, 28, 28)
    assert y_train.shape == (60000,) and y_test.shape == (10000,)
    assert {a.dtype.name for a in (x_train, y_train, x_test, y_test)} == {"uint8"}
    assert y_train[:10].tolist() == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4] and y_test[:5].tolist() == [7, 2, 1, 0, 4]
    assert abs(x_train.mean() / 255 - 0.1307) < 1e-4 and abs(x_train.std() / 255 - 0.3081) < 1e-4


def test_real_files_from_home(real, monkeypatch):
    monkeypatch.setenv("FASTCONV_HOME", str(real("mnist").parent))
    assert mnist.load_data()[1][1][0] == 7
