"""Libraries in C that the tests of the tile unit load."""

import ctypes
import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from .emulation import no_tiles_are_held  # noqa: F401  a fixture of every test

HERE = Path(__file__).parent
FLAGS = ["-std=gnu11", "-O2", "-Wall", "-Wextra", "-shared", "-fPIC", "-mamx-tile", "-mamx-bf16"]


@pytest.fixture(scope="session")
def libraries(tmp_path_factory):
    """Compile emulator and instructions; return their paths."""
    if sys.platform != "linux" or platform.machine() != "x86_64":
        pytest.skip("needs Linux on x86-64")
    paths = {}
    for name in ("emulator", "instructions"):
        paths[name] = tmp_path_factory.mktemp("amx") / f"{name}.so"
        command = [*os.environ.get("CC", "cc").split(), *FLAGS, HERE / f"{name}.c", "-o", paths[name]]
        done = subprocess.run(command, capture_output=True, text=True)
        if "unrecognized" in done.stderr:
            pytest.skip("this compiler knows no tile instructions")
        assert done.returncode == 0 and not done.stderr, done.stderr
    return paths


@pytest.fixture(scope="session")
def tiles(libraries):
    """Functions of single instructions; where the CPU lacks them, the emulator is there too."""
    process = ctypes.CDLL(None)
    if not hasattr(process, "fc_amx_emulated"):
        ctypes.CDLL(libraries["emulator"])
    arch_prctl, request_permission, tile_data = 158, 0x1023, 18
    process.syscall(arch_prctl, request_permission, tile_data)  # where there are no tile registers it does no harm
    instructions = ctypes.CDLL(libraries["instructions"])
    instructions.pointer = ctypes.c_void_p
    return instructions
