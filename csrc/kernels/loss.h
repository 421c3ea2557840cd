/* Losses that are a sum over elements. Sums are float64, in the order of the elements. Needs softmax.h. */

#define FC_CLIP 1e-7f /* probabilities stay this far from 0 and 1 */

FC_INLINE vf loss_value(fc_loss_kind kind, vf x, vf t) {
    switch (kind) {
    case FC_LOSS_SQUARED: return (x - t) * (x - t);
    case FC_LOSS_BINARY: {
        /* 1 - x is exact near 1, where the clip of x itself would round. */
        const vf low = v_set(FC_CLIP), high = v_set(1.0f - FC_CLIP);
        vf yes = v_min(v_max(x, low), high), no = v_min(v_max(1.0f - x, low), high);
        return -(t * v_log(yes) + (1.0f - t) * v_log(no));
    }
    default: {
        vf size = (vf)((vi)x & v_seti(0x7fffffff));
        return v_relu(x) - x * t + v_log1p(v_exp(-size));
    }
    }
}

FC_INLINE vf loss_slope(fc_loss_kind kind, vf x, vf t) {
    switch (kind) {
    case FC_LOSS_SQUARED: return 2.0f * (x - t);
    case FC_LOSS_BINARY:
        return v_select((x < FC_CLIP) | (1.0f - x < FC_CLIP), v_zero(), (1.0f - t) / (1.0f - x) - t / x);
    default: return v_sigmoid(x) - t;
    }
}

/* Sum over n elements of loss * weight (NULL: 1): short runs in float32, their sums in float64. */
FC_INLINE double loss_flat(fc_loss_kind kind, const fc_loss *a, int64_t start, int64_t n, const float *weight) {
    const float *x = a->x + start, *t = a->targets + start;
    const float keep = 1.0f - a->smoothing, half = 0.5f * a->smoothing;
    double total = 0;
    int64_t i = 0;
    while (i + FC_VL <= n) {
        const int64_t end = i + 16 * FC_VL < n ? i + 16 * FC_VL : n;
        vf sum = v_zero();
        for (; i + FC_VL <= end; i += FC_VL) {
            vf value = loss_value(kind, v_load(x + i), mix_target(v_load(t + i), keep, half));
            if (weight) value *= v_load(weight + i);
            sum += value;
        }
        total += v_sum(sum);
    }
    if (i < n) {
        vf value = loss_value(kind, v_load_n(x + i, n - i), mix_target(v_load_n(t + i, n - i), keep, half));
        if (weight) value *= v_load_n(weight + i, n - i);
        total += v_sum(v_select(v_first(n - i), value, v_zero()));
    }
    return total;
}

FC_INLINE double loss_as(fc_loss_kind kind, const fc_loss *a) {
    if (!a->weight || a->columns == 1) return loss_flat(kind, a, 0, a->rows * a->columns, a->weight);
    double total = 0;
    for (int64_t r = 0; r < a->rows; r++)
        total += a->weight[r] * loss_flat(kind, a, r * a->columns, a->columns, NULL);
    return total;
}

static double fc_loss_run(const fc_loss *a) {
    switch (a->kind) {
    case FC_LOSS_SQUARED: return loss_as(FC_LOSS_SQUARED, a);
    case FC_LOSS_BINARY: return loss_as(FC_LOSS_BINARY, a);
    default: return loss_as(FC_LOSS_BINARY_LOGITS, a);
    }
}

FC_INLINE void loss_backward_flat(fc_loss_kind kind, const fc_loss *a, int64_t start, int64_t n, const float *weight,
                                  float scale) {
    const float *x = a->x + start, *t = a->targets + start;
    float *dx = a->dx + start;
    const float keep = 1.0f - a->smoothing, half = 0.5f * a->smoothing;
    int64_t i = 0;
    for (; i + FC_VL <= n; i += FC_VL) {
        vf slope = loss_slope(kind, v_load(x + i), mix_target(v_load(t + i), keep, half)) * scale;
        v_store(dx + i, weight ? slope * v_load(weight + i) : slope);
    }
    if (i < n) {
        vf slope = loss_slope(kind, v_load_n(x + i, n - i), mix_target(v_load_n(t + i, n - i), keep, half)) * scale;
        v_store_n(dx + i, weight ? slope * v_load_n(weight + i, n - i) : slope, n - i);
    }
}

FC_INLINE void loss_backward_as(fc_loss_kind kind, const fc_loss *a) {
    const double scale = *a->dloss * a->factor;
    if (!a->weight || a->columns == 1) {
        loss_backward_flat(kind, a, 0, a->rows * a->columns, a->weight, (float)scale);
        return;
    }
    for (int64_t r = 0; r < a->rows; r++)
        loss_backward_flat(kind, a, r * a->columns, a->columns, NULL, (float)(scale * a->weight[r]));
}

static void fc_loss_backward(const fc_loss *a) {
    switch (a->kind) {
    case FC_LOSS_SQUARED: loss_backward_as(FC_LOSS_SQUARED, a); break;
    case FC_LOSS_BINARY: loss_backward_as(FC_LOSS_BINARY, a); break;
    default: loss_backward_as(FC_LOSS_BINARY_LOGITS, a);
    }
}

/* The mean over samples, from the sums of the chunks. */
static void fc_loss_mean(const double *partial, int64_t count, double samples, float *loss) {
    double total = 0;
    for (int64_t i = 0; i < count; i++) total += partial[i];
    *loss = (float)(total / samples);
}
