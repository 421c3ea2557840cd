"""Batch normalisation over the last axis: each channel loses its mean and its scale.

Training takes mean and variance from the batch and moves the moving statistics; inference uses those. Source: Ioffe and
Szegedy, "Batch Normalization" (2015), with the conventions of Keras 3: the moving variance follows the biased variance.

In training, what comes after it in residual networks can be part of the same passes: y = activation(normalised x + residual).
`fastconv/graph/passes/fuse_norm.py` makes such calls.
"""

from typing import NamedTuple

import numpy as np

from .. import shapes
from .._kernels import eltwise
from .._kernels import norm as kernels
from ..autograd import apply
from ..errors import ArgumentError, ShapeError
from ..op import Case, Epilogue, Op, Plan, Spec, register
from ._activations import activate, activate_backward
from ._checks import check_floats, check_rank, check_shape

SAVED = ("mean", "inv_std", "scale", "shift")
# The last two are what the kernels compute with, the mean rounded to float32: y = activation((x - mean) scale + shift).
VECTORS = ("gamma", "beta", "moving_mean", "moving_variance")


class TrainAttrs(NamedTuple):
    """Attributes in training.

    `momentum`: how much of a moving statistic stays. `epsilon`: what is added to the variance. `activation`: None, "relu" or
    "relu6". `adds`: whether there is a residual.
    """

    momentum: float = 0.99
    epsilon: float = 1e-3
    activation: str | None = None
    adds: bool = False


class InferenceAttrs(NamedTuple):
    """Attributes in inference."""

    epsilon: float = 1e-3


def _check(specs):
    x = specs["x"]
    check_floats("batch_normalization", specs)
    check_rank("batch_normalization", "x", x, "(N, ..., C)")
    for name in VECTORS:
        if name in specs:
            check_shape("batch_normalization", f"{name} (a number per channel)", specs[name].shape, x.shape[-1:])
    return x


def _broadcast_axes(x):
    return tuple(range(x.ndim - 1))


def _elements(specs):
    """Return (number of elements, number of channels) of x."""
    return specs["x"].size, specs["x"].shape[-1]


def _names(specs, *names):
    """Return {name: name} of those operands that are there."""
    return {name: name for name in names if name in specs}


# ---- training


def infer_train(specs, attrs):
    x = _check(specs)
    if 0 in x.shape:
        raise ShapeError(
            f"batch_normalization: x is empty: {x.shape}; statistics need at least one element per channel"
        )
    if attrs.adds:
        check_shape("batch_normalization", "residual", specs["residual"].shape, x.shape)
    vector = Spec(specs["moving_mean"].shape, x.dtype)
    return {"y": x, **{name: vector for name in ("new_moving_mean", "new_moving_variance", *SAVED)}}


def reference_train(arrays, attrs):
    x = arrays["x"]
    mean, variance = x.mean(_broadcast_axes(x)), x.var(_broadcast_axes(x))
    inv_std = 1 / np.sqrt(variance + attrs.epsilon)
    keep = attrs.momentum
    scale = inv_std * arrays.get("gamma", 1)
    rounded = (mean - mean.astype("float32")) * scale
    z = (x - mean) * scale + arrays.get("beta", 0) + arrays.get("residual", 0)
    return {
        "y": activate(Epilogue(attrs.activation), z) if attrs.activation else z,
        "new_moving_mean": arrays["moving_mean"] * keep + mean * (1 - keep),
        "new_moving_variance": arrays["moving_variance"] * keep + variance * (1 - keep),
        "mean": mean,
        "inv_std": inv_std,
        "scale": scale,
        "shift": arrays.get("beta", 0) - np.where(np.isfinite(rounded), rounded, 0),
    }


def reference_train_backward(arrays, attrs, needs):
    x, dy = arrays["x"], arrays["dy"]
    if "dy_rest" in arrays:
        dy = dy + arrays["dy_rest"]
    axes = _broadcast_axes(x)
    if attrs.activation:
        y = arrays["y"]
        if not attrs.adds:
            y = activate(Epilogue(attrs.activation), (x - arrays["mean"]) * arrays["scale"] + arrays["shift"])
        dy = activate_backward(Epilogue(attrs.activation), y, dy)
    x_hat = (x - arrays["mean"]) * arrays["inv_std"]
    grads = {"dgamma": (dy * x_hat).sum(axes), "dbeta": dy.sum(axes), "dresidual": dy}
    if "x" in needs:
        dx_hat = dy * arrays.get("gamma", 1)
        dx = dx_hat - dx_hat.mean(axes) - x_hat * (dx_hat * x_hat).mean(axes)
        moved = arrays["dnew_moving_mean"] + 2 * (x - arrays["mean"]) * arrays["dnew_moving_variance"]
        grads["dx"] = dx * arrays["inv_std"] + moved * (1 - attrs.momentum) * x.shape[-1] / x.size
    return {"d" + name: grads["d" + name] for name in needs}


