/* Elements copied from one arrangement to another: see fc_move. Nothing is computed, so an element is its bytes. */

/* Rows that are contiguous on both sides. */
static void move_rows(const fc_move *p) {
    const char *x = p->x;
    char *y = p->y;
    const int64_t bytes = p->columns * p->item;
    for (int64_t r = 0; r < p->rows; r++, x += p->x_row * p->item, y += p->y_row * p->item) {
        if (bytes >= 64 * FC_VL || p->item != 4) {
            memcpy(y, x, bytes);
            continue;
        }
        const float *from = (const float *)x;
        float *to = (float *)y;
        int64_t i = 0;
        for (; i + FC_VL <= p->columns; i += FC_VL) v_store(to + i, v_load(from + i));
        if (i < p->columns) v_store_n(to + i, v_load_n(from + i, p->columns - i), p->columns - i);
    }
}

/* ---- transposition: the rows of y are contiguous, and so are the columns of x */

/* A block of at most FC_VL rows and columns of y. */
FC_INLINE void move_block(const fc_move *p, const float *x, float *y, int64_t rows, int64_t columns) {
    vf v[FC_VL];
    FC_UNROLL for (int i = 0; i < FC_VL; i++) {
        v[i] = v_zero();
        if (i < columns) v[i] = v_load_some(x + i * p->x_column, rows);
    }
    v_transpose(v);
    FC_UNROLL for (int i = 0; i < FC_VL; i++)
        if (i < rows) v_store_some(y + i * p->y_row, v[i], columns);
}

static void move_transposed(const fc_move *p) {
    const float *x = p->x;
    float *y = p->y;
    for (int64_t r = 0; r < p->rows; r += FC_VL)
        for (int64_t c = 0; c < p->columns; c += FC_VL) {
            const int64_t rows = p->rows - r < FC_VL ? p->rows - r : FC_VL;
            const int64_t columns = p->columns - c < FC_VL ? p->columns - c : FC_VL;
            if (rows == FC_VL && columns == FC_VL)
                move_block(p, x + r + c * p->x_column, y + r * p->y_row + c, FC_VL, FC_VL);
            else move_block(p, x + r + c * p->x_column, y + r * p->y_row + c, rows, columns);
        }
}

/* Few channels to planes: `channels` vectors hold FC_VL pixels, lane i of channel c is element i * channels + c of them. */
FC_INLINE void move_split(const fc_move *p, const int channels) {
    const float *x = p->x;
    float *y = p->y;
    vi low[4], high[4], both[4];
    for (int c = 0; c < channels; c++)
        for (int i = 0; i < FC_VL; i++) {
            const int at = i * channels + c;
            low[c][i] = at % (2 * FC_VL);
            high[c][i] = at >= 2 * FC_VL ? at - 2 * FC_VL : 0;
            both[c][i] = at >= 2 * FC_VL ? FC_VL + i : i;
        }
    int64_t i = 0;
    for (; i + FC_VL <= p->columns; i += FC_VL) {
        vf v[4];
        for (int c = 0; c < 4; c++) v[c] = v_load(x + i * channels + (c < channels ? c : channels - 1) * FC_VL);
        for (int c = 0; c < channels; c++) {
            vf plane = v_pick(v[0], v[1], low[c]);
            if (channels > 2) plane = v_pick(plane, v_pick(v[2], v[3], high[c]), both[c]);
            v_store(y + c * p->y_row + i, plane);
        }
    }
    for (; i < p->columns; i++)
        for (int c = 0; c < channels; c++) y[c * p->y_row + i] = x[i * channels + c];
}

/* Planes to few channels, which the compiler turns into shuffles. */
FC_INLINE void move_join(const fc_move *p, const int64_t channels) {
    const float *restrict x = p->x;
    float *restrict y = p->y;
    for (int64_t i = 0; i < p->rows; i++)
        for (int64_t c = 0; c < channels; c++) y[i * channels + c] = x[c * p->x_column + i];
}

/* ---- anything else */

#define MOVE_ANY(type) \
    do { \
        const type *x = p->x; \
        type *y = p->y; \
        for (int64_t r = 0; r < p->rows; r++) \
            for (int64_t c = 0; c < p->columns; c++) y[r * p->y_row + c * p->y_column] = x[r * p->x_row + c * p->x_column]; \
    } while (0)

static void fc_move_run(const fc_move *p) {
    if (p->x_column == 1 && p->y_column == 1) {
        move_rows(p);
    } else if (p->item == 4 && p->x_row == 1 && p->y_column == 1) {
        if (p->rows == 2 && p->x_column == 2) move_split(p, 2);
        else if (p->rows == 3 && p->x_column == 3) move_split(p, 3);
        else if (p->rows == 4 && p->x_column == 4) move_split(p, 4);
        else if (p->columns == 2 && p->y_row == 2) move_join(p, 2);
        else if (p->columns == 3 && p->y_row == 3) move_join(p, 3);
        else if (p->columns == 4 && p->y_row == 4) move_join(p, 4);
        else move_transposed(p);
    } else if (p->item == 4) {
        MOVE_ANY(uint32_t);
    } else if (p->item == 8) {
        MOVE_ANY(uint64_t);
    } else if (p->item == 2) {
        MOVE_ANY(uint16_t);
    } else {
        MOVE_ANY(uint8_t);
    }
}

/* ---- conversion */

#define CAST_LOOP(from, to, value) \
    do { \
        const from *restrict in = x; \
        to *restrict out = y; \
        for (int64_t i = 0; i < n; i++) out[i] = (to)(value); \
    } while (0)
#define CAST_FROM(from, bits) \
    switch (target) { \
    case FC_FLOAT32: CAST_LOOP(from, float, in[i]); break; \
    case FC_INT32: CAST_LOOP(from, int32_t, bits in[i]); break; \
    case FC_INT64: CAST_LOOP(from, int64_t, bits in[i]); break; \
    case FC_UINT8: CAST_LOOP(from, uint8_t, bits in[i]); break; \
    case FC_BOOL: CAST_LOOP(from, uint8_t, in[i] != 0); break; \
    }

/* What C converts; of a float, by way of int64 (towards zero, and the low bits of what does not fit). */
static void fc_cast(fc_type source, fc_type target, const void *x, void *y, int64_t n) {
    switch (source) {
    case FC_FLOAT32: CAST_FROM(float, (int64_t)); break;
    case FC_INT32: CAST_FROM(int32_t, ); break;
    case FC_INT64: CAST_FROM(int64_t, ); break;
    case FC_UINT8:
    case FC_BOOL: CAST_FROM(uint8_t, ); break;
    }
}
