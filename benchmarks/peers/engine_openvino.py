"""OpenVINO, float32: inference only."""

import openvino
from layers import from_job
from single_node import model_of

_settings = {}


def start(threads):
    _settings.update(INFERENCE_PRECISION_HINT="f32", INFERENCE_NUM_THREADS=threads, PERFORMANCE_HINT="LATENCY")


def prepare(variant, job):
    """Return a function that runs the layer once; None if it is not inference."""
    if job is None:
        return None
    layer, direction = from_job(job)
    if direction != "forward" or layer.kind == "batch_norm":
        return None
    model, x = model_of(layer)
    core = openvino.Core()
    request = core.compile_model(core.read_model(model, b""), "CPU", _settings).create_infer_request()
    request.set_input_tensor(openvino.Tensor(x))
    return request.infer
