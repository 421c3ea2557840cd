/* Convolutions of few input channels, first layers. A kernel row is a few neighbouring floats of an image row, and all
 * that an output reads lies at fixed offsets from its first element: no table of pointers, and one loop over the whole
 * reduction, so that the sums are made, and stored, once.
 *
 * With FC_PAIRS the copy is of bfloat16, and a kernel row is read in words of two neighbours, which start at any element:
 * pixels may be an odd number of elements apart. */

/* The rows [first_row, first_row + rows) and the floats [start, start + out_row) of an image of `height` rows of `x_row`
 * floats; zeros where there is no image. fc_item: see eltwise.h. */
static void fc_copy_padded(const float *x, int64_t x_row, int64_t height, int64_t first_row, int64_t rows, int64_t start,
                           fc_item *out, int64_t out_row) {
    const int64_t low = start < 0 ? (-start < out_row ? -start : out_row) : 0;
    const int64_t end = x_row - start < out_row ? x_row - start : out_row, high = end > low ? end : low;
    for (int64_t r = 0; r < rows; r++, out += out_row) {
        const int64_t h = first_row + r;
        if (h < 0 || h >= height) {
            memset(out, 0, (size_t)out_row * sizeof(fc_item));
            continue;
        }
        const float *row = x + h * x_row + start;
        int64_t j = low;
        for (int64_t i = 0; i < low; i++) out[i] = 0;
        for (; j + FC_VL <= high; j += FC_VL) v_write(out + j, v_load(row + j));
        if (j < high) v_write_n(out + j, v_load_n(row + j, high - j), high - j);
        for (int64_t i = high; i < out_row; i++) out[i] = 0;
    }
}

/* The sums of M pixels, from x on, by the first V vectors of the panel. */
FC_INLINE void shallow_sums(const fc_shallow *t, const fc_item *x, vf sum[FC_MR][FC_NRV], const int M, const int V) {
    const int64_t x_pixel = t->x_pixel, depth = t->depth, *offsets = t->offsets;
    const float *b = t->b;
    vf columns[FC_NRV];
    FC_UNROLL for (int m = 0; m < M; m++)
        FC_UNROLL for (int v = 0; v < V; v++) sum[m][v] = v_zero();
    for (int64_t k = 0; k < depth; k++) {
        const fc_item *p = x + offsets[k];
#ifdef FC_PAIRS
        for (int64_t end = t->length / 2; end > 0; end--, p += 2, b += FC_NR) {
            FC_UNROLL for (int v = 0; v < V; v++) columns[v] = v_load(b + v * FC_VL);
            FC_UNROLL for (int m = 0; m < M; m++) {
                const vi a = v_set_pair(p + m * x_pixel);
                FC_UNROLL for (int v = 0; v < V; v++) sum[m][v] = v_add_pairs(sum[m][v], a, (vi)columns[v]);
            }
        }
        if (t->length % 2 == 0) continue;
        FC_UNROLL for (int v = 0; v < V; v++) columns[v] = v_load(b + v * FC_VL);
        FC_UNROLL for (int m = 0; m < M; m++) {
            /* Zero stands beside it, not its neighbour: that may be infinite, and its products with zeros NaN. */
            const vi a = v_set_single(p + m * x_pixel);
            FC_UNROLL for (int v = 0; v < V; v++) sum[m][v] = v_add_pairs(sum[m][v], a, (vi)columns[v]);
        }
        b += FC_NR;
#else
        FC_UNROLL for (int v = 0; v < V; v++) columns[v] = v_load(b + k * FC_NR + v * FC_VL);
        FC_UNROLL for (int m = 0; m < M; m++) {
            const vf a = v_set(p[m * x_pixel]);
            FC_UNROLL for (int v = 0; v < V; v++) sum[m][v] += a * columns[v];
        }
#endif
    }
}

