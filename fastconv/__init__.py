"""fastconv: a compact CNN engine for CPUs.

    from fastconv import layers, models
    model = models.Sequential([layers.Conv2D(8, 3, activation="relu", input_shape=(28, 28, 1)), ...])

Importing the package loads nothing: every part loads when it is first used.
"""

from .lazy import attach

__version__ = "0.3.0"

_MODULES = """activations autograd callbacks config datasets errors graph initializers layers losses metrics models onnx ops
optimizers regularizers storage utils"""

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        **dict.fromkeys(_MODULES.split()),
        "Tensor": ".autograd",
        "tensor": ".autograd",
        "as_tensor": ".autograd",
        "no_grad": ".autograd",
        "set_num_threads": ".config",
        "get_num_threads": ".config",
        "num_threads": ".config",
        "set_precision": ".config",
        "get_precision": ".config",
        "precision": ".config",
        "isa": "._kernels.runtime",
        "show_config": "._show_config",
        "InferenceSession": ".session",
        "SessionOptions": ".session",
        "RunOptions": ".session",
        "NodeArg": ".session",
        "ModelMetadata": ".session",
        "get_device": ".session",
        "set_default_logger_severity": ".session",
        "GraphOptimizationLevel": ".session",
        "ExecutionMode": ".session",
        "get_available_providers": ".session",
        "Input": ".layers",
        "Model": ".models",
        "Sequential": ".models",
    },
)
__all__ += ["__version__"]
