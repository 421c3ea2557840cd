"""The kernel table without Python: every kernel against scalar loops in C (tests/c), on processors that are not here.

One program holds the tables of a machine, dispatch.c and the tests. The one for x86-64 runs natively and, under qemu, on
processors without AVX-512 and without AVX2; the one for AArch64 is cross-compiled and runs under qemu. They are linked
statically, so that nothing of the other machine need be installed but a compiler and its C library. The one for x86-64
holds an emulator of the tile unit, too, which runs where EMULATED_PERMISSION is set and the CPU has AVX-512.
"""

import os
import platform
import re
import shutil
import subprocess
import sys
import tomllib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
CSRC = ROOT / "csrc"
FLAGS = tomllib.loads((CSRC / "flags.toml").read_text())
MACHINE = {"AMD64": "x86_64", "arm64": "aarch64"}.get(platform.machine(), platform.machine())

# qemu's models of processors, and what dispatch.c has to pick there. qemu 7.2 emulates no AVX-512.
PROCESSORS = {"Westmere": "baseline", "SandyBridge": "baseline", "Haswell": "avx2"}


def tool(name, package):
    """Return the path of a program, or skip and name the Debian package that has it."""
    return shutil.which(name) or pytest.skip(f"needs {name} (Debian: apt-get install {package})")


def build(folder, machine, compiler):
    """Compile the kernel tables of `machine` and the test program; return its path."""

    def compile(isa, source, *flags):
        target = folder / f"{isa}-{source.stem}.o"
        subprocess.run([*compiler, "-c", *flags, "-I", CSRC, source, "-o", target], check=True)
        return target

    def understands(flags):
        command = [*compiler, "-Werror", *flags, "-fsyntax-only", "-x", "c", os.devnull]
        return subprocess.run(command, capture_output=True).returncode == 0

    sets = {"baseline": []}
    for isa, extra in FLAGS.get(machine, {}).items():
        if understands(extra.get("flags", [])):
            sets[isa] = extra.get("flags", []) + [flag for flag in extra.get("optional", []) if understands([flag])]
    plain = ["-std=gnu11", "-O1", "-Wall", "-Wextra", *(f"-DFC_HAVE_{isa.upper()}" for isa in sets)]
    jobs = []
    for isa, flags in sets.items():
        section = list(CSRC.glob(f"isa/{isa}.c"))
        for source in section or sorted(CSRC.glob("parts/*.c")):
            jobs.append((isa, source, *FLAGS["base"], *flags, f'-DFC_SIMD="simd/{isa}.h"'))
    sources = [CSRC / "dispatch.c", *sorted((ROOT / "tests" / "c").glob("*.c"))]
    if "amx" in sets and sys.platform == "linux":
        sources.append(ROOT / "tests" / "amx" / "emulator.c")
        plain.append("-DFC_EMULATE_AMX")
    jobs += [("any", source, *plain) for source in sources]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        objects = list(pool.map(lambda job: compile(*job), jobs))
    program = folder / "kernels"
    static = ["-static"] if sys.platform == "linux" else []
    subprocess.run([*compiler, *static, *objects, "-lm", "-o", program], check=True)
    return program


@pytest.fixture(scope="module")
def native(tmp_path_factory):
    compiler = os.environ.get("CC", "cc").split()
    tool(compiler[0], "gcc")
    return build(tmp_path_factory.mktemp("native"), MACHINE, compiler)


@pytest.fixture(scope="module")
def aarch64(tmp_path_factory):
    compiler = tool("aarch64-linux-gnu-gcc", "gcc-aarch64-linux-gnu libc6-dev-arm64-cross")
    return [tool("qemu-aarch64", "qemu-user"), build(tmp_path_factory.mktemp("aarch64"), "aarch64", [compiler])]


def processor(model):
    """Return the command that runs a program as if on this x86-64 processor."""
    if MACHINE != "x86_64":
        pytest.skip("needs an x86-64 machine")
    return [tool("qemu-x86_64", "qemu-user"), "-cpu", model]


def run(command, **settings):
    result = subprocess.run(command, capture_output=True, text=True, **settings)
    print(result.stdout, result.stderr)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def check(report, isas):
    """All kernels of all these tables passed."""
    tested = {isa: set(re.findall(rf"^{isa} +(\w+) .*ok$", report, re.M)) for isa in isas}
    assert all(tested.values()) and report.endswith(f"{sum(map(len, tested.values()))} passed, 0 failed\n")
    return tested