/* `tiles` times M neighbouring pixels by V vectors: those of a panel, or the first where no more are used. */
FC_INLINE void shallow_tiles(const fc_shallow *t, const fc_item *x, float *y, uint16_t *half, const float *residual,
                             int64_t tiles, const int M, const int V) {
    const int full = t->columns == V * FC_VL;
    int64_t left[FC_NRV];
    FC_UNROLL for (int v = 0; v < V; v++) left[v] = fc_clamp(t->columns - v * FC_VL, 0, FC_VL);
    const int64_t x_pixel = t->x_pixel, y_pixel = t->y_pixel;
    for (; tiles > 0; tiles--, x += M * x_pixel, y += M * y_pixel) {
        vf sum[FC_MR][FC_NRV];
        shallow_sums(t, x, sum, M, V);
        if (residual) {
            FC_UNROLL for (int m = 0; m < M; m++)
                FC_UNROLL for (int v = 0; v < V; v++) {
                const float *add = residual + m * y_pixel + v * FC_VL;
                sum[m][v] += full ? v_load(add) : v_load_n(add, left[v]);
            }
            residual += M * y_pixel;
        }
        if (t->bias) {
            FC_UNROLL for (int v = 0; v < V; v++) {
                vf bias = full ? v_load(t->bias + v * FC_VL) : v_load_n(t->bias + v * FC_VL, left[v]);
                FC_UNROLL for (int m = 0; m < M; m++) sum[m][v] += bias;
            }
        }
        if (t->activation.function == FC_ACT_RELU) {
            FC_UNROLL for (int m = 0; m < M; m++)
                FC_UNROLL for (int v = 0; v < V; v++) sum[m][v] = v_relu(sum[m][v]);
        } else if (t->activation.function == FC_ACT_CLIP) {
            FC_UNROLL for (int m = 0; m < M; m++)
                FC_UNROLL for (int v = 0; v < V; v++) sum[m][v] = v_clip(sum[m][v], t->activation.alpha, t->activation.beta);
        }
        if (t->scale) {
            FC_UNROLL for (int v = 0; v < V; v++) {
                const float *scale = t->scale + v * FC_VL, *shift = t->shift + v * FC_VL;
                const vf factor = full ? v_load(scale) : v_load_n(scale, left[v]);
                const vf term = full ? v_load(shift) : v_load_n(shift, left[v]);
                FC_UNROLL for (int m = 0; m < M; m++) sum[m][v] = sum[m][v] * factor + term;
            }
        }
#ifdef FC_PAIRS
        if (half) {
            FC_UNROLL for (int m = 0; m < M; m++)
                FC_UNROLL for (int v = 0; v < V; v++) {
                if (full) v_write(half + m * y_pixel + v * FC_VL, sum[m][v]);
                else v_write_n(half + m * y_pixel + v * FC_VL, sum[m][v], left[v]);
            }
            half += M * y_pixel;
            continue;
        }
#endif
        if (full) {
            FC_UNROLL for (int m = 0; m < M; m++)
                FC_UNROLL for (int v = 0; v < V; v++) v_store(y + m * y_pixel + v * FC_VL, sum[m][v]);
        } else {
            FC_UNROLL for (int m = 0; m < M; m++)
                FC_UNROLL for (int v = 0; v < V; v++)
                    if (left[v]) v_store_n(y + m * y_pixel + v * FC_VL, sum[m][v], left[v]);
        }
    }
}

#define FC_SHALLOW(name, m, vectors) \
    static __attribute__((noinline)) void name(const fc_shallow *t, const fc_item *x, float *y, uint16_t *half, \
                                               const float *residual, int64_t tiles) { \
        if (m <= FC_MR) shallow_tiles(t, x, y, half, residual, tiles, m <= FC_MR ? m : 1, vectors); \
    }
#define FC_SHALLOW_ROWS(m) FC_SHALLOW(shallow_##m, m, FC_NRV) FC_SHALLOW(shallow_narrow_##m, m, 1)
FC_EACH_ROWS(FC_SHALLOW_ROWS)

static void shallow_run(const fc_shallow *t, int64_t row, int64_t column, int64_t tiles, int64_t pixels) {
    const int64_t at = row * t->y_row + column * t->y_pixel;
    const fc_item *x = (const fc_item *)t->x + row * t->x_row + column * t->x_pixel;
    const float *residual = t->residual ? t->residual + at : NULL;
    float *y = t->half ? NULL : t->y + at;
    uint16_t *half = t->half ? t->half + at : NULL;
    switch (pixels) {
#define FC_CASE(m) \
    case m: (t->columns <= FC_VL ? shallow_narrow_##m : shallow_##m)(t, x, y, half, residual, tiles); break;
        FC_EACH_ROWS(FC_CASE)
#undef FC_CASE
    }
}

static void shallow_rows(const fc_shallow *t) {
    /* The tiles of a row are as equal as can be: the first few have one pixel more. */
    const int64_t tiles = (t->width + FC_MR - 1) / FC_MR, size = t->width / tiles, larger = t->width % tiles;
    for (int64_t i = 0; i < t->height; i++) {
        if (larger) shallow_run(t, i, 0, larger, size + 1);
        shallow_run(t, i, larger * (size + 1), tiles - larger, size);
        if (!t->half) fc_activate_rows(t->y + i * t->y_row, NULL, t->y_pixel, t->width, t->columns, t->activation);
    }
}

/* The largest of 2 x 2 pixels, of two rows of [width][NR]. */
static void shallow_pool(const float *rows, int64_t row, int64_t width, float *y, int64_t y_pixel, int64_t columns) {
    for (int64_t j = 0; j < width; j += 2, rows += 2 * FC_NR, y += y_pixel) {
        for (int64_t c = 0; c < columns; c += FC_VL) {
            const int64_t left = columns - c;
            const vf upper = v_larger(v_load_some(rows + FC_NR + c, left), v_load_some(rows + c, left));
            const vf third = v_larger(v_load_some(rows + row + c, left), upper);
            v_store_some(y + c, v_larger(v_load_some(rows + row + FC_NR + c, left), third), left);
        }
    }
}

static void fc_shallow_run(const fc_shallow *t) {
    if (!t->unpooled) {
        shallow_rows(t);
        return;
    }
    fc_shallow pair = *t;
    pair.y = t->unpooled, pair.y_pixel = FC_NR, pair.y_row = t->width * FC_NR, pair.height = 2;
    for (int64_t i = 0; i < t->height; i += 2) {
        pair.x = (const float *)((const fc_item *)t->x + i * t->x_row);
        shallow_rows(&pair);
        shallow_pool(t->unpooled, pair.y_row, t->width, t->y + i / 2 * t->y_row, t->y_pixel, t->columns);
    }
}
