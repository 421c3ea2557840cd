"""Convolutions of few input channels: first layers.

A kernel row is KW * C neighbouring floats of an image row. Where there is padding, the rows that a chunk sees are
copied with zeros around them; then everything that an output reads lies at fixed offsets, and a tile of neighbouring
outputs runs over the whole reduction in one loop:

    chunk: a box of output pixels of one plane
      padded copy
        panel
          register tiles along the rows                                             (C: fc_shallow)

With products of bfloat16 pairs the copy, made in any case, is rounded; see shallow.h.

The gradient of the kernel sums outer products over the same boxes: what an output reads, by its gradient.
"""
from itertools import product
from math import prod

from libc.stdint cimport int64_t, uint16_t
from libc.string cimport memset

from fastconv._kernels import runtime
from fastconv._kernels.chunks import chunk_flops, in_parts, microseconds, partial, split
from fastconv._kernels.conv import volume
from fastconv._kernels.eltwise import activation_of
from fastconv._kernels.runtime import Step
from fastconv.op import Plan

from fastconv._kernels.chunks cimport align, ceil_div
from fastconv._kernels.table cimport FC_ACT_CLIP, fc_activation, fc_bfloat16, fc_outer, fc_shallow

cdef extern from "fastconv.h" nogil:
    ctypedef struct fc_kernels:
        int64_t vector_length, mr, nr
        const fc_bfloat16 *bfloat16
        void (*copy_padded)(const float *x, int64_t x_row, int64_t height, int64_t first_row, int64_t rows,
                            int64_t start, float *out, int64_t out_row) noexcept nogil
        void (*shallow)(const fc_shallow *) noexcept nogil
        void (*outer)(const fc_outer *) noexcept nogil
        void (*strip_panel)(const float *dy, int64_t dy_pixel, int64_t pixels, int64_t columns, float *out,
                            float *dbias) noexcept nogil

# With fewer input channels than this a convolution is one of ours; with a few more where the outputs fill one long
# vector at most: Winograd's transforms of the inputs cost as much for them as for two.
CHANNELS = 12
NARROW_CHANNELS = 17
# Output columns of a box: its rows of the input stay in the first-level cache.
BOX_WIDTH = 128
# Output pixels of a box of the gradient, whose dy stays there too.
GRADIENT_BOX = 256


def suits(channels, outputs):
    """Tell whether a convolution of so many input and output channels is one of ours."""
    cdef const fc_kernels *k = <const fc_kernels *><size_t>runtime.table()
    narrow = k.vector_length == 16 and outputs <= k.vector_length
    return channels < (NARROW_CHANNELS if narrow else CHANNELS)


cdef struct Boxes:      # how the planes of outputs are cut into boxes, and what a box sees of its image
    int64_t planes, height, x_row, x_plane                      # of x
    int64_t step_d, step_h, step_w, front, top, left            # along a row, in floats
    int64_t out_planes, out_height, out_width                   # planes of one image
    int64_t box_height, box_width, row_blocks, column_blocks
    int64_t taps_d, dilation_d, reach                           # rows from the first to the last that one output reads
    int64_t padded, copy_row, copy_plane                        # copied? elements of a copied row and plane
    bint rounded                                                # copied as bfloat16


cdef struct Box:
    int64_t plane, row, column, height, width                   # plane: of all images
    const float *x                                              # what the first output reads first
    int64_t x_row


cdef Box box_at(const Boxes *boxes, int64_t index, const float *x, float *copy, const fc_kernels *k) noexcept nogil:
    """Return box number `index`, its input made ready in `copy` where there is padding, or bfloat16 is wanted."""
    cdef Box box
    cdef int64_t first, start, tap, plane, height, rows
    box.column = index % boxes.column_blocks * boxes.box_width
    box.row = index // boxes.column_blocks % boxes.row_blocks * boxes.box_height
    box.plane = index // (boxes.column_blocks * boxes.row_blocks)
    box.height = min(boxes.box_height, boxes.out_height - box.row)
    box.width = min(boxes.box_width, boxes.out_width - box.column)
    first, start = box.row * boxes.step_h - boxes.top, box.column * boxes.step_w - boxes.left
    x += box.plane // boxes.out_planes * boxes.planes * boxes.x_plane
    plane = box.plane % boxes.out_planes * boxes.step_d - boxes.front
    if not boxes.padded:
        box.x, box.x_row = x + plane * boxes.x_plane + first * boxes.x_row + start, boxes.x_row * boxes.step_h
        return box
    for tap in range(boxes.taps_d):
        # A plane outside the image is one without rows.
        height = boxes.height if 0 <= plane < boxes.planes else 0
        rows = (box.height - 1) * boxes.step_h + boxes.reach
        if boxes.rounded:
            k.bfloat16.copy_padded(x + plane * boxes.x_plane, boxes.x_row, height, first, rows, start,
                                   <uint16_t *>copy + tap * boxes.copy_plane, boxes.copy_row)
        else:
            k.copy_padded(x + plane * boxes.x_plane, boxes.x_row, height, first, rows, start,
                          copy + tap * boxes.copy_plane, boxes.copy_row)
        plane += boxes.dilation_d
    box.x, box.x_row = copy, boxes.copy_row * boxes.step_h
    return box


