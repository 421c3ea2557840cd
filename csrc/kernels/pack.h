/* Weights into panels, partial sums into results, and the first step of every backward pass through a fused epilogue. */

/* A vector of n, zero beyond `columns`, for each of FC_VL or `depth` k, from rows of B^T. */
FC_INLINE void pack_block(const float *b, int64_t n_stride, int64_t depth, int64_t columns, float *out) {
    vf v[FC_VL];
    FC_UNROLL for (int i = 0; i < FC_VL; i++) {
        v[i] = v_zero();
        if (i < columns) v[i] = v_load_some(b + i * n_stride, depth);
    }
    v_transpose(v);
    FC_UNROLL for (int i = 0; i < FC_VL; i++)
        if (i < depth) v_store(out + i * FC_NR, v[i]);
}

/* One panel of B: out[k][n] for k < depth, n < NR, zero beyond `columns`. */
static void fc_pack_panel(const float *b, int64_t k_stride, int64_t n_stride, int64_t depth, int64_t columns,
                          float *out) {
    if (n_stride == 1 && columns == FC_NR) {
        for (int64_t k = 0; k < depth; k++)
            for (int v = 0; v < FC_NRV; v++) v_store(out + k * FC_NR + v * FC_VL, v_load(b + k * k_stride + v * FC_VL));
        return;
    }
    if (k_stride == 1) {
        for (int64_t n = 0; n < FC_NR; n += FC_VL)
            for (int64_t k = 0; k < depth; k += FC_VL) {
                const float *from = b + n * n_stride + k;
                if (depth - k >= FC_VL && columns - n >= FC_VL) pack_block(from, n_stride, FC_VL, FC_VL, out + k * FC_NR + n);
                else pack_block(from, n_stride, depth - k, columns - n, out + k * FC_NR + n);
            }
        return;
    }
    if (columns < FC_NR) memset(out, 0, (size_t)(depth * FC_NR) * sizeof(float));
    /* A block of k short enough that the lines of `out` stay in the first-level cache over all n. */
    for (int64_t start = 0; start < depth; start += 64) {
        const int64_t end = start + 64 < depth ? start + 64 : depth;
        for (int64_t n = 0; n < columns; n++) {
            const float *source = b + n * n_stride;
            for (int64_t k = start; k < end; k++) out[k * FC_NR + n] = source[k * k_stride];
        }
    }
}

/* The first `columns` channels of each of `pixels` pixels, side by side: out_pixel, a multiple of FC_VL, holds them. */
static void fc_strip(const float *x, int64_t x_pixel, int64_t pixels, int64_t columns, float *out, int64_t out_pixel) {
    const int64_t whole = columns / FC_VL * FC_VL, left = columns - whole;
    if (left == 0 && columns == FC_NR) {
        for (int64_t p = 0; p < pixels; p++, x += x_pixel, out += out_pixel)
            for (int v = 0; v < FC_NRV; v++) v_store(out + v * FC_VL, v_load(x + v * FC_VL));
        return;
    }
    for (int64_t p = 0; p < pixels; p++, x += x_pixel, out += out_pixel) {
        for (int64_t c = 0; c < whole; c += FC_VL) v_store(out + c, v_load(x + c));
        if (left) v_store(out + whole, v_load_n(x + whole, left));
    }
}

/* Pixels one after the other, so that x is read in the order of memory. */
static void fc_strip_tiles(const float *x, int64_t x_pixel, int64_t pixels, int64_t tiles, int64_t rows, int64_t larger,
                           float *out, int64_t out_tile) {
    const int64_t out_pixel = (FC_MR + FC_VL - 1) / FC_VL * FC_VL;
    for (int64_t p = 0; p < pixels; p++, x += x_pixel, out += out_pixel) {
        const float *from = x;
        float *to = out;
        for (int64_t t = 0; t < tiles; t++, to += out_tile) {
            const int64_t n = rows + (t < larger);
            for (int64_t c = 0; c < out_pixel; c += FC_VL)
                v_store(to + c, v_load_some(from + c, n > c ? n - c : 0));
            from += n;
        }
    }
}

FC_INLINE void strip_panel(const float *dy, int64_t dy_pixel, int64_t pixels, int64_t columns, float *out,
                           float *dbias, const int full) {
    vf sum[FC_NRV];
    int64_t left[FC_NRV];
    FC_UNROLL for (int v = 0; v < FC_NRV; v++) {
        sum[v] = v_zero();
        left[v] = fc_clamp(columns - v * FC_VL, 0, FC_VL);
    }
    for (int64_t p = 0; p < pixels; p++, dy += dy_pixel, out += FC_NR) {
        FC_UNROLL for (int v = 0; v < FC_NRV; v++) {
            const vf z = full ? v_load(dy + v * FC_VL) : v_load_n(dy + v * FC_VL, left[v]);
            v_store(out + v * FC_VL, z);
            sum[v] += z;
        }
    }
    if (!dbias) return;
    for (int v = 0; v < FC_NRV; v++) {
        float *b = dbias + v * FC_VL;
        v_store_n(b, v_load_n(b, left[v]) + sum[v], left[v]);
    }
}

static void fc_strip_panel(const float *dy, int64_t dy_pixel, int64_t pixels, int64_t columns, float *out,
                           float *dbias) {
    if (columns == FC_NR) strip_panel(dy, dy_pixel, pixels, columns, out, dbias, 1);
    else strip_panel(dy, dy_pixel, pixels, columns, out, dbias, 0);
}

/* out[i] = parts[0][i] + parts[1][i] + ... in this order. */
static void fc_sum_parts(const float *parts, int64_t count, int64_t stride, int64_t size, float *out) {
    int64_t i = 0;
    for (; i + 4 * FC_VL <= size; i += 4 * FC_VL) {
        vf sum[4];
        for (int v = 0; v < 4; v++) sum[v] = v_load(parts + i + v * FC_VL);
        for (int64_t p = 1; p < count; p++)
            for (int v = 0; v < 4; v++) sum[v] += v_load(parts + p * stride + i + v * FC_VL);
        for (int v = 0; v < 4; v++) v_store(out + i + v * FC_VL, sum[v]);
    }
    for (; i < size; i++) {
        float sum = parts[i];
        for (int64_t p = 1; p < count; p++) sum += parts[p * stride + i];
        out[i] = sum;
    }
}

FC_INLINE void epilogue_columns(const fc_epilogue_backward *t, int64_t column, int64_t n, const fc_activation a) {
    vf sum = v_zero();
    for (int64_t row = 0; row < t->rows; row++) {
        const int64_t at = row * t->columns + column;
        vf dz = v_load_some(t->dy + at, n);
        if (a.function != FC_ACT_NONE) dz = v_activate_backward(v_load_some(t->y + at, n), dz, a);
        if (t->dz) v_store_some(t->dz + at, dz, n);
        sum += dz;
    }
    if (t->dbias) v_store_some(t->dbias + column, sum, n);
}

/* dz = dy * activation'(y), where dz is wanted, and dbias[column] = sum over the rows of dz, where dbias is. */
static void fc_epilogue_backward_run(const fc_epilogue_backward *t) {
    const fc_activation a = t->activation;
    for (int64_t column = 0; column < t->columns; column += FC_VL) {
        const int64_t n = t->columns - column;
        switch (a.function) {
#define FC_CASE(f) \
    case f: \
        if (f <= FC_ACT_HARD_SIGMOID) epilogue_columns(t, column, n, FC_AS(f)); \
        break;
            FC_EACH_ACTIVATION(FC_CASE)
#undef FC_CASE
        }
    }
}