def plan_train(specs, attrs):
    size, channels = _elements(specs)
    reads = {"partial": "partial", **_names(specs, *VECTORS)}
    writes = {name: name for name in ("new_moving_mean", "new_moving_variance", *SAVED, "coefficients")}
    fields = {"x": "x", "coefficients": "coefficients", "out": "y", **_names(specs, "residual")}
    return Plan(
        phases=(
            (kernels.sums("x", "partial", size, channels),),
            (kernels.finish(reads, writes, size, channels, attrs.momentum, attrs.epsilon),),
            (kernels.apply(fields, size, channels, attrs.activation),),
        ),
        workspace={
            "partial": kernels.partial_bytes(size, channels, 2),
            "coefficients": kernels.coefficient_bytes(channels, 3),
        },
        inplace={"y": "residual" if attrs.adds else "x", **{f"new_{name}": name for name in VECTORS[2:]}},
    )


# With P elements per channel, h = (x - mean) inv_std and y = gamma h + beta:
#
#   dbeta = sum dy      dgamma = sum dy h      dx = gamma inv_std (dy - dbeta / P - h dgamma / P)
#
# so dx = a dy + b (x - mean) + d with one a, b, d per channel. The moving statistics add, with m = 1 - momentum, the
# gradients of mean and variance: m / P dnew_moving_mean + 2 m / P (x - mean) dnew_moving_variance, to d and b.
# The saved mean is rounded to float32; the kernel sums x - mean as well, and corrects by what it finds.
#
# With an activation, dy above is dz = dy activation'(z). Where a residual was added, its gradient is dz: the pass of sums
# takes it from y, adds dy_rest to dy where that is given, and leaves it there for the next pass. Else both passes work z out
# from x again: that reads less memory.
def plan_train_backward(specs, attrs, needs):
    size, channels = _elements(specs)
    if needs == {"residual"}:
        return _plan_residual_backward(attrs, size)
    sums = {"x": "x", "dy": "dy", "mean": "mean"}
    activation, remade, dz, workspace = attrs.activation, (), "dy", {}
    if activation and attrs.adds:
        dz = "dresidual" if "residual" in needs else "dz"
        sums |= {"y": "y", "dz": dz, **_names(specs, "dy_rest")}
        workspace = {} if "residual" in needs else {"dz": specs["dy"].nbytes}
    elif activation:
        remade = ("scale", "shift")
        sums |= {name: name for name in remade}
    reads = {"partial": "partial", "inv_std": "inv_std"}
    writes = {"d" + name: "d" + name for name in needs if name in VECTORS}
    workspace["partial"] = kernels.partial_bytes(size, channels, 3)
    phases = [(kernels.backward_sums(sums, "partial", size, channels, activation),)]
    if "x" in needs:
        reads |= _names(specs, "mean", "gamma", "dnew_moving_mean", "dnew_moving_variance", *remade)
        writes["coefficients"] = "coefficients"
        workspace["coefficients"] = kernels.coefficient_bytes(channels, 4 + len(remade))
    phases.append((kernels.backward_finish(reads, writes, size, channels, attrs.momentum, attrs.epsilon),))
    if "x" in needs:
        fields = {"x": "x", "dy": dz, "coefficients": "coefficients", "out": "dx"}
        phases.append((kernels.backward_apply(fields, size, channels, activation if remade else None),))
    # Where dy becomes the gradient of the residual, dx may have the place of x.
    inplace = {"dx": "x" if "residual" in needs else "dy"} if "x" in needs else {}
    residual = _plan_residual_backward(attrs, size) if "residual" in needs else Plan()
    return Plan(tuple(phases), workspace, inplace={**inplace, **residual.inplace}, alias=residual.alias)


def _plan_residual_backward(attrs, size):
    """Return the plan of the residual's gradient alone, dz."""
    if not attrs.activation:
        return Plan(alias={"dresidual": "dy"})
    step = eltwise.activate_backward(Epilogue(attrs.activation), "y", "dy", "dresidual", size)
    return Plan(phases=((step,),), inplace={"dresidual": "dy"})


def takes_rest(attrs, needs):
    return bool(attrs.activation and attrs.adds and needs - {"residual"})


def keeps_train(attrs, needs):
    names = {"x", "mean", "inv_std"} if needs - {"residual"} else set()
    if "x" in needs:
        names.add("gamma")
    if attrs.activation:
        names |= {"y"} if attrs.adds else {"scale", "shift"}
    return tuple(sorted(names))


# ---- inference


