"""CIFAR-10 and CIFAR-100 in every official form, hostile ones, and the real CIFAR-10."""

import io
import os
import pickle
import tarfile
import tracemalloc

import numpy as np
import pytest

from fastconv.datasets import DatasetNotFoundError, cifar10, cifar100
from fastconv.errors import ArgumentError
from fastconv.storage import DataFormatError

from .layouts import assert_same, make_cifar, write_files, write_tar

CASES = [(cifar10, 10, "python"), (cifar10, 10, "binary"), (cifar100, 100, "python"), (cifar100, 100, "binary")]
ARCHIVES = {(10, "python"): "cifar-10-python.tar.gz", (10, "binary"): "cifar-10-binary.tar.gz"}
ARCHIVES |= {(100, "python"): "cifar-100-python.tar.gz", (100, "binary"): "cifar-100-binary.tar.gz"}


@pytest.mark.parametrize(("module", "classes", "layout"), CASES)
def test_folders(tmp_path, module, classes, layout):
    files, expected = make_cifar(classes, layout)
    write_files(tmp_path, files)
    inner = tmp_path / next(iter(files)).split("/")[0]
    for path in (tmp_path, inner, str(inner), tmp_path / next(iter(files))):
        assert_same(module.load_data(path=path), expected)


@pytest.mark.parametrize(("module", "classes", "layout"), CASES)
def test_archives(tmp_path, monkeypatch, module, classes, layout):
    files, expected = make_cifar(classes, layout)
    name = ARCHIVES[classes, layout]
    write_tar(tmp_path / name, files)
    write_tar(tmp_path / "renamed.tgz", files)
    write_tar(tmp_path / "plain.tar", files, mode="w")
    write_tar(tmp_path / "dots.tar.gz", {f"./{key}": data for key, data in files.items()})
    for path in (tmp_path / name, tmp_path, tmp_path / "renamed.tgz", tmp_path / "plain.tar", tmp_path / "dots.tar.gz"):
        assert_same(module.load_data(path=path), expected)
    monkeypatch.setenv("FASTCONV_HOME", str(tmp_path))
    assert_same(module.load_data(), expected)


@pytest.mark.parametrize(
    "place",
    [".keras/datasets", ".keras/datasets/cifar-10-batches-py-target", ".fastconv/datasets", ".cache/torch", "data"],
)
def test_caches(nowhere, place):
    files, expected = make_cifar()
    write_files(nowhere / place, files)
    assert_same(cifar10.load_data(), expected)


def test_archive_of_keras(nowhere):
    files, expected = make_cifar()
    write_tar(nowhere / ".keras/datasets/cifar-10-batches-py.tar.gz", files)
    assert_same(cifar10.load_data(), expected)


