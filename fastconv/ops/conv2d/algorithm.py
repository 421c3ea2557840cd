"""Which algorithm a convolution runs by: a function of shapes and attributes, never of the batch, threads or time.

Winograd's F(2x2, 3x3) takes 16 multiplications for a tile of 2 x 2 outputs, where the plain sum takes 36, and pays with
transforms of inputs and outputs, whose share falls as channels grow, and with 16/9 of the weights to read, which small
maps use too seldom. docs/adr/0005-winograd.md has the measurements behind the bounds.
"""

import os
from math import prod

from ..._kernels import conv_shallow, depthwise
from .. import _convolution as common

# Below this many input or output channels the transforms cost what the products save.
MIN_CHANNELS = 12
# Fewer outputs of an image and channel than this do not pay for reading the transformed weights.
MIN_OUTPUTS = 16
# Tiles reach over odd edges: how many times the wanted outputs they may compute.
MAX_WASTE = 1.5
# The gradient of the kernel: with fewer outputs of a channel, over all images, its sums are less exact than plain ones.
MIN_SUMMED = 768


def choose(channels, outputs, geometry, attrs):
    """Return the name of the algorithm, one that `conv2d_algorithm` lists, of a convolution in any number of dimensions."""
    near = all(step <= size for step, size in zip(attrs.strides, geometry.kernel, strict=True))
    if attrs.groups == channels > 1 and len(geometry.size) < 3:
        return "depthwise"
    groups = attrs.groups
    if (
        groups > 1
        and len(geometry.size) < 3
        and depthwise.holds_groups(channels // groups, outputs // groups, channels)
    ):
        return "grouped"
    if attrs.groups > 1 or {*attrs.dilation_rate} != {1}:
        return "direct"
    if channels < conv_shallow.CHANNELS and near:
        return "shallow"
    if geometry.kernel == (3, 3) and attrs.strides == (1, 1) and _pays(min(channels, outputs), geometry.out):
        return "winograd_2x2"
    return "direct"


def suits_kernel_gradient(images, geometry):
    """Tell whether Winograd's algorithm, where chosen, shall also give the gradient of the kernel, a sum over the images."""
    return images * prod(geometry.out) >= MIN_SUMMED


def _pays(channels, out):
    wanted, computed = prod(out), prod(n + n % 2 for n in out)
    allowed = os.environ.get("FASTCONV_WINOGRAD") != "0"
    return allowed and channels >= MIN_CHANNELS and MIN_OUTPUTS <= wanted >= computed / MAX_WASTE


def conv2d_algorithm(x_shape, kernel_shape, *, strides=1, padding="valid", dilation_rate=1, groups=1):
    """Name the algorithm that `conv2d` uses for a call, and for the gradient of its x.

    Winograd's also gives the gradient of the kernel if that is a sum over at least 768 outputs. The choice follows from the arguments alone, the number of images left out. With the environment variable
    FASTCONV_WINOGRAD=0, read when a call of new shapes is planned, Winograd's algorithm is never chosen.

    Parameters
    ----------
    x_shape : (N, H, W, C)
        The number of images may be None.
    kernel_shape : (KH, KW, C // groups, O)
    strides, padding, dilation_rate, groups
        As for `conv2d`.

    Returns
    -------
    str
        "direct": a sum over the taps of the kernel. "shallow": the same for few input channels, from copied rows of the
        image. "winograd_2x2": Winograd's F(2x2, 3x3), for 3x3 kernels with stride 1 and enough channels. "depthwise": each
        output channel reads one input channel. "grouped": groups of 4 or 8 channels that fill vectors.

    Examples
    --------
    >>> conv2d_algorithm((None, 28, 28, 64), (3, 3, 64, 64), padding="same")
    'winograd_2x2'
    >>> conv2d_algorithm((None, 28, 28, 64), (3, 3, 64, 64), padding="same", strides=2)
    'direct'
    """
    attrs = common.attributes("conv2d_algorithm", 2, strides, padding, dilation_rate, groups, None)
    return choose(x_shape[-1], kernel_shape[-1], common.geometry(x_shape, kernel_shape, attrs), attrs)
