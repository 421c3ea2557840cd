/* Max pooling, and its gradient by the index of the position that won. Without an index that is not tracked. */

/* The index of a forward call: bytes, int32, or none. */
enum { MAX_BYTES, MAX_WIDE, MAX_NO_INDEX };

/* The best so far of a window: where it stands, and a sum that is 0 as long as every value was finite. */
typedef struct {
    vf best, finite;
    vi at;
} max_state;

FC_INLINE void max_first(max_state *m, vf value, int64_t tap) {
    m->best = value;
    m->at = v_seti((int32_t)tap);
    m->finite = value * 0.0f;
}

/* Without `careful` a NaN may get lost, and `finite` tells. */
FC_INLINE void max_next(max_state *m, vf value, int64_t tap, int index, int careful) {
    const vi here = v_seti((int32_t)tap);
    if (careful) {
        vi take = ~(value <= m->best) & (m->best == m->best); /* greater, or the first NaN */
        m->best = v_select(take, value, m->best);
        m->at = (vi)v_select(take, (vf)here, (vf)m->at);
    } else {
        m->finite += value * 0.0f;
        if (index != MAX_NO_INDEX) m->at = v_where_greater(value, m->best, here, m->at);
        m->best = v_greater(value, m->best);
    }
}

/* A row of y that is being made from `rows` rows of x, the first of which is tap `tap` of its window; from `finite`
 * whoever calls sees whether a careful second try is needed. */
typedef struct {
    const fc_pool *p;
    const fc_item *x;
    fc_item *y;
    void *index;
    int64_t tap, rows, c0, c1;
    vf finite;
} max_row;

/* ---- one window: its `columns` columns from x on, `vectors` vectors of channels, n elements in each */

FC_INLINE void max_block(max_row *row, const fc_item *x, int64_t tap, int64_t taps_w, int64_t rows, int64_t columns,
                         int64_t offset, int vectors, int64_t n, int index, int careful) {
    const fc_pool *p = row->p;
    max_state m[FC_POOL_UNROLL];
    for (int v = 0; v < vectors; v++) max_first(&m[v], pool_load(x + v * FC_VL, n), tap);
    for (int64_t r = 0; r < rows; r++) {
        const fc_item *line = x + r * p->width * p->channels;
        for (int64_t s = r == 0; s < columns; s++)
            for (int v = 0; v < vectors; v++)
                max_next(&m[v], pool_load(line + s * p->channels + v * FC_VL, n), tap + r * taps_w + s, index, careful);
    }
    for (int v = 0; v < vectors; v++) {
        pool_store(row->y + offset + v * FC_VL, m[v].best, n);
        if (index != MAX_NO_INDEX) pool_store_index(row->index, offset + v * FC_VL, m[v].at, n, index);
        row->finite += m[v].finite;
    }
}

/* The channels of one window that this call does; its first position inside the image is tap `tap`. */
FC_INLINE void max_window(max_row *row, const fc_item *x, int64_t tap, int64_t taps_w, int64_t rows, int64_t columns,
                          int64_t offset, int index, int careful) {
    int64_t c = row->c0;
    for (; c + FC_POOL_UNROLL * FC_VL <= row->c1; c += FC_POOL_UNROLL * FC_VL)
        max_block(row, x + c, tap, taps_w, rows, columns, offset + c, FC_POOL_UNROLL, FC_VL, index, careful);
    for (; c + FC_VL <= row->c1; c += FC_VL)
        max_block(row, x + c, tap, taps_w, rows, columns, offset + c, 1, FC_VL, index, careful);
    if (c < row->c1) max_block(row, x + c, tap, taps_w, rows, columns, offset + c, 1, row->c1 - c, index, careful);
}