@pytest.mark.parametrize("layout", ["python", "binary"])
def test_coarse_labels(tmp_path, layout):
    files, ((_, y_train), (_, y_test)) = make_cifar(100, layout)
    write_files(tmp_path, files)
    coarse = cifar100.load_data("coarse", path=tmp_path)
    np.testing.assert_array_equal(coarse[0][1], y_train // 5)
    np.testing.assert_array_equal(coarse[1][1], y_test // 5)
    with pytest.raises(ArgumentError, match="label_mode"):
        cifar100.load_data("rough")


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_any_protocol_and_text_keys(tmp_path, protocol):
    files, expected = make_cifar()
    for name, data in files.items():
        if not name.endswith(".html"):
            batch = {key.decode(): value for key, value in pickle.loads(data).items()}
            files[name] = pickle.dumps(batch, protocol)
    write_files(tmp_path, files)
    assert_same(cifar10.load_data(tmp_path), expected)


def test_nothing_found(nowhere, tmp_path):
    for module, name in ((cifar10, "cifar-10-python.tar.gz"), (cifar100, "cifar-100-python.tar.gz")):
        with pytest.raises(DatasetNotFoundError) as caught:
            module.load_data()
        for part in (name, "FASTCONV_OFFLINE", str(nowhere / ".fastconv" / "datasets")):
            assert part in str(caught.value)
        with pytest.raises(DatasetNotFoundError, match="path="):
            module.load_data(path=tmp_path)


class Attack:
    def __init__(self, trace):
        self.trace = trace

    def __reduce__(self):
        return os.system, (f"touch {self.trace}",)


@pytest.mark.parametrize("packed", [False, True])
def test_malicious_pickle(tmp_path, packed):
    files, _ = make_cifar()
    trace = tmp_path / "trace"
    files["cifar-10-batches-py/data_batch_3"] = pickle.dumps({b"data": Attack(trace), b"labels": []}, 2)
    if packed:
        write_tar(tmp_path / "cifar-10-python.tar.gz", files)
    else:
        write_files(tmp_path, files)
    with pytest.raises(DataFormatError, match="data_batch_3.*system"):
        cifar10.load_data(tmp_path)
    assert not trace.exists()


@pytest.mark.parametrize(
    "batch",
    [
        {b"labels": [1, 2]},
        {b"data": np.zeros((2, 3072), np.uint8)},
        {b"data": np.zeros((2, 3071), np.uint8), b"labels": [1, 2]},
        {b"data": np.zeros((2, 3072), np.float32), b"labels": [1, 2]},
        {b"data": np.zeros((2, 3072), np.uint8), b"labels": [1, 2, 3]},
        {b"data": np.zeros((2, 3072), np.uint8), b"labels": [1, 10]},
        {b"data": np.zeros((2, 3072), np.uint8), b"labels": [1, -1]},
        {b"data": np.zeros((2, 3072), np.uint8), b"labels": [1, 2**80]},
        {b"data": np.zeros((2, 3072), np.uint8), b"labels": [1, 1.5]},
        {b"data": np.zeros((2, 3072), np.uint8), b"labels": [1, True]},
        {b"data": np.zeros((2, 3072), np.uint8), b"labels": b"\1\2"},
        {b"data": [[0] * 3072] * 2, b"labels": [1, 2]},
        [1, 2],
        None,
    ],
)
def test_batches_that_are_not_cifar(tmp_path, batch):
    files, _ = make_cifar()
    files["cifar-10-batches-py/test_batch"] = pickle.dumps(batch, 2)
    write_files(tmp_path, files)
    with pytest.raises(DataFormatError, match="test_batch"):
        cifar10.load_data(tmp_path)


@pytest.mark.parametrize("data", [b"", bytes(3072), bytes(3074), b"\x0a" + bytes(3072)])
def test_records_that_are_not_cifar(tmp_path, data):
    files, _ = make_cifar(10, "binary")
    files["cifar-10-batches-bin/test_batch.bin"] = data
    write_files(tmp_path, files)
    with pytest.raises(DataFormatError, match="test_batch.bin"):
        cifar10.load_data(tmp_path)


def info(name, kind=tarfile.REGTYPE, link=""):
    made = tarfile.TarInfo(name)
    made.type, made.linkname = kind, link
    return made


def test_names_that_lead_out_write_nothing(tmp_path):
    files, expected = make_cifar()
    extra = [
        (info("../../escape"), b"x"),
        (info(str(tmp_path / "absolute")), b"x"),
        (info("cifar-10-batches-py/other", tarfile.SYMTYPE, "/etc/passwd"), b""),
        (info("device", tarfile.CHRTYPE), b""),
    ]
    write_tar(tmp_path / "in" / "cifar-10-python.tar.gz", files, extra)
    assert_same(cifar10.load_data(tmp_path / "in"), expected)
    assert os.listdir(tmp_path) == ["in"] and os.listdir(tmp_path / "in") == ["cifar-10-python.tar.gz"]


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.DIRTYPE, tarfile.CHRTYPE])
def test_wanted_names_must_be_plain_files(tmp_path, kind):
    files, _ = make_cifar()
    path = tmp_path / "cifar-10-python.tar.gz"
    write_tar(path, files, [(info("cifar-10-batches-py/data_batch_1", kind, "/etc/passwd"), b"")])
    with pytest.raises(DataFormatError, match="no plain file"):
        cifar10.load_data(path)


