"""fastconv.ops: every function is there, whatever was imported before."""

import importlib
import inspect
import pkgutil
import subprocess
import sys
import types

import pytest

import fastconv.ops as ops


def test_every_function_is_documented_and_found():
    for name in ops.__all__:
        function = getattr(ops, name)
        assert callable(function)
        assert not isinstance(function, types.ModuleType)
        assert function.__doc__, name
        assert name in dir(ops)
    with pytest.raises(AttributeError, match="no_such"):
        ops.no_such  # noqa: B018


def test_a_file_does_not_hide_the_function_of_its_name():
    for name, file in ops.FUNCTIONS.items():
        module = importlib.import_module(f"fastconv.ops.{file}")
        assert inspect.unwrap(getattr(ops, name)) is getattr(module, name)
    from fastconv.ops import transpose

    assert not isinstance(transpose, types.ModuleType)


def test_files_load_when_they_are_used():
    code = "import sys, fastconv.ops; print(*[m for m in sys.modules if m.startswith('fastconv.ops.')])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split() == []


def test_every_file_has_a_public_function():
    files = {module.name for module in pkgutil.iter_modules(ops.__path__) if not module.name.startswith("_")}
    assert files == set(ops.FUNCTIONS.values())
