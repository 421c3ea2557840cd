/* Rows of x picked, or summed with weights, along one axis: see fc_resample. */

/* n floats of one output, from tap to tap. */
FC_INLINE void resample_vectors(const fc_resample *p, const float *x, float *y, const int32_t *index,
                                const float *weights, int64_t count, int vectors, int64_t n) {
    vf sum[4];
    for (int v = 0; v < vectors; v++) sum[v] = v_load_some(x + index[0] * p->inner + v * FC_VL, n) * weights[0];
    for (int64_t t = 1; t < count; t++)
        for (int v = 0; v < vectors; v++)
            sum[v] += v_load_some(x + index[t] * p->inner + v * FC_VL, n) * weights[t];
    for (int v = 0; v < vectors; v++) v_store_some(y + v * FC_VL, sum[v], n);
}

FC_INLINE void resample_row(const fc_resample *p, const float *x, float *y, const int32_t *index, const float *weights,
                            int64_t count) {
    int64_t i = 0;
    for (; i + 4 * FC_VL <= p->width; i += 4 * FC_VL)
        resample_vectors(p, x + i, y + i, index, weights, count, 4, FC_VL);
    for (; i + FC_VL <= p->width; i += FC_VL) resample_vectors(p, x + i, y + i, index, weights, count, 1, FC_VL);
    if (i < p->width) resample_vectors(p, x + i, y + i, index, weights, count, 1, p->width - i);
}

static void resample_pick(const fc_resample *p) {
    for (int64_t j = 0; j < p->outputs; j++) {
        const float *from = p->x + p->index[j] * p->inner;
        float *to = p->y + j * p->inner;
        int64_t i = 0;
        for (; i + FC_VL <= p->width; i += FC_VL) v_store(to + i, v_load(from + i));
        if (i < p->width) v_store_n(to + i, v_load_n(from + i, p->width - i), p->width - i);
    }
}

static void fc_resample_run(const fc_resample *p) {
    if (!p->weights) {
        resample_pick(p);
        return;
    }
    for (int64_t j = 0; j < p->outputs; j++) {
        const int32_t *index = p->index + j * p->taps;
        const float *weights = p->weights + j * p->taps;
        if (p->width == 1) {
            float sum = p->x[index[0] * p->inner] * weights[0];
            for (int64_t t = 1; t < p->taps; t++) sum += p->x[index[t] * p->inner] * weights[t];
            p->y[j * p->inner] = sum;
        } else if (p->taps == 2) {
            resample_row(p, p->x, p->y + j * p->inner, index, weights, 2);
        } else {
            resample_row(p, p->x, p->y + j * p->inner, index, weights, p->taps);
        }
    }
}
