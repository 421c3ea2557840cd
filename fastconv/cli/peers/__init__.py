"""Other engines that run ONNX files, for `fastconv bench` and `fastconv verify`; each in a process of its own.

turns.py has the referee and the workers, `inference_<engine>.py` what a worker does with its engine.
"""

from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from .turns import Engine


class Peer(NamedTuple):
    """An engine: its name in reports, the package that it needs, the module that drives it, and a word for that."""

    name: str
    package: str
    path: Path
    variant: str = ""

    @property
    def installed(self):
        return find_spec(self.package) is not None

    @property
    def version(self):
        """The version that is installed, or None."""
        try:
            return metadata.version(self.package)
        except metadata.PackageNotFoundError:
            return None

    def start(self, threads, **options):
        """Return a new worker."""
        return Engine(self.name, self.path, self.variant, threads, **options)


def _here(name):
    return Path(__file__).parent / f"inference_{name}.py"


OURS = Peer("fastconv", "fastconv", _here("fastconv"))
# What the user writes -> the engines that it means.
PEERS = {
    "onnxruntime": (Peer("ONNX Runtime", "onnxruntime", _here("onnxruntime")),),
    "openvino": (Peer("OpenVINO", "openvino", _here("openvino")),),
    "torch": (
        Peer("torch NCHW", "torch", _here("torch"), "NCHW"),
        Peer("torch channels_last", "torch", _here("torch"), "channels_last"),
    ),
    "torch.compile": (Peer("torch.compile", "torch", _here("torch"), "compile"),),
}
