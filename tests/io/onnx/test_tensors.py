"""Tensors of ONNX files: every dtype and way of storing, external data, hostile sizes."""

import os

import numpy as np
import pytest

from fastconv import errors
from fastconv.io.onnx import proto, tensors
from fastconv.io.onnx.external import Folder

DTYPES = "float32 float64 float16 int8 int16 int32 int64 uint8 uint16 uint32 uint64 bool complex64 complex128".split()
ENTRY = proto.StringStringEntry


def sample(dtype, shape=(3, 4)):
    rng = np.random.default_rng(0)
    return (rng.normal(size=shape) * 50).astype(dtype) if dtype != "uint64" else rng.integers(0, 1 << 63, shape, "u8")


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(3, 4), (), (0, 3)])
def test_round_trip(dtype, shape):
    array = sample(dtype, shape)
    for given in (array, array.T, array.astype(array.dtype.newbyteorder(">"))):
        tensor = tensors.from_array(given, "t")
        found = tensors.to_array(proto.wire.read(proto.Tensor, b"".join(proto.wire.write(tensor))))
        assert found.dtype == array.dtype and found.shape == given.shape and not found.flags.writeable
        np.testing.assert_array_equal(found, given)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("raw", [True, False])
def test_as_the_onnx_package_writes(dtype, raw):
    onnx = pytest.importorskip("onnx", reason="the onnx package is not installed")
    array = sample(dtype)
    code = onnx.helper.np_dtype_to_tensor_dtype(array.dtype)
    values = array.tobytes() if raw else array.ravel().tolist()
    theirs = onnx.helper.make_tensor("t", code, array.shape, values, raw=raw)
    found = tensors.to_array(proto.wire.read(proto.Tensor, theirs.SerializeToString()))
    assert found.dtype == array.dtype
    np.testing.assert_array_equal(found, array)
    ours = onnx.TensorProto.FromString(b"".join(proto.wire.write(tensors.from_array(array, "t"))))
    np.testing.assert_array_equal(onnx.numpy_helper.to_array(ours), array)


def test_strings():
    tensor = tensors.from_array(np.array([["a", "größe"]]), "s")
    assert tensors.to_array(tensor).tolist() == [[b"a", "größe".encode()]]
    with pytest.raises(errors.DTypeError, match="no strings"):
        tensors.from_array(np.array([object()]), "s")


def test_bfloat16_is_widened():
    bits = np.array([0x3F80, 0xC000, 0x7F80, 0x0001], "<u2")
    expected = np.array([1.0, -2.0, np.inf, 2.0**-133], "f4")
    raw = proto.Tensor(dims=[4], data_type=proto.BFLOAT16, raw_data=bits.tobytes())
    packed = proto.Tensor(dims=[4], data_type=proto.BFLOAT16, int32_data=bits.astype("i4"))
    for tensor in (raw, packed):
        found = tensors.to_array(tensor)
        assert found.dtype == np.float32
        np.testing.assert_array_equal(found, expected)


def test_a_true_that_is_not_one():
    tensor = proto.Tensor(dims=[3], data_type=proto.BOOL, raw_data=b"\x00\x02\x01")
    assert tensors.to_array(tensor).view("u1").tolist() == [0, 1, 1]


def make(dims, code=proto.FLOAT, **fields):
    return proto.Tensor(name="w", dims=dims, data_type=code, **fields)


@pytest.mark.parametrize(
    ("tensor", "what"),
    [
        (make([2], raw_data=b"abc"), "has 3 bytes, where its dimensions \\[2\\] need 8"),
        (make([2], raw_data=b"abcdefgh9"), "has 9 bytes"),
        (make([2]), "has 0 values"),
        (make([2], float_data=np.zeros(3, "f4")), "has 3 values"),
        (make([-1], raw_data=b"abcd"), "has dimensions \\[-1\\]"),
        (make([1] * 33, raw_data=b"abcd"), "33 of them"),
        (make([1 << 40, 1 << 40], raw_data=b"abcd"), "too many to be true"),
        (make([1 << 32, 1 << 32, 0]), "too many to be true"),
        (make([1], code=99, raw_data=b"abcd"), "data type 99"),
        (make([1], code=0, raw_data=b"abcd"), "data type 0"),
        (make([1], data_location=proto.EXTERNAL), "lie in another file: load the model by its path"),
    ],
)
def test_sizes_that_are_not_there(tensor, what):
    with pytest.raises(errors.ModelFormatError, match=what):
        tensors.to_array(tensor)


