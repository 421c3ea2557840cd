/* Max, average and sum pooling, NHWC, vectors over the channels: see fc_pool.
 *
 * A forward call makes one row of y, a backward call one row of dx. The backward gathers: each pixel of dx asks the
 * windows that cover it, so overlapping windows need no scatter and no zeroing, and rows are independent.
 */

typedef uint8_t vb __attribute__((vector_size(FC_VL)));

/* Vectors that a block of channels holds at once: enough independent chains to hide the latency of the compares. */
enum { FC_POOL_UNROLL = 4 };

FC_INLINE vf pool_load(const float *p, int64_t n) {
    if (n == FC_VL) return v_load(p);
    return (vf)v_load_n(p, n);
}
FC_INLINE void pool_store(float *p, vf v, int64_t n) {
    if (n == FC_VL) v_store(p, v);
    else v_store_n(p, v, n);
}

/* The positions [first, last) of a window that starts at `start` which lie inside [0, size). */
FC_INLINE void pool_inside(int64_t start, int64_t window, int64_t size, int64_t *first, int64_t *last) {
    *first = start < 0 ? -start : 0;
    *last = start + window > size ? size - start : window;
}

typedef uint16_t vh __attribute__((vector_size(2 * FC_VL)));

/* Bytes to integers, by hand: compilers take a direct conversion apart into single bytes. */
FC_INLINE vi pool_widen(const uint8_t *bytes, int64_t n) {
    typedef uint64_t vq __attribute__((vector_size(4 * FC_VL)));
    static const int32_t words[16] = {0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3};
    static const int32_t shifts[16] = {0, 8, 16, 24, 0, 8, 16, 24, 0, 8, 16, 24, 0, 8, 16, 24};
    uint64_t q[2] = {0, 0};
    vi word, shift;
    memcpy(q, bytes, n);
    memcpy(&word, words, sizeof word);
    memcpy(&shift, shifts, sizeof shift);
    return __builtin_shuffle((vi)(vq){q[0], q[1]}, word) >> shift & 255;
}

FC_INLINE vi pool_load_index(const void *index, int64_t offset, int64_t n, int wide) {
    vi at = {0};
    if (!wide) return pool_widen((const uint8_t *)index + offset, n);
    memcpy(&at, (const int32_t *)index + offset, 4 * n);
    return at;
}

FC_INLINE void pool_store_index(void *index, int64_t offset, vi at, int64_t n, int wide) {
    if (wide) {
        memcpy((int32_t *)index + offset, &at, 4 * n);
        return;
    }
    vb bytes = __builtin_convertvector(__builtin_convertvector(at, vh), vb);
    memcpy((uint8_t *)index + offset, &bytes, n);
}

/* ---- max */

/* `rows` by `columns` pixels from x on, `vectors` vectors of channels, n elements in each. Without `careful` a NaN may
 * get lost, and the result is false where a window holds one, or an infinity. */
FC_INLINE int max_block(const fc_pool *p, const float *x, int64_t tap, int64_t rows, int64_t columns, float *y,
                        void *index, int64_t offset, int vectors, int64_t n, int wide, int careful) {
    vf best[FC_POOL_UNROLL], finite[FC_POOL_UNROLL];
    vi at[FC_POOL_UNROLL];
    for (int v = 0; v < vectors; v++) {
        best[v] = pool_load(x + v * FC_VL, n);
        at[v] = v_seti((int32_t)tap);
        finite[v] = best[v] * 0.0f;
    }
    for (int64_t r = 0; r < rows; r++) {
        const float *line = x + r * p->width * p->channels;
        for (int64_t s = r == 0; s < columns; s++) {
            vi here = v_seti((int32_t)(tap + r * p->pool_w + s));
            for (int v = 0; v < vectors; v++) {
                vf value = pool_load(line + s * p->channels + v * FC_VL, n);
                vi take = value > best[v];
                if (careful) take = ~(value <= best[v]) & (best[v] == best[v]); /* greater, or the first NaN */
                else finite[v] += value * 0.0f;
                best[v] = v_select(take, value, best[v]);
                at[v] = (take & here) | (~take & at[v]);
            }
        }
    }
    for (int v = 0; v < vectors; v++) {
        pool_store(y + offset + v * FC_VL, best[v], n);
        pool_store_index(index, offset + v * FC_VL, at[v], n, wide);
        if (v) finite[0] += finite[v];
    }
    return v_sum(finite[0]) == 0;
}

FC_INLINE void max_channels(const fc_pool *p, const float *x, int64_t tap, int64_t rows, int64_t columns, float *y,
                            void *index, int64_t offset, int vectors, int64_t n, int wide) {
    if (!max_block(p, x, tap, rows, columns, y, index, offset, vectors, n, wide, 0))
        max_block(p, x, tap, rows, columns, y, index, offset, vectors, n, wide, 1);
}

