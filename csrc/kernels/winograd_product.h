/* The products between Winograd's transforms, see fc_winograd_product: register tiles of MR tiles by one panel, as in gemm.h.
 * Here a row is FC_LINE channels, and the next row is the next line: one pointer serves all rows, and a call all products of
 * a block of tiles, where fc_tile would spend a fifth of the time of 32 channels on its table of pointers. */

/* How many channels make up the pace of fetching: lines of the next panel's weights come in between. */
enum { FC_PACE = 4 };

/* M rows by V vectors. `lines`: how many of the next weights to fetch with every FC_PACE channels. IN_BLOCKS: each `block` of
 * lines is summed from zero. */
FC_INLINE void winograd_product_rows(const fc_winograd_product *t, const float *v, const float *u, float *y,
                                     const float *next, int64_t lines, const int M, const int V, const int IN_BLOCKS) {
    const int64_t v_line = t->v_line, block = t->block / FC_LINE;
    vf sum[FC_MR][FC_NRV], total[FC_MR][FC_NRV];
    FC_UNROLL for (int m = 0; m < M; m++)
        FC_UNROLL for (int n = 0; n < V; n++) sum[m][n] = v_zero(), total[m][n] = v_zero();
    int64_t left = block;
    for (int64_t depth = t->depth; depth > 0; depth -= FC_LINE, v += v_line) {
        const float *p = v, *const stop = v + (depth < FC_LINE ? depth : FC_LINE);
        while (p < stop) {
            for (int64_t i = 0; i < lines; i++, next += FC_LINE) __builtin_prefetch(next, 0, 2);
            for (const float *const end = stop - p > FC_PACE ? p + FC_PACE : stop; p < end; p++, u += FC_NR) {
                vf columns[FC_NRV];
                FC_UNROLL for (int n = 0; n < V; n++) columns[n] = v_load(u + n * FC_VL);
                FC_UNROLL for (int m = 0; m < M; m++) {
                    const vf x = v_set(p[m * FC_LINE]);
                    FC_UNROLL for (int n = 0; n < V; n++) sum[m][n] += x * columns[n];
                }
            }
        }
        if (IN_BLOCKS && --left == 0) {
            FC_UNROLL for (int m = 0; m < M; m++)
                FC_UNROLL for (int n = 0; n < V; n++) total[m][n] += sum[m][n], sum[m][n] = v_zero();
            left = block;
        }
    }
    FC_UNROLL for (int m = 0; m < M; m++)
        FC_UNROLL for (int n = 0; n < V; n++)
        v_store(y + m * FC_NR + n * FC_VL, IN_BLOCKS ? total[m][n] + sum[m][n] : sum[m][n]);
}

#define FC_PRODUCT(name, m, vectors, in_blocks) \
    static __attribute__((noinline)) void name(const fc_winograd_product *t, const float *v, const float *u, float *y, \
                                               const float *next, int64_t lines) { \
        if (m <= FC_MR) winograd_product_rows(t, v, u, y, next, lines, m <= FC_MR ? m : 1, vectors, in_blocks); \
    }
#define FC_PRODUCT_ROWS(m) \
    FC_PRODUCT(product_##m, m, FC_NRV, 0) \
    FC_PRODUCT(product_blocks_##m, m, FC_NRV, 1) \
    FC_PRODUCT(product_narrow_##m, m, 1, 0) \
    FC_PRODUCT(product_narrow_blocks_##m, m, 1, 1)
FC_EACH_ROWS(FC_PRODUCT_ROWS)

static void fc_winograd_product_run(const fc_winograd_product *t) {
    const int64_t panel = t->depth * FC_NR;
    const int in_blocks = t->block < t->depth;
    for (int64_t i = 0; i < t->matrices * t->panels; i++) {
        const int64_t matrix = i / t->panels, column = i % t->panels;
        const int last_column = matrix % t->side == t->side - 1, last_row = matrix >= t->matrices - t->side;
        const int64_t begin = last_column ? t->right : 0;
        const int64_t end = last_row ? t->inside : last_column ? t->bottom : t->tiles;
        const float *v = t->v + matrix * t->v_matrix + begin * FC_LINE, *u = t->u + matrix * t->u_matrix + column * panel;
        const float *next = u + panel;
        if (column + 1 == t->panels) next = matrix + 1 < t->matrices ? t->u + (matrix + 1) * t->u_matrix : t->next;
        float *y = t->m + column * t->m_panel + matrix * t->m_matrix;
        memset(y, 0, 4 * begin * FC_NR);
        memset(y + end * FC_NR, 0, 4 * (t->tiles - end) * FC_NR);
        if (begin == end) continue;
        y += begin * FC_NR;
        /* As many register tiles as needed, as equal as can be; each fetches its part of the weights that come next. */
        const int64_t tiles = (end - begin + FC_MR - 1) / FC_MR, size = (end - begin) / tiles, larger = (end - begin) % tiles;
        const int64_t lines = (FC_NR * FC_PACE / FC_LINE + tiles - 1) / tiles;
        const int64_t part = (t->depth + FC_PACE - 1) / FC_PACE * lines * FC_LINE;
        const int narrow = t->columns - column * FC_NR <= FC_VL; /* the other vectors of the panel are zeros, then */
        for (int64_t tile = 0; tile < tiles; tile++, next += part) {
            const int64_t rows = size + (tile < larger);
            switch (rows) {
#define FC_CASE(m) \
    case m: \
        (narrow ? in_blocks ? product_narrow_blocks_##m : product_narrow_##m \
                : in_blocks ? product_blocks_##m : product_##m)(t, v, u, y, next, lines); \
        break;
                FC_EACH_ROWS(FC_CASE)
#undef FC_CASE
            }
            v += rows * FC_LINE, y += rows * FC_NR;
        }
    }
}
