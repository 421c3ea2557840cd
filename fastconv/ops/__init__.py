"""Operations: one file each, pointwise functions together in `elementwise.py`.

An operation's file loads at the first use of its function. Loading this package gives `Tensor` its operators.
"""

import functools
import sys
import types

from ..autograd import Tensor
from ..autograd.tensor import OPERATORS
from ..lazy import attach

# File -> the public functions that live in it.
_FILES = {
    "activation": "clip elu gelu hard_sigmoid hard_swish leaky_relu mish relu relu6 selu sigmoid silu softplus softsign tanh",
    "adam": "adam_update",
    "add": "add_n",
    "avg_pool2d": "avg_pool2d",
    "batch_norm": "batch_normalization",
    "binary_cross_entropy": "binary_cross_entropy",
    "cast": "cast",
    "concatenate": "concatenate",
    "conv1d": "conv1d",
    "conv1d_transpose": "conv1d_transpose",
    "conv2d": "conv2d conv2d_algorithm",
    "conv2d_transpose": "conv2d_transpose",
    "conv3d": "conv3d",
    "conv3d_transpose": "conv3d_transpose",
    "cross_entropy": "cross_entropy",
    "dense": "dense",
    "depth_to_space": "depth_to_space space_to_depth",
    "depthwise_conv1d": "depthwise_conv1d",
    "depthwise_conv2d": "depthwise_conv2d",
    "dropout": "dropout",
    "elementwise": "abs add arccos arccosh arcsin arcsinh arctan arctanh ceil cos cosh divide erf exp floor log maximum "
    "minimum multiply negative power prelu reciprocal round sign sin sinh sqrt square subtract tan",
    "expand": "broadcast_to tile",
    "getitem": "getitem",
    "global_pool": " ".join(f"global_{kind}_pool{rank}d" for kind in ("avg", "max") for rank in (1, 2, 3)),
    "layer_norm": "group_normalization layer_normalization",
    "matmul": "matmul",
    "max_pool2d": "max_pool2d",
    "mean_squared_error": "mean_squared_error",
    "pad": "pad",
    "pool1d": "avg_pool1d max_pool1d",
    "pool3d": "avg_pool3d max_pool3d",
    "random_normal": "random_normal",
    "reduce": "max mean min prod sum",
    "reshape": "flatten reshape",
    "resize": "resize",
    "rmsprop": "rmsprop_update",
    "sgd": "sgd_update",
    "softmax": "log_softmax softmax",
    "softmax_cross_entropy": "softmax_cross_entropy",
    "sum_pool2d": "sum_pool2d",
    "take": "take",
    "threshold": "threshold",
    "transpose": "transpose",
    "upsample": "upsample",
    "where": "where",
}
FUNCTIONS = {function: file for file, functions in _FILES.items() for function in functions.split()}


def _taker(values):
    """Return a tensor of a class that takes the calls on its tensors over, see `Tensor.operate`, or None."""
    for value in values:
        if isinstance(value, Tensor):
            if value.operate is not None:
                return value
        elif isinstance(value, (list, tuple)):
            found = _taker(value)
            if found is not None:
                return found
    return None


def _open(name, function):
    @functools.wraps(function)
    def call(*args, **kwargs):
        taker = _taker((*args, *kwargs.values()))
        return function(*args, **kwargs) if taker is None else taker.operate(name, args, kwargs)

    return call


__getattr__, __dir__, __all__ = attach(__name__, {name: f".{file}" for name, file in FUNCTIONS.items()}, _open)


class _Package(types.ModuleType):
    """This package. ``ops.transpose`` is the function, also after the file of that name was imported."""

    def __setattr__(self, name, value):
        # The import system puts a loaded submodule here under its name, which a function may have.
        if isinstance(value, types.ModuleType) and name in FUNCTIONS:
            return
        super().__setattr__(name, value)


_package = sys.modules[__name__]
_package.__class__ = _Package


def _function(name):
    return lambda *args, **kwargs: getattr(_package, name)(*args, **kwargs)


def _reflected(name):
    return lambda b, a: getattr(_package, name)(a, b)


_METHODS = {
    **{
        f"__{sign}__": name
        for sign, name in {
            "add": "add", "sub": "subtract", "mul": "multiply", "truediv": "divide", "pow": "power", "matmul": "matmul"
        }.items()
    },
    "__neg__": "negative",
    "__abs__": "abs",
    "__getitem__": "getitem",
}  # fmt: skip

for _method in OPERATORS:
    if _method.startswith("__r"):
        _call = _reflected(_METHODS["__" + _method[3:]])
    else:
        _call = _function(_METHODS.get(_method, _method))
    _call.__name__ = _method
    setattr(Tensor, _method, _call)
