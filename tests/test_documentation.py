"""Examples in docstrings and in the README run as written."""

import doctest
import importlib
import os
import pkgutil
import re
from pathlib import Path

import numpy as np
import pytest

import fastconv

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
MODULES = sorted(
    info.name for info in pkgutil.walk_packages(fastconv.__path__, "fastconv.") if not info.name.endswith("__main__")
)

PEERS = ("onnxruntime", "openvino", "torch")  # what `fastconv bench` compares with


@pytest.mark.parametrize("name", MODULES)
def test_docstrings(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    try:
        module = importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name not in PEERS:
            raise
        pytest.skip(f"{error.name}, which this module drives, is not installed")
    names = {"fastconv": fastconv, "np": np}
    names |= {name: getattr(fastconv, name) for name in ("ops", "layers", "models", "Model", "Sequential", "Input")}
    flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    result = doctest.testmod(module, extraglobs=names, optionflags=flags)
    assert result.failed == 0, f"{result.failed} of {result.attempted} examples fail; see the captured output"


def test_readme(tmp_path, monkeypatch):
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(), re.S)
    assert blocks
    monkeypatch.chdir(tmp_path)
    for block in blocks:
        exec(compile(block, str(README), "exec"), {})
    assert sorted(os.listdir(tmp_path)) == ["digits.fastconv", "digits.onnx"]


def test_changelog():
    text = (ROOT / "CHANGELOG.md").read_text()
    versions = re.findall(r"^## (.*)$", text, re.M)
    assert versions[0].removesuffix(" (unreleased)") == fastconv.__version__
    assert not [version for version in versions[1:] if "unreleased" in version]
    kinds = re.search(r"Lines begin with (.*)\. A perf", text)[1].replace(" or ", ", ").split(", ")
    assert {line.split(":")[0] for line in re.findall(r"^- (.*)$", text, re.M)} <= set(kinds)
