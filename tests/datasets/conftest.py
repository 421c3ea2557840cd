"""Tests of data sets stay away from the user's caches; the real files come from the fixture `real`."""

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
