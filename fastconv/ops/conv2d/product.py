"""Passes of a convolution of one pixel an image: rows by a matrix, which for few rows has faster tiles.

Its gradient of the kernel is that of the algorithm for more pixels, see `choose_gradient`.
"""

from ...op import Epilogue
from .._product import plan_layer
from . import direct

PITCHED = True


def bfloat16(call, has_residual):
    return [("x",)] if call.depth % 2 == 0 else []


def forward(call, x, y, bias=None, residual=None, epilogue=Epilogue()):
    finish = {"bias": bias, "residual": residual, "epilogue": epilogue, "stored": call.stored}
    return plan_layer(x, "kernel", y, call.images, call.depth, call.columns, **finish)


backward_data = direct.backward_data