/* All channels [c0, c1) of one window. */
FC_INLINE void max_window(const fc_pool *p, const float *x, int64_t tap, int64_t rows, int64_t columns, float *y,
                          void *index, int64_t offset, int64_t c0, int64_t c1, int wide) {
    int64_t c = c0;
    for (; c + FC_POOL_UNROLL * FC_VL <= c1; c += FC_POOL_UNROLL * FC_VL)
        max_channels(p, x + c, tap, rows, columns, y, index, offset + c, FC_POOL_UNROLL, FC_VL, wide);
    for (; c + FC_VL <= c1; c += FC_VL)
        max_channels(p, x + c, tap, rows, columns, y, index, offset + c, 1, FC_VL, wide);
    if (c < c1) max_channels(p, x + c, tap, rows, columns, y, index, offset + c, 1, c1 - c, wide);
}

static void fc_max_pool(const fc_pool *p, const float *x, float *y, void *index, int64_t oh, int64_t c0, int64_t c1) {
    int64_t h0 = oh * p->stride_h - p->pad_top, r0, r1, s0, s1;
    pool_inside(h0, p->pool_h, p->height, &r0, &r1);
    for (int64_t ow = 0; ow < p->out_width; ow++) {
        int64_t w0 = ow * p->stride_w - p->pad_left;
        pool_inside(w0, p->pool_w, p->width, &s0, &s1);
        const float *corner = x + ((h0 + r0) * p->width + w0 + s0) * p->channels;
        int64_t tap = r0 * p->pool_w + s0, offset = ow * p->channels;
        if (p->wide_index)
            max_window(p, corner, tap, r1 - r0, s1 - s0, y, index, offset, c0, c1, 1);
        else if (r1 - r0 == 2 && s1 - s0 == 2) /* the common case, unrolled */
            max_window(p, corner, tap, 2, 2, y, index, offset, c0, c1, 0);
        else
            max_window(p, corner, tap, r1 - r0, s1 - s0, y, index, offset, c0, c1, 0);
    }
}

/* ---- which windows cover a pixel */

typedef struct {
    int64_t position_h, position_w; /* with the padding before them */
    int64_t oh0, oh1, ow0, ow1;     /* the windows that cover the pixel, last ones included */
} pool_cover;

/* The cover of the pixels of row ih, before the first one. */
FC_INLINE pool_cover pool_cover_row(const fc_pool *p, int64_t ih) {
    pool_cover at = {.position_h = ih + p->pad_top, .position_w = p->pad_left - 1, .ow0 = 0, .ow1 = -1};
    at.oh0 = at.position_h < p->pool_h ? 0 : (at.position_h - p->pool_h) / p->stride_h + 1;
    at.oh1 = at.position_h / p->stride_h;
    if (at.oh1 >= p->out_height) at.oh1 = p->out_height - 1;
    return at;
}

FC_INLINE void pool_cover_next(const fc_pool *p, pool_cover *at) {
    at->position_w++;
    while (at->ow1 + 1 < p->out_width && (at->ow1 + 1) * p->stride_w <= at->position_w) at->ow1++;
    while (at->ow0 * p->stride_w + p->pool_w <= at->position_w) at->ow0++;
}

/* Windows that do not overlap: each pixel has one at most, and each window is read once per row. */
FC_INLINE int pool_apart(const fc_pool *p) { return p->pool_h <= p->stride_h && p->pool_w <= p->stride_w; }

/* Zero the row where windows leave pixels out; tells whether any window covers some of it. */
FC_INLINE int pool_clear(const fc_pool *p, const pool_cover *at, float *dx) {
    int64_t end = (p->out_width - 1) * p->stride_w - p->pad_left + p->pool_w;
    if (at->oh0 > at->oh1 || p->pool_w < p->stride_w || end < p->width)
        memset(dx, 0, p->width * p->channels * sizeof(float));
    return at->oh0 <= at->oh1;
}

/* ---- max, backward */

