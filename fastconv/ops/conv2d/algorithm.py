"""Which algorithm a convolution runs by: a function of shapes, attributes and precision, never of threads or time.

The batch has no say in the outputs and the gradient of x, so that an image's results do not depend on its company; the
gradient of the kernel, a sum over the images, may follow their number.

Winograd's F(2x2, 3x3) takes 16 multiplications for a tile of 2 x 2 outputs, where the plain sum takes 36, and pays with
transforms of inputs and outputs, whose share falls as channels grow, and with 16/9 of the weights to read, which small
maps use too seldom. F(2x4, 3x3) takes 24 where the plain sum takes 72, F(4x4, 3x3) 36 where it takes 144. They read more
weights and are less exact: under "highest" they run where sums in short blocks make up for that. Under "medium" a plain
sum of bfloat16 products takes the place of F(2x2, 3x3), which is no faster in float32, and not exact enough over such
products, and on small maps that of larger tiles, because it reads an eighth of the weights of F(4x4, 3x3).
docs/adr/0005-winograd.md and 0007-winograd-4x4.md have the measurements behind the bounds.
"""

import os
from math import prod

from ... import config
from ..._kernels import amx, conv_amx_backward, conv_shallow, depthwise
from ...errors import ConfigError
from .. import _amx, _amx_cost
from .._pairs import multiplies_pairs

# Whether Winograd's algorithm may be chosen at all.
_asked = os.environ.get("FASTCONV_WINOGRAD", "1")
if _asked not in ("0", "1"):
    raise ConfigError(f"FASTCONV_WINOGRAD={_asked!r}: must be 1 (chosen where it is faster) or 0 (never)")
WINOGRAD = _asked == "1"
# Below this many input or output channels the transforms cost what the products save.
MIN_CHANNELS = 12
# Fewer outputs of an image and channel than this do not pay for reading the transformed weights.
MIN_OUTPUTS = 16
# Tiles reach over odd edges: how many times the wanted outputs they may compute.
MAX_WASTE = 1.5
# Tiles of rows x columns outputs, and the time that an output takes, relative to the products of 2 x 2: with transforms.
# A plain sum of bfloat16 products takes 3.8 to 4.1, and has to be plainly faster: it is far less exact than the tiles. It
# gains on them as channels get fewer: their transforms take the time of the products of so many channels more.
EFFORT = {(4, 4): 2.5, (2, 4): 3.25, (2, 2): 4.0}
PLAIN_EFFORT = 4.7
TRANSFORMS = 4
# In the same measure: the time that a matrix of weights, one number for each pair of channels, takes to read. A single
# image takes about twice that, many images share it: the mean serves both, so that small maps get the smaller tiles.
READING = 4.2
# Matrices of a plain sum, of two bytes a number.
PLAIN_MATRICES = 9 / 2
# Below this many input or output channels larger tiles are as fast as 2 x 2 at best.
MIN_CHANNELS_4 = 20
# Under "highest": channels that, at least, make the plain sum less exact than that of these tiles, on maps of a width and
# height from a bound on, and on smaller ones: at the edges of a map the plain sum has fewer terms.
MIN_EXACT = {(4, 4): (256, 48, 384), (2, 4): (64, 16, 96)}
# Transformed weights of more bytes than this are read from memory; so many tiles of an image pay for that.
MAX_WEIGHTS, WORTHWHILE_TILES = 10_000_000, 16
# The gradient of the kernel: with fewer outputs of a channel, over all images, its sums are less exact than plain ones.
MIN_SUMMED = 768


