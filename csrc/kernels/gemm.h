/* The two register tiles that matrix products and convolutions are made of, see fc_tile and fc_outer, and the table of
 * pointers that lets one tile serve every stride, dilation and padding.
 *
 * Both tiles hold MR x NR sums in registers. Each number of rows is its own copy of the loop with a constant bound, so
 * that the sums never leave the registers; every copy adds in the same order, so that the split into tiles does not show
 * in the result. */

/* An element of a, and what it adds to the sums of a row of b: its products. With FC_PAIRS both hold words of two bfloat16,
 * neighbours along the reduction, and the sums are float32. */
#ifdef FC_PAIRS
enum { FC_WORDS = 1 };
FC_INLINE vf v_term(const float *a) { return (vf)v_seti(*(const int32_t __attribute__((may_alias)) *)a); }
FC_INLINE vf v_add_term(vf sum, vf a, vf b) { return v_add_pairs(sum, (vi)a, (vi)b); }
#else
enum { FC_WORDS = 0 };
FC_INLINE vf v_term(const float *a) { return v_set(*a); }
FC_INLINE vf v_add_term(vf sum, vf a, vf b) { return sum + a * b; }
#endif

/* ---- a block of rows by one panel */

/* M rows by V vectors: those of P panels, or the first of one. `next` and `lines`: this tile's part of the next block of
 * b, and how much of it to fetch with each line of a. */
