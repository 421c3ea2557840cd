"""The networks that the onnx package brings: small ones exported from PyTorch, and nine classic ones without weights."""

from pathlib import Path

import numpy as np
import pytest

import fastconv
from fastconv.errors import UnsupportedOpError

onnx = pytest.importorskip("onnx", reason="the package onnx is not installed (pip install onnx)")
FOLDER = Path(onnx.__file__).parent / "backend" / "test" / "data"

# What does not run, by the start of the name, and why.
UNSUPPORTED = {
    "test_gradient_": "training inside ONNX",
    "test_sequence_model": "sequences of tensors",
    "test_strnorm_model_": "strings",
}


def tensors(folder, stem):
    """Return the arrays in ``input_0.pb``, ``input_1.pb``, ..."""
    files = [folder / f"{stem}_{i}.pb" for i in range(len(list(folder.glob(f"{stem}_*.pb"))))]
    return [onnx.numpy_helper.to_array(onnx.TensorProto.FromString(file.read_bytes())) for file in files]


CASES = [
    folder
    for kind in ("pytorch-converted", "pytorch-operator", "simple")
    for folder in sorted((FOLDER / kind).iterdir())
]


@pytest.mark.parametrize("folder", CASES, ids=lambda folder: folder.name)
def test_outputs(folder):
    if any(folder.name.startswith(start) for start in UNSUPPORTED):
        with pytest.raises(UnsupportedOpError):
            fastconv.InferenceSession(folder / "model.onnx")
        return
    session = fastconv.InferenceSession(folder / "model.onnx")
    names = [argument.name for argument in session.get_inputs()]
    sets = list(folder.glob("test_data_set_*"))
    assert sets
    for data in sets:
        results = session.run(None, dict(zip(names, tensors(data, "input"), strict=True)))
        for got, expected in zip(results, tensors(data, "output"), strict=True):
            assert got.dtype == expected.dtype
            np.testing.assert_allclose(got, expected, rtol=1e-3, atol=1e-7, strict=True)


@pytest.mark.parametrize("path", sorted((FOLDER / "light").glob("*.onnx")), ids=lambda path: path.stem)
def test_classic_networks(path):
    """Their weights are single numbers that ConstantOfShape repeats, so that most say the same of every class."""
    session = fastconv.InferenceSession(path)
    (argument,) = session.get_inputs()
    size = np.prod(argument.shape)
    x = (np.arange(size).reshape(argument.shape) / size).astype(np.float32)
    (y,) = session.run(None, {argument.name: x})
    wanted = onnx.TensorProto.FromString(path.with_name(f"{path.stem}_output_0.pb").read_bytes())
    np.testing.assert_allclose(y, onnx.numpy_helper.to_array(wanted), rtol=1e-3, atol=1e-7, strict=True)
