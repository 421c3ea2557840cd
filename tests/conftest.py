"""What holds for every test."""

import os
from pathlib import Path

import pytest

from fastconv._kernels import runtime

# New processes that tests start must import the package under test, not the source folder that they are started in.
os.environ["PYTHONSAFEPATH"] = "1"


@pytest.fixture(params=runtime.available())
def isa(request):
    """Each instruction set of this machine in turn."""
    before = runtime.isa()
    runtime.select(request.param)
    yield request.param
    runtime.select(before)


@pytest.fixture
def real():
    """A function from the name of a real file, or folder of them, to its path."""
    folder = os.environ.get("FASTCONV_TEST_DATA")
    if not folder:
        pytest.skip("FASTCONV_TEST_DATA is not set: it names a folder with real data sets, models and images")

    def find(name):
        if not (Path(folder) / name).exists():
            pytest.skip(f"FASTCONV_TEST_DATA has no {name}")
        return Path(folder) / name

    return find
