"""Pickles of data are read; a pickle that wants to do anything is refused before it does."""

import collections
import io
import os
import pickle
import pickletools
import tracemalloc

import numpy as np
import pytest

from fastconv.storage import DataFormatError, read_pickle

VALUES = {
    "data": np.arange(24, dtype=np.uint8).reshape(2, 12),
    "fortran": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    "int64": np.array([1, -2, 3]),
    "empty": np.zeros((0, 3), np.uint8),
    b"labels": [0, 255, 256, 65536, -1, 2**31, -(2**40), 2**70],
    "names": ["a", "ünï", b"\xff\0", b"", "", "x" * 300, b"y" * 300],
    "rest": (None, True, False, 1.5, (), (1,), (1, 2), (1, 2, 3), (1, 2, 3, 4), [], {}, {1: [2]}),
}


def same(a, b):
    if isinstance(a, np.ndarray):
        return a.dtype == b.dtype and a.shape == b.shape and np.array_equal(a, b)
    return type(a) is type(b) and a == b


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_data_comes_back(protocol):
    read = read_pickle(pickle.dumps(VALUES, protocol))
    assert list(read) == list(VALUES)
    for key, value in VALUES.items():
        assert same(read[key], value), key


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_shared_values_and_scalars(protocol):
    shared = [1, 2]
    read = read_pickle(pickle.dumps({"a": shared, "b": shared, "s": np.int64(5), "l": [np.uint8(3)]}, protocol))
    assert read["a"] is read["b"] and read["s"] == 5 and read["l"] == [3]


def test_what_python_2_wrote():
    # {'labels': [3, 5], 'data': array([[1, 2]], uint8)} as cPickle protocol 2 writes it, names as byte strings.
    data = (
        b"\x80\x02}q\x01(U\x06labelsq\x02]q\x03(K\x03K\x05eU\x04dataq\x04cnumpy.core.multiarray\n_reconstruct\nq\x05"
        b"cnumpy\nndarray\nq\x06K\x00\x85U\x01b\x87Rq\x07(K\x01K\x01K\x02\x86cnumpy\ndtype\nq\x08U\x02u1K\x00K\x01\x87R"
        b"q\x09(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89U\x02\x01\x02tbu."
    )
    read = read_pickle(data)
    assert read[b"labels"] == [3, 5]
    np.testing.assert_array_equal(read[b"data"], np.array([[1, 2]], np.uint8))


class Attack:
    """Pickles to a call of `function`."""

    def __init__(self, function, *args):
        self.function, self.args = function, args

    def __reduce__(self):
        return self.function, self.args


@pytest.mark.parametrize("protocol", [0, 1, 2, 3, 4, 5])
def test_calls_are_refused(tmp_path, protocol):
    trace = tmp_path / "trace"
    attacks = [
        Attack(os.system, f"touch {trace}"),
        Attack(eval, f"open({str(trace)!r}, 'w')"),
        Attack(open, str(trace), "w"),
        Attack(__import__, "os"),
        Attack(np.load, str(trace)),
        collections.OrderedDict(a=1),
        ValueError("x"),
        io.BytesIO,
        object(),
    ]
    for attack in attacks:
        with pytest.raises(DataFormatError):
            read_pickle(pickle.dumps({"data": attack}, protocol))
    assert not trace.exists()


