"""OpenVINO in float32."""

import openvino

_settings = {}


def start(threads):
    _settings.update(INFERENCE_PRECISION_HINT="f32", INFERENCE_NUM_THREADS=threads, PERFORMANCE_HINT="LATENCY")


def load(variant, path, shapes):
    """Return a function that runs the file; where shapes are known the network is compiled for them."""
    core = openvino.Core()
    model = core.read_model(path)
    if shapes is not None:
        model.reshape({name: list(shape) for name, shape in shapes.items()})
    request = core.compile_model(model, "CPU", _settings).create_infer_request()

    def run(feeds):
        results = request.infer(feeds, share_inputs=True)
        return [results[output] for output in request.model_outputs]

    return run
