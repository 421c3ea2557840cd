# The parts of csrc/fastconv.h that several kernel families use. A family declares the functions that it calls itself,
# and the structs that it alone fills.
from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t

cdef extern from "fastconv.h" nogil:
    ctypedef enum fc_function:
        FC_ACT_NONE  # the others stand in eltwise.pyx
        FC_ACT_CLIP
    ctypedef struct fc_activation:
        fc_function function
        float alpha, beta
    ctypedef struct fc_tile:
        const float *const *a
        int64_t a_tap, a_offset
        const float *b
        int64_t b_panel, b_tap, taps, depth
        float *y
        const int64_t *y_rows
        int64_t rows, columns
        const float *add
        const float *bias
        int32_t last
        fc_activation activation
        const float *next_b
        int64_t known_rows
        uint16_t *half
        const uint16_t *half_add
        const int64_t *half_rows
    ctypedef struct fc_outer:
        const float *x
        const float *dy
        int64_t images, height, width, x_image, x_row, x_pixel, dy_image, dy_row, dy_pixel
        const int64_t *offsets
        float *dw
        int64_t dw_row, rows, columns
        int32_t accumulate
        const float *ahead
        int64_t ahead_row, ahead_rows
        float *strip
        int32_t head, tail
    ctypedef struct fc_gather:
        const float *x
        const float *zero
        int64_t x_image, x_row, x_pixel, height, width, step_h, step_w, taps_h, taps_w
        const int64_t *tap_h
        const int64_t *tap_w
        int64_t out_height, out_width, y_image, y_row, y_pixel, first, count
        const float **a
        int64_t a_tap
        int64_t *y_rows
    ctypedef struct fc_window:
        const float *x
        int64_t height, width, x_row, x_pixel, first_h, first_w, step_h, step_w, spread_h, spread_w, taps_h, taps_w
        float *y
        int64_t rows, columns, y_row, y_pixel
    ctypedef struct fc_shallow:
        const float *x
        int64_t x_row, x_pixel
        const int64_t *offsets
        int64_t depth, length
        const float *b
        float *y
        int64_t y_row, y_pixel, height, width, columns
        const float *residual
        const float *bias
        fc_activation activation
        const float *scale
        const float *shift
        float *unpooled
        uint16_t *half
    ctypedef struct fc_winograd_tiles:
        int64_t images, rows, columns, over_bottom, over_right, first, count
    ctypedef struct fc_winograd_tile:
        int64_t image, row, column
    int64_t fc_winograd_class(const fc_winograd_tiles *t, int64_t kind, fc_winograd_tile *at)
    fc_winograd_tile fc_winograd_tile_at(const fc_winograd_tiles *t, int64_t tile)
    ctypedef struct fc_winograd_input:
        const float *x
        const float *zero
        int64_t height, width, channels, x_pixel, first_row, first_column
        fc_winograd_tiles tiles
        float *v
        int64_t v_tile, v_line, v_matrix
    ctypedef struct fc_winograd_product:
        const float *v
        const float *u
        const float *next
        float *m
        int64_t v_line, v_matrix, u_matrix, m_matrix, m_panel, matrices, panels, tiles, depth, side
        int64_t right, inside, bottom, columns, block
    ctypedef struct fc_winograd_output:
        const float *m
        int64_t m_matrix
        fc_winograd_tiles tiles
        float *y
        int64_t y_pixel, out_height, out_width, columns
        const float *residual
        const float *bias
        fc_activation activation
        const float *scale
        const float *shift
        int32_t pool
        float share
        uint8_t *suspect
    ctypedef struct fc_winograd:
        int64_t rows, columns
        void (*kernel)(const float *packed, int64_t tap, int64_t n, float *out, int64_t matrix) noexcept nogil
        void (*input)(const fc_winograd_input *) noexcept nogil
        void (*output)(const fc_winograd_output *) noexcept nogil
    ctypedef struct fc_norm_pass:
        const float *x
        const float *residual
        const float *dy
        const float *dy_rest
        const float *y
        const float *coefficients
        float *out
        int64_t size, columns
        int32_t clip
        float limit
    ctypedef struct fc_pair_strip:
        const float *x
        int64_t x_pixel, size, first, every, step, words, columns, tiles, rows, larger
        float *out
        int64_t out_tile, out_word
        float *sums
    ctypedef struct fc_band:
        const float *a
        int64_t a_row
        const float *b
        int64_t depth
        uint16_t *y
        int64_t y_row, rows, columns
        const uint16_t *add
        const float *bias
        fc_activation activation
    ctypedef struct fc_bfloat16:
        void (*tile)(const fc_tile *) noexcept nogil
        void (*band)(const fc_band *) noexcept nogil
        void (*pack_panel)(const float *b, int64_t k_stride, int64_t n_stride, int64_t depth, int64_t columns,
                           float *out) noexcept nogil
        void (*round)(const float *x, int64_t x_row, uint16_t *y, int64_t y_row, int64_t rows,
                      int64_t columns) noexcept nogil
        void (*outer)(const fc_outer *) noexcept nogil
        void (*strips)(const fc_pair_strip *) noexcept nogil
        void (*copy_padded)(const float *x, int64_t x_row, int64_t height, int64_t first_row, int64_t rows,
                            int64_t start, uint16_t *out, int64_t out_row) noexcept nogil
        void (*shallow)(const fc_shallow *) noexcept nogil
    ctypedef struct fc_amx_tile:
        const char *const *a
        const int64_t *a_row
        int64_t a_tap, a_offset, a_block, a_term
        const char *b
        int64_t b_tap, taps, blocks, terms, words, rows
        float *c
        int32_t accumulate
    ctypedef struct fc_amx_finish:
        const float *c
        int64_t rows, columns
        float *y
        const int64_t *y_rows
        const float *add
        const float *bias
        fc_activation activation
        int32_t *suspect
    ctypedef struct fc_amx:
        void (*split)(const float *x, int64_t x_row, int64_t rows, int64_t columns, int64_t terms, uint16_t *out,
                      int64_t out_row, int64_t out_block, int64_t out_term) noexcept nogil
        void (*split_transposed)(const float *x, int64_t x_k, int64_t rows, int64_t depth, int64_t terms, uint16_t *out,
                                 int64_t out_row, int64_t out_block, int64_t out_term) noexcept nogil
        void (*pack)(const float *panel, int64_t depth, int64_t terms, uint16_t *out) noexcept nogil
        void (*tile)(const fc_amx_tile *) noexcept nogil
        int64_t (*finish)(const fc_amx_finish *) noexcept nogil
    enum:
        FC_AMX_ROWS, FC_AMX_COLUMNS, FC_AMX_DEPTH, FC_AMX_TILE

ctypedef void (*chunk_fn)(const void *args, int64_t chunk, char *scratch) noexcept nogil
