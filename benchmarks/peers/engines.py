"""Which engines take part: those that are installed, each held to the same threads and instruction set."""

import os
from importlib.util import find_spec
from pathlib import Path

from fastconv.cli.peers.turns import Engine

HERE = Path(__file__).parent
# What keeps a peer on the instruction set that fastconv is held to.
PEER_ISA = {"avx2": {"ONEDNN_MAX_CPU_ISA": "AVX2", "MKL_ENABLE_INSTRUCTIONS": "AVX2", "ATEN_CPU_CAPABILITY": "avx2"}}
# (name in the report, package, end of its modules' names, variant); the first is the one that ratios speak of.
ENGINES = (
    ("fastconv", "fastconv", "fastconv", ""),
    ("fastconv direct", "fastconv", "fastconv", "direct"),
    ("torch NCHW", "torch", "torch", "NCHW"),
    ("torch channels_last", "torch", "torch", "channels_last"),
    ("NumPy", "numpy", "numpy", ""),
    ("ONNX Runtime", "onnxruntime", "onnxruntime", ""),
    ("OpenVINO", "openvino", "openvino", ""),
    ("Keras", "tensorflow", "keras", ""),
)


def start(names, threads, isa, what="engine", precisions=()):
    """Start the engines called `names` (None: all) that are installed and have a module ``<what>_<engine>.py``.

    "fastconv high" and the like, one for each of `precisions`, are fastconv at another precision; beside "medium" there is
    "torch bfloat16".

    Keras runs in the Python that FASTCONV_KERAS_PYTHON names, if that is set: TensorFlow pins other versions.
    """
    ours, theirs = ({"FASTCONV_ISA": isa} if isa else {}), PEER_ISA.get(isa, {})
    started = []
    others = [(f"fastconv {precision}", "fastconv", "fastconv", precision) for precision in precisions]
    if "medium" in precisions:
        others.append(("torch bfloat16", "torch", "torch", "bfloat16"))
    chosen = [engine for engine in ENGINES if not names or engine[0] in names]
    for name, package, module, variant in (*chosen, *others):
        python = os.environ.get("FASTCONV_KERAS_PYTHON") if package == "tensorflow" else None
        if not (python or find_spec(package)):
            continue
        path = HERE / f"{what}_{module}.py"
        if not path.exists():
            continue
        environment = ours if package == "fastconv" else theirs
        if variant == "direct":
            environment = {**environment, "FASTCONV_WINOGRAD": "0"}
        started.append(Engine(name, path, variant, threads, environment, python))
    return started
