"""Other frameworks' files: `onnx`."""
