"""The public names, and what `import fastconv` does not load."""

import importlib
import inspect
import io
import subprocess
import sys
from importlib import metadata

import pytest

import fastconv as fc


def test_import_loads_nothing():
    code = "import sys; before = set(sys.modules); import fastconv; print(*sorted(set(sys.modules) - before))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert [name for name in out if name.split(".")[0] not in ("importlib", "warnings")] == [
        "fastconv",
        "fastconv.lazy",
    ]


@pytest.mark.parametrize("name", fc.__all__)
def test_public_names(name):
    assert getattr(fc, name) is not None
    assert name in dir(fc)


@pytest.mark.parametrize("name", [name for name in fc.__all__ if inspect.ismodule(getattr(fc, name))])
def test_public_modules_can_be_imported_by_name(name):
    module = importlib.import_module(f"fastconv.{name}")
    assert module is getattr(fc, name)
    assert all(hasattr(module, public) for public in getattr(module, "__all__", ()))


def test_the_wheel_carries_no_c_source():
    wheels = [found for found in metadata.distributions(name="fastconv") if found.read_text("WHEEL")]
    if not wheels:
        pytest.skip("no wheel of fastconv is installed (make test installs one)")
    assert not [str(path) for wheel in wheels for path in wheel.files if path.suffix in (".c", ".h")]


def test_the_tutorials_imports():
    code = "import fastconv.onnx\nfrom fastconv.callbacks import EarlyStopping\nfrom fastconv.onnx import load, save\n"
    code += "from fastconv import callbacks, models\nassert callbacks.EarlyStopping is models.callbacks.EarlyStopping"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_everything_works_without_docstrings():
    code = """if True:
        import inspect, numpy as np, fastconv as fc
        for name in fc.__all__:
            found = getattr(fc, name)
            for public in getattr(found, "__all__", ()) if inspect.ismodule(found) else ():
                getattr(found, public)
        L = fc.layers
        assert L.Conv2D.__doc__ is None, L.Conv2D.__doc__
        stack = [L.Conv2D(4, 3, input_shape=(8, 8, 1)), L.MaxPooling2D(), L.SpatialDropout2D(0.5), L.Flatten(), L.Dense(3)]
        print(*fc.Sequential(stack).predict(np.ones((2, 8, 8, 1)), verbose=0).shape)
    """
    out = subprocess.run([sys.executable, "-OO", "-c", code], capture_output=True, text=True)
    assert (out.returncode, out.stdout.split()) == (0, ["2", "3"]), out.stderr


def test_unknown_names():
    with pytest.raises(AttributeError, match="nothing"):
        _ = fc.nothing


def test_show_config():
    out = io.StringIO()
    facts = fc.show_config(out)
    assert facts["version"] == fc.__version__ and facts["isa"] == fc.isa() and facts["isa"] in facts["isa_available"]
    assert facts["num_threads"] == fc.get_num_threads() and isinstance(facts["openmp"], bool)
    for word in (facts["isa"], "OpenMP", "threads", facts["precision"]):
        assert word in out.getvalue()