cdef Boxes cut(x_size, channels, out_size, kernel_size, padding, strides, dilations, box_pixels,
               multiple=1, rounded=False):
    """Cut the outputs into boxes of at most about so many pixels, with a `multiple` of rows and columns."""
    cdef Boxes boxes
    befores = [before for before, _ in padding]
    reaches = [(n - 1) * dilation + 1 for n, dilation in zip(kernel_size, dilations)]
    boxes.planes, height, width = volume(x_size, 1)
    boxes.height, boxes.x_row, boxes.x_plane = height, width * channels, height * width * channels
    boxes.out_planes, boxes.out_height, boxes.out_width = volume(out_size, 1)
    boxes.step_d, boxes.step_h, step_w = volume(strides, 1)
    boxes.front, boxes.top, left = volume(befores, 0)
    boxes.taps_d, boxes.dilation_d = volume(kernel_size, 1)[0], volume(dilations, 1)[0]
    _, boxes.reach, reach = volume(reaches, 1)
    boxes.step_w, boxes.left = step_w * channels, left * channels
    boxes.column_blocks, boxes.box_width = split(boxes.out_width, BOX_WIDTH, multiple)
    boxes.row_blocks, boxes.box_height = split(boxes.out_height, max(1, box_pixels // boxes.box_width), multiple)
    boxes.rounded = rounded
    boxes.padded = rounded or any(
        before > 0 or (n - 1) * step + seen > size
        for before, n, step, seen, size in zip(befores, out_size, strides, reaches, x_size)
    )
    boxes.copy_row = ((boxes.box_width - 1) * step_w + reach) * channels
    boxes.copy_plane = ((boxes.box_height - 1) * boxes.step_h + boxes.reach) * boxes.copy_row
    return boxes


cdef bytes offsets_of(const Boxes *boxes, channels, kernel_size, dilations):
    """Return where the elements of the reduction lie, as an array of int64_t; with bfloat16, its kernel rows."""
    steps = (boxes.copy_plane, boxes.copy_row) if boxes.padded else (boxes.x_plane, boxes.x_row)
    axes = [range(0, n * dilation * step, dilation * step) for n, dilation, step
            in zip(volume(kernel_size, 1), volume(dilations, 1), (*steps, channels))]
    along = () if boxes.rounded else (axes.pop(), range(channels))
    return b"".join(sum(at).to_bytes(8, "little") for at in product(*axes[:2], *along))


cdef int64_t copy_bytes(const Boxes *boxes):
    return align((2 if boxes.rounded else 4) * boxes.taps_d * boxes.copy_plane) if boxes.padded else 0


# ---- forward

cdef struct ConvolveArgs:
    const float *x
    const float *packed
    const float *bias
    const float *residual
    const float *scale
    const float *shift
    float *y
    Boxes boxes
    int64_t depth, length, panel                # as in fc_shallow; floats, or words, of a packed panel
    int64_t columns, y_pixel, pool              # 1, or 2: so many rows and columns of results make one of y
    int64_t copy, unpooled                      # bytes
    bint half, rounds                           # y is bfloat16; results are rounded by a pass of their own
    fc_activation activation
    const fc_kernels *k
    void (*shallow)(const fc_shallow *) noexcept nogil
    # followed by the offsets of the reduction


cdef void convolve_chunk(const void *raw, int64_t chunk, char *scratch) noexcept nogil:
    cdef const ConvolveArgs *args = <const ConvolveArgs *>raw
    cdef const fc_kernels *k = args.k
    cdef Box box = box_at(&args.boxes, chunk, args.x, <float *>scratch, k)
    cdef int64_t y_height = args.boxes.out_height // args.pool, y_width = args.boxes.out_width // args.pool
    cdef int64_t first = ((box.plane * y_height + box.row // args.pool) * y_width
                          + box.column // args.pool) * args.y_pixel
    cdef int64_t panel, column, row
    cdef fc_shallow t
    t.x, t.x_row, t.x_pixel, t.offsets = box.x, box.x_row, args.boxes.step_w, <const int64_t *>(args + 1)
    t.depth, t.length, t.height, t.width = args.depth, args.length, box.height, box.width
    t.y_row, t.y_pixel = y_width * args.y_pixel, args.y_pixel
    t.activation, t.unpooled = args.activation, <float *>(scratch + args.copy) if args.pool > 1 else NULL
    for panel in range(ceil_div(args.columns, k.nr)):
        column = panel * k.nr
        t.b, t.bias = args.packed + panel * args.panel, args.bias + column if args.bias != NULL else NULL
        t.y, t.columns = args.y + first + column, min(k.nr, args.columns - column)
        t.half = <uint16_t *>args.y + first + column if args.half and not args.rounds else NULL
        if args.rounds:
            t.y = <float *>(scratch + args.copy + args.unpooled)
            t.y_pixel, t.y_row = k.nr, box.width // args.pool * k.nr
        t.residual = args.residual + first + column if args.residual != NULL else NULL
        t.scale = args.scale + column if args.scale != NULL else NULL
        t.shift = args.shift + column if args.scale != NULL else NULL
        args.shallow(&t)
        for row in range(box.height // args.pool if args.rounds else 0):
            k.bfloat16.round(t.y + row * t.y_row, k.nr,
                             <uint16_t *>args.y + first + row * y_width * args.y_pixel + column, args.y_pixel,
                             box.width // args.pool, t.columns)


def convolve(str x, str packed, bias, residual, str y, *, images, x_size, channels, out_size, padding, strides,
             dilations, kernel_size, columns, epilogue=None, scale=None, shift=None, pool=False, pairs=False):
    """Return the step of a convolution whose kernel is packed as one tap, all the elements of its reduction.

    With `pairs` it multiplies bfloat16, and is packed so, a tap for each kernel row; there are no dilations then.

    `scale`, `shift` and `pool` are as in `winograd.convolve`. There is no residual where y is bfloat16, as `epilogue`
    says.
    """
    cdef ConvolveArgs args
    cdef const fc_kernels *k = <const fc_kernels *><size_t>runtime.table()
    args.x, args.packed, args.bias, args.residual, args.y, args.k = NULL, NULL, NULL, NULL, NULL, k
    args.scale, args.shift, args.pool = NULL, NULL, 2 if pool else 1
    depth, args.length, args.columns = prod(kernel_size) * channels, kernel_size[-1] * channels, columns
    args.depth, args.shallow = depth, k.shallow
    if pairs:
        args.depth, args.shallow = prod(kernel_size[:-1]), k.bfloat16.shallow
        depth = args.depth * ceil_div(args.length, 2)
    args.panel = depth * k.nr
    args.y_pixel = epilogue.pitch if epilogue is not None and epilogue.pitch else columns
    out_size = [n // args.pool * args.pool for n in out_size]
    elements = images * prod(out_size) * columns
    args.boxes = cut(x_size, channels, out_size, kernel_size, padding, strides, dilations,
                     chunk_flops(2 * depth * elements) // (2 * depth * columns), args.pool, pairs)
    args.copy = copy_bytes(&args.boxes)
    args.unpooled = align(4 * 2 * args.boxes.box_width * k.nr) if pool else 0
    args.half = epilogue is not None and epilogue.bfloat16
    args.activation = activation_of(epilogue)
    args.rounds = args.half and (not pairs or pool or args.activation.function > FC_ACT_CLIP)
    rounded = 4 * args.boxes.box_height * args.boxes.box_width * k.nr if args.rounds else 0
    return Step("convolve_shallow", <size_t>&convolve_chunk,
                (<char *>&args)[:sizeof(args)] + offsets_of(&args.boxes, channels, kernel_size, dilations),
                ((<char *>&args.x - <char *>&args, x, False), (<char *>&args.packed - <char *>&args, packed, False),
                 (<char *>&args.bias - <char *>&args, bias, False),
                 (<char *>&args.residual - <char *>&args, residual, False),
                 (<char *>&args.scale - <char *>&args, scale, False),
                 (<char *>&args.shift - <char *>&args, shift, False),
                 (<char *>&args.y - <char *>&args, y, True)),
                images * args.boxes.out_planes * args.boxes.row_blocks * args.boxes.column_blocks if elements else 0,
                scratch=args.copy + args.unpooled + rounded,
                cost=microseconds(2.0 * depth * elements) + elements / 1e4)


# ---- the gradient of the kernel

cdef struct GradientArgs:
    const float *x
    const float *dy
    float *dkernel
    float *dbias
    Boxes boxes
    int64_t depth, columns, count, parts, dy_scratch
    const fc_kernels *k
    # followed by the offsets of the reduction


cdef void gradient_chunk(const void *raw, int64_t part, char *scratch) noexcept nogil:
    cdef const GradientArgs *args = <const GradientArgs *>raw
    cdef const fc_kernels *k = args.k
    cdef const int64_t *offsets = <const int64_t *>(args + 1)
    cdef int64_t first = part * args.count // args.parts, end = (part + 1) * args.count // args.parts
    cdef int64_t tiles = ceil_div(args.depth, k.mr), index, panel, column, tile, m, row
    cdef float *strip = <float *>scratch
    cdef float *copy = <float *>(scratch + args.dy_scratch)
    cdef float *dkernel = args.dkernel + part * args.depth * args.columns
    cdef float *dbias = args.dbias + part * args.columns if args.dbias != NULL else NULL
    cdef const float *dy
    cdef Box box
    cdef fc_outer t
    if dbias != NULL:
        memset(dbias, 0, 4 * args.columns)
    t.images, t.x_image, t.dy_image, t.x_pixel, t.dy, t.dy_pixel = 1, 0, 0, args.boxes.step_w, strip, k.nr
    t.dw_row, t.ahead_rows, t.strip = args.columns, 0, NULL
    for index in range(first, end):
        box = box_at(&args.boxes, index, args.x, copy, k)
        t.x, t.x_row, t.height, t.width, t.dy_row = box.x, box.x_row, box.height, box.width, box.width * k.nr
        t.accumulate = index > first
        for panel in range(ceil_div(args.columns, k.nr)):
            column = panel * k.nr
            t.columns = min(k.nr, args.columns - column)
            dy = args.dy + ((box.plane * args.boxes.out_height + box.row) * args.boxes.out_width
                            + box.column) * args.columns + column
            for row in range(box.height):
                k.strip_panel(dy + row * args.boxes.out_width * args.columns, args.columns, box.width, t.columns,
                              strip + row * t.dy_row, dbias + column if dbias != NULL else NULL)
            m = 0
            for tile in range(tiles):
                t.rows = args.depth // tiles + (tile < args.depth % tiles)
                t.offsets, t.dw = offsets + m, dkernel + m * args.columns + column
                k.outer(&t)
                m += t.rows


def backward_kernel(str x, str dy, str dkernel, dbias, *, images, x_size, channels, out_size, padding, strides,
                    dilations, kernel_size, columns):
    """Return the plan of the gradient of a kernel, and of the bias unless `dbias` is None.

    Both are summed over parts of the pixels, which are added in order at the end.
    """
    cdef GradientArgs args
    cdef const fc_kernels *k = <const fc_kernels *><size_t>runtime.table()
    args.x, args.dy, args.dkernel, args.dbias, args.k = NULL, NULL, NULL, NULL, k
    args.depth, args.columns = prod(kernel_size) * channels, columns
    args.boxes = cut(x_size, channels, out_size, kernel_size, padding, strides, dilations, GRADIENT_BOX)
    args.count = images * args.boxes.out_planes * args.boxes.row_blocks * args.boxes.column_blocks
    size, flops = args.depth * columns, 2.0 * images * prod(out_size) * args.depth * columns
    results = {dkernel: size} | ({dbias: columns} if dbias else {})
    if flops == 0:
        return Plan(phases=(tuple(runtime.zero(name, 4 * n) for name, n in results.items()),))
    args.parts = max(1, min(16, args.count, int(flops / 1e6)))
    args.dy_scratch = align(4 * args.boxes.box_height * args.boxes.box_width * k.nr)
    step = Step("backward_kernel_shallow", <size_t>&gradient_chunk,
                (<char *>&args)[:sizeof(args)] + offsets_of(&args.boxes, channels, kernel_size, dilations),
                ((<char *>&args.x - <char *>&args, x, False), (<char *>&args.dy - <char *>&args, dy, False),
                 (<char *>&args.dkernel - <char *>&args, partial(dkernel, args.parts), True),
                 (<char *>&args.dbias - <char *>&args, partial(dbias, args.parts), True)),
                args.parts, scratch=args.dy_scratch + copy_bytes(&args.boxes), cost=microseconds(flops))
    return in_parts(step, args.parts, results)
