"""Passes of a convolution of one pixel an image: rows by a matrix, which for few rows has faster tiles.

Its gradient of the kernel is that of the algorithm for more pixels, see `choose_gradient`.
"""

from ..._kernels import gemm
from ...op import Epilogue, Plan
from .._packing import pack
from .._pairs import multiplies_pairs, rounded
from .._plans import in_turn
from . import direct

PITCHED = True


def bfloat16(call, has_residual):
    return [("x",)] if call.depth % 2 == 0 else []


def forward(call, x, y, bias=None, residual=None, epilogue=Epilogue()):
    depth, columns, strides = call.depth, call.columns, call.kernel_strides()
    pairs = multiplies_pairs(depth, call.stored)
    x, rounding = rounded(x, call.images * depth, pairs and not call.stored)
    packing = pack("kernel", "packed", (0,), groups=1, depth=depth, columns=columns, pairs=pairs, **strides)
    step = gemm.product(
        x,
        "packed",
        bias,
        residual,
        y,
        rows=call.images,
        depth=depth,
        columns=columns,
        a_row=depth,
        y_row=epilogue.pitch or columns,
        epilogue=epilogue,
        pairs=pairs,
    )
    return in_turn(packing, rounding, Plan(phases=((step,),), inplace={y: residual} if residual else {}))


backward_data = direct.backward_data