/* `count` pixels from dx on, which one window covers from position `tap` on. */
FC_INLINE void max_apart_block(const fc_pool *p, const float *dy, const void *index, int64_t offset, int64_t tap,
                               int64_t count, float *dx, int vectors, int64_t n, int wide) {
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

FC_INLINE void max_apart_row(const fc_pool *p, const pool_cover *at, const float *dy, const void *index, float *dx,
                             int wide) {
    int64_t row = (at->position_h - at->oh0 * p->stride_h) * p->pool_w, s0, s1;
    for (int64_t ow = 0; ow < p->out_width; ow++) {
        int64_t w0 = ow * p->stride_w - p->pad_left, c = 0;
        int64_t offset = (at->oh0 * p->out_width + ow) * p->channels;
        pool_inside(w0, p->pool_w, p->width, &s0, &s1);
        float *pixel = dx + (w0 + s0) * p->channels;
        int64_t tap = row + s0, count = s1 - s0;
        for (; c + FC_POOL_UNROLL * FC_VL <= p->channels; c += FC_POOL_UNROLL * FC_VL)
            max_apart_block(p, dy, index, offset + c, tap, count, pixel + c, FC_POOL_UNROLL, FC_VL, wide);
        for (; c + FC_VL <= p->channels; c += FC_VL)
            max_apart_block(p, dy, index, offset + c, tap, count, pixel + c, 1, FC_VL, wide);
        if (c < p->channels)
            max_apart_block(p, dy, index, offset + c, tap, count, pixel + c, 1, p->channels - c, wide);
    }
}

FC_INLINE void max_backward_block(const fc_pool *p, const pool_cover *at, const float *dy, const void *index, float *dx,
                                  int64_t c, int vectors, int64_t n, int wide) {
    vf sum[FC_POOL_UNROLL];
    for (int v = 0; v < vectors; v++) sum[v] = v_zero();
    for (int64_t oh = at->oh0; oh <= at->oh1; oh++) {
        for (int64_t ow = at->ow0; ow <= at->ow1; ow++) {
            int64_t offset = (oh * p->out_width + ow) * p->channels + c;
            vi here = v_seti((int32_t)((at->position_h - oh * p->stride_h) * p->pool_w +
                                       at->position_w - ow * p->stride_w));
            for (int v = 0; v < vectors; v++) {
                vi mine = pool_load_index(index, offset + v * FC_VL, n, wide) == here;
                sum[v] += (vf)(mine & (vi)pool_load(dy + offset + v * FC_VL, n));
            }
        }
    }
    for (int v = 0; v < vectors; v++) pool_store(dx + c + v * FC_VL, sum[v], n);
}

FC_INLINE void max_backward_pixel(const fc_pool *p, const pool_cover *at, const float *dy, const void *index, float *dx,
                                  int wide) {
    int64_t c = 0;
    for (; c + FC_POOL_UNROLL * FC_VL <= p->channels; c += FC_POOL_UNROLL * FC_VL)
        max_backward_block(p, at, dy, index, dx, c, FC_POOL_UNROLL, FC_VL, wide);
    for (; c + FC_VL <= p->channels; c += FC_VL) max_backward_block(p, at, dy, index, dx, c, 1, FC_VL, wide);
    if (c < p->channels) max_backward_block(p, at, dy, index, dx, c, 1, p->channels - c, wide);
}

static void fc_max_pool_backward(const fc_pool *p, const float *dy, const void *index, float *dx, int64_t ih) {
    pool_cover at = pool_cover_row(p, ih);
    if (pool_apart(p)) {
        if (!pool_clear(p, &at, dx)) return;
        if (p->wide_index) max_apart_row(p, &at, dy, index, dx, 1);
        else max_apart_row(p, &at, dy, index, dx, 0);
        return;
    }
    for (int64_t iw = 0; iw < p->width; iw++, dx += p->channels) {
        pool_cover_next(p, &at);
        if (p->wide_index) max_backward_pixel(p, &at, dy, index, dx, 1);
        else max_backward_pixel(p, &at, dy, index, dx, 0);
    }
}

/* ---- average and sum: a sum per line of the window, then the sum of those */

FC_INLINE void sum_block(const fc_pool *p, const float *x, int64_t rows, int64_t columns, float *y, int vectors,
                         int64_t n) {
    vf sum[FC_POOL_UNROLL], line[FC_POOL_UNROLL];
    for (int v = 0; v < vectors; v++) sum[v] = v_zero();
    for (int64_t r = 0; r < rows; r++) {
        const float *row = x + r * p->width * p->channels;
        for (int v = 0; v < vectors; v++) line[v] = pool_load(row + v * FC_VL, n);
        for (int64_t s = 1; s < columns; s++)
            for (int v = 0; v < vectors; v++) line[v] += pool_load(row + s * p->channels + v * FC_VL, n);
        for (int v = 0; v < vectors; v++) sum[v] += line[v];
    }
    float count = p->average ? (float)(rows * columns) : 1.0f;
    for (int v = 0; v < vectors; v++) pool_store(y + v * FC_VL, sum[v] / count, n);
}

static void fc_sum_pool(const fc_pool *p, const float *x, float *y, int64_t oh, int64_t c0, int64_t c1) {
    int64_t h0 = oh * p->stride_h - p->pad_top, r0, r1, s0, s1;
    pool_inside(h0, p->pool_h, p->height, &r0, &r1);
    for (int64_t ow = 0; ow < p->out_width; ow++, y += p->channels) {
        int64_t w0 = ow * p->stride_w - p->pad_left, c = c0;
        pool_inside(w0, p->pool_w, p->width, &s0, &s1);
        const float *corner = x + ((h0 + r0) * p->width + w0 + s0) * p->channels;
        for (; c + FC_POOL_UNROLL * FC_VL <= c1; c += FC_POOL_UNROLL * FC_VL)
            sum_block(p, corner + c, r1 - r0, s1 - s0, y + c, FC_POOL_UNROLL, FC_VL);
        for (; c + FC_VL <= c1; c += FC_VL) sum_block(p, corner + c, r1 - r0, s1 - s0, y + c, 1, FC_VL);
        if (c < c1) sum_block(p, corner + c, r1 - r0, s1 - s0, y + c, 1, c1 - c);
    }
}

/* 1 / count of one window. */
FC_INLINE float sum_share(const fc_pool *p, int64_t oh, int64_t ow) {
    int64_t h0 = oh * p->stride_h - p->pad_top, w0 = ow * p->stride_w - p->pad_left, r0, r1, s0, s1;
    if (!p->average) return 1.0f;
    pool_inside(h0, p->pool_h, p->height, &r0, &r1);
    pool_inside(w0, p->pool_w, p->width, &s0, &s1);
    return 1.0f / (float)((r1 - r0) * (s1 - s0));
}

FC_INLINE void sum_apart_block(const fc_pool *p, const float *dy, float share, int64_t count, float *dx, int vectors,
                               int64_t n) {
    vf g[FC_POOL_UNROLL];
    for (int v = 0; v < vectors; v++) g[v] = pool_load(dy + v * FC_VL, n) * share;
    for (int64_t s = 0; s < count; s++)
        for (int v = 0; v < vectors; v++) pool_store(dx + s * p->channels + v * FC_VL, g[v], n);
}

static void sum_apart_row(const fc_pool *p, const pool_cover *at, const float *dy, float *dx) {
    int64_t s0, s1;
    for (int64_t ow = 0; ow < p->out_width; ow++) {
        int64_t w0 = ow * p->stride_w - p->pad_left, c = 0;
        const float *from = dy + (at->oh0 * p->out_width + ow) * p->channels;
        float share = sum_share(p, at->oh0, ow);
        pool_inside(w0, p->pool_w, p->width, &s0, &s1);
        float *pixel = dx + (w0 + s0) * p->channels;
        for (; c + FC_POOL_UNROLL * FC_VL <= p->channels; c += FC_POOL_UNROLL * FC_VL)
            sum_apart_block(p, from + c, share, s1 - s0, pixel + c, FC_POOL_UNROLL, FC_VL);
        for (; c + FC_VL <= p->channels; c += FC_VL) sum_apart_block(p, from + c, share, s1 - s0, pixel + c, 1, FC_VL);
        if (c < p->channels) sum_apart_block(p, from + c, share, s1 - s0, pixel + c, 1, p->channels - c);
    }
}

FC_INLINE void sum_backward_block(const fc_pool *p, const pool_cover *at, const float *dy, float *dx, int64_t c,
                                  int vectors, int64_t n) {
    vf sum[FC_POOL_UNROLL];
    for (int v = 0; v < vectors; v++) sum[v] = v_zero();
    for (int64_t oh = at->oh0; oh <= at->oh1; oh++) {
        for (int64_t ow = at->ow0; ow <= at->ow1; ow++) {
            const float *from = dy + (oh * p->out_width + ow) * p->channels + c;
            vf share = v_set(sum_share(p, oh, ow));
            for (int v = 0; v < vectors; v++) sum[v] += pool_load(from + v * FC_VL, n) * share;
        }
    }
    for (int v = 0; v < vectors; v++) pool_store(dx + c + v * FC_VL, sum[v], n);
}

static void fc_sum_pool_backward(const fc_pool *p, const float *dy, float *dx, int64_t ih) {
    pool_cover at = pool_cover_row(p, ih);
    if (pool_apart(p)) {
        if (pool_clear(p, &at, dx)) sum_apart_row(p, &at, dy, dx);
        return;
    }
    for (int64_t iw = 0; iw < p->width; iw++, dx += p->channels) {
        int64_t c = 0;
        pool_cover_next(p, &at);
        for (; c + FC_POOL_UNROLL * FC_VL <= p->channels; c += FC_POOL_UNROLL * FC_VL)
            sum_backward_block(p, &at, dy, dx, c, FC_POOL_UNROLL, FC_VL);
        for (; c + FC_VL <= p->channels; c += FC_VL) sum_backward_block(p, &at, dy, dx, c, 1, FC_VL);
        if (c < p->channels) sum_backward_block(p, &at, dy, dx, c, 1, p->channels - c);
    }
}
