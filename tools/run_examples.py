"""Run every example briefly on the carried digits; exits with 1 if one fails."""

import subprocess
import sys
import tempfile
from pathlib import Path

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
ARGUMENTS = {
    "mnist_first_cnn.py": ["--digits", "--epochs", "2"],
    "cifar10_cnn.py": ["--digits", "--epochs", "1"],
    "digits_pooling.py": ["--epochs", "2"],
    "layer_by_layer.py": ["--digits", "--epochs", "1", "--limit", "300"],
    "fixed_kernels.py": [],
    "onnx_inference.py": [],
    "detect_faces.py": [],
}


def main():
    found = {path.name for path in EXAMPLES.glob("[a-z]*.py")}
    if found != set(ARGUMENTS):
        sys.exit(f"tools/run_examples.py does not know {sorted(found ^ set(ARGUMENTS))}")
    for name, arguments in ARGUMENTS.items():
        print(f"--- examples/{name} {' '.join(arguments)}", flush=True)
        with tempfile.TemporaryDirectory() as folder:
            subprocess.run([sys.executable, str(EXAMPLES / name), *arguments], check=True, cwd=folder)


if __name__ == "__main__":
    main()
