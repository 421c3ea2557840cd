"""Tests of data sets stay away from the user's caches; the real files come from FASTCONV_TEST_DATA."""

import os
from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def nowhere(tmp_path_factory, monkeypatch):
    """Keep every test away from the user's own caches and from the network."""
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("FASTCONV_OFFLINE", "1")
    for name in ("FASTCONV_HOME", "KERAS_HOME", "TORCH_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(home)
    return home


@pytest.fixture
def real():
    """The folder of the official files."""
    folder = os.environ.get("FASTCONV_TEST_DATA")
    if not folder:
        pytest.skip("FASTCONV_TEST_DATA is not set: it names a folder with the official CIFAR-10 and MNIST files")

    def find(name):
        if not (Path(folder) / name).exists():
            pytest.skip(f"FASTCONV_TEST_DATA has no {name}")
        return Path(folder) / name

    return find
