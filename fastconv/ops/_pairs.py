"""Products of bfloat16: what precision "medium" means for convolutions, dense layers and matrix products.

Both operands are rounded to bfloat16, two neighbours along the reduction fill a 32-bit word, and sums are float32. x is
rounded by a phase of its own, in first layers while it is copied; weights while they are packed; x and dy of a kernel's
gradient, in which the neighbours are pixels, while they are made contiguous.
"""

from .. import config
from .._kernels import bfloat16
from ..op import Plan

# With fewer terms to sum than this for each element of x, rounding costs what the faster products save.
MIN_DEPTH = 16
# The gradient of a kernel of fewer channels, on either side, takes as long to round as the faster products save.
MIN_SIDE = 20
# Kernel rows of fewer elements are no faster in words of two.
MIN_ROW = 3


def enabled():
    """Tell whether the precision in force, the build and the CPU have products of bfloat16."""
    return config.get_precision() == "medium" and bfloat16.available()


def multiplies_pairs(depth, stored=False):
    """Tell whether a sum over `depth` neighbours, of one tap or several, multiplies bfloat16 pairs; else float32.

    `stored`: x need not be rounded, it is bfloat16 already.
    """
    return stored or (enabled() and depth % 2 == 0 and depth >= MIN_DEPTH)


def multiplies_row(length):
    """Tell whether a first layer multiplies bfloat16 pairs along its kernel rows of `length` elements; else float32."""
    return enabled() and length >= MIN_ROW


def sums_pairs(depth, columns):
    """Tell whether a sum over pixels of x (depth) times dy (columns), a kernel's gradient, multiplies bfloat16 pairs."""
    return enabled() and min(depth, columns) >= MIN_SIDE


def rounded(x, size, pairs):
    """Return (buffer name, plan) of x as the products read it: for `pairs`, rounded to bfloat16 first."""
    if not pairs:
        return x, Plan()
    name = f"{x}_bfloat16"
    return name, Plan(phases=((bfloat16.round(x, name, size),),), workspace={name: 2 * size})


def is_stored(specs, name):
    """Tell whether an operand is bfloat16, see `Op.bfloat16`."""
    return name in specs and specs[name].dtype == "bfloat16"


def storing(specs, epilogue):
    """Return the epilogue of a plan whose y is bfloat16 if `specs` say so."""
    return epilogue._replace(bfloat16=True) if is_stored(specs, "y") else epilogue
