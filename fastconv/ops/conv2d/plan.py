"""Plans of convolutions in one, two and three dimensions, put together from the passes of the algorithms.

Each algorithm is a module with the same functions of a `Call` and of buffer names. A transposed convolution is made of them,
too. The buffer "kernel" is read by all but `backward_kernel`, the others are given.

    forward(call, x, y, bias=None, residual=None, epilogue=Epilogue()) -> Plan
        Those of `block.FINISHING` take scale, shift and pool besides.
    backward_data(call, dy, dx, bias=None, epilogue=Epilogue()) -> Plan
        The last two for transposed convolutions, see `Call.transposed`.
    backward_kernel(call, x, dy, dkernel, dbias=None) -> Plan
        With SUMS_BIAS, it can sum the gradient of the bias, too: not in 3-D, where it does not see every plane of dy.
        Both are of those that `choose_gradient` names.
    bfloat16(call, has_residual)
        The operands that may be bfloat16, see `Op.bfloat16`.
    PITCHED
        Whether `forward` obeys `epilogue.pitch`.
"""

from .._epilogue import after_epilogue, plan_epilogue_backward
from .._pairs import storing
from . import amx, amx_shallow, depthwise, direct, product, shallow, winograd
from .call import call_of

# The names are those of `conv2d_algorithm`.
ALGORITHMS = {
    "direct": direct,
    "product": product,
    "shallow": shallow,
    "winograd_2x2": winograd,
    "winograd_2x4": winograd,
    "winograd_4x4": winograd,
    "depthwise": depthwise,
    "grouped": depthwise,
    "amx": amx,
    "amx_shallow": amx_shallow,
}


def plan(specs, attrs):
    call = call_of(specs, attrs)
    return plan_forward(specs, call, ALGORITHMS[call.algorithm])


def plan_forward(specs, call, algorithm, **options):
    """Return the plan of y by the module `algorithm`; `options` are arguments of its `forward`."""
    bias, residual = (name if name in specs else None for name in ("bias", "residual"))
    return algorithm.forward(call, "x", "y", bias, residual, storing(specs, call.attrs.epilogue), **options)


def bfloat16(specs, attrs):
    """Return the operands that may be bfloat16: see `Op.bfloat16`."""
    call = call_of(specs, attrs)
    return ALGORITHMS[call.algorithm].bfloat16(call, "residual" in specs)


def pitched(specs, attrs):
    """Tell whether the kernel that is chosen can write the pixels of y apart; a residual would have to lie as y does."""
    return "residual" not in specs and ALGORITHMS[call_of(specs, attrs).algorithm].PITCHED


# y = activation(z), with
#
#   z[n,i,j,o] = residual[n,i,j,o] + bias[o] + sum over h,w,c of x[n, i s + h d - p, j s + w d - q, c] kernel[h,w,c,o]
#
# so
#
#   dz      = dy * activation'(z), which is dresidual too
#   dbias   = sum over n,i,j of dz
#   dkernel = sum over n,i,j of x[n, i s + h d - p, ...] dz[n,i,j,o]          an outer product per pixel and tap
#   dx[a]   = sum over h with i s + h d - p = a of dz[i] kernel[h]^T
#
# For the last, a = f + s b splits the rows (and columns) into s phases; phase f takes the taps with f + p - h d
# divisible by s, each at i = b + (f + p - h d) / s: a convolution of dz with stride 1 and swapped channels.
def plan_backward(specs, attrs, needs):
    call = call_of(specs, attrs)
    return plan_gradients(specs, call, ALGORITHMS[call.algorithm], ALGORITHMS[call.gradient_algorithm], needs)


def plan_gradients(specs, call, algorithm, gradient, needs):
    """Return the plan of the gradients in `needs`, that of x by the module `algorithm`, of the kernel by `gradient`."""
    epilogue = call.attrs.epilogue
    # Where dz is dy, the sweep over dy for the kernel's gradient sums the bias's too.
    fused = {"kernel", "bias"} <= needs and not epilogue.activation
    fused = fused and gradient.SUMS_BIAS and len(call.geometry.size) < 3
    dz, before = plan_epilogue_backward(specs["y"], epilogue, needs - {"bias"} if fused else needs)
    plans = []
    if "kernel" in needs:
        plans.append(gradient.backward_kernel(call, "x", dz, "dkernel", *["dbias"] * fused))
    if "x" in needs:
        plans.append(algorithm.backward_data(call, dz, "dx"))
    return after_epilogue(dz, before, *plans)