def infer_affine(specs, attrs):
    check_floats("batch_norm_affine", specs)
    variance = specs["moving_variance"]
    for name, spec in specs.items():
        check_shape("batch_norm_affine", f"{name} (a number per channel)", spec.shape, variance.shape[-1:])
    return {"scale": variance, "shift": variance}


def reference_affine(arrays, attrs):
    scale = arrays.get("gamma", 1) / np.sqrt(arrays["moving_variance"] + attrs.epsilon)
    return {"scale": scale, "shift": arrays.get("beta", 0) - arrays["moving_mean"] * scale}


def plan_affine(specs, attrs):
    """Return the plan by the kernel that `plan_inference` runs: what computes x * scale + shift has the same bits."""
    (channels,) = specs["moving_variance"].shape
    writes = {"scale": "scale", "shift": "shift"}
    step = kernels.inference_coefficients(_names(specs, *VECTORS), writes, channels, channels, attrs.epsilon)
    return Plan(phases=((step,),))


def infer_inference(specs, attrs):
    return {"y": _check(specs)}


def reference_inference(arrays, attrs):
    inv_std = 1 / np.sqrt(arrays["moving_variance"] + attrs.epsilon)
    x_hat = (arrays["x"] - arrays["moving_mean"]) * inv_std
    return {"y": x_hat * arrays.get("gamma", 1) + arrays.get("beta", 0)}


def reference_inference_backward(arrays, attrs, needs):
    x, dy = arrays["x"], arrays["dy"]
    axes = _broadcast_axes(x)
    inv_std = 1 / np.sqrt(arrays["moving_variance"] + attrs.epsilon)
    grads = {
        "dx": dy * (inv_std * arrays.get("gamma", 1)),
        "dgamma": (dy * (x - arrays["moving_mean"]) * inv_std).sum(axes),
        "dbeta": dy.sum(axes),
    }
    return {"d" + name: grads["d" + name] for name in needs}


def plan_inference(specs, attrs):
    size, channels = _elements(specs)
    reads = _names(specs, *VECTORS)
    writes = {"coefficients": "coefficients"}
    return Plan(
        prologue=((kernels.inference_coefficients(reads, writes, size, channels, attrs.epsilon),),),
        packed={"coefficients": kernels.coefficient_bytes(channels, 3)},
        phases=((kernels.apply({"x": "x", "coefficients": "coefficients", "out": "y"}, size, channels),),),
        inplace={"y": "x"},
    )


# The statistics are constants: dx = gamma inv_std dy; dgamma and dbeta as in training.
def plan_inference_backward(specs, attrs, needs):
    size, channels = _elements(specs)
    first, second, workspace = [], [], {}
    if "x" in needs:
        reads = _names(specs, "gamma", "moving_variance")
        workspace["coefficients"] = kernels.coefficient_bytes(channels, 3)
        first.append(
            kernels.inference_coefficients(reads, {"coefficients": "coefficients"}, size, channels, attrs.epsilon)
        )
        second.append(kernels.apply({"x": "dy", "coefficients": "coefficients", "out": "dx"}, size, channels))
    writes = {"d" + name: "d" + name for name in needs if name != "x"}
    if writes:
        reads = {"partial": "partial", "moving_variance": "moving_variance"}
        workspace["partial"] = kernels.partial_bytes(size, channels, 3)
        first.append(kernels.backward_sums({"x": "x", "dy": "dy", "mean": "moving_mean"}, "partial", size, channels))
        second.append(kernels.backward_finish(reads, writes, size, channels, 0.0, attrs.epsilon))
    return Plan(phases=(tuple(first), tuple(second)), workspace=workspace, inplace={"dx": "dy"} if "x" in needs else {})


# ---- sample calls: channels that fold into lines, that fill vectors, and that are too many to fold


def _cases(attrs):
    positive = {"moving_variance": lambda rng, shape: rng.uniform(0.5, 2.0, shape)}
    every = frozenset(VECTORS)
    calls = (
        ((7, 1), every),
        ((3, 5, 7, 3), every),
        ((2, 4, 5, 8), every - {"gamma"}),
        ((1, 9, 7, 17), every - {"beta"}),
        ((3, 8, 9, 33), every - {"gamma", "beta"}),
        ((13, 64), every),
        ((5, 2, 261), every),
        ((3, 23, 29, 32), every),  # several partial sums
    )
    for x_shape, names in calls:
        vector = Spec(x_shape[-1:])
        yield Case({"x": Spec(x_shape), **{name: vector for name in VECTORS if name in names}}, attrs, positive)


