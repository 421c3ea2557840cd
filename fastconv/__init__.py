"""fastconv: a compact CNN engine for CPUs.

    from fastconv import layers, models
    model = models.Sequential([layers.Conv2D(8, 3, activation="relu", input_shape=(28, 28, 1)), ...])

Importing the package loads nothing: every part loads when it is first used.
"""

import importlib

__version__ = "0.3.0"

# Public name -> (module, attribute there; None for the module itself).
_HOMES = {
    **{
        name: (name, None)
        for name in (
            "activations autograd config datasets errors graph initializers layers losses metrics models ops optimizers "
            "storage utils"
        ).split()
    },
    "callbacks": ("models.callbacks", None),
    "Tensor": ("autograd", "Tensor"),
    "tensor": ("autograd", "tensor"),
    "as_tensor": ("autograd", "as_tensor"),
    "no_grad": ("autograd", "no_grad"),
    "set_num_threads": ("config", "set_num_threads"),
    "get_num_threads": ("config", "get_num_threads"),
    "num_threads": ("config", "num_threads"),
    "set_precision": ("config", "set_precision"),
    "get_precision": ("config", "get_precision"),
    "precision": ("config", "precision"),
    "isa": ("_kernels.runtime", "isa"),
    "show_config": ("_show_config", "show_config"),
    "InferenceSession": ("session", "InferenceSession"),
    "SessionOptions": ("session", "SessionOptions"),
    "GraphOptimizationLevel": ("session", "GraphOptimizationLevel"),
    "ExecutionMode": ("session", "ExecutionMode"),
    "get_available_providers": ("session", "get_available_providers"),
    "onnx": ("io.onnx", None),
    "Input": ("layers", "Input"),
    "Model": ("models", "Model"),
    "Sequential": ("models", "Sequential"),
}

__all__ = ["__version__", *_HOMES]


def __getattr__(name):
    try:
        module, attribute = _HOMES[name]
    except KeyError:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}") from None
    found = importlib.import_module(f"{__name__}.{module}")
    if attribute is not None:
        found = getattr(found, attribute)
    globals()[name] = found
    return found


def __dir__():
    return sorted({*globals(), *__all__})
