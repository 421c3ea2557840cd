"""Doors to other people's formats: `fastconv.io.onnx`."""

from ..lazy import attach

__getattr__, __dir__, __all__ = attach(__name__, {"onnx": None})
