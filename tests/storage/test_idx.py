"""MNIST's format, and everything that can be wrong with it."""

import gzip
import struct
import tracemalloc

import numpy as np
import pytest

from fastconv.storage import DataFormatError, read_idx

CODES = {"uint8": 8, "int8": 9, "int16": 11, "int32": 12, "float32": 13, "float64": 14}


def idx(array, shape=None):
    shape = array.shape if shape is None else shape
    head = bytes([0, 0, CODES[array.dtype.name], len(shape)]) + struct.pack(f">{len(shape)}I", *shape)
    return head + array.astype(array.dtype.newbyteorder(">")).tobytes()


@pytest.mark.parametrize("dtype", CODES)
@pytest.mark.parametrize("shape", [(5,), (2, 3, 4), (0, 28, 28), ()])
@pytest.mark.parametrize("compress", [False, True])
def test_round_trip(tmp_path, dtype, shape, compress):
    array = np.arange(np.prod(shape, dtype=int)).reshape(shape).astype(dtype)
    data = idx(array)
    (tmp_path / "f").write_bytes(gzip.compress(data) if compress else data)
    read = read_idx(tmp_path / "f", ndim=len(shape))
    np.testing.assert_array_equal(read, array)
    assert read.dtype == np.dtype(dtype) and read.flags.writeable and read.flags.c_contiguous


@pytest.mark.parametrize("compress", [False, True])
def test_every_truncation_is_refused(tmp_path, compress):
    data = idx(np.arange(20, dtype=np.uint8).reshape(4, 5))
    data = gzip.compress(data) if compress else data
    for n in range(len(data)):
        (tmp_path / "f").write_bytes(data[:n])
        with pytest.raises(DataFormatError):
            read_idx(tmp_path / "f")


def test_flipped_bytes_of_a_gzip_file_raise_nothing_else(tmp_path):
    data = gzip.compress(idx(np.arange(200, dtype=np.uint8)), mtime=0)
    for i in range(len(data)):
        (tmp_path / "f").write_bytes(data[:i] + bytes([data[i] ^ 0x55]) + data[i + 1 :])
        try:
            np.testing.assert_array_equal(read_idx(tmp_path / "f"), np.arange(200))
        except DataFormatError:
            pass


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "begins with nothing"),
        (b"PK\3\4 a zip file", "not an IDX"),
        (b"\0\0\x07\1\0\0\0\1x", "not an IDX"),
        (idx(np.zeros(4, np.uint8)) + b"x", "more"),
        (idx(np.zeros(4, np.uint8), (5,)), "only 4"),
        (idx(np.zeros(4, np.uint8), (2, 2)), "expected 1 dimensions, got 2"),
    ],
)
def test_wrong_files(tmp_path, data, message):
    (tmp_path / "f").write_bytes(data)
    with pytest.raises(DataFormatError, match=message):
        read_idx(tmp_path / "f", ndim=1)


def test_too_many_dimensions(tmp_path):
    (tmp_path / "f").write_bytes(idx(np.zeros(1, np.uint8), (1,) * 200))
    with pytest.raises(DataFormatError, match="is none"):
        read_idx(tmp_path / "f")


@pytest.mark.parametrize("shape", [(1 << 31,), (1 << 31, 1 << 31), (60000, 28, 28)])
@pytest.mark.parametrize("compress", [False, True])
def test_a_claimed_size_is_not_allocated(tmp_path, shape, compress):
    data = idx(np.zeros(16, np.uint8), shape)
    (tmp_path / "f").write_bytes(gzip.compress(data) if compress else data)
    tracemalloc.start()
    try:
        with pytest.raises(DataFormatError):
            read_idx(tmp_path / "f", limit=1 << 62)
        assert tracemalloc.get_traced_memory()[1] < 4 << 20
    finally:
        tracemalloc.stop()


def test_a_gzip_bomb_stops_at_its_header(tmp_path):
    bomb = gzip.compress(idx(np.zeros(16, np.uint8)) + bytes(1 << 28), 9)
    (tmp_path / "f").write_bytes(bomb)
    tracemalloc.start()
    try:
        with pytest.raises(DataFormatError, match="holds more"):
            read_idx(tmp_path / "f")
        assert tracemalloc.get_traced_memory()[1] < 4 << 20
    finally:
        tracemalloc.stop()


def test_missing_file_and_folder(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_idx(tmp_path / "nothing")
    with pytest.raises(DataFormatError, match="regular"):
        read_idx(tmp_path)
