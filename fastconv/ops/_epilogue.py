"""What conv2d, depthwise_conv2d and dense share: the activation fused into their last step, and its derivative."""

from itertools import zip_longest

import numpy as np

from .._kernels import gemm
from ..errors import ArgumentError
from ..op import Epilogue

# Slope of "leaky_relu" where only its name is given: Keras's default.
LEAKY_SLOPE = 0.2
NAMES = ("relu", "leaky_relu", "sigmoid", "tanh")


def epilogue_of(activation):
    """Return the `Epilogue` for the `activation` argument of a public function."""
    if isinstance(activation, Epilogue):
        return activation
    if activation is None or activation == "linear":
        return Epilogue()
    if activation not in NAMES:
        raise ArgumentError(
            f"activation must be None or one of {', '.join(NAMES)} to be fused, got {activation!r}; "
            "apply other functions to the result"
        )
    return Epilogue(activation, LEAKY_SLOPE if activation == "leaky_relu" else 0.0)


def apply_epilogue(z, epilogue):
    """Return activation(z)."""
    match epilogue.activation:
        case "relu":
            return np.where(z < 0, z.dtype.type(0), z)
        case "leaky_relu":
            return np.where(z < 0, z * z.dtype.type(epilogue.alpha), z)
        case "sigmoid":
            # exp of a negative number only: it cannot overflow.
            small = np.exp(-np.abs(z))
            return np.where(z < 0, small / (1 + small), 1 / (1 + small))
        case "tanh":
            return np.tanh(z)
    return z


def epilogue_backward(dy, y, epilogue):
    """Return dz = dy * activation'(z), from y = activation(z)."""
    match epilogue.activation:
        case "relu":
            return np.where(y > 0, dy, dy.dtype.type(0))
        case "leaky_relu":
            return np.where(y > 0, dy, dy * dy.dtype.type(epilogue.alpha))
        case "sigmoid":
            return dy * (y * (1 - y))
        case "tanh":
            return dy * (1 - y * y)
    return dy


def plan_epilogue_backward(y, epilogue, needs):
    """Return (name of dz, phases, workspace) of the first step backwards through bias and activation."""
    *_, columns = y.shape
    dz = "dz" if epilogue.activation and needs != {"bias"} else None
    phases, workspace = gemm.epilogue_backward(
        "dy",
        "y",
        dz,
        "dbias" if "bias" in needs else None,
        rows=y.size // columns,
        columns=columns,
        activation=epilogue.activation,
        alpha=epilogue.alpha,
    )
    return dz or "dy", phases, {**workspace, **({dz: y.nbytes} if dz else {})}


def side_by_side(*plans):
    """Merge sequences of phases that do not depend on each other."""
    return tuple(sum(phases, ()) for phases in zip_longest(*plans, fillvalue=()))
