"""Doors to other people's formats: `fastconv.io.onnx`."""
