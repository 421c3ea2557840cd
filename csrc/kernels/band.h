/* A band of pixels by one panel, see fc_band: the tile of gemm.h where rows lie evenly, without a table of pointers. Sums are
 * short there, and what a tile costs beside its products shows. */

/* Rows that share a pointer: the others are one and two strides from it, which an address can say by itself. With a pointer
 * for each row, half of them would be loaded from the stack for every word. */
enum { FC_BAND_GROUP = 3, FC_BAND_POINTERS = (FC_MR + FC_BAND_GROUP - 1) / FC_BAND_GROUP };

/* The sums of M rows of V vectors, of the word that lies `ahead` of each pointer. */
FC_INLINE void band_word(vf sum[FC_MR][FC_NRV], const float *const *p, int64_t a_row, int64_t ahead, const float *b,
                         const int M, const int V) {
    vf columns[FC_NRV];
    FC_UNROLL for (int v = 0; v < V; v++) columns[v] = v_load(b + v * FC_VL);
    FC_UNROLL for (int m = 0; m < M; m++) {
        const vf x = v_term(p[m / FC_BAND_GROUP] + m % FC_BAND_GROUP * a_row + ahead);
        FC_UNROLL for (int v = 0; v < V; v++) sum[m][v] = v_add_term(sum[m][v], x, columns[v]);
    }
}

/* M rows from `row` on. A line of what the next tile reads, and one of the next panel, is fetched with each word. */
FC_INLINE void band_rows(const fc_band *t, int64_t row, const float *next_b, const int M, const int V) {
    const int64_t a_row = t->a_row, y_row = t->y_row;
    const int pointers = (M + FC_BAND_GROUP - 1) / FC_BAND_GROUP;
    const float *p[FC_BAND_POINTERS], *b = t->b, *const end = b + t->depth * FC_NR;
    const float *next_a = t->a + (row + M) * a_row;
    vf sum[FC_MR][FC_NRV];
    FC_UNROLL for (int m = 0; m < M; m++)
        FC_UNROLL for (int v = 0; v < V; v++) sum[m][v] = v_zero();
    FC_UNROLL for (int i = 0; i < pointers; i++) p[i] = t->a + (row + FC_BAND_GROUP * i) * a_row;

    /* Narrow tiles take two words in a turn: there are registers left for the columns of both. */
    const int words = V == 1 ? 2 : 1;
    for (; b + (words - 1) * FC_NR < end; b += words * FC_NR) {
        FC_UNROLL for (int w = 0; w < words; w++, next_a += FC_LINE, next_b += FC_LINE) {
            __builtin_prefetch(next_a, 0, 3);
            __builtin_prefetch(next_b, 0, 2);
            band_word(sum, p, a_row, w, b + w * FC_NR, M, V);
        }
        FC_UNROLL for (int i = 0; i < pointers; i++) {
            p[i] += words;
            __asm__("" : "+r"(p[i])); /* or the compiler keeps a pointer for each row */
        }
    }
    if (b < end) band_word(sum, p, a_row, 0, b, M, V);

    const int full = t->columns == V * FC_VL;
    const int64_t last = t->columns - (V - 1) * FC_VL;
    fc_item *const y = t->y + row * y_row;
    if (t->add) {
        const fc_item *add = t->add + row * y_row;
        FC_UNROLL for (int m = 0; m < M; m++)
            FC_UNROLL for (int v = 0; v < V; v++) {
            const fc_item *from = add + m * y_row + v * FC_VL;
            sum[m][v] += full || v + 1 < V ? v_read(from) : v_read_n(from, last);
        }
    }
    if (t->bias)
        FC_UNROLL for (int v = 0; v < V; v++) {
            const float *from = t->bias + v * FC_VL;
            const vf bias = full || v + 1 < V ? v_load(from) : v_load_n(from, last);
            FC_UNROLL for (int m = 0; m < M; m++) sum[m][v] += bias;
        }
    if (t->activation.function == FC_ACT_RELU) {
        FC_UNROLL for (int m = 0; m < M; m++)
            FC_UNROLL for (int v = 0; v < V; v++) sum[m][v] = v_relu(sum[m][v]);
    } else if (t->activation.function == FC_ACT_CLIP) {
        FC_UNROLL for (int m = 0; m < M; m++)
            FC_UNROLL for (int v = 0; v < V; v++) sum[m][v] = v_clip(sum[m][v], t->activation.alpha, t->activation.beta);
    }
    if (!fc_is_small(&t->activation))
        FC_UNROLL for (int m = 0; m < M; m++)
            FC_UNROLL for (int v = 0; v < V; v++) sum[m][v] = v_hold(sum[m][v]);
    if (full && V == 2) {
        FC_UNROLL for (int m = 0; m < M; m++) v_write_held_two(y + m * y_row, sum[m][0], sum[m][V - 1]);
    } else {
        FC_UNROLL for (int m = 0; m < M; m++) {
            if (V == 2) v_write_held(y + m * y_row, sum[m][0]);
            v_write_held_n(y + m * y_row + (V - 1) * FC_VL, sum[m][V - 1], last);
        }
    }
}

#define FC_BAND(m) \
    static __attribute__((noinline)) void band_##m(const fc_band *t, int64_t row, const float *next_b) { \
        band_rows(t, row, next_b, m, FC_NRV); \
    } \
    static __attribute__((noinline)) void band_narrow_##m(const fc_band *t, int64_t row, const float *next_b) { \
        band_rows(t, row, next_b, m, 1); \
    }
FC_EACH_ROWS(FC_BAND)

static void fc_band_run(const fc_band *t) {
    const int narrow = t->columns <= FC_VL;
    const int64_t tiles = (t->rows + FC_MR - 1) / FC_MR, rows = t->rows / tiles, larger = t->rows % tiles;
    const int64_t part = (t->depth * FC_NR / FC_LINE + tiles - 1) / tiles * FC_LINE;
    const float *next_b = t->b + t->depth * FC_NR;
    for (int64_t i = 0, row = 0; i < tiles; i++, next_b += part) {
        const int64_t count = rows + (i < larger);
        switch (count) {
#define FC_CASE(m) \
    case m: (narrow ? band_narrow_##m : band_##m)(t, row, next_b); break;
            FC_EACH_ROWS(FC_CASE)
#undef FC_CASE
        }
        row += count;
    }
}
