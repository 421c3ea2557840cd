"""NumPy's archives, whose headers are not believed."""

import io
import tracemalloc
import zipfile

import numpy as np
import pytest

from fastconv.storage import DataFormatError, read_npz


def test_round_trip(tmp_path):
    arrays = {"a": np.arange(6).reshape(2, 3), "f": np.asfortranarray(np.eye(3, 2)), "s": np.float32(2)}
    arrays["b"] = np.ones(1, bool)
    for write in (np.savez, np.savez_compressed):
        write(tmp_path / "a.npz", **arrays)
        for array, expected in zip(read_npz(tmp_path / "a.npz", list(arrays), 10_000), arrays.values(), strict=True):
            np.testing.assert_array_equal(array, expected)
            assert array.dtype == expected.dtype and array.flags.writeable and array.flags.c_contiguous


def forged(path, descr="'|u1'", shape="(3,)", body=b"abc", magic=b"\x93NUMPY\x01\x00"):
    header = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x.npy", magic + len(header).to_bytes(2, "little") + header + body)


@pytest.mark.parametrize(
    "options",
    [
        {"shape": "(4,)"},
        {"shape": "(2,)"},
        {"shape": f"({1 << 45},)"},
        {"shape": "(-3,)"},
        {"shape": "('a',)"},
        {"descr": "'|O'", "body": bytes(24)},
        {"descr": "'|S3'", "shape": "()"},
        {"descr": "[('a', '|u1')]"},
        {"descr": "__import__('os')"},
        {"magic": b"\x93NUMPY\x09\x00"},
        {"magic": b"no magic"},
    ],
)
def test_forged_headers(tmp_path, options):
    forged(tmp_path / "x.npz")
    assert read_npz(tmp_path / "x.npz", ["x"], 1000)[0].tobytes() == b"abc"
    forged(tmp_path / "x.npz", **options)
    tracemalloc.start()
    try:
        with pytest.raises(DataFormatError):
            read_npz(tmp_path / "x.npz", ["x"], 1000)
        assert tracemalloc.get_traced_memory()[1] < 1 << 21
    finally:
        tracemalloc.stop()


def test_damage_raises_nothing_else(tmp_path):
    buffer = io.BytesIO()
    np.savez_compressed(buffer, x=np.arange(50))
    data, rng = buffer.getvalue(), np.random.default_rng(0)
    for n in range(len(data)):
        (tmp_path / "x.npz").write_bytes(data[:n])
        with pytest.raises(DataFormatError):
            read_npz(tmp_path / "x.npz", ["x"], 10_000)
    for _ in range(1000):
        broken = bytearray(data)
        for i in rng.integers(0, len(data), 2):
            broken[i] = rng.integers(256)
        (tmp_path / "x.npz").write_bytes(broken)
        try:
            read_npz(tmp_path / "x.npz", ["x"], 10_000)
        except DataFormatError:
            pass


def test_missing(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_npz(tmp_path / "x.npz", ["x"], 1000)
    np.savez(tmp_path / "x.npz", y=np.ones(1))
    with pytest.raises(DataFormatError, match="x.npy"):
        read_npz(tmp_path / "x.npz", ["x"], 1000)
