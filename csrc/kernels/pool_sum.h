/* Average and sum pooling: a sum per line of the window, then the sum of those. */

FC_INLINE void sum_block(const fc_pool *p, const fc_item *x, int64_t rows, int64_t columns, fc_item *y, int vectors,
                         int64_t n) {
    vf sum[FC_POOL_UNROLL], line[FC_POOL_UNROLL];
    for (int v = 0; v < vectors; v++) sum[v] = v_zero();
    for (int64_t r = 0; r < rows; r++) {
        const fc_item *row = x + r * p->width * p->channels;
        for (int v = 0; v < vectors; v++) line[v] = pool_load(row + v * FC_VL, n);
        for (int64_t s = 1; s < columns; s++)
            for (int v = 0; v < vectors; v++) line[v] += pool_load(row + s * p->channels + v * FC_VL, n);
        for (int v = 0; v < vectors; v++) sum[v] += line[v];
    }
    float count = p->average ? (float)(rows * columns) : 1.0f;
    for (int v = 0; v < vectors; v++) pool_store(y + v * FC_VL, sum[v] / count, n);
}

/* Windows [from, to) of `rows` rows from x on. */
FC_INLINE void sum_windows(const fc_pool *p, const fc_item *x, fc_item *y, int64_t rows, int64_t from, int64_t to,
                           int64_t c0, int64_t c1) {
    int64_t s0, s1;
    for (int64_t ow = from; ow < to; ow++) {
        int64_t w0 = ow * p->stride_w - p->pad_left, c = c0;
        pool_inside(w0, p->pool_w, p->width, &s0, &s1);
        const fc_item *corner = x + (w0 + s0) * p->channels;
        fc_item *out = y + ow * p->channels;
        for (; c + FC_POOL_UNROLL * FC_VL <= c1; c += FC_POOL_UNROLL * FC_VL)
            sum_block(p, corner + c, rows, s1 - s0, out + c, FC_POOL_UNROLL, FC_VL);
        for (; c + FC_VL <= c1; c += FC_VL) sum_block(p, corner + c, rows, s1 - s0, out + c, 1, FC_VL);
        if (c < c1) sum_block(p, corner + c, rows, s1 - s0, out + c, 1, c1 - c);
    }
}

/* Few channels: windows [from, to), all inside the row. */
FC_INLINE void sum_narrow(const fc_pool *p, const fc_item *x, fc_item *y, int64_t rows, int64_t from, int64_t to) {
    const int64_t line = p->width * p->channels;
    const vi lanes = pool_table(p->first);
    const float count = p->average ? (float)(rows * p->pool_w) : 1.0f;
    for (int64_t ow = from; ow < to; ow += p->narrow) {
        const int64_t start = (ow * p->stride_w - p->pad_left) * p->channels;
        vf total = v_zero();
        for (int64_t r = 0; r < rows; r++) {
            const fc_item *at = x + r * line + start;
            vf a = pool_load_first(at, line - start), b = pool_load_first(at + FC_VL, line - start - FC_VL);
            vf sum = __builtin_shuffle(a, b, lanes);
            for (int64_t s = 1; s < p->pool_w; s++)
                sum += __builtin_shuffle(a, b, lanes + v_seti((int32_t)(s * p->channels)));
            total += sum;
        }
        pool_store(y + ow * p->channels, total / count, pool_least(p->narrow, to - ow) * p->channels);
    }
}

static void fc_sum_pool(const fc_pool *p, const fc_item *x, fc_item *y, int64_t oh, int64_t c0, int64_t c1) {
    int64_t h0 = oh * p->stride_h - p->pad_top, r0, r1;
    pool_inside(h0, p->pool_h, p->height, &r0, &r1);
    x += (h0 + r0) * p->width * p->channels;
    if (!p->narrow) {
        sum_windows(p, x, y, r1 - r0, 0, p->out_width, c0, c1);
        return;
    }
    sum_windows(p, x, y, r1 - r0, 0, p->full0, c0, c1);
    sum_narrow(p, x, y, r1 - r0, p->full0, p->full1);
    sum_windows(p, x, y, r1 - r0, p->full1, p->out_width, c0, c1);
}

/* ---- backward */

/* 1 / count of one window. */
FC_INLINE float sum_share(const fc_pool *p, int64_t oh, int64_t ow) {
    int64_t h0 = oh * p->stride_h - p->pad_top, w0 = ow * p->stride_w - p->pad_left, r0, r1, s0, s1;
    if (h0 >= 0 && h0 + p->pool_h <= p->height && w0 >= 0 && w0 + p->pool_w <= p->width) return p->share;
    if (!p->average) return 1.0f;
    pool_inside(h0, p->pool_h, p->height, &r0, &r1);
    pool_inside(w0, p->pool_w, p->width, &s0, &s1);
    return 1.0f / (float)((r1 - r0) * (s1 - s0));
}

FC_INLINE void sum_apart_block(const fc_pool *p, const fc_item *dy, float share, int64_t count, fc_item *dx, int vectors,
                               int64_t n) {
    vf g[FC_POOL_UNROLL];
    for (int v = 0; v < vectors; v++) g[v] = pool_load(dy + v * FC_VL, n) * share;
    for (int64_t s = 0; s < count; s++)
        for (int v = 0; v < vectors; v++) pool_store(dx + s * p->channels + v * FC_VL, g[v], n);
}

