"""OpenVINO in float32, or, as variant "default", in the precision that it chooses."""

import openvino

_settings = {}


def start(threads):
    _settings.update(INFERENCE_PRECISION_HINT="f32", INFERENCE_NUM_THREADS=threads, PERFORMANCE_HINT="LATENCY")


def load(variant, path, shapes):
    """Return a function that runs the file; where shapes are known the network is compiled for them."""
    core = openvino.Core()
    settings = {key: value for key, value in _settings.items() if variant != "default" or "PRECISION" not in key}
    model = core.read_model(path)
    if shapes is not None:
        model.reshape({name: list(shape) for name, shape in shapes.items()})
    request = core.compile_model(model, "CPU", settings).create_infer_request()

    def run(feeds):
        results = request.infer(feeds, share_inputs=True)
        return [results[output] for output in request.model_outputs]

    return run