def test_archive_without_a_file(tmp_path):
    files, _ = make_cifar()
    del files["cifar-10-batches-py/test_batch"]
    write_tar(tmp_path / "cifar-10-python.tar.gz", files)
    with pytest.raises(DataFormatError, match="lacks cifar-10-batches-py/test_batch or"):
        cifar10.load_data(tmp_path)


def test_archives_that_are_none(tmp_path):
    path = tmp_path / "cifar-10-python.tar.gz"
    files, _ = make_cifar()
    write_tar(path, files)
    good = path.read_bytes()
    for data in (b"", b"text\n" * 500, bytes(10240), b"\x1f\x8b" + bytes(100), b"PK\3\4" + bytes(600)):
        path.write_bytes(data)
        with pytest.raises(DataFormatError):
            cifar10.load_data(path)
    for n in range(0, len(good), len(good) // 60):
        path.write_bytes(good[:n])
        with pytest.raises(DataFormatError):
            cifar10.load_data(path)
    for i in range(0, len(good), len(good) // 200):
        path.write_bytes(good[:i] + bytes([good[i] ^ 0x41]) + good[i + 1 :])
        try:
            cifar10.load_data(path)
        except DataFormatError:
            pass


def test_damaged_headers(tmp_path):
    path = tmp_path / "cifar-10-python.tar"
    files, _ = make_cifar()
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, data in files.items():
            made = info(name)
            made.size, made.pax_headers = len(data), {"comment": "ünï"}
            archive.addfile(made, io.BytesIO(data))
    good, rng = buffer.getvalue(), np.random.default_rng(0)
    for _ in range(400):
        broken = bytearray(good)
        for i in rng.integers(0, 2048, 3):  # the first headers
            broken[i] = rng.integers(256)
        path.write_bytes(broken)
        try:
            cifar10.load_data(path)
        except DataFormatError:
            pass


def test_bomb_is_not_unpacked(tmp_path):
    path = tmp_path / "cifar-10-python.tar.gz"
    write_tar(path, {"cifar-10-batches-py/data_batch_1": bytes(201_000_000)})
    tracemalloc.start()
    try:
        with pytest.raises(DataFormatError, match="200000000"):
            cifar10.load_data(path)
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
    finally:
        tracemalloc.stop()


def test_skipped_bomb_stops(tmp_path, monkeypatch):
    from fastconv.datasets import _cifar

    monkeypatch.setattr(_cifar, "_ARCHIVE_LIMIT", 1_000_000)
    files, _ = make_cifar()
    path = tmp_path / "cifar-10-python.tar.gz"
    write_tar(path, files, [(info("zeros"), bytes(2_000_000))])
    with pytest.raises(DataFormatError, match="unpacks to more"):
        cifar10.load_data(path)


def check_real(loaded):
    (x_train, y_train), (x_test, y_test) = loaded
    assert x_train.shape == (50000, 32, 32, 3) and x_test.shape == (10000, 32, 32, 3)
    assert y_train.shape == (50000, 1) and y_test.shape == (10000, 1)
    assert {a.dtype.name for a in (x_train, y_train, x_test, y_test)} == {"uint8"}
    assert np.bincount(y_train.ravel()).tolist() == [5000] * 10 and np.bincount(y_test.ravel()).tolist() == [1000] * 10
    assert y_train[:5].ravel().tolist() == [6, 9, 9, 4, 1] and x_train[0, 0, 0].tolist() == [59, 62, 63]
    mean = x_train.mean(axis=(0, 1, 2)) / 255
    np.testing.assert_allclose(mean, [0.4914, 0.4822, 0.4465], atol=1e-4)


def test_real_files_in_both_layouts(real, tmp_path):
    python = cifar10.load_data(real("cifar-10-batches-py"))
    check_real(python)
    binary = cifar10.load_data(real("cifar-10-batches-bin"))
    assert_same(binary, python)


def test_real_archive(real, tmp_path):
    with tarfile.open(tmp_path / "cifar-10-python.tar.gz", "w:gz", compresslevel=1) as archive:
        archive.add(real("cifar-10-batches-py"), "cifar-10-batches-py")
    check_real(cifar10.load_data(tmp_path))