@pytest.mark.parametrize(
    "program",
    [
        b"\x80\x02cos\nsystem\nU\x02ls\x85R.",
        b"\x80\x02(cos\nsystem\nU\x02lso.",  # OBJ
        b"(S'ls'\nios\nsystem\n.",  # INST
        b"\x80\x02\x82\x01.",  # EXT1
        b"\x80\x02Pwho\n.",  # PERSID
        b"\x80\x02U\x03whoQ.",  # BINPERSID
        b"\x80\x02cnumpy\nndarray\n)\x81.",  # NEWOBJ
        b"\x80\x02cnumpy\nndarray\n)R.",
        b"\x80\x02cnumpy.core.multiarray\n_reconstruct\n)R.",
        b"\x80\x02cnumpy.core.multiarray\n_reconstruct\n]K\x00U\x01b\x87R.",
        b"\x80\x02cnumpy\ndtype\nU\x01OK\x00K\x01\x87R.",  # dtype object
        b"\x80\x02cnumpy\ndtype\nU\x03u1,K\x00K\x01\x87R.",
        b"\x80\x02cnumpy\ndtype\n)R.",
        b"\x80\x02K\x01)R.",
        b"\x80\x02}}b.",
        b"\x80\x02]K\x01a.",
        b"\x80\x02K\x01a.",
        b"\x80\x02K\x01K\x02s.",
        b"\x80\x02}]K\x01s.",
        b"\x80\x02}(K\x01u.",
        b"\x80\x02a.",
        b"\x80\x02(.",
        b"\x80\x02.",
        b"\x80\x02t.",
        b"\x80\x02h\x00.",
        b"\x80\x02X\x02\x00\x00\x00\xff\xfe.",
        b"\x80\x02T\xff\xff\xff\xff.",
        b"\x80\x04K\x01K\x02\x93.",
        b"\x80\x02cnumpy.core",
        b"c" + b"x" * 5000,
        b"",
        b"no pickle at all",
    ],
)
def test_programs_are_refused(program):
    with pytest.raises(DataFormatError):
        read_pickle(program)


@pytest.mark.parametrize(
    "program",
    [
        b"\x80\x02B\xff\xff\xff\xffabc.",
        b"\x80\x04\x8e\xff\xff\xff\xff\xff\xff\xff\x7fabc.",
        b"\x80\x02}r\xff\xff\xff\xff.",  # a memo index that the standard library would allocate for
        b"\x80\x02\x8a\xff" + bytes(3) + b".",
    ],
)
def test_a_claimed_size_is_not_allocated(program):
    tracemalloc.start()
    try:
        try:
            assert read_pickle(program) == {}
        except DataFormatError:
            pass
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


def test_arrays_must_have_the_bytes_of_their_shape():
    data = pickle.dumps({"data": np.zeros((4, 3), np.uint8)}, 2)
    assert data.count(b"K\x04K\x03\x86") == 1
    minus_one, real = b"J\xff\xff\xff\xff", b"G" + bytes(8)
    for shape in (b"K\x05K\x03\x86", b"K\x04" + minus_one + b"\x86", b"K\x04" + real + b"\x86", b"K\x04N\x86", b"]"):
        with pytest.raises(DataFormatError):
            read_pickle(data.replace(b"K\x04K\x03\x86", shape))
    assert read_pickle(data.replace(b"K\x04K\x03\x86", b"K\x03K\x04\x86"))["data"].shape == (3, 4)


@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_damage_raises_nothing_else(protocol):
    data = pickle.dumps(VALUES, protocol)
    for n in range(len(data)):
        with pytest.raises(DataFormatError):
            read_pickle(data[:n])
    rng = np.random.default_rng(0)
    for i in range(len(data)):
        for byte in rng.integers(0, 256, 8, np.uint8).tobytes():
            try:
                read_pickle(data[:i] + bytes([byte]) + data[i + 1 :])
            except DataFormatError:
                pass


def test_random_programs_raise_nothing_else():
    rng = np.random.default_rng(1)
    opcodes = [ord(op.code.encode("latin-1")) for op in pickletools.opcodes]
    good = pickletools.optimize(pickle.dumps(VALUES, 2))
    for _ in range(3000):
        data = bytearray(good)
        for i in rng.integers(0, len(data), 3):
            data[i] = rng.choice(opcodes)
        try:
            read_pickle(bytes(data))
        except DataFormatError:
            pass
    for _ in range(3000):
        try:
            read_pickle(bytes(rng.choice(opcodes, 30).tolist()) + b".")
        except DataFormatError:
            pass