def choose(channels, outputs, geometry, attrs):
    """Return the name of the algorithm, one that `conv2d_algorithm` lists, of a convolution in any number of dimensions."""
    vectors = _choose_vectors(channels, outputs, geometry, attrs)
    if vectors in ("depthwise", "grouped"):
        return vectors
    if tiles := _choose_tiles(channels // attrs.groups, outputs // attrs.groups, geometry, attrs, vectors):
        return tiles
    return "product" if _is_product(geometry, attrs) else vectors


def _choose_tiles(depth, columns, geometry, attrs, rival):
    """Return the algorithm of the tile unit that is faster than `rival`, or None."""
    taps, shallow = prod(geometry.kernel), rival == "shallow"
    # Of the gradient of x a phase may see no more taps than that. First layers leave it to AVX-512.
    fewest = max(1, taps // prod(attrs.strides))
    terms = _amx.terms(depth, columns, taps)
    if not terms or not prod(geometry.out) or not (shallow or _amx.terms(columns, depth, fewest)):
        return None
    work = _work(depth, columns, geometry, attrs)
    if shallow:
        *outer, row = geometry.kernel
        blocks, _, pixel = amx.row_blocks(row, depth)
        work = work._replace(taken=pixel, blocks=prod(outer) * blocks, in_walk=True)
        if not blocks or len(geometry.size) == 3:
            return None
    if not _amx_cost.is_faster(work, terms, rival, _waste(rival, geometry.out)):
        return None
    return "amx_shallow" if shallow else "amx"


def _work(depth, columns, geometry, attrs):
    """Return what some images take, as `_amx_cost` estimates it."""
    pixels, taps = prod(geometry.out), prod(geometry.kernel)
    return _amx_cost.Work(
        rows=pixels * _amx_cost.IMAGES,
        depth=depth,
        columns=columns,
        taps=taps,
        groups=attrs.groups,
        reads=min(taps, prod(geometry.size) / pixels),
        in_walk=is_pointwise(geometry, attrs),
    )


def is_pointwise(geometry, attrs):
    """Tell whether every output reads one pixel, in turn: rows by a matrix."""
    numbers = {attrs.groups, *attrs.strides, *geometry.kernel}
    return numbers == {1} and not any(before or after for before, after in geometry.padding)


def _waste(algorithm, out):
    """Return how many times the wanted outputs an algorithm computes."""
    if not algorithm.startswith("winograd"):
        return 1.0
    side = tuple(int(n) for n in algorithm.removeprefix("winograd_").split("x"))
    return _computed(out, side) / prod(out)


def _is_product(geometry, attrs):
    """Tell whether every image is one pixel under a kernel of one."""
    ones = attrs.groups == prod(geometry.kernel) == prod(geometry.size) == prod(geometry.out) == 1
    return ones and not any(before for before, _ in geometry.padding)


def choose_gradient(images, channels, outputs, geometry, attrs):
    """Return the name of the algorithm of the gradient of the kernel, which sums over so many images."""
    vectors, sums = _choose_vectors(channels, outputs, geometry, attrs), images * prod(geometry.out)
    if vectors.startswith("winograd") and sums < MIN_SUMMED:
        vectors = "direct"
    if vectors in ("depthwise", "grouped") or len(geometry.size) == 3 or not sums:
        return vectors
    depth, columns = channels // attrs.groups, outputs // attrs.groups
    terms = _amx.terms(depth, columns, sums)
    blocks = conv_amx_backward.blocks_of_image(geometry.out, geometry.kernel, attrs.strides, attrs.dilation_rate)
    work = _work(depth, columns, geometry, attrs)._replace(rows=sums)
    rival = "winograd_2x2" if vectors.startswith("winograd") else vectors
    faster = terms and _amx_cost.gives_gradient_faster(work, images * blocks, terms, rival)
    return "amx" if faster else vectors


def _choose_vectors(channels, outputs, geometry, attrs):
    """Return the algorithm as `choose` does, of those that do without the tile unit."""
    groups, flat = attrs.groups, len(geometry.size) < 3
    if groups == channels > 1 and flat:
        return "depthwise"
    if groups > 1 and flat and depthwise.holds_groups(channels // groups, outputs // groups, channels):
        return "grouped"
    if groups > 1 or {*attrs.dilation_rate} != {1}:
        return "direct"
    touching = all(step <= size for step, size in zip(attrs.strides, geometry.kernel, strict=True))
    if touching and conv_shallow.suits(channels, outputs):
        return "shallow"
    if (
        geometry.kernel == (3, 3)
        and attrs.strides == (1, 1)
        and (side := winograd_side(channels, outputs, geometry.out))
    ):
        return "winograd_{}x{}".format(*side)
    return "direct"


def winograd_side(depth, columns, out):
    """Return rows and columns of the tiles by which Winograd's algorithm shall make `out` pixels of `columns` channels from
    `depth` channels, or None where it shall not."""
    wanted = prod(out)
    if not WINOGRAD or min(depth, columns) < MIN_CHANNELS or not MIN_OUTPUTS <= wanted >= _computed(out) / MAX_WASTE:
        return None
    efforts = {
        side: EFFORT[side] * _computed(out, side) + READING * _matrices(side)
        for side in EFFORT
        if _suits(side, depth, columns, out)
    }
    if multiplies_pairs(depth):
        efforts[None] = PLAIN_EFFORT * wanted / (1 + TRANSFORMS / depth) + READING * PLAIN_MATRICES
    return min(efforts, key=efforts.get, default=None)


def _suits(side, depth, columns, out):
    """Tell whether such tiles may make `out` pixels."""
    if side == (2, 2):
        return not multiplies_pairs(depth)
    channels, large, channels_of_small = MIN_EXACT[side]
    exact = depth >= (channels if min(out) >= large else channels_of_small) or config.get_precision() != "highest"
    few_weights = 4 * _matrices(side) * depth * columns <= MAX_WEIGHTS
    return (
        exact
        and min(depth, columns) >= MIN_CHANNELS_4
        and (few_weights or _computed(out, side) >= prod(side) * WORTHWHILE_TILES)
    )


def _matrices(side):
    """Return how many products a tile takes for each pair of channels."""
    return prod(n + 2 for n in side)


def _computed(out, side=(2, 2)):
    """Return how many outputs tiles compute, which reach over the edges."""
    return prod(n + -n % m for n, m in zip(out, side, strict=True))
