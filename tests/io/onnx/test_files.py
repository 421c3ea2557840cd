"""What `load_model` takes, and what it says about what is no model."""

import io
import os
import pickle
import zipfile

import numpy as np
import pytest

from fastconv import errors, storage
from fastconv.io.onnx import proto
from fastconv.io.onnx.files import load_model
from tests.io.onnx import small

MODEL = proto.Model(ir_version=8, graph=proto.Graph(name="g"), opset_import=[proto.OperatorSetId(version=17)])


def test_sources(tmp_path):
    data = proto.write_model(MODEL)
    path = tmp_path / "m.onnx"
    path.write_bytes(data)
    for source in (path, str(path)):
        model, folder = load_model(source)
        assert model == MODEL and os.fspath(folder) == str(tmp_path)
    for source in (data, bytearray(data), memoryview(data), io.BytesIO(data)):
        assert load_model(source) == (MODEL, None)
    with open(path, "rb") as file:
        assert load_model(file)[0] == MODEL
    path.write_bytes(small.classifier())  # which is no text in ASCII
    for encoding in ("latin-1", "ascii"):
        with open(path, encoding=encoding) as file, pytest.raises(errors.ArgumentError, match="mode 'rb'"):
            load_model(file)
    with pytest.raises(errors.ArgumentError, match="got int"):
        load_model(3)


def test_a_message_of_the_onnx_package():
    class Message:
        def SerializeToString(self):
            raise AssertionError

    with pytest.raises(errors.ArgumentError, match=r"got Message: give its SerializeToString\(\)"):
        load_model(Message())


def test_bytes_that_are_a_path(tmp_path):
    path = tmp_path / "m.onnx"
    path.write_bytes(proto.write_model(MODEL))
    with pytest.raises(errors.ModelFormatError, match="the data is a path, .*give the path as a str"):
        load_model(os.fsencode(path))


def test_a_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"absent\.onnx"):
        load_model(tmp_path / "absent.onnx")


def foreign(tmp_path):
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("config.json", "{}")
    storage.save(tmp_path / "m.fastconv", {"w": np.zeros(2)}, {})
    return {
        "empty": b"",
        "a zip archive": archive.getvalue(),
        "an HDF5 file": b"\x89HDF\r\n\x1a\n" + bytes(100),
        "an HTML page": b"\n<!DOCTYPE html>\n<html>",
        "a pointer of Git LFS": b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n",
        "a safetensors or .fastconv file": (tmp_path / "m.fastconv").read_bytes(),
        "a pickle": pickle.dumps({"w": 1}, 2),
        "JSON": b'{"a": 1}',
        "a TensorFlow Lite file": b"\x1c\x00\x00\x00TFL3" + bytes(50),
        "damaged or no ONNX model": b"hello, world",
        "it has no graph": b"\x08\x08",
    }


def test_other_files_are_named(tmp_path):
    for what, data in foreign(tmp_path).items():
        path = tmp_path / "model.onnx"
        path.write_bytes(data)
        with pytest.raises(errors.ModelFormatError, match=what) as caught:
            load_model(path)
        assert str(path) in str(caught.value)
        with pytest.raises(errors.ModelFormatError, match=what):
            load_model(data)
    with pytest.raises(errors.ModelFormatError, match="is a folder"):
        load_model(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(errors.ModelFormatError, match="not a regular file"):
        load_model(tmp_path / "pipe")
