"""ONNX Runtime, CPU provider: inference only."""

import onnxruntime
from layers import from_job
from single_node import model_of

_options = onnxruntime.SessionOptions()


def start(threads):
    _options.intra_op_num_threads = threads
    _options.inter_op_num_threads = 1


def prepare(variant, job):
    """Return a function that runs the layer once, its input and output bound to memory; None if it is not inference."""
    if job is None:
        return None
    layer, direction = from_job(job)
    if direction != "forward" or layer.kind == "batch_norm":
        return None
    model, x = model_of(layer)
    session = onnxruntime.InferenceSession(model, _options, providers=["CPUExecutionProvider"])
    y = session.run(None, {"x": x})[0]
    binding = session.io_binding()
    binding.bind_ortvalue_input("x", onnxruntime.OrtValue.ortvalue_from_numpy(x))
    binding.bind_ortvalue_output("y", onnxruntime.OrtValue.ortvalue_from_numpy(y))
    return lambda: session.run_with_iobinding(binding)
