"""What the convolutions and dense share: the activation fused into their last step, and its derivative."""

from itertools import zip_longest

from .._kernels import gemm
from ..errors import ArgumentError
from ..op import Epilogue
from ._activations import TABLE, activate, activate_backward, check_slope

# Slope of "leaky_relu" where only its name is given: Keras's default.
LEAKY_SLOPE = 0.2


def epilogue_of(activation):
    """Return the `Epilogue` for the `activation` argument of a public function."""
    epilogue = activation
    if not isinstance(activation, Epilogue):
        name = None if activation == "linear" else activation
        epilogue = Epilogue(name, LEAKY_SLOPE if name == "leaky_relu" else 0.0)
    if epilogue.activation is not None and epilogue.activation not in TABLE:
        raise ArgumentError(
            f"activation must be None or one of {', '.join(TABLE)} to be fused, got {activation!r}; "
            "apply other functions to the result"
        )
    check_slope("activation", epilogue.alpha)
    return epilogue


def apply_epilogue(z, epilogue):
    """Return activation(z)."""
    return activate(epilogue.activation, z, epilogue.alpha) if epilogue.activation else z


def epilogue_backward(dy, y, epilogue):
    """Return dz = dy * activation'(z), from y = activation(z)."""
    return activate_backward(epilogue.activation, y, dy, epilogue.alpha) if epilogue.activation else dy


def keeps(attrs, needs):
    """Return what the backward of activation(x * kernel + bias) reads."""
    kept = {"x": "kernel" in needs, "kernel": "x" in needs, "y": attrs.epilogue.activation is not None}
    return tuple(name for name, wanted in kept.items() if wanted)


# What the operations y = activation(x * kernel + bias), whatever * is, declare alike.
DECLARATION = {
    "inputs": ("x", "kernel", "bias?"),
    "outputs": ("y",),
    "keeps": keeps,
    "differentiable": frozenset({"x", "kernel", "bias"}),
}


def plan_epilogue_backward(y, epilogue, needs):
    """Return (name of dz, phases, workspace) of the first step backwards through bias and activation."""
    columns = y.shape[-1]
    dz = "dz" if epilogue.activation and needs != {"bias"} else None
    phases, workspace = gemm.epilogue_backward(
        "dy",
        "y",
        dz,
        "dbias" if "bias" in needs else None,
        rows=y.size // max(columns, 1),
        columns=columns,
        activation=epilogue.activation,
        alpha=epilogue.alpha,
    )
    return dz or "dy", phases, {**workspace, **({dz: y.nbytes} if dz else {})}


def after_epilogue(dz, epilogue, *plans):
    """Merge the phases of `plans`, which read `dz`, with those of the epilogue, the first of which makes it."""
    if dz == "dy":
        return side_by_side(epilogue, *plans)
    return (*epilogue[:1], *side_by_side(epilogue[1:], *plans))


def side_by_side(*plans):
    """Merge sequences of phases that do not depend on each other."""
    return tuple(sum(phases, ()) for phases in zip_longest(*plans, fillvalue=()))
