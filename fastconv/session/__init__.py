"""ONNX files, run with ONNX Runtime's interface.

file --io.onnx--> Network --trace, for the shapes of a call--> Program   (cached)
                                                      \\--> late nodes, run on arrays after it
"""

from ..lazy import attach

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "InferenceSession": ".session",
        "ModelMetadata": ".session",
        "NodeArg": "..io.onnx",
        "Runner": ".runner",
        **dict.fromkeys(
            "SessionOptions RunOptions GraphOptimizationLevel ExecutionMode get_available_providers get_device "
            "set_default_logger_severity".split(),
            ".options",
        ),
    },
)