FC_INLINE void tile_rows(const fc_tile *t, int64_t row, const float *next, int64_t lines, const int M, const int P,
                         const int V) {
    vf sum[FC_MR][4 * FC_NRV];
    FC_UNROLL for (int m = 0; m < M; m++)
        FC_UNROLL for (int v = 0; v < V; v++) sum[m][v] = v_zero();

    const int64_t *offsets = t->y_rows + row;
#ifdef FC_PAIRS
    uint16_t *const half = t->last ? t->half : NULL;
    const int64_t *half_rows = half ? t->half_rows + row : NULL;
    if (half)
        FC_UNROLL for (int m = 0; m < M; m++)
            FC_UNROLL for (int n = 0; n < V * FC_VL; n += 2 * FC_LINE) __builtin_prefetch(half + half_rows[m] + n, 1, 3);
    else
#endif
    FC_UNROLL for (int m = 0; m < M; m++)
        FC_UNROLL for (int n = 0; n < V * FC_VL; n += FC_LINE) __builtin_prefetch(t->y + offsets[m] + n, 1, 3);
    if (t->add && t->add != t->y)
        FC_UNROLL for (int m = 0; m < M; m++)
            FC_UNROLL for (int n = 0; n < V * FC_VL; n += FC_LINE) __builtin_prefetch(t->add + offsets[m] + n, 0, 3);

    const float *const *a = t->a + row;
    const float *b = t->b;
    const int64_t panel = t->b_panel, depth = t->depth, ahead = fc_clamp(t->known_rows - row - M, 0, M);
    for (int64_t tap = 0; tap < t->taps; tap++, a += t->a_tap, b += t->b_tap) {
        const float *p[FC_MR], *q = b;
        FC_UNROLL for (int m = 0; m < M; m++) p[m] = a[m] + t->a_offset;
        for (int64_t k = 0; k < depth;) {
            /* A line of each row; what comes later is fetched at the same pace. */
            for (int64_t m = 0; m < ahead; m++) __builtin_prefetch(a[M + m] + t->a_offset + k, 0, 2);
            for (int64_t i = 0; i < lines; i++, next += FC_LINE) __builtin_prefetch(next, 0, 2);
            for (const int64_t end = depth - k > FC_LINE ? k + FC_LINE : depth; k < end; k++, q += FC_NR) {
                vf columns[4 * FC_NRV];
                FC_UNROLL for (int v = 0; v < V; v++) columns[v] = v_load(q + v / FC_NRV * panel + v % FC_NRV * FC_VL);
                FC_UNROLL for (int m = 0; m < M; m++) {
                    vf x = v_term(p[m] + k);
                    FC_UNROLL for (int v = 0; v < V; v++) sum[m][v] = v_add_term(sum[m][v], x, columns[v]);
                }
            }
        }
    }

    const int full = t->columns == V * FC_VL;
    int64_t left[4 * FC_NRV];
    FC_UNROLL for (int v = 0; v < V; v++) {
        left[v] = t->columns - v * FC_VL;
        left[v] = left[v] < 0 ? 0 : left[v] > FC_VL ? FC_VL : left[v];
    }
    if (t->add) {
        FC_UNROLL for (int m = 0; m < M; m++)
            FC_UNROLL for (int v = 0; v < V; v++) {
            const float *add = t->add + offsets[m] + v * FC_VL;
            sum[m][v] += full ? v_load(add) : v_load_n(add, left[v]);
        }
    }
#ifdef FC_PAIRS
    if (half && t->half_add)
        FC_UNROLL for (int m = 0; m < M; m++)
            FC_UNROLL for (int v = 0; v < V; v++) {
            const uint16_t *add = t->half_add + half_rows[m] + v * FC_VL;
            sum[m][v] += full ? v_read(add) : v_read_n(add, left[v]);
        }
#endif
    if (t->last) {
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
    }
#ifdef FC_PAIRS
    if (half && t->activation.function <= FC_ACT_CLIP) {
        if (!fc_is_small(&t->activation))
            FC_UNROLL for (int m = 0; m < M; m++)
                FC_UNROLL for (int v = 0; v < V; v++) sum[m][v] = v_hold(sum[m][v]);
        if (full && V % 2 == 0) {
            FC_UNROLL for (int m = 0; m < M; m++)
                FC_UNROLL for (int v = 0; v < V; v += 2)
                v_write_held_two(half + half_rows[m] + v * FC_VL, sum[m][v], sum[m][v + (V > 1)]);
        } else {
            FC_UNROLL for (int m = 0; m < M; m++)
                FC_UNROLL for (int v = 0; v < V; v++) v_write_held_n(half + half_rows[m] + v * FC_VL, sum[m][v], left[v]);
        }
        return;
    }
#endif
    if (full) {
        FC_UNROLL for (int m = 0; m < M; m++)
            FC_UNROLL for (int v = 0; v < V; v++) v_store(t->y + offsets[m] + v * FC_VL, sum[m][v]);
    } else {
        FC_UNROLL for (int m = 0; m < M; m++)
            FC_UNROLL for (int v = 0; v < V; v++) v_store_n(t->y + offsets[m] + v * FC_VL, sum[m][v], left[v]);
    }
    if (t->last && t->activation.function > FC_ACT_CLIP)
        fc_activate_rows(t->y, offsets, 0, M, t->columns, t->activation);
#ifdef FC_PAIRS
    for (int m = 0; half && m < M; m++) fc_round(t->y + offsets[m], 0, half + half_rows[m], 0, 1, t->columns);
#endif
}

#define FC_TILE(name, m, panels, vectors) \
    static __attribute__((noinline)) void name(const fc_tile *t, int64_t row, const float *next, int64_t lines) { \
        if (m <= FC_MR) tile_rows(t, row, next, lines, m <= FC_MR ? m : 1, panels, vectors); \
    }
#define FC_TILE_ROWS(m) FC_TILE(tile_##m, m, 1, FC_NRV) FC_TILE(narrow_##m, m, 1, 1)
FC_EACH_ROWS(FC_TILE_ROWS)
FC_TILE(tile_1_by_2, 1, 2, 2 * FC_NRV)
FC_TILE(tile_1_by_4, 1, 4, 4 * FC_NRV)
FC_TILE(tile_2_by_2, 2, 2, 2 * FC_NRV)