def test_every_kernel_of_this_machine(native):
    report = run([native], env={**os.environ, "EMULATED_PERMISSION": "0"})
    isas = set(re.findall(r"^(\w+) .*comparisons", report, re.M))
    header = (CSRC / "fastconv.h").read_text()

    def functions(table):
        return set(re.findall(r"\(\*(\w+)\)\(", re.search(rf"typedef struct {{([^}}]*)}} {table};", header)[1]))

    every, section = functions("fc_kernels") - {"compiled_for", "fma_peak"}, functions("fc_bfloat16")
    every |= {f"winograd_{name}" for name in functions("fc_winograd")}
    optional = {f"bfloat16_{name}" for name in section}  # where the CPU has it: all of them or none
    found = check(report, isas)
    # Of this table the rest is avx512.
    assert found.pop("amx", None) in (None, {f"amx_{name}" for name in functions("fc_amx") - {"compiled_for"}})
    assert "amx" in isas or "avx512" not in isas or not list(native.parent.glob("amx-*.o")), "the emulator did not run"
    for isa, tested in found.items():
        assert tested - optional == every, f"tests/c has no test of {sorted(every - tested)} ({isa})"
        assert tested & optional in (optional, set()), f"tests/c has no test of {sorted(optional - tested)} ({isa})"


def test_tile_instructions_stand_behind_one_function(native):
    """No other code holds one: on a CPU without the unit there is nothing to run into."""
    objdump, holders = tool("objdump", "binutils"), set()
    for path in native.parent.glob("*.o"):
        if path.name.startswith("any-"):
            continue  # the tests
        code = subprocess.run([objdump, "-d", path], capture_output=True, text=True, check=True).stdout
        for function in re.findall(r"^[0-9a-f]+ <(\w+)>:\n((?:.+\n)*)", code, re.M):
            if re.search(r"\t(ldtilecfg|sttilecfg|tile\w+|tdp\w+)\b", function[1]):
                holders.add((path.name, function[0]))
    inner = {f"amx_{rows}_{terms}" for rows in ("one_row", "two_rows") for terms in (1, 2, 3)}
    assert holders in (set(), {("amx-amx.o", name) for name in {"fc_amx_tile_run", *inner}})


def test_a_field_and_its_function_have_one_name():
    structs = set(re.findall(r"^} (fc_\w+);", (CSRC / "fastconv.h").read_text(), re.M))
    tables = r"^(?:FC_PART\(\w+\)|const fc_(\w+) \w+) = {(.*?)^};"
    text = "\n".join(path.read_text() for path in [*CSRC.glob("*/*.c"), *CSRC.glob("*/*.h")])
    found = re.findall(tables, text, re.M | re.S)
    assert len(found) > 5
    for section, fields in found:
        for field, function in re.findall(r"\.(\w+) = ([a-z]\w+),", fields):
            names = [f"fc_{field}", f"fc_{section}_{field}"] if section else [f"fc_{field}"]
            assert function in [name + "_run" * (name in structs) for name in names], f".{field} = {function}"


def test_aarch64(aarch64):
    assert run([*aarch64, "--picked"]) == "neon neon\n"
    check(run(aarch64), ["neon", "baseline"])


@pytest.mark.parametrize("model", PROCESSORS)
def test_dispatch_on_older_processors(native, model):
    isa = PROCESSORS[model]
    emulator = processor(model)
    assert run([*emulator, native, "--picked"]) == f"{isa} {isa}\n"
    check(run([*emulator, native]), {isa, "baseline"})


@pytest.mark.parametrize("model", PROCESSORS)
def test_package_on_older_processors(model):
    program = """
import numpy
import fastconv

print(fastconv.show_config()["isa"])
x, kernel = numpy.ones((1, 9, 9, 5), "float32"), numpy.ones((3, 3, 5, 19), "float32")
y = fastconv.ops.conv2d(x, kernel, padding="same").numpy()
assert y[0, 4, 4, 7] == 45 and y[0, 0, 0, 18] == 20, y
"""
    emulator = processor(model)
    # NumPy's OpenBLAS takes qemu's Westmere for a processor with AVX.
    environment = {**os.environ, "OPENBLAS_CORETYPE": "Nehalem"}
    environment.pop("FASTCONV_ISA", None)
    report = run([*emulator, sys.executable, "-c", program], env=environment)
    assert report.splitlines()[-1] == PROCESSORS[model]
