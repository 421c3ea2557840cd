"""Build fastconv: one static library per instruction set, one Cython extension per kernel family.

What is compiled is compiled side by side, and again only where a file that it was made of has changed: for kernels the
compiler writes down which these are.

Environment
-----------
FASTCONV_NO_OPENMP=1, FASTCONV_NO_AVX512=1, FASTCONV_NO_AVX512_BF16=1, FASTCONV_NO_AMX=1, FASTCONV_NO_AVX2=1, FASTCONV_NO_NEON=1
    Leave a part out, as on a compiler that lacks it.
FASTCONV_EMULATE_AVX512=1
    A test build: the 512-bit kernels compiled for AVX2, so that their logic can be tested on any x86-64 machine.
FASTCONV_EMULATE_AMX=1
    A test build: with tests/amx/emulator.c in the process, the CPU is taken to have tile instructions.
"""

import os
import subprocess
import sys
import sysconfig
import tempfile
import tomllib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools.command import build_clib
from setuptools.modified import newer_group

HERE = Path(__file__).parent
MACHINES = {"x86_64": "x86_64", "amd64": "x86_64", "aarch64": "aarch64", "arm64": "aarch64"}
MACHINE = MACHINES.get(sysconfig.get_platform().rpartition("-")[2])  # what is built for: not always what builds
FLAGS = tomllib.loads((HERE / "csrc" / "flags.toml").read_text())
CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def wanted(name):
    return not os.environ.get(f"FASTCONV_NO_{name}")


def compiles(flags, source="int main(void) { return 0; }"):
    """Tell whether the C compiler builds and links `source` with `flags`."""
    compiler = os.environ.get("CC", "cc").split()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "probe.c")
        path.write_text(source)
        command = [*compiler, *flags, str(path), "-o", str(Path(folder, "probe"))]
        try:
            return subprocess.run(command, capture_output=True).returncode == 0
        except OSError:
            sys.exit(f"fastconv needs a C compiler to build, and {compiler[0]!r} cannot be run: install gcc, or set CC")


def instruction_sets():
    """Return {name: compiler flags} of the kernel libraries that this compiler can build."""
    sets = {"baseline": []}
    for isa, extra in FLAGS.get(MACHINE, {}).items():
        flags = extra.get("flags", [])
        if isa.startswith("avx512") and os.environ.get("FASTCONV_EMULATE_AVX512"):
            # Lowered to half the registers and optimised further, this takes the compiler minutes; nobody times it.
            sets[isa] = [*FLAGS["x86_64"]["avx2"]["flags"], "-DFC_EMULATE_AVX512", "-O1"]
        elif isa == "amx" and os.environ.get("FASTCONV_EMULATE_AVX512"):
            continue
        elif wanted(isa.upper()) and compiles(flags):
            sets[isa] = flags + [flag for flag in extra.get("optional", []) if compiles(["-Werror", flag])]
    return sets


def files(pattern):
    """Return the files of csrc that match, as setuptools wants them: relative, and always in the same order."""
    return sorted(str(path.relative_to(HERE)) for path in (HERE / "csrc").glob(pattern))


def sources(isa):
    """Return what the library of an instruction set is made of: the parts of a table, or a section with its own simd header."""
    return files(f"isa/{isa}.c") or files("parts/*.c")


class BuildKernels(build_clib.build_clib):
    """Compiles the objects of all libraries at once, each if it is older than a file that it was made of."""

    def build_libraries(self, libraries):
        objects = [(name, source, info["cflags"]) for name, info in libraries for source in info["sources"]]
        with ThreadPoolExecutor(CORES) as pool:
            compiled = list(pool.map(lambda job: self.compile(*job), objects))
        for library, _ in libraries:
            own = [target for (name, _, _), target in zip(objects, compiled, strict=True) if name == library]
            self.compiler.create_static_lib(own, library, output_dir=self.build_clib)

    def compile(self, library, source, flags):
        folder = str(Path(self.build_temp, library))
        (target,) = self.compiler.object_filenames([source], output_dir=folder)
        listed = Path(target).with_suffix(".d")  # by -MMD: "target: source header header \"
        if not self.force and listed.exists() and Path(target).exists():
            made_of = listed.read_text().partition(":")[2].replace("\\\n", " ").split()
            if not newer_group([*made_of, "csrc/flags.toml"], target, missing="newer"):
                return target
        self.compiler.compile([source], output_dir=folder, include_dirs=["csrc"], extra_postargs=["-MMD", *flags])
        return target


isas = instruction_sets()
openmp = ["-fopenmp"] if wanted("OPENMP") and compiles(["-fopenmp"]) else []
macros = [(f"FC_HAVE_{isa.upper()}", "1") for isa in isas if isa != "baseline"]
macros += [(f"FC_EMULATE_{isa}", "1") for isa in ("AVX512", "AMX") if os.environ.get(f"FASTCONV_EMULATE_{isa}")]

libraries = [
    (
        f"fc_{isa}",
        {"sources": sources(isa), "cflags": [*FLAGS["base"], *flags, f'-DFC_SIMD="simd/{isa}.h"']},
    )
    for isa, flags in isas.items()
]

WHOLE = [*files("**/*.[ch]"), "csrc/flags.toml"]
extensions = []
for path in sorted((HERE / "fastconv" / "_kernels").glob("*.pyx")):
    owner = path.stem == "runtime"
    extensions.append(
        Extension(
            f"fastconv._kernels.{path.stem}",
            [str(path.relative_to(HERE))] + (["csrc/dispatch.c"] if owner else []),
            include_dirs=["csrc", "fastconv/_kernels"],
            libraries=[f"fc_{isa}" for isa in isas] + ["m"] if owner else [],
            define_macros=[("Py_LIMITED_API", "0x030B0000"), *macros],
            extra_compile_args=["-O2", "-g0", "-std=gnu11", "-Wno-unused-function", *(openmp if owner else [])],
            extra_link_args=["-Wl,-s", *openmp] if owner and sys.platform.startswith("linux") else openmp * owner,
            depends=["fastconv/_kernels/sync.h", *(WHOLE if owner else ["csrc/fastconv.h"])],
            py_limited_api=True,
        )
    )

setup(
    libraries=libraries,
    cmdclass={"build_clib": BuildKernels},
    ext_modules=cythonize(
        extensions,
        nthreads=CORES,
        compiler_directives={
            "language_level": 3,
            "boundscheck": False,
            "wraparound": False,
            "cdivision": True,
            "initializedcheck": False,
            "embedsignature": True,
        },
    ),
    options={"bdist_wheel": {"py_limited_api": "cp311"}, "build_ext": {"parallel": CORES}},
)