static void tile_panel(const fc_tile *t) {
    /* As many tiles as needed, as equal as can be: 32 rows are 6+6+5+5+5+5, not 6+6+6+6+6+2. */
    const int narrow = t->columns <= FC_VL; /* the last vectors of the panel are zeros, then: not worth multiplying by */
    const int64_t tiles = (t->rows + FC_MR - 1) / FC_MR;
    const int64_t lines = (FC_NR + tiles - 1) / tiles;
    const int64_t part = t->taps * ((t->depth + FC_LINE - 1) / FC_LINE) * lines * FC_LINE;
    for (int64_t i = 0, row = 0; i < tiles; i++) {
        const int64_t rows = t->rows / tiles + (i < t->rows % tiles);
        switch (rows) {
#define FC_CASE(m) \
    case m: \
        (narrow ? narrow_##m : tile_##m)(t, row, t->next_b + i * part, lines); \
        break;
            FC_EACH_ROWS(FC_CASE)
#undef FC_CASE
        }
        row += rows;
    }
}

static void fc_tile_run(const fc_tile *t) {
    /* The few sums of one panel would wait for each other: the latency of a multiply-add, not b, would set the pace. */
    if (t->columns > FC_NR)
        (t->rows == 2 ? tile_2_by_2 : t->columns > 2 * FC_NR ? tile_1_by_4 : tile_1_by_2)(t, 0, NULL, 0);
    else
        tile_panel(t);
}

/* ---- sums of outer products */

/* One pixel, or with FC_PAIRS a word of two, of which `mask` picks one if it is `masked`. `full`: dy has all NR columns;
 * `spread`: the elements of a pixel of x lie at t->offsets; dy is stored at `strip`, unless that is NULL. */
FC_INLINE void outer_pixel(const fc_outer *t, const float *x, const float *dy, const int64_t *left, float *strip,
                           vf sum[FC_MR][FC_NRV], const int M, const int full, const int spread, const vi mask,
                           const int masked) {
    vf columns[FC_NRV];
    FC_UNROLL for (int v = 0; v < FC_NRV; v++) {
        columns[v] = full ? v_load(dy + v * FC_VL) : v_load_n(dy + v * FC_VL, left[v]);
        if (masked) columns[v] = (vf)((vi)columns[v] & mask);
    }
    if (strip)
        FC_UNROLL for (int v = 0; v < FC_NRV; v++) v_store(strip + v * FC_VL, columns[v]);
    FC_UNROLL for (int m = 0; m < M; m++) {
        vf a = v_term(x + (spread ? t->offsets[m] : m));
        if (masked) a = (vf)((vi)a & mask);
        FC_UNROLL for (int v = 0; v < FC_NRV; v++) sum[m][v] = v_add_term(sum[m][v], a, columns[v]);
    }
}

/* `moves`: what is ahead is fetched, a row with each pixel, and dy is stored where t->strip points to. */
FC_INLINE void outer_rows(const fc_outer *t, const int M, const int full, const int spread, const int moves) {
    vf sum[FC_MR][FC_NRV];
    FC_UNROLL for (int m = 0; m < M; m++)
        FC_UNROLL for (int v = 0; v < FC_NRV; v++) sum[m][v] = v_zero();
    FC_UNROLL for (int m = 0; m < M; m++)
        FC_UNROLL for (int n = 0; n < FC_NR; n += FC_LINE) __builtin_prefetch(t->dw + m * t->dw_row + n, 1, 3);
    int64_t left[FC_NRV];
    FC_UNROLL for (int v = 0; v < FC_NRV; v++) {
        left[v] = t->columns - v * FC_VL;
        left[v] = left[v] < 0 ? 0 : left[v] > FC_VL ? FC_VL : left[v];
    }

    const int64_t x_pixel = t->x_pixel, dy_pixel = t->dy_pixel;
    int64_t images = t->images, height = t->height, width = t->width;
    const int64_t head = FC_WORDS ? t->head : 0, tail = FC_WORDS ? t->tail : 0;
    const vi all = v_seti(-1), first = v_seti(0xffff), second = ~first;
    /* Rows, and images, that follow one another are one long row. */
    if (!head && !tail && t->x_row == width * x_pixel && t->dy_row == width * dy_pixel) {
        width *= height;
        height = 1;
        if (t->x_image == width * x_pixel && t->dy_image == width * dy_pixel) {
            width *= images;
            images = 1;
        }
    }
    const float *ahead = t->ahead;
    int64_t ahead_rows = moves ? t->ahead_rows : 0;
    float *strip = moves ? t->strip : NULL;
    for (int64_t n = 0; n < images; n++) {
        for (int64_t i = 0; i < height; i++) {
            const float *x = t->x + n * t->x_image + i * t->x_row;
            const float *dy = t->dy + n * t->dy_image + i * t->dy_row;
            if (FC_WORDS && head) {
                outer_pixel(t, x, dy, left, NULL, sum, M, full, spread, second, 1);
                x += x_pixel, dy += dy_pixel;
            }
            for (int64_t j = head; j < width - tail; j++, x += x_pixel, dy += dy_pixel) {
                if (moves && ahead_rows > 0) {
                    FC_UNROLL for (int n = 0; n < FC_NR; n += FC_LINE) __builtin_prefetch(ahead + n, 0, 2);
                    ahead += t->ahead_row, ahead_rows--;
                }
                outer_pixel(t, x, dy, left, FC_WORDS ? NULL : strip, sum, M, full, spread, all, 0);
                if (moves && strip) strip += FC_NR;
            }
            if (FC_WORDS && tail) outer_pixel(t, x, dy, left, NULL, sum, M, full, spread, first, 1);
        }
    }

    FC_UNROLL for (int m = 0; m < M; m++) {
        FC_UNROLL for (int v = 0; v < FC_NRV; v++) {
            float *dw = t->dw + m * t->dw_row + v * FC_VL;
            if (full && left[v] == FC_VL) {
                v_store(dw, t->accumulate ? v_load(dw) + sum[m][v] : sum[m][v]);
            } else {
                v_store_n(dw, t->accumulate ? v_load_n(dw, left[v]) + sum[m][v] : sum[m][v], left[v]);
            }
        }
    }
}

/* Words of pairs lie in strips, of all NR columns. */
#define FC_OUTER(m) \
    static __attribute__((noinline)) void outer_##m(const fc_outer *t) { \
        if (m > FC_MR) return; \
        if (!FC_WORDS && t->offsets) { \
            outer_rows(t, m <= FC_MR ? m : 1, 1, 1, 0); \
        } else if (!FC_WORDS && t->columns < FC_NR) { \
            outer_rows(t, m <= FC_MR ? m : 1, 0, 0, 0); \
        } else if (t->ahead_rows || t->strip) { \
            outer_rows(t, m <= FC_MR ? m : 1, 1, 0, 1); \
        } else { \
            outer_rows(t, m <= FC_MR ? m : 1, 1, 0, 0); \
        } \
    }