@pytest.mark.parametrize("code", [proto.FLOAT8E4M3FN, proto.INT4])
def test_dtypes_that_numpy_lacks(code):
    with pytest.raises(errors.UnsupportedOpError, match="'w' is (float8e4m3fn|int4)"):
        tensors.to_array(make([2], code=code, raw_data=b"ab"))


def test_dtypes_that_onnx_lacks():
    with pytest.raises(errors.DTypeError, match="datetime64"):
        tensors.from_array(np.array(["2020-01-01"], "datetime64[D]"), "t")


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "model").mkdir()
    np.arange(8, dtype="<f4").tofile(tmp_path / "model" / "weights.bin")
    np.arange(8, dtype="<f4").tofile(tmp_path / "secret.bin")
    return tmp_path / "model"


def external(location, dims=(2,), **entries):
    entries = [ENTRY(key="location", value=location), *(ENTRY(key=k, value=str(v)) for k, v in entries.items())]
    return make(list(dims), data_location=proto.EXTERNAL, external_data=entries)


def test_external_data(folder):
    place = Folder(folder)
    first = tensors.to_array(external("weights.bin", offset=8, length=8), place)
    second = tensors.to_array(external("./weights.bin", dims=(8,)), place)
    assert first.tolist() == [2, 3] and second.tolist() == list(range(8))
    assert np.shares_memory(first, second)  # mapped once
    assert not first.flags.writeable
    assert tensors.to_array(external("weights.bin", dims=(0,)), folder).shape == (0,)


def test_external_data_as_the_onnx_package_writes_them(tmp_path):
    onnx = pytest.importorskip("onnx", reason="the onnx package is not installed")
    from fastconv.io.onnx.files import load_model

    weight = onnx.numpy_helper.from_array(sample("float32"), "w")
    graph = onnx.helper.make_graph([], "g", [], [], [weight])
    onnx.save_model(
        onnx.helper.make_model(graph),
        str(tmp_path / "m.onnx"),
        save_as_external_data=True,
        location="m.data",
        size_threshold=0,
    )
    model, place = load_model(tmp_path / "m.onnx")
    np.testing.assert_array_equal(tensors.to_array(model.graph.initializer[0], place), sample("float32"))
    with pytest.raises(errors.ModelFormatError, match="load the model by its path"):
        tensors.to_array(model.graph.initializer[0], load_model((tmp_path / "m.onnx").read_bytes())[1])


@pytest.mark.parametrize(
    ("tensor", "what"),
    [
        (external("../secret.bin"), "no place inside"),
        (external("a/../../secret.bin"), "no place inside"),
        (external("..\\secret.bin"), "no place inside"),
        (external("/etc/passwd"), "no place inside"),
        (external("C:\\secret.bin"), "no place inside"),
        (external("weights.bin\0"), "no place inside"),
        (external(""), "no place inside"),
        (external("link.bin"), "a link out of"),
        (external("inside/secret.bin"), "a link out of"),
        (external("missing.bin"), "No such file"),
        (external("weights.bin", offset=1 << 62, length=8), "8 bytes from byte 4611686018427387904 of 'weights.bin'"),
        (external("."), "not a regular file"),
        (external("pipe"), "not a regular file"),
        (external("weights.bin", dims=(9,)), "are 36 bytes from byte 0 of 'weights.bin', which has 32"),
        (external("weights.bin", offset=28), "which has 32"),
        (external("weights.bin", offset=-4), "expected a number"),
        (external("weights.bin", offset="9" * 30), "which has 32"),
        (external("weights.bin", offset="9" * 41), "expected a number"),
        (external("weights.bin", offset=1 << 50), "which has 32"),
        (external("weights.bin", length=4), "are 4 bytes, where its dimensions need 8"),
        (external("weights.bin", dims=(1 << 39,)), "which has 32"),
        (external("empty.bin"), "which has 0"),
    ],
)
def test_external_data_stay_inside(folder, tensor, what):
    (folder / "link.bin").symlink_to(folder.parent / "secret.bin")
    (folder / "inside").symlink_to(folder.parent)
    (folder / "empty.bin").touch()
    os.mkfifo(folder / "pipe")
    with pytest.raises(errors.ModelFormatError, match=what):
        tensors.to_array(tensor, folder)


def test_a_link_within_the_folder_is_fine(folder):
    (folder / "link.bin").symlink_to("weights.bin")
    assert tensors.to_array(external("link.bin"), folder).tolist() == [0, 1]
