# The outputs of a convolution, and the pixels that its taps read: what walks over pixels share.
#
# An image is a stack of planes; a tap along the depth picks the plane whose pixels the pointers of a band go to.
from libc.stdint cimport int64_t

from fastconv._kernels.table cimport fc_gather

ctypedef void (*gather_fn)(const fc_gather *) noexcept nogil


cdef struct Grid:
    int64_t pixels, per_plane                               # of the outputs: all, of one plane
    int64_t planes, height, width                           # of x
    int64_t step_d, step_h, step_w, taps_d, taps_h, taps_w
    int64_t out_planes, out_height, out_width
    int64_t y_image, y_plane, y_row, y_pixel


cdef inline Grid grid_of(images, x_size, steps, reads, out_size, y_strides):
    """Return the grid. Arguments but `images` are of three numbers, `reads` of three sequences, `y_strides` of four."""
    cdef Grid grid
    grid.planes, grid.height, grid.width = x_size
    grid.step_d, grid.step_h, grid.step_w = steps
    grid.taps_d, grid.taps_h, grid.taps_w = len(reads[0]), len(reads[1]), len(reads[2])
    grid.out_planes, grid.out_height, grid.out_width = out_size
    grid.per_plane = grid.out_height * grid.out_width
    grid.pixels = images * grid.out_planes * grid.per_plane
    grid.y_image, grid.y_plane, grid.y_row, grid.y_pixel = y_strides
    return grid


cdef inline void gather_band(const Grid *grid, const int64_t *tap_d, gather_fn gather, const float *x, int64_t x_pixel,
                             const float *zero, const float **a, int64_t a_tap, int64_t *y_rows, int64_t first,
                             int64_t count) noexcept nogil:
    """Fill a[tap][pixel] and y_rows[pixel] of a band: per plane of outputs and tap along the depth, a plane of x.

    A pixel of x has so many floats. After tap_d lie tap_h and tap_w.
    """
    cdef int64_t done = 0, run, plane, depth, tap, offset, i, x_plane = grid.height * grid.width * x_pixel
    cdef fc_gather g
    g.zero, g.width, g.x_image, g.x_row, g.x_pixel = zero, grid.width, 0, grid.width * x_pixel, x_pixel
    g.y_image, g.y_row, g.y_pixel, g.a_tap = 0, grid.y_row, grid.y_pixel, a_tap
    g.step_h, g.step_w, g.taps_h, g.taps_w = grid.step_h, grid.step_w, grid.taps_h, grid.taps_w
    g.tap_h = tap_d + grid.taps_d
    g.tap_w = g.tap_h + grid.taps_h
    g.out_height, g.out_width = grid.out_height, grid.out_width
    while done < count:
        plane = (first + done) // grid.per_plane
        g.first = first + done - plane * grid.per_plane
        g.count = run = min(count - done, grid.per_plane - g.first)
        g.y_rows = y_rows + done
        for tap in range(grid.taps_d):
            depth = plane % grid.out_planes * grid.step_d + tap_d[tap]
            g.x = x + (plane // grid.out_planes * grid.planes + depth) * x_plane
            # A plane outside the image is one without rows.
            g.height = grid.height if 0 <= depth < grid.planes else 0
            g.a = a + tap * grid.taps_h * grid.taps_w * a_tap + done
            gather(&g)
        offset = plane // grid.out_planes * grid.y_image + plane % grid.out_planes * grid.y_plane
        for i in range(run):
            g.y_rows[i] += offset
        done += run