/* Windows [from, to); whole ones of the common sizes are unrolled. */
FC_INLINE void max_windows(max_row *row, int64_t from, int64_t to, int indexed, int careful) {
    const int narrow = indexed ? MAX_BYTES : MAX_NO_INDEX;
    const fc_pool *p = row->p;
    int64_t s0, s1;
    for (int64_t ow = from; ow < to; ow++) {
        pool_inside(ow * p->stride_w - p->pad_left, p->pool_w, p->width, &s0, &s1);
        const int64_t columns = s1 - s0, offset = ow * p->channels, tap = row->tap + s0;
        const fc_item *x = row->x + (ow * p->stride_w - p->pad_left + s0) * p->channels;
        const int whole = row->rows == p->pool_h && columns == p->pool_w && p->pool_h == p->pool_w;
        if (p->wide_index) max_window(row, x, tap, p->pool_w, row->rows, columns, offset, MAX_WIDE, careful);
        else if (whole && columns == 2) max_window(row, x, 0, 2, 2, 2, offset, narrow, careful);
        else if (whole && columns == 3) max_window(row, x, 0, 3, 3, 3, offset, narrow, careful);
        else max_window(row, x, tap, p->pool_w, row->rows, columns, offset, narrow, careful);
    }
}

/* ---- few channels: windows [from, to), all inside the row */

FC_INLINE void max_narrow(max_row *row, int64_t from, int64_t to, int indexed, int careful) {
    const fc_pool *p = row->p;
    const int64_t line = p->width * p->channels;
    const vi lanes = pool_table(p->first);
    for (int64_t ow = from; ow < to; ow += p->narrow) {
        const int64_t start = (ow * p->stride_w - p->pad_left) * p->channels, offset = ow * p->channels;
        const int64_t n = pool_least(p->narrow, to - ow) * p->channels;
        max_state m = {v_zero(), v_zero(), v_seti(0)};
        for (int64_t r = 0; r < row->rows; r++) {
            const fc_item *x = row->x + r * line + start;
            vf a = pool_load_first(x, line - start), b = pool_load_first(x + FC_VL, line - start - FC_VL);
            for (int64_t s = 0; s < p->pool_w; s++) {
                vf value = __builtin_shuffle(a, b, lanes + v_seti((int32_t)(s * p->channels)));
                if (r + s == 0) max_first(&m, value, row->tap);
                else max_next(&m, value, row->tap + r * p->pool_w + s, indexed ? MAX_BYTES : MAX_NO_INDEX, careful);
            }
        }
        pool_store(row->y + offset, m.best, n);
        if (indexed) pool_store_index(row->index, offset, m.at, n, 0);
        row->finite += m.finite;
    }
}

FC_INLINE void max_make_row(max_row *row, int indexed, int careful) {
    const fc_pool *p = row->p;
    if (!p->narrow) {
        max_windows(row, 0, p->out_width, indexed, careful);
        return;
    }
    max_windows(row, 0, p->full0, indexed, careful);
    max_narrow(row, p->full0, p->full1, indexed, careful);
    max_windows(row, p->full1, p->out_width, indexed, careful);
}

static void fc_max_pool(const fc_pool *p, const fc_item *x, fc_item *y, void *index, int64_t oh, int64_t c0, int64_t c1) {
    int64_t h0 = oh * p->stride_h - p->pad_top, r0, r1;
    pool_inside(h0, p->pool_h, p->height, &r0, &r1);
    max_row row = {.p = p, .x = x + (h0 + r0) * p->width * p->channels, .y = y, .index = index, .tap = r0 * p->pool_w,
                   .rows = r1 - r0, .c0 = c0, .c1 = c1, .finite = v_zero()};
    if (index) {
        max_make_row(&row, 1, 0);
        if (v_any(row.finite != 0)) max_make_row(&row, 1, 1);
    } else {
        max_make_row(&row, 0, 0);
        if (v_any(row.finite != 0)) max_make_row(&row, 0, 1);
    }
}

/* ---- backward, windows apart: `count` pixels from dx on, which one window covers from position `tap` on */

