"""ncnn in float32, one image. The file is converted by pnnx beforehand, once."""

import subprocess
import tempfile
from importlib.util import find_spec
from pathlib import Path

import ncnn
import numpy as np

_threads = 1
CACHE = Path(tempfile.gettempdir()) / "fastconv-benchmarks-ncnn"


def start(threads):
    global _threads
    _threads = threads


def make_ready(path, shapes):
    """Return the path of the .param file of a network, made if it is not there or older."""
    if shapes is None or any(shape[0] != 1 for shape in shapes.values()):
        raise ValueError("ncnn runs one image, of one size")
    path = Path(path).resolve()
    sizes = ["x".join(map(str, shape)) for shape in shapes.values()]
    folder = CACHE / "-".join([path.stem, str(path.stat().st_mtime_ns), *sizes])
    if not folder.exists():
        CACHE.mkdir(exist_ok=True)
        program = Path(find_spec("pnnx").origin).parent / "pnnx"
        inputs = ",".join(str(list(shape)).replace(" ", "") for shape in shapes.values())
        with tempfile.TemporaryDirectory(dir=CACHE) as work:
            link, made = Path(work) / "network.onnx", Path(work) / "made"
            link.symlink_to(path)
            arguments = [program, link, f"inputshape={inputs}", "fp16=0"]
            subprocess.run(arguments, check=True, capture_output=True, cwd=work)
            made.mkdir()  # pnnx leaves files of its own beside ncnn's
            for name in ("network.ncnn.param", "network.ncnn.bin"):
                (Path(work) / name).rename(made / name)
            made.rename(folder)
    return folder / "network.ncnn.param"


def load(variant, path, shapes):
    """Return a function that runs the converted file."""
    net = ncnn.Net()
    net.opt.num_threads = _threads
    for option in ("fp16_packed", "fp16_storage", "fp16_arithmetic", "bf16_storage"):
        setattr(net.opt, f"use_{option}", False)
    param = make_ready(path, shapes)
    if net.load_param(str(param)) or net.load_model(str(param.with_suffix(".bin"))):
        raise RuntimeError(f"ncnn cannot load {param}")
    inputs, outputs = net.input_names(), net.output_names()

    def run(feeds):
        extractor = net.create_extractor()
        for name, array in zip(inputs, feeds.values(), strict=True):
            extractor.input(name, ncnn.Mat(array[0]))
        return [np.array(extractor.extract(name)[1])[None] for name in outputs]

    return run