static void sum_apart_row(const fc_pool *p, const pool_cover *at, const fc_item *dy, fc_item *dx) {
    int64_t s0, s1;
    for (int64_t ow = 0; ow < p->out_width; ow++) {
        int64_t w0 = ow * p->stride_w - p->pad_left, c = 0;
        const fc_item *from = dy + (at->oh0 * p->out_width + ow) * p->channels;
        float share = sum_share(p, at->oh0, ow);
        pool_inside(w0, p->pool_w, p->width, &s0, &s1);
        fc_item *pixel = dx + (w0 + s0) * p->channels;
        for (; c + FC_POOL_UNROLL * FC_VL <= p->channels; c += FC_POOL_UNROLL * FC_VL)
            sum_apart_block(p, from + c, share, s1 - s0, pixel + c, FC_POOL_UNROLL, FC_VL);
        for (; c + FC_VL <= p->channels; c += FC_VL) sum_apart_block(p, from + c, share, s1 - s0, pixel + c, 1, FC_VL);
        if (c < p->channels) sum_apart_block(p, from + c, share, s1 - s0, pixel + c, 1, p->channels - c);
    }
}

/* One pixel. */
FC_INLINE void sum_backward_block(const fc_pool *p, const pool_cover *at, const fc_item *dy, fc_item *dx, int64_t c,
                                  int vectors, int64_t n) {
    vf sum[FC_POOL_UNROLL];
    for (int v = 0; v < vectors; v++) sum[v] = v_zero();
    for (int64_t oh = at->oh0; oh <= at->oh1; oh++) {
        for (int64_t ow = at->ow0; ow <= at->ow1; ow++) {
            const fc_item *from = dy + (oh * p->out_width + ow) * p->channels + c;
            vf share = v_set(sum_share(p, oh, ow));
            for (int v = 0; v < vectors; v++) sum[v] += pool_load(from + v * FC_VL, n) * share;
        }
    }
    for (int v = 0; v < vectors; v++) pool_store(dx + c + v * FC_VL, sum[v], n);
}

FC_INLINE void sum_backward_pixel(const fc_pool *p, const pool_cover *at, const fc_item *dy, fc_item *dx) {
    int64_t c = 0;
    for (; c + FC_POOL_UNROLL * FC_VL <= p->channels; c += FC_POOL_UNROLL * FC_VL)
        sum_backward_block(p, at, dy, dx, c, FC_POOL_UNROLL, FC_VL);
    for (; c + FC_VL <= p->channels; c += FC_VL) sum_backward_block(p, at, dy, dx, c, 1, FC_VL);
    if (c < p->channels) sum_backward_block(p, at, dy, dx, c, 1, p->channels - c);
}

static void sum_backward_pixels(const fc_pool *p, const fc_item *dy, fc_item *dx, int64_t ih, int64_t from, int64_t to) {
    if (from == to) return;
    pool_cover at = pool_cover_before(p, ih, from);
    for (int64_t iw = from; iw < to; iw++) {
        pool_cover_next(p, &at);
        sum_backward_pixel(p, &at, dy, dx + iw * p->channels);
    }
}

/* Few channels: the columns that groups make, as max_backward_narrow. */
FC_INLINE void sum_backward_narrow(const fc_pool *p, const fc_item *dy, fc_item *dx, int64_t ih) {
    const pool_cover at = pool_cover_before(p, ih, p->dx0);
    const int64_t size = p->group * p->stride_w * p->channels;
    int64_t left = (p->dx1 - p->dx0) * p->channels;
    dx += p->dx0 * p->channels;
    for (int64_t ow = p->full0 + p->reach; left > 0; ow += p->group, left -= size, dx += size) {
        const int64_t whole = pool_least(size, left);
        for (int64_t part = 0; part * FC_VL < whole; part++) {
            const vi source = pool_table(p->source[part]), phase = pool_table(p->phase[part]);
            vf sum = v_zero();
            for (int64_t oh = at.oh0; oh <= at.oh1; oh++) {
                const vf share = v_set(sum_share(p, oh, p->full0));
                for (int64_t back = p->reach; back >= 0; back--) {
                    int64_t offset = (oh * p->out_width + ow - back) * p->channels;
                    int64_t n = pool_least(FC_VL, (p->out_width - ow + back) * p->channels);
                    vi covered = phase + v_seti((int32_t)(back * p->stride_w)) < v_seti((int32_t)p->pool_w);
                    vf g = __builtin_shuffle(pool_load(dy + offset, n), source) * share;
                    sum += (vf)(covered & (vi)g);
                }
            }
            pool_store_first(dx + part * FC_VL, sum, whole - part * FC_VL);
        }
    }
}

static void fc_sum_pool_backward(const fc_pool *p, const fc_item *dy, fc_item *dx, int64_t ih) {
    if (p->narrow) {
        sum_backward_pixels(p, dy, dx, ih, 0, p->dx0);
        sum_backward_narrow(p, dy, dx, ih);
        sum_backward_pixels(p, dy, dx, ih, p->dx1, p->width);
    } else if (pool_apart(p)) {
        pool_cover at = pool_cover_before(p, ih, 0);
        if (pool_clear(p, &at, dx)) sum_apart_row(p, &at, dy, dx);
    } else {
        sum_backward_pixels(p, dy, dx, ih, 0, p->width);
    }
}
