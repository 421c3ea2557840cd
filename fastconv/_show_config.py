"""What this installation is and what it uses: the first thing to ask for when something is slow or strange."""

import platform
import sys

import numpy as np

from . import __version__, config
from ._kernels import bfloat16, runtime


def get_config():
    """Return version, instruction sets, OpenMP, threads, precision and the build, as a dict."""
    vector_length, mr, nr = runtime.tile()
    return {
        "version": __version__,
        "isa": runtime.isa(),
        "isa_available": list(runtime.available()),
        "amx_refused": runtime.is_refused("amx"),
        "compiled_for": runtime.compiled_for(),
        "vector_length": vector_length,
        "tile": [mr, nr],
        "bfloat16": bfloat16.available(),
        "openmp": runtime.has_openmp(),
        "num_threads": config.get_num_threads(),
        "precision": config.get_precision(),
        "floatx": config.floatx(),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "machine": platform.machine(),
        "system": f"{platform.system()} {platform.release()}",
        "extension": runtime.__file__.rpartition("/")[2],
    }


def show_config(file=None):
    """Print what this installation is and what it uses, and return it as a dict.

    Parameters
    ----------
    file : text file, optional
        Default: standard output.

    Examples
    --------
    >>> facts = fastconv.show_config()  # doctest: +ELLIPSIS
    fastconv: ...
    >>> facts["precision"]
    'highest'
    """
    facts = get_config()
    missing = [
        isa
        for isa in ("avx512", "avx2")
        if platform.machine().lower() in ("x86_64", "amd64") and isa not in facts["isa_available"]
    ]
    lines = {
        "fastconv": facts["version"],
        "instruction set": f"{facts['isa']}, built as {facts['compiled_for']}, {facts['vector_length']} floats wide",
        "available": ", ".join(facts["isa_available"])
        + (f" (not in this build or CPU: {', '.join(missing)})" if missing else "")
        + (" (amx: this CPU has it, but the operating system refuses its registers)" if facts["amx_refused"] else ""),
        "bfloat16": "multiplied in precision medium"
        if facts["bfloat16"]
        else "not in this build, CPU or instruction set: precision medium is high",
        "OpenMP": "yes"
        if facts["openmp"]
        else "no: everything runs on one thread; build with a compiler that has -fopenmp",
        "threads": str(facts["num_threads"]),
        "precision": facts["precision"],
        "default type": facts["floatx"],
        "Python, NumPy": f"{facts['python']}, {facts['numpy']}",
        "machine": f"{facts['machine']}, {facts['system']}",
        "extension": facts["extension"],
    }
    for title, text in lines.items():
        print(f"{title + ':':<17} {text}", file=file or sys.stdout)
    return facts