FC_EACH_ROWS(FC_OUTER)

static void fc_outer_run(const fc_outer *t) {
    switch (t->rows) {
#define FC_CASE(m) \
    case m: outer_##m(t); break;
        FC_EACH_ROWS(FC_CASE)
#undef FC_CASE
    }
}

/* ---- where the rows of a tile come from */

static void fc_gather_run(const fc_gather *g) {
    const int64_t per_image = g->out_height * g->out_width;
    int64_t done = 0;
    while (done < g->count) {
        /* One output row, or the part of it that belongs to us. */
        const int64_t p = g->first + done, n = p / per_image, i = p % per_image / g->out_width;
        const int64_t j = p % g->out_width;
        const int64_t run = g->out_width - j < g->count - done ? g->out_width - j : g->count - done;
        int64_t y = n * g->y_image + i * g->y_row + j * g->y_pixel;
        for (int64_t c = 0; c < run; c++, y += g->y_pixel) g->y_rows[done + c] = y;
        const float **a = g->a + done;
        for (int64_t th = 0; th < g->taps_h; th++) {
            const int64_t h = i * g->step_h + g->tap_h[th];
            const float *row = g->x + n * g->x_image + h * g->x_row;
            for (int64_t tw = 0; tw < g->taps_w; tw++, a += g->a_tap) {
                int64_t low = 0, high = 0;
                const int64_t w = j * g->step_w + g->tap_w[tw];
                if (h >= 0 && h < g->height) fc_inside(w, g->step_w, g->width, run, &low, &high);
                for (int64_t c = 0; c < low; c++) a[c] = g->zero;
                const float *x = row + w * g->x_pixel;
                const int64_t step = g->step_w * g->x_pixel;
                for (int64_t c = low; c < high; c++) a[c] = x + c * step;
                for (int64_t c = high; c < run; c++) a[c] = g->zero;
            }
        }
        done += run;
    }
}
