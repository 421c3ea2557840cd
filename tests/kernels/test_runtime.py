"""The runtime: instruction sets, the pool, the threads."""

import os
import subprocess
import sys

import numpy as np
import pytest

from fastconv._kernels import runtime
from fastconv.errors import ConfigError


def address(array):
    return array.__array_interface__["data"][0], array.nbytes


@pytest.fixture
def restore_isa():
    before = runtime.isa()
    yield
    runtime.select(before)


def test_forced_isa_really_runs(restore_isa):
    for isa in runtime.available():
        runtime.select(isa)
        assert runtime.isa() == isa
        assert runtime.compiled_for().split()[0] == isa


def run_with_isa(isa):
    code = "from fastconv._kernels import runtime; print(runtime.isa(), runtime.compiled_for())"
    environment = {**os.environ, "FASTCONV_ISA": isa}
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)


def test_environment_forces():
    for isa in runtime.available():
        assert run_with_isa(isa).stdout.split()[:2] == [isa, isa]


def test_missing_isa_is_an_error():
    with pytest.raises(ConfigError, match="not an instruction set that fastconv knows; available here"):
        runtime.select("mmx")
    missing = {"avx2", "avx512", "neon"} - set(runtime.available())
    for isa in missing:
        with pytest.raises(ConfigError, match=f"'{isa}' is not"):
            runtime.select(isa)
        result = run_with_isa(isa)
        assert result.returncode != 0 and "ConfigError" in result.stderr


def test_empty_is_aligned_and_reused():
    array = runtime.empty((3, 5, 7))
    assert array.shape == (3, 5, 7) and array.dtype == np.float32 and array.flags.c_contiguous
    start = address(array)[0]
    assert start % 64 == 0
    view = array[1:]
    del array
    assert runtime.empty((3, 5, 7)).__array_interface__["data"][0] != start, "a view keeps its block"
    del view
    assert runtime.empty((3, 5, 7)).__array_interface__["data"][0] == start


def test_copy_step():
    source = np.random.default_rng(0).integers(0, 255, 200_001).astype(np.uint8)
    target = np.zeros_like(source)
    step = runtime.copy("x", "y", source.nbytes)
    assert step.chunks == 4
    for threads in (1, 2, 3):
        target[:] = 0
        runtime.execute([[step]], {"x": address(source), "y": address(target)}, threads)
        assert np.array_equal(source, target)


def test_phases_are_ordered():
    n = 1 << 20
    a, b, c = (np.full(n, i, np.uint8) for i in range(3))
    phases = [[runtime.copy("a", "b", n)], [runtime.copy("b", "c", n)], [runtime.zero("b", n)]]
    buffers = {"a": address(a), "b": address(b), "c": address(c)}
    segment = runtime.Segment([(step, buffers, True) for phase in phases for step in phase])
    for threads in (1, 2, 3, 5):
        c[:] = 9
        segment.run(threads)
        assert not c.any() and not b.any()


FORK = """
import os, sys
import numpy as np
from fastconv._kernels import runtime
a, b = np.ones(1 << 20, np.uint8), np.zeros(1 << 20, np.uint8)
address = lambda x: (x.__array_interface__["data"][0], x.nbytes)
segment = runtime.Segment([(runtime.copy("a", "b", a.nbytes), {"a": address(a), "b": address(b)}, False)])
segment.run(2)
child = os.fork()
if child == 0:
    b[:] = 0
    segment.run(2)
    os._exit(0 if b.all() else 1)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_forked_child_does_not_hang():
    assert subprocess.run([sys.executable, "-c", FORK], timeout=60).returncode == 0


def test_absurd_thread_count():
    source, target = np.ones(1 << 21, np.uint8), np.zeros(1 << 21, np.uint8)
    segment = runtime.Segment([(runtime.copy("x", "y", 1 << 21), {"x": address(source), "y": address(target)}, False)])
    segment.run(10**6)
    assert target.all()


@pytest.mark.parametrize("shape", [(2**61, 2), (2**62, 3), (2**32, 2**32, 2**32)])
def test_sizes_that_would_wrap_around_are_refused(shape):
    with pytest.raises(MemoryError, match="would take"):
        runtime.empty(shape)
