"""ONNX files in and out: `load` makes a `Model` of a file, `save` a file of a `Model`. They live in `fastconv.io.onnx`."""

from .io.onnx import load, save

__all__ = ["load", "save"]
