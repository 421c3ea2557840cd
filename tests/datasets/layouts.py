"""Small files in the official layouts."""

import gzip
import io
import pickle
import struct
import tarfile

import numpy as np

N_TRAIN, N_TEST = 20, 8


def idx_bytes(array):
    return bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


def make_mnist(folder, seed=0, compress=True):
    """Write the four files; return what load_data should return."""
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    parts = []
    for part, n in (("train", N_TRAIN), ("t10k", N_TEST)):
        x, y = rng.integers(0, 256, (n, 28, 28), np.uint8), rng.integers(0, 10, n, np.uint8)
        for kind, array in (("images-idx3", x), ("labels-idx1", y)):
            data = idx_bytes(array)
            name = f"{part}-{kind}-ubyte"
            (folder / (name + ".gz" if compress else name)).write_bytes(gzip.compress(data) if compress else data)
        parts.append((x, y))
    return tuple(parts)


def make_cifar(classes=10, layout="python", seed=0):
    """Return the files of one layout as {"folder/name": bytes}, and what load_data should return (fine labels)."""
    rng = np.random.default_rng(seed)
    kind = {"python": {10: "batches-py", 100: "python"}, "binary": {10: "batches-bin", 100: "binary"}}[layout][classes]
    folder = f"cifar-{classes}-{kind}"
    if classes == 10:
        names = [(f"data_batch_{i}", N_TRAIN // 5) for i in range(1, 6)] + [("test_batch", N_TEST)]
    else:
        names = [("train", N_TRAIN), ("test", N_TEST)]
    files, parts = {}, []
    for name, n in names:
        x, y = rng.integers(0, 256, (n, 3072), np.uint8), rng.integers(0, classes, n)
        coarse = y // 5
        if layout == "python":
            labels = {b"labels": y.tolist()}
            if classes == 100:
                labels = {b"fine_labels": y.tolist(), b"coarse_labels": coarse.tolist()}
            data = pickle.dumps({b"data": x, **labels, b"filenames": [b"a.png"] * n, b"batch_label": b"b"}, 2)
        else:
            columns = [y] if classes == 10 else [coarse, y]
            data = np.concatenate([np.stack(columns, 1).astype(np.uint8), x], axis=1).tobytes()
            name += ".bin"
        files[f"{folder}/{name}"] = data
        parts.append((x.reshape(n, 3, 32, 32).transpose(0, 2, 3, 1), y.astype(np.uint8).reshape(n, 1)))
    files[f"{folder}/readme.html"] = b"<html></html>"
    train = tuple(np.concatenate(column) for column in zip(*parts[:-1], strict=True))
    return files, (train, parts[-1])


def write_files(root, files):
    for name, data in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)


def write_tar(path, files, extra=(), mode="w:gz"):
    """Write an archive; `extra` are (TarInfo, bytes) that come first."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, mode) as archive:
        for info, data in extra:
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))


def assert_same(actual, expected):
    for (x, y), (x_expected, y_expected) in zip(actual, expected, strict=True):
        assert x.dtype == y.dtype == np.uint8 and x.flags.c_contiguous and x.flags.writeable and y.flags.writeable
        np.testing.assert_array_equal(x, x_expected)
        np.testing.assert_array_equal(y, y_expected)
