"""`fastconv convert`: from an ONNX file to a saved model, or back."""

import os

from ..errors import ArgumentError
from ..models.saving import EXTENSION
from . import files


def run(args):
    """Run the command."""
    source, target = args.source, args.target
    files.check_there(source)
    to_onnx = files.is_onnx(target)
    if not to_onnx and not target.endswith(EXTENSION):
        raise ArgumentError(f"convert writes .onnx or {EXTENSION} files, got {target}")
    if to_onnx == files.is_onnx(source):
        raise ArgumentError(f"{source} and {target} are of the same kind: one is to be .onnx, the other {EXTENSION}")
    if not os.path.isdir(os.path.dirname(os.path.abspath(target))):
        raise ArgumentError(f"there is no folder for {target}: make it first")
    if args.opset is not None and not to_onnx:
        raise ArgumentError("--opset is for .onnx files that are written")
    model = files.load(source, files.shapes_of(args.shape))
    if to_onnx:
        from .. import onnx

        onnx.save(model, target, **({} if args.opset is None else {"opset": args.opset}))
    else:
        model.save(target)
    print(f"{target}: {os.path.getsize(target) / 1e6:.1f} MB")
