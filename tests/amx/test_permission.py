"""Who may use the tile unit: a CPU that has it, a process that the system gives its registers; threads and forks of that.

Every program runs in a process of its own, as the registers are asked for once. tests/amx/emulator.c plays the system: on
any CPU it answers the request. Only where the CPU has the unit, or a build believes it (tools/emulate_amx), does that matter.
"""

import errno
import json
import os
import subprocess
import sys

import pytest

from fastconv._kernels import runtime

needs_tiles = pytest.mark.skipif(
    "amx" not in runtime.available(), reason="no tile unit, and no emulator of it: tools/emulate_amx"
)

COMMON = """
import ctypes, hashlib, io, json, os, sys, threading
import numpy as np
import fastconv
from fastconv import config, ops
from fastconv._kernels import runtime
from fastconv.ops import _amx

rng = np.random.default_rng(0)
x, kernel = rng.standard_normal((2, 9, 8, 64), "f4"), rng.standard_normal((3, 3, 64, 128), "f4")
a, b = rng.standard_normal((70, 300), "f4"), rng.standard_normal((300, 64), "f4")

def digest():
    results = ops.conv2d(x, kernel, padding="same", strides=2).numpy(), ops.matmul(a, b).numpy()
    return hashlib.sha256(b"".join(y.tobytes() for y in results)).hexdigest()

def products():
    count = (ctypes.c_int64 * 7)()
    ctypes.CDLL(None).amx_counts(count)
    return count[4]
"""
FACTS = """
text = io.StringIO()
fastconv.show_config(text)
print(json.dumps([runtime.isa(), runtime.available(), runtime.is_refused("amx"), text.getvalue(), digest(), products()]))
"""


def run(libraries, program, isa=None, **environment):
    settings = {key: value for key, value in os.environ.items() if key != "FASTCONV_ISA"}
    settings |= {"LD_PRELOAD": str(libraries["emulator"]), "EMULATED_PERMISSION": "0", **environment}
    if isa:
        settings["FASTCONV_ISA"] = isa
    return subprocess.run([sys.executable, "-c", COMMON + program], capture_output=True, text=True, env=settings)


def output(done):
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


REFUSALS = {
    "a sandbox": {"EMULATED_PERMISSION": str(errno.EPERM)},
    "no such call": {"EMULATED_PERMISSION": str(errno.ENOSYS)},
    "no such request": {"EMULATED_PERMISSION": str(errno.EINVAL)},
    "signal stacks too small": {"EMULATED_PERMISSION": str(errno.ENOSPC)},
    "a system that saves no tiles": {"EMULATED_XCR0": "7"},
}


@needs_tiles
@pytest.mark.parametrize("refusal", REFUSALS)
def test_a_refusal_falls_back_to_avx512(libraries, refusal):
    environment = REFUSALS[refusal]
    if "EMULATED_XCR0" in environment and os.environ.get("EMULATED_PERMISSION") is None:
        pytest.skip("this CPU's own XCR0 counts")
    isa, available, refused, text, bits, products = output(run(libraries, FACTS, **environment))
    assert isa == "avx512" and "amx" not in available and refused and products == 0
    assert "(amx: this CPU has it, but the operating system refuses its registers)" in text
    assert bits == output(run(libraries, FACTS, isa="avx512"))[4]
    done = run(libraries, FACTS, isa="amx", **environment)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith(
        "fastconv.errors.ConfigError: FASTCONV_ISA='amx' is kept from this process by the operating system, or by a sandbox; "
        "available here: avx512, "
    )


@needs_tiles
def test_permission_is_asked_for_once(libraries):
    """What the system answers later changes nothing."""
    program = """
before = runtime.isa(), runtime.available(), digest()
ctypes.CDLL(None).amx_permission(1)
assert (runtime.isa(), runtime.available(), digest()) == before and not runtime.is_refused("amx")
print(json.dumps(before))
"""
    isa, available, bits = output(run(libraries, program, isa="amx"))
    assert isa == "amx" and "amx" in available
    assert bits != output(run(libraries, FACTS, isa="avx512"))[4], "nothing ran on the unit"


@needs_tiles
def test_threads_and_forks_compute_the_same_bits(libraries):
    """A child of a fork has the permission of its parent, and the threads of a process have one permission."""
    program = """
def child():
    reader, writer = os.pipe()
    if (number := os.fork()) == 0:
        try:
            os.write(writer, digest().encode())
        finally:
            os._exit(0)
    os.waitpid(number, 0)
    return os.read(reader, 100).decode()

with config.num_threads(2):
    runtime.table()
    found = [child(), digest(), child()]
    threads = [threading.Thread(target=lambda: found.append(digest())) for _ in range(4)]
    for thread in threads: thread.start()
    for thread in threads: thread.join()
    found.append(digest())
print(json.dumps([found, runtime.isa()]))
"""
    found, isa = output(run(libraries, program, isa="amx"))
    assert isa == "amx" and len(found) == 8 and len(set(found)) == 1
    assert found[0] == output(run(libraries, FACTS, isa="amx"))[4]


def test_nothing_of_the_unit_runs_unless_it_is_chosen(libraries):
    """Whatever the CPU: under another instruction set no tile instruction reaches the emulator, and none is illegal."""
    for isa in set(runtime.available()) - {"amx"}:
        assert output(run(libraries, FACTS, isa=isa))[-1] == 0


@pytest.mark.skipif("amx" in runtime.available(), reason="this CPU has the unit, or is believed to")
def test_a_cpu_without_the_unit_says_so(libraries):
    done = run(libraries, FACTS, isa="amx")
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert last.startswith("fastconv.errors.ConfigError: FASTCONV_ISA='amx' is not") and "; available here: " in last
    assert "amx" not in output(run(libraries, FACTS))[1]
