"""ONNX Runtime, CPU provider."""

import onnxruntime

_options = onnxruntime.SessionOptions()


def start(threads):
    _options.intra_op_num_threads = threads
    _options.inter_op_num_threads = 1
    _options.log_severity_level = 3


def load(variant, path, shapes):
    """Return a function that runs the file."""
    session = onnxruntime.InferenceSession(path, _options, providers=["CPUExecutionProvider"])
    return lambda feeds: session.run(None, feeds)