FC_INLINE void max_apart_block(const fc_pool *p, const fc_item *dy, const void *index, int64_t offset, int64_t tap,
                               int64_t count, fc_item *dx, int vectors, int64_t n, int wide) {
    vf g[FC_POOL_UNROLL];
    vi at[FC_POOL_UNROLL];
    for (int v = 0; v < vectors; v++) {
        g[v] = pool_load(dy + offset + v * FC_VL, n);
        at[v] = pool_load_index(index, offset + v * FC_VL, n, wide);
    }
    for (int64_t s = 0; s < count; s++) {
        vi here = v_seti((int32_t)(tap + s));
        for (int v = 0; v < vectors; v++)
            pool_store(dx + s * p->channels + v * FC_VL, (vf)((at[v] == here) & (vi)g[v]), n);
    }
}

FC_INLINE void max_apart_row(const fc_pool *p, const pool_cover *at, const fc_item *dy, const void *index, fc_item *dx,
                             int wide) {
    int64_t row = (at->position_h - at->oh0 * p->stride_h) * p->pool_w, s0, s1;
    for (int64_t ow = 0; ow < p->out_width; ow++) {
        int64_t w0 = ow * p->stride_w - p->pad_left, c = 0;
        int64_t offset = (at->oh0 * p->out_width + ow) * p->channels;
        pool_inside(w0, p->pool_w, p->width, &s0, &s1);
        fc_item *pixel = dx + (w0 + s0) * p->channels;
        int64_t tap = row + s0, count = s1 - s0;
        for (; c + FC_POOL_UNROLL * FC_VL <= p->channels; c += FC_POOL_UNROLL * FC_VL)
            max_apart_block(p, dy, index, offset + c, tap, count, pixel + c, FC_POOL_UNROLL, FC_VL, wide);
        for (; c + FC_VL <= p->channels; c += FC_VL)
            max_apart_block(p, dy, index, offset + c, tap, count, pixel + c, 1, FC_VL, wide);
        if (c < p->channels)
            max_apart_block(p, dy, index, offset + c, tap, count, pixel + c, 1, p->channels - c, wide);
    }
}

/* ---- backward, any windows: one pixel */

/* `rows` by `columns` windows from offset `first` on; the pixel is tap `tap` of the first of them. */
FC_INLINE void max_backward_block(const fc_pool *p, const fc_item *dy, const void *index, int64_t first, int64_t tap,
                                  int64_t rows, int64_t columns, fc_item *dx, int vectors, int64_t n, int wide) {
    vf sum[FC_POOL_UNROLL];
    for (int v = 0; v < vectors; v++) sum[v] = v_zero();
    for (int64_t r = 0; r < rows; r++) {
        for (int64_t s = 0; s < columns; s++) {
            int64_t offset = first + (r * p->out_width + s) * p->channels;
            vi here = v_seti((int32_t)(tap - r * p->stride_h * p->pool_w - s * p->stride_w));
            for (int v = 0; v < vectors; v++) {
                vi mine = pool_load_index(index, offset + v * FC_VL, n, wide) == here;
                sum[v] += (vf)(mine & (vi)pool_load(dy + offset + v * FC_VL, n));
            }
        }
    }
    for (int v = 0; v < vectors; v++) pool_store(dx + v * FC_VL, sum[v], n);
}

FC_INLINE void max_backward_pixel(const fc_pool *p, const pool_cover *at, const fc_item *dy, const void *index, fc_item *dx,
                                  int64_t rows, int64_t columns, int wide) {
    int64_t c = 0, first = (at->oh0 * p->out_width + at->ow0) * p->channels;
    int64_t tap = (at->position_h - at->oh0 * p->stride_h) * p->pool_w + at->position_w - at->ow0 * p->stride_w;
    for (; c + FC_POOL_UNROLL * FC_VL <= p->channels; c += FC_POOL_UNROLL * FC_VL)
        max_backward_block(p, dy, index, first + c, tap, rows, columns, dx + c, FC_POOL_UNROLL, FC_VL, wide);
    for (; c + FC_VL <= p->channels; c += FC_VL)
        max_backward_block(p, dy, index, first + c, tap, rows, columns, dx + c, 1, FC_VL, wide);
    if (c < p->channels)
        max_backward_block(p, dy, index, first + c, tap, rows, columns, dx + c, 1, p->channels - c, wide);
}

