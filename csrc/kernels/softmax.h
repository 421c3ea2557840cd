/* Softmax over rows, alone and with cross-entropy. Sums over samples are float64, in the order of the rows. */

FC_INLINE vi v_first(int64_t n) { /* the mask of the first n lanes */
    vi lane;
    for (int i = 0; i < FC_VL; i++) lane[i] = i;
    return lane < v_seti(n < FC_VL ? (int32_t)n : FC_VL);
}

/* The greatest element. NaNs are passed over: the exponentials bring them back. */
FC_INLINE float row_max(const float *x, int64_t n) {
    vf top = v_set(-INFINITY);
    int64_t i = 0;
    for (; i + FC_VL <= n; i += FC_VL) top = v_greater(v_load(x + i), top);
    if (i < n) top = v_greater(v_select(v_first(n - i), v_load_n(x + i, n - i), v_set(-INFINITY)), top);
    for (int half = FC_VL / 2; half > 0; half /= 2)
        for (int l = 0; l < half; l++) top[l] = top[l + half] > top[l] ? top[l + half] : top[l];
    return top[0];
}

/* y = exp(x - shift); returns the sum. */
FC_INLINE float row_exp(const float *x, float *y, int64_t n, float shift) {
    vf sum = v_zero();
    int64_t i = 0;
    for (; i + FC_VL <= n; i += FC_VL) {
        vf e = v_exp(v_load(x + i) - shift);
        v_store(y + i, e);
        sum += e;
    }
    if (i < n) {
        vf e = v_select(v_first(n - i), v_exp(v_load_n(x + i, n - i) - shift), v_zero());
        v_store_n(y + i, e, n - i);
        sum += e;
    }
    return v_sum(sum);
}

FC_INLINE void row_scale(float *y, int64_t n, float scale) {
    int64_t i = 0;
    for (; i + FC_VL <= n; i += FC_VL) v_store(y + i, v_load(y + i) * scale);
    if (i < n) v_store_n(y + i, v_load_n(y + i, n - i) * scale, n - i);
}

static float row_dot(const float *a, const float *b, int64_t n) {
    vf sum = v_zero();
    int64_t i = 0;
    for (; i + FC_VL <= n; i += FC_VL) sum += v_load(a + i) * v_load(b + i);
    if (i < n) sum += v_load_n(a + i, n - i) * v_load_n(b + i, n - i);
    return v_sum(sum);
}

static float row_sum(const float *x, int64_t n) {
    vf sum = v_zero();
    int64_t i = 0;
    for (; i + FC_VL <= n; i += FC_VL) sum += v_load(x + i);
    if (i < n) sum += v_load_n(x + i, n - i);
    return v_sum(sum);
}

/* Up to so many columns there is a row in each lane, not a column. */
enum { FC_NARROW = 8 };

static void softmax_narrow(const float *x, float *y, int64_t rows, int64_t columns, int log_result) {
    float lanes[FC_NARROW][FC_VL] = {{0}}; /* [column][row] */
    for (int64_t r = 0; r < rows; r += FC_VL, x += FC_VL * columns, y += FC_VL * columns) {
        const int64_t n = rows - r < FC_VL ? rows - r : FC_VL;
        for (int64_t i = 0; i < n; i++)
            for (int64_t c = 0; c < columns; c++) lanes[c][i] = x[i * columns + c];
        vf top = v_set(-INFINITY), sum = v_zero(), e[FC_NARROW];
        for (int64_t c = 0; c < columns; c++) top = v_greater(v_load(lanes[c]), top);
        for (int64_t c = 0; c < columns; c++) sum += e[c] = v_exp(v_load(lanes[c]) - top);
        const vf scale = 1.0f / sum, log_sum = log_result ? v_log(sum) : v_zero();
        for (int64_t c = 0; c < columns; c++)
            v_store(lanes[c], log_result ? v_load(lanes[c]) - top - log_sum : e[c] * scale);
        for (int64_t i = 0; i < n; i++)
            for (int64_t c = 0; c < columns; c++) y[i * columns + c] = lanes[c][i];
    }
}

/* y = exp(x - max) / sum, or its logarithm. y may be x. */
static void fc_softmax(const float *x, float *y, int64_t rows, int64_t columns, int log_result) {
    if (columns <= FC_NARROW) {
        softmax_narrow(x, y, rows, columns, log_result);
        return;
    }
    for (int64_t r = 0; r < rows; r++, x += columns, y += columns) {
        const float top = row_max(x, columns);
        if (!log_result) {
            row_scale(y, columns, 1.0f / row_exp(x, y, columns, top));
            continue;
        }
        vf sum = v_zero();
        int64_t i = 0;
        for (; i + FC_VL <= columns; i += FC_VL) sum += v_exp(v_load(x + i) - top);
        if (i < columns)
            sum += v_select(v_first(columns - i), v_exp(v_load_n(x + i, columns - i) - top), v_zero());
        const float log_sum = logf(v_sum(sum));
        for (i = 0; i + FC_VL <= columns; i += FC_VL) v_store(y + i, v_load(x + i) - top - log_sum);
        if (i < columns) v_store_n(y + i, v_load_n(x + i, columns - i) - top - log_sum, columns - i);
    }
}

