"""A session that meets ever other shapes gives back the memory of those that it forgets."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
CODE = """
import os, sys
import numpy as np
import fastconv
from fastconv.session import session as module
sys.path.append(sys.argv[2])
from tests.io.onnx.small import model, node, value

if sys.argv[1] == "keep":
    module._give_back = None
data = model([node("MatMul", "x w", "m"), node("Hardmax", "m", "y")], [value("x", ["N", 256])], [value("y", None)],
             {"w": np.random.default_rng(0).random((256, 512), np.float32)})
session = fastconv.InferenceSession(data)
sizes = np.random.default_rng(1).permutation(np.arange(200, 4000, 60))

def megabytes():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20

session.run(None, {"x": np.zeros((4000, 256), np.float32)})
before = megabytes()
for size in sizes:
    session.run(None, {"x": np.zeros((size, 256), np.float32)})
print(megabytes() - before)
"""


def growth(word):
    """Megabytes that a process grows by while a session meets 64 batch sizes."""
    done = subprocess.run([sys.executable, "-c", CODE, word, str(ROOT)], capture_output=True, text=True)
    assert not done.returncode, done.stderr
    return float(done.stdout)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_forgotten_shapes_give_their_memory_back():
    """160 MB for the 16 programs that are kept; 250 MB where nothing is given back."""
    assert growth("give") < 0.85 * growth("keep")
