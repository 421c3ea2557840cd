# What the walks over images share: a padded copy of an image's rows, and sizes of scratch memory.
from libc.stdint cimport int64_t
from libc.string cimport memcpy, memset


cdef inline int64_t align(int64_t nbytes) noexcept nogil:
    return (nbytes + 63) & ~<int64_t>63


cdef inline void copy_padded(const float *x, float *out, int64_t first_row, int64_t rows, int64_t height,
                             int64_t row_floats, int64_t left, int64_t out_row) noexcept nogil:
    """Copy rows first_row ... of an image, zeros around it: `left` floats before each row, up to `out_row` in all.

    `left` may be more than `out_row`: then no output sees the image.
    """
    cdef int64_t r, h, before = min(left, out_row), inside = min(row_floats, out_row - before)
    for r in range(rows):
        h = first_row + r
        if h < 0 or h >= height:
            memset(out, 0, out_row * 4)
        else:
            memset(out, 0, before * 4)
            memcpy(out + before, x + h * row_floats, inside * 4)
            memset(out + before + inside, 0, (out_row - before - inside) * 4)
        out += out_row