/* dx = y * (dy - sum(dy * y)); for the logarithm dx = dy - exp(y) * sum(dy). dx may be y or dy. */
static void fc_softmax_backward(const float *y, const float *dy, float *dx, int64_t rows, int64_t columns,
                                int log_result) {
    for (int64_t r = 0; r < rows; r++, y += columns, dy += columns, dx += columns) {
        const float sum = log_result ? row_sum(dy, columns) : row_dot(y, dy, columns);
        for (int64_t i = 0; i < columns; i += FC_VL) {
            const int64_t n = columns - i;
            vf p = v_load_some(y + i, n);
            vf d = v_load_some(dy + i, n);
            d = log_result ? d - v_exp(p) * sum : p * (d - sum);
            v_store_some(dx + i, d, n);
        }
    }
}

/* The target of a class: labels mixed with the uniform distribution. */
FC_INLINE vf mix_target(vf target, float keep, float uniform) { return target * keep + uniform; }

/* Sum of target * log p, slowly: for targets that are infinite, where 0 * inf may not come of the greatest x. */
static double log_likelihood(const float *x, const float *t, int64_t columns, float top, float keep, float uniform) {
    double sum = 0, total = 0;
    for (int64_t i = 0; i < columns; i++) sum += expf(x[i] - top);
    for (int64_t i = 0; i < columns; i++) total += (t[i] * keep + uniform) * (x[i] - top - log(sum));
    return total;
}

static double fc_softmax_loss_run(const fc_softmax_loss *a) {
    const int64_t columns = a->columns;
    const float uniform = a->smoothing / (float)columns, keep = 1.0f - a->smoothing;
    double total = 0;
    for (int64_t r = 0; r < a->rows; r++) {
        const float *x = a->x + r * columns;
        float *y = a->y + r * columns;
        const float top = row_max(x, columns);
        double targets = 1, dot; /* sum of the targets; sum of target * (x - top) */
        if (a->labels) {
            const int32_t label = a->labels[r];
            dot = label >= 0 && label < columns ? (double)x[label] - top : (double)NAN;
            if (a->smoothing > 0) {
                vf shifts = v_zero();
                for (int64_t i = 0; i < columns; i += FC_VL)
                    shifts += v_select(v_first(columns - i), v_load_some(x + i, columns - i) - top, v_zero());
                dot = dot * (1.0 - a->smoothing) + v_sum(shifts) * a->smoothing / (double)columns;
            }
        } else {
            const float *t = a->targets + r * columns;
            vf sums = v_zero(), dots = v_zero();
            int64_t i = 0;
            for (; i + FC_VL <= columns; i += FC_VL) {
                vf target = mix_target(v_load(t + i), keep, uniform);
                sums += target;
                dots += target * (v_load(x + i) - top);
            }
            if (i < columns) {
                const int64_t n = columns - i;
                vf target = v_select(v_first(n), mix_target(v_load_n(t + i, n), keep, uniform), v_zero());
                sums += target;
                dots += v_select(v_first(n), target * (v_load_n(x + i, n) - top), v_zero());
            }
            targets = v_sum(sums);
            dot = v_sum(dots);
            if (!isfinite(targets)) {
                targets = 0;
                dot = log_likelihood(x, t, columns, top, keep, uniform);
            }
        }
        const float sum = row_exp(x, y, columns, top);
        row_scale(y, columns, 1.0f / sum);
        const double loss = log((double)sum) * targets - dot;
        total += a->weight ? a->weight[r] * loss : loss;
    }
    return total;
}

static void fc_softmax_loss_backward(const fc_softmax_loss *a) {
    const int64_t columns = a->columns;
    const float uniform = a->smoothing / (float)columns, keep = 1.0f - a->smoothing;
    for (int64_t r = 0; r < a->rows; r++) {
        const float *p = a->x + r * columns, *dp = a->dy + r * columns;
        const float *t = a->targets ? a->targets + r * columns : NULL;
        float *dx = a->y + r * columns;
        const float scale = (float)(*a->dloss * (a->weight ? a->weight[r] : 1.0) / a->samples);
        const float dot = row_dot(p, dp, columns);
        const int32_t label = t ? 0 : a->labels[r];
        if (!t && (label < 0 || label >= columns)) {
            for (int64_t i = 0; i < columns; i++) dx[i] = NAN;
            continue;
        }
        /* Before dx is written: it may be p or dp. */
        const float p_label = p[label], dp_label = dp[label];
        const float targets = t ? row_sum(t, columns) * keep + a->smoothing : 1.0f;
        for (int64_t i = 0; i < columns; i += FC_VL) {
            const int64_t n = columns - i;
            vf q = v_load_some(p + i, n);
            vf d = v_load_some(dp + i, n);
            vf target = v_set(uniform);
            if (t) target = mix_target(v_load_some(t + i, n), keep, uniform);
            d = (q * targets - target) * scale + q * (d - dot);
            v_store_some(dx + i, d, n);
        }
        if (!t) dx[label] = (p_label - uniform - keep) * scale + p_label * (dp_label - dot);
    }
}