def _fused_cases():
    """What can follow the normalisation: vector tails, folded lines, several partial sums; gamma and beta reach beyond 6."""
    wide = {name: lambda rng, shape: 4 * rng.standard_normal(shape) for name in ("gamma", "beta")}
    for x_shape in ((3, 5, 7, 3), (1, 9, 7, 17), (13, 64), (3, 23, 29, 32)):
        for activation, adds in (("relu", False), ("relu6", False), ("relu", True), ("relu6", True), (None, True)):
            specs = {"x": Spec(x_shape), **dict.fromkeys(VECTORS, Spec(x_shape[-1:]))}
            specs |= {"residual": Spec(x_shape)} if adds else {}
            yield Case(specs, TrainAttrs(0.9, 1e-3, activation, adds), wide)


_INPUTS = ("x", "gamma?", "beta?", "moving_mean", "moving_variance")
_COMMON = {
    "flops": lambda specs, attrs: 8 * specs["x"].size,
    "reduction": lambda specs, attrs: shapes.size(specs["x"].shape[:-1]),
}

TRAIN = register(
    Op(
        name="batch_norm_train",
        inputs=(*_INPUTS, "residual?"),
        outputs=("y", "new_moving_mean", "new_moving_variance"),
        saved=SAVED,
        differentiable=frozenset({"x", "gamma", "beta", "residual"}),
        attrs=TrainAttrs,
        infer=infer_train,
        reference=reference_train,
        reference_backward=reference_train_backward,
        plan=plan_train,
        plan_backward=plan_train_backward,
        keeps=keeps_train,
        takes_rest=takes_rest,
        cases=(*_cases(TrainAttrs(0.9, 1e-3)), *_fused_cases()),
        **_COMMON,
    )
)

# What `fastconv/graph/passes/fuse_block.py` makes of a normalisation's parameters.
AFFINE = register(
    Op(
        name="batch_norm_affine",
        inputs=_INPUTS[1:],
        outputs=("scale", "shift"),
        attrs=InferenceAttrs,
        infer=infer_affine,
        reference=reference_affine,
        plan=plan_affine,
        cases=tuple(
            case._replace(inputs={name: spec for name, spec in case.inputs.items() if name != "x"})
            for case in _cases(InferenceAttrs())
        ),
    )
)

INFERENCE = register(
    Op(
        name="batch_norm_inference",
        inputs=_INPUTS,
        differentiable=frozenset({"x", "gamma", "beta"}),
        outputs=("y",),
        attrs=InferenceAttrs,
        infer=infer_inference,
        reference=reference_inference,
        reference_backward=reference_inference_backward,
        plan=plan_inference,
        plan_backward=plan_inference_backward,
        keeps=lambda attrs, needs: (
            ("moving_variance",)
            + (("gamma",) if "x" in needs else ())
            + (("x", "moving_mean") if needs - {"x"} else ())
        ),
        cases=tuple(_cases(InferenceAttrs())),
        **_COMMON,
    )
)


def batch_normalization(x, gamma, beta, moving_mean, moving_variance, training=False, momentum=0.99, epsilon=1e-3):
    """Normalise each channel: ``gamma * (x - mean) / sqrt(variance + epsilon) + beta``.

    Parameters
    ----------
    x : Tensor or array, (..., C)
        At least 2 dimensions, channels last.
    gamma, beta : Tensor or array, (C,), or None
        Scale and shift; None leaves them out.
    moving_mean, moving_variance : Tensor or array, (C,)
    training : bool
        Take mean and (biased) variance from x instead of the moving ones.
    momentum : float
        From 0 to 1: ``new = moving * momentum + batch * (1 - momentum)``.
    epsilon : float
        Positive; added to the variance.

    Returns
    -------
    Tensor, the shape of x; in training (y, new_moving_mean, new_moving_variance)
        The caller assigns the new statistics.

    Raises
    ------
    ShapeError, DTypeError, ArgumentError
        When the vectors do not fit x, x is empty in training, or momentum or epsilon is out of range.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.array([[1.0], [3.0]], "float32")
    >>> zero, one = np.zeros(1, "float32"), np.ones(1, "float32")
    >>> y, mean, variance = batch_normalization(x, None, None, zero, one, training=True, momentum=0.5)
    >>> y.numpy().round(2).tolist(), mean.numpy().tolist(), variance.numpy().tolist()
    ([[-1.0], [1.0]], [1.0], [1.0])
    """
    if not epsilon > 0:
        raise ArgumentError(f"batch_normalization: epsilon must be greater than 0, got {epsilon!r}")
    if not 0 <= momentum <= 1:
        raise ArgumentError(f"batch_normalization: momentum must be from 0 to 1, got {momentum!r}")
    inputs = (x, gamma, beta, moving_mean, moving_variance)
    if training:
        return apply(TRAIN, (*inputs, None), TrainAttrs(float(momentum), float(epsilon)))
    return apply(INFERENCE, inputs, InferenceAttrs(float(epsilon)))
