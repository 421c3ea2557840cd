"""What the convolutions and dense share: what is fused into their last step, and the derivative of that."""

from .._kernels import gemm
from ..errors import ArgumentError, GradientError
from ..op import Epilogue, Plan
from ._activations import TABLE, activate, activate_backward, check_numbers
from ._checks import check_shape
from ._plans import in_turn, side_by_side

# Activations that an instruction or two make, in registers.
SHORT = (None, "relu", "relu6", "clip")


def epilogue_of(activation):
    """Return the `Epilogue` for the `activation` argument of a public function."""
    name = activation.activation if isinstance(activation, Epilogue) else activation
    if name is None or name == "linear":
        return Epilogue()
    if name not in TABLE:
        raise ArgumentError(
            f"activation must be None or one of {', '.join(TABLE)} to be fused, got {activation!r}; "
            "apply other functions to the result"
        )
    epilogue = activation
    if not isinstance(activation, Epilogue):
        if TABLE[name].numbers is None:
            raise ArgumentError(f'activation {name!r} needs its numbers: give op.Epilogue("{name}", alpha, beta)')
        epilogue = Epilogue(name, *TABLE[name].numbers)
    check_numbers(f"activation {name!r}", epilogue)
    return epilogue


def check_residual(op, specs, y):
    """Raise ShapeError unless the residual, where there is one, has the shape of y."""
    if "residual" in specs:
        check_shape(op, "a residual (which is added to the result)", specs["residual"].shape, y.shape)


def finish(z, arrays, epilogue):
    """Return activation(z + residual + bias), of these what there is."""
    for name in ("residual", "bias"):
        if name in arrays:
            z = z + arrays[name]
    return activate(epilogue, z) if epilogue.activation else z


def epilogue_backward(dy, y, epilogue):
    """Return dz = dy * activation'(z), from y = activation(z)."""
    return activate_backward(epilogue, y, dy) if epilogue.activation else dy


def keeps(attrs, needs):
    """Return what the backward of activation(x * kernel + bias + residual) reads."""
    activation = attrs.epilogue.activation
    if activation and TABLE[activation].reads != "y":
        raise GradientError(
            f"no gradient goes through a fused {activation!r}: it is computed from what a fused step does not keep. Call "
            f"ops.{activation} on the result instead, or compute under fastconv.no_grad()"
        )
    kept = {"x": "kernel" in needs, "kernel": "x" in needs, "y": activation is not None}
    return tuple(name for name, wanted in kept.items() if wanted)


# What the operations y = activation(x * kernel + bias + residual), whatever * is, declare alike.
DECLARATION = {
    "inputs": ("x", "kernel", "bias?", "residual?"),
    "outputs": ("y",),
    "keeps": keeps,
    "differentiable": frozenset({"x", "kernel", "bias", "residual"}),
}


# y = activation(z), so dz = dy * activation'(z), dbias = the sum of dz over all but the last axis, dresidual = dz.
def plan_epilogue_backward(y, epilogue, needs):
    """Return (name of dz, plan) of what goes backwards through activation, residual and bias."""
    columns = y.shape[-1]
    dz, alias, workspace = None, {}, {}
    if epilogue.activation is None:
        alias = {"dresidual": "dy"} if "residual" in needs else {}
    elif "residual" in needs:
        dz = "dresidual"
    elif needs != {"bias"}:
        dz, workspace = "dz", {"dz": y.nbytes}
    plan = gemm.epilogue_backward(
        "dy",
        "y",
        dz,
        "dbias" if "bias" in needs else None,
        rows=y.size // max(columns, 1),
        columns=columns,
        epilogue=epilogue,
    )
    return dz or "dy", plan._replace(workspace={**workspace, **plan.workspace}, alias=alias)


def after_epilogue(dz, epilogue, *plans):
    """Merge `plans`, which read `dz`, with that of the epilogue, the first phase of which makes it."""
    if dz == "dy":
        return side_by_side(epilogue, *plans)
    sums = Plan(phases=epilogue.phases[1:])
    return in_turn(epilogue._replace(phases=epilogue.phases[:1]), side_by_side(sums, *plans))
