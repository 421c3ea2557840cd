"""The .fastconv file: round trips, and every way in which a file can be wrong."""

import errno
import hashlib
import json
import os
import struct
import subprocess
import sys
import tracemalloc
import zipfile

import numpy as np
import pytest
from safetensors.numpy import load as decode
from safetensors.numpy import save as encode

from fastconv.errors import ArgumentError, DTypeError, ModelFormatError
from fastconv.storage import container, load, save

DTYPES = "bool uint8 int8 uint16 int16 uint32 int32 uint64 int64 float16 float32 float64".split()
METADATA = {"layers": [{"name": "dense", "units": 3}], "note": 'a "quoted" ünïcode \\ text', "none": None}


def small():
    rng = np.random.default_rng(0)
    kernel = rng.standard_normal((3, 5)).astype("float32")
    return {"kernel": kernel, "step": np.array(7), "empty": np.zeros((0, 4), "float32")}


@pytest.fixture
def saved(tmp_path):
    path = tmp_path / "model.fastconv"
    save(path, small(), METADATA)
    return path


def seal(header, body=b"", length=None):
    """Make a file with any header at all, and the digest that it should have."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    data = struct.pack("<Q", len(text) if length is None else length) + text + body
    match = container._DIGEST.search(data)
    if match is None:
        return data
    blank = data[: match.start(1)] + b"0" * 64 + data[match.end(1) :]
    return data[: match.start(1)] + hashlib.sha256(blank).hexdigest().encode() + data[match.end(1) :]


def entry(metadata=None, version=1):
    return {"fastconv": json.dumps({"sha256": "0" * 64, "format": version, "metadata": metadata})}


@pytest.mark.parametrize("dtype", DTYPES)
def test_round_trip_keeps_every_bit(tmp_path, dtype):
    bits = np.random.default_rng(1).integers(0, 256, 8 * 60, np.uint8)
    array = bits.astype(bool)[:60] if dtype == "bool" else bits.view(dtype)[:60]
    arrays = {"a": array.reshape(3, 4, 5), "scalar": array[0], "empty": array[:0]}
    save(tmp_path / "m", arrays, METADATA)
    loaded, metadata = load(tmp_path / "m")
    assert metadata == METADATA
    assert list(loaded) == sorted(arrays)
    for name, value in arrays.items():
        assert loaded[name].dtype == dtype and loaded[name].shape == value.shape
        assert loaded[name].tobytes() == value.tobytes()
        assert loaded[name].flags.c_contiguous and loaded[name].flags.writeable and loaded[name].flags.aligned


def test_any_layout_is_saved(tmp_path):
    base = np.arange(24, dtype=np.float32).reshape(4, 6)
    readonly = base.copy()
    readonly.flags.writeable = False
    arrays = {"t": base.T, "strided": base[::2, ::-1], "big": base.astype(">f4"), "readonly": readonly}
    save(tmp_path / "m", arrays, {})
    loaded, _ = load(tmp_path / "m")
    for name, value in arrays.items():
        np.testing.assert_array_equal(loaded[name], value)
        assert loaded[name].dtype == np.float32


def test_no_arrays_and_strange_metadata(tmp_path):
    metadata = {"nan": float("nan"), "inf": float("inf"), "sha256": "f" * 64, "deep": {"sha256": "e" * 64}}
    save(tmp_path / "m", {}, metadata)
    arrays, loaded = load(tmp_path / "m")
    assert arrays == {} and loaded["sha256"] == "f" * 64 and np.isnan(loaded["nan"]) and loaded["inf"] == np.inf


def test_saving_twice_gives_the_same_bytes(tmp_path, saved):
    save(tmp_path / "again", small(), METADATA)
    assert (tmp_path / "again").read_bytes() == saved.read_bytes()


def test_other_programs_can_open_it(saved):
    arrays = decode(saved.read_bytes())
    np.testing.assert_array_equal(arrays["kernel"], small()["kernel"])


@pytest.mark.parametrize("array", [np.array([object()]), np.array(["text"]), np.ones(2, complex), np.zeros(2, "M8[s]")])
def test_dtypes_that_cannot_be_saved(tmp_path, array):
    with pytest.raises(DTypeError, match="'a' has dtype"):
        save(tmp_path / "m", {"a": array}, {})
    assert os.listdir(tmp_path) == []


def test_arguments_that_cannot_be_saved(tmp_path):
    cyclic = {}
    cyclic["self"] = cyclic
    for arrays, metadata in [({}, {"f": len}), ({}, cyclic), ({1: np.ones(1)}, {}), ({"__metadata__": np.ones(1)}, {})]:
        with pytest.raises(ArgumentError):
            save(tmp_path / "m", arrays, metadata)
    with pytest.raises(ArgumentError, match="UTF-8"):
        save(tmp_path / "m", {"\ud800": np.ones(1)}, {})
    assert os.listdir(tmp_path) == []


def test_every_truncation_is_refused(saved):
    data = saved.read_bytes()
    for length in range(len(data)):
        saved.write_bytes(data[:length])
        with pytest.raises(ModelFormatError):
            load(saved)


def test_every_flipped_bit_is_refused(saved):
    data = saved.read_bytes()
    for i in range(len(data)):
        for bit in (1 << (i % 8), 0x20, 0x08):  # 0x20 changes letter case, 0x08 a blank into "("
            saved.write_bytes(data[:i] + bytes([data[i] ^ bit]) + data[i + 1 :])
            with pytest.raises(ModelFormatError):
                load(saved)


def test_white_space_cannot_change_either(saved):
    data = saved.read_bytes()
    for i in [i for i in range(len(data)) if data[i : i + 1] == b" "]:
        saved.write_bytes(data[:i] + b"\n" + data[i + 1 :])
        with pytest.raises(ModelFormatError):
            load(saved)


def test_appended_bytes_are_refused(saved):
    saved.write_bytes(saved.read_bytes() + b"\0")
    with pytest.raises(ModelFormatError, match="SHA-256"):
        load(saved)


def test_foreign_files_are_refused(tmp_path):
    path = tmp_path / "foreign"
    with zipfile.ZipFile(tmp_path / "z.zip", "w") as archive:
        archive.writestr("config.json", "{}")
    foreign = {
        "empty": b"",
        "text": b"This is a letter, and not a short one at all.\n" * 9,
        "json": b'{"__metadata__": {}}' * 9,
        "zip": (tmp_path / "z.zip").read_bytes(),
        "pickle": b"\x80\x04\x95" + bytes(50),
        "zeros": bytes(4096),
        "ones": b"\xff" * 4096,
        "hdf5": b"\x89HDF\r\n\x1a\n" + bytes(100),
        "safetensors": encode({"w": np.ones(3, "float32")}, metadata={"format": "pt"}),
    }
    for data in foreign.values():
        path.write_bytes(data)
        with pytest.raises(ModelFormatError, match="foreign"):
            load(path)


def test_folders_and_devices_are_refused(tmp_path):
    with pytest.raises(ModelFormatError, match="folder"):
        load(tmp_path)
    if os.path.exists("/dev/zero"):
        with pytest.raises(ModelFormatError, match="regular"):
            load("/dev/zero")
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe")
        with pytest.raises(ModelFormatError, match="regular"):
            load(tmp_path / "pipe")


def test_missing_file_is_file_not_found(tmp_path):
    with pytest.raises(FileNotFoundError):
        load(tmp_path / "nothing")


GOOD = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}


@pytest.mark.parametrize(
    "header",
    [
        {"__metadata__": {**entry(), "extra": 3}},
        {"__metadata__": entry(version=2)},
        {"__metadata__": entry(version="1")},
        {"__metadata__": {"other": json.dumps({"sha256": "0" * 64})}},
        {"__metadata__": {"fastconv": '{"sha256": "' + "0" * 64 + '", "format": 1, '}},
        {"__metadata__": {"fastconv": '[{"sha256": "' + "0" * 64 + '"}]'}},
        {"__metadata__": {"fastconv": '{"sha256": "' + "0" * 64 + '", "format": 1, "metadata": ' + "[" * 100000}},
        {"__metadata__": entry(), "a": {**GOOD, "shape": [1 << 62]}},
        {"__metadata__": entry(), "a": {**GOOD, "shape": [1 << 40, 1 << 40]}},
        {"__metadata__": entry(), "a": {**GOOD, "shape": [-2]}},
        {"__metadata__": entry(), "a": {**GOOD, "data_offsets": [0, 1 << 50]}},
        {"__metadata__": entry(), "a": {**GOOD, "data_offsets": [8, 0]}},
        {"__metadata__": entry(), "a": {**GOOD, "dtype": "F8_E4M3", "shape": [8]}},
        {"__metadata__": entry(), "a": {**GOOD, "dtype": "BF16", "shape": [4]}},
        {"__metadata__": entry(), "a": {**GOOD, "dtype": "nonsense"}},
        {"__metadata__": entry(), "a": {**GOOD, "shape": [1] * 100 + [2]}},
        {"__metadata__": entry(), "a": 5},
        {"__metadata__": entry()},
    ],
)
def test_forged_headers_with_the_right_digest_are_refused(tmp_path, header):
    (tmp_path / "m").write_bytes(seal(header, bytes(8)))
    with pytest.raises(ModelFormatError):
        load(tmp_path / "m")


def test_overlapping_tensors_cannot_multiply_memory(tmp_path):
    header = {"__metadata__": entry()}
    header.update({f"t{i}": {"dtype": "U8", "shape": [1 << 20], "data_offsets": [0, 1 << 20]} for i in range(500)})
    (tmp_path / "m").write_bytes(seal(header, bytes(1 << 20)))
    with pytest.raises(ModelFormatError):
        load(tmp_path / "m")


@pytest.mark.parametrize("length", [1 << 20, 1 << 32, 1 << 62, (1 << 64) - 1])
def test_a_claimed_length_is_not_allocated(tmp_path, length):
    (tmp_path / "m").write_bytes(seal({"__metadata__": entry()}, bytes(100), length))
    tracemalloc.start()
    try:
        with pytest.raises(ModelFormatError):
            load(tmp_path / "m")
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


def test_random_damage_raises_nothing_else(saved):
    rng, data = np.random.default_rng(2), bytearray(saved.read_bytes())
    for _ in range(500):
        broken = bytearray(data)
        for i in rng.integers(0, len(data), rng.integers(1, 9)):
            broken[i] = rng.integers(256)
        if broken == data:
            continue
        # Half of them get the digest that they should have, so that the damage reaches the parsers behind it.
        length = int.from_bytes(broken[:8], "little")
        sealed = seal(bytes(broken[8:]), length=length) if rng.integers(2) else bytes(broken)
        saved.write_bytes(sealed)
        try:
            load(saved)
        except ModelFormatError:
            pass


@pytest.mark.parametrize("function", ["fsync", "replace"])
def test_full_disk_leaves_the_old_file(saved, monkeypatch, function):
    before = saved.read_bytes()

    def full(*args):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, function, full)
    with pytest.raises(OSError) as caught:
        save(saved, {"kernel": np.zeros(1000)}, {})
    assert caught.value.errno == errno.ENOSPC
    monkeypatch.undo()
    assert saved.read_bytes() == before and os.listdir(saved.parent) == [saved.name]


def test_real_write_failure_leaves_the_old_file(saved):
    pytest.importorskip("resource")
    before = saved.read_bytes()
    code = (
        "import resource, signal, sys, numpy as np; from fastconv.storage import save\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN); resource.setrlimit(resource.RLIMIT_FSIZE, (5000, 5000))\n"
        "try: save(sys.argv[1], {'a': np.zeros(100000)}, {})\n"
        "except OSError as error: print('OSError', error.errno)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, saved], capture_output=True, text=True)
    assert done.stdout.split() == ["OSError", str(errno.EFBIG)], done.stderr
    assert saved.read_bytes() == before and os.listdir(saved.parent) == [saved.name]
