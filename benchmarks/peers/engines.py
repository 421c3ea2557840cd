"""Which engines take part: those that are installed, each held to the same threads and instruction set."""

import os
from importlib.util import find_spec

from turns import Engine

# What keeps a peer on the instruction set that fastconv is held to.
PEER_ISA = {"avx2": {"ONEDNN_MAX_CPU_ISA": "AVX2", "MKL_ENABLE_INSTRUCTIONS": "AVX2", "ATEN_CPU_CAPABILITY": "avx2"}}
# (name in the report, package, module, variant); the first is the one that ratios speak of.
ENGINES = (
    ("fastconv", "fastconv", "engine_fastconv", ""),
    ("torch NCHW", "torch", "engine_torch", "NCHW"),
    ("torch channels_last", "torch", "engine_torch", "channels_last"),
    ("NumPy", "numpy", "engine_numpy", ""),
    ("ONNX Runtime", "onnxruntime", "engine_onnxruntime", ""),
    ("OpenVINO", "openvino", "engine_openvino", ""),
    ("Keras", "tensorflow", "engine_keras", ""),
)


def start(names, threads, isa):
    """Start the engines called `names` (None: all) that are installed.

    Keras runs in the Python that FASTCONV_KERAS_PYTHON names, if that is set: TensorFlow pins other versions.
    """
    ours, theirs = ({"FASTCONV_ISA": isa} if isa else {}), PEER_ISA.get(isa, {})
    started = []
    for name, package, module, variant in ENGINES:
        python = os.environ.get("FASTCONV_KERAS_PYTHON") if package == "tensorflow" else None
        if (names and name not in names) or not (python or find_spec(package)):
            continue
        environment = ours if package == "fastconv" else theirs
        started.append(Engine(name, module, variant, threads, environment, python))
    return started