/* The columns [from, to) of dx, in unrolled loops where few windows cover a pixel. */
static void max_backward_pixels(const fc_pool *p, const fc_item *dy, const void *index, fc_item *dx, int64_t ih,
                                   int64_t from, int64_t to) {
    if (from == to) return;
    pool_cover at = pool_cover_before(p, ih, from);
    for (int64_t iw = from; iw < to; iw++) {
        pool_cover_next(p, &at);
        const int64_t rows = at.oh1 - at.oh0 + 1, columns = at.ow1 - at.ow0 + 1;
        fc_item *pixel = dx + iw * p->channels;
        if (p->wide_index) max_backward_pixel(p, &at, dy, index, pixel, rows, columns, 1);
        else if (rows == 1 && columns == 1) max_backward_pixel(p, &at, dy, index, pixel, 1, 1, 0);
        else if (rows == 1 && columns == 2) max_backward_pixel(p, &at, dy, index, pixel, 1, 2, 0);
        else if (rows == 2 && columns == 1) max_backward_pixel(p, &at, dy, index, pixel, 2, 1, 0);
        else if (rows == 2 && columns == 2) max_backward_pixel(p, &at, dy, index, pixel, 2, 2, 0);
        else max_backward_pixel(p, &at, dy, index, pixel, rows, columns, 0);
    }
}

/* Few channels: the columns that groups make. A lane asks, one after the other, the windows that may cover it. */
FC_INLINE void max_backward_narrow(const fc_pool *p, const fc_item *dy, const void *index, fc_item *dx, int64_t ih) {
    const pool_cover at = pool_cover_before(p, ih, p->dx0);
    const int64_t size = p->group * p->stride_w * p->channels;
    int64_t left = (p->dx1 - p->dx0) * p->channels;
    dx += p->dx0 * p->channels;
    for (int64_t ow = p->full0 + p->reach; left > 0; ow += p->group, left -= size, dx += size) {
        const int64_t whole = pool_least(size, left);
        for (int64_t part = 0; part * FC_VL < whole; part++) {
            const vi source = pool_table(p->source[part]), phase = pool_table(p->phase[part]);
            vf sum = v_zero();
            for (int64_t oh = at.oh0; oh <= at.oh1; oh++)
                for (int64_t back = p->reach; back >= 0; back--) {
                    int64_t offset = (oh * p->out_width + ow - back) * p->channels;
                    int64_t n = pool_least(FC_VL, (p->out_width - ow + back) * p->channels);
                    vi tap = phase + v_seti((int32_t)(back * p->stride_w));
                    vi here = tap + v_seti((int32_t)((at.position_h - oh * p->stride_h) * p->pool_w));
                    vi winner = __builtin_shuffle(pool_load_index(index, offset, n, 0), source);
                    vf g = __builtin_shuffle(pool_load(dy + offset, n), source);
                    sum += (vf)((winner == here) & (tap < v_seti((int32_t)p->pool_w)) & (vi)g);
                }
            pool_store_first(dx + part * FC_VL, sum, whole - part * FC_VL);
        }
    }
}

static void fc_max_pool_backward(const fc_pool *p, const fc_item *dy, const void *index, fc_item *dx, int64_t ih) {
    if (p->narrow) {
        max_backward_pixels(p, dy, index, dx, ih, 0, p->dx0);
        max_backward_narrow(p, dy, index, dx, ih);
        max_backward_pixels(p, dy, index, dx, ih, p->dx1, p->width);
    } else if (pool_apart(p)) {
        pool_cover at = pool_cover_before(p, ih, 0);
        if (!pool_clear(p, &at, dx)) return;
        if (p->wide_index) max_apart_row(p, &at, dy, index, dx, 1);
        else max_apart_row(p, &at, dy, index, dx, 0);
    } else {
        max_backward_pixels(p, dy, index, dx, ih, 0, p->width);
    }
}
