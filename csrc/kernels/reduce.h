/* Reductions, in an order that the shape of what is reduced fixes: see fc_reduce. */

enum { REDUCE_RUN = 64 }; /* terms of a sum that go into one partial sum */

FC_INLINE vf reduce_start(fc_reduction kind) {
    switch (kind) {
    case FC_REDUCE_MAX: return v_set(-INFINITY);
    case FC_REDUCE_MIN: return v_set(INFINITY);
    case FC_REDUCE_PROD: return v_set(1.0f);
    default: return v_zero();
    }
}

FC_INLINE vf reduce_join(fc_reduction kind, vf a, vf b) {
    switch (kind) {
    case FC_REDUCE_MAX: return v_max(a, b);
    case FC_REDUCE_MIN: return v_min(a, b);
    case FC_REDUCE_PROD: return a * b;
    default: return a + b;
    }
}

FC_INLINE float reduce_lanes(fc_reduction kind, vf v) {
    for (int half = FC_VL / 2; half > 0; half /= 2) {
        vi lanes;
        for (int i = 0; i < FC_VL; i++) lanes[i] = (i + half) % FC_VL;
        v = reduce_join(kind, v, v_permute(v, lanes));
    }
    return v[0];
}

/* Columns side by side: `vectors` vectors of them, n floats in each. */
FC_INLINE void reduce_columns(fc_reduction kind, const fc_reduce *p, int64_t column, int vectors, int64_t n) {
    vf total[4], part[4];
    for (int v = 0; v < vectors; v++)
        total[v] = p->accumulate ? (vf)v_load_some(p->y + column + v * FC_VL, n) : reduce_start(kind);
    for (int64_t first = 0; first < p->rows; first += REDUCE_RUN) {
        const int64_t end = p->rows - first < REDUCE_RUN ? p->rows : first + REDUCE_RUN;
        for (int v = 0; v < vectors; v++) part[v] = reduce_start(kind);
        for (int64_t r = first; r < end; r++)
            for (int v = 0; v < vectors; v++)
                part[v] = reduce_join(kind, part[v], v_load_some(p->x + r * p->x_row + column + v * FC_VL, n));
        for (int v = 0; v < vectors; v++) total[v] = reduce_join(kind, total[v], part[v]);
    }
    for (int v = 0; v < vectors; v++) v_store_some(p->y + column + v * FC_VL, total[v], n);
}

/* One number of `rows` elements that stand side by side. */
FC_INLINE void reduce_run(fc_reduction kind, const fc_reduce *p) {
    vf part[4];
    int64_t i = 0;
    for (int v = 0; v < 4; v++) part[v] = reduce_start(kind);
    for (; i + 4 * FC_VL <= p->rows; i += 4 * FC_VL)
        for (int v = 0; v < 4; v++) part[v] = reduce_join(kind, part[v], v_load(p->x + i + v * FC_VL));
    for (; i + FC_VL <= p->rows; i += FC_VL) part[0] = reduce_join(kind, part[0], v_load(p->x + i));
    if (i < p->rows) {
        const int64_t n = p->rows - i;
        part[1] = reduce_join(kind, part[1], v_select(v_first(n), v_load_n(p->x + i, n), reduce_start(kind)));
    }
    vf all = reduce_join(kind, reduce_join(kind, part[0], part[1]), reduce_join(kind, part[2], part[3]));
    if (p->accumulate) all[0] = reduce_join(kind, all, v_set(*p->y))[0];
    *p->y = reduce_lanes(kind, all);
}

FC_INLINE void reduce_as(fc_reduction kind, const fc_reduce *p) {
    if (!p->columns) {
        reduce_run(kind, p);
        return;
    }
    int64_t c = 0;
    for (; c + 4 * FC_VL <= p->columns; c += 4 * FC_VL) reduce_columns(kind, p, c, 4, FC_VL);
    for (; c + FC_VL <= p->columns; c += FC_VL) reduce_columns(kind, p, c, 1, FC_VL);
    if (c < p->columns) reduce_columns(kind, p, c, 1, p->columns - c);
}

static void fc_reduce_run(const fc_reduce *p) {
    switch (p->kind) {
    case FC_REDUCE_SUM: reduce_as(FC_REDUCE_SUM, p); break;
    case FC_REDUCE_MAX: reduce_as(FC_REDUCE_MAX, p); break;
    case FC_REDUCE_MIN: reduce_as(FC_REDUCE_MIN, p); break;
    case FC_REDUCE_PROD: reduce_as(FC_REDUCE_PROD, p); break;
    }
}
