/* Activation functions and their derivatives, alone and as the last thing that a kernel does to what it stores.
 *
 * ReLU and clipping take an instruction or two, and kernels apply them in registers (v_finish). The others are long: they
 * run over the stored rows while these are in the first-level cache (fc_activate_rows), not inside every copy of a tile.
 * NaNs come through: where v_greater and v_lesser are given one, it is their second argument. */

/* f(function) for each of them. */
#define FC_EACH_ACTIVATION(f) \
    f(FC_ACT_NONE) f(FC_ACT_RELU) f(FC_ACT_CLIP) f(FC_ACT_LEAKY_RELU) f(FC_ACT_SIGMOID) f(FC_ACT_TANH) f(FC_ACT_ELU) \
    f(FC_ACT_SOFTPLUS) f(FC_ACT_HARD_SIGMOID) f(FC_ACT_HARD_SWISH) f(FC_ACT_SILU) f(FC_ACT_GELU) f(FC_ACT_GELU_TANH) \
    f(FC_ACT_MISH) f(FC_ACT_SOFTSIGN)

FC_INLINE vf v_clip(vf x, float low, float high) { return v_lesser(v_set(high), v_greater(v_set(low), x)); }

FC_INLINE vf v_sigmoid(vf x) { return 1.0f / (1.0f + v_exp(-x)); }

/* And its derivative s (1 - s), without the difference. */
FC_INLINE vf v_sigmoid_slope(vf x, vf *slope) {
    const vf e = v_exp(-v_abs(x)), r = 1.0f / (1.0f + e);
    *slope = e * r * r;
    return v_select(x < 0, e * r, r);
}

/* tanh(x): an odd polynomial below 0.625, where 1 - 2 / (exp(2x) + 1) would cancel. */
FC_INLINE vf v_tanh(vf x) {
    vf size = v_abs(x);
    vf z = x * x;
    vf p = v_set(-5.70498872745e-3f);
    p = p * z + 2.06390887954e-2f;
    p = p * z - 5.37397155531e-2f;
    p = p * z + 1.33314422036e-1f;
    p = p * z - 3.33332819422e-1f;
    vf small = p * z * x + x;
    vf large = 1.0f - 2.0f / (v_exp(size + size) + 1.0f);
    large = (vf)((vi)large | ((vi)x & v_seti((int32_t)0x80000000)));
    return v_select(size < 0.625f, small, v_select(x != x, x, large));
}

/* The share of the normal distribution below x, within 4e-7 of itself. Of its tail, exp(-x^2 / 2) is taken out; what
 * remains falls like 1 / (1 + 0.34 |x|), times a polynomial in that. */
FC_INLINE vf v_normal(vf x) {
    vf t = 1.0f / (1.0f + 0.34f * v_abs(x));
    vf p = v_set(-2.63702616e-2f);
    p = p * t + 1.40672119e-1f;
    p = p * t - 2.75462335e-1f;
    p = p * t + 2.04732694e-1f;
    p = p * t - 4.63950863e-2f;
    p = p * t + 1.16034969e-1f;
    p = p * t + 1.15035091e-1f;
    p = p * t + 1.36133478e-1f;
    p = p * t + 1.35619345e-1f;
    p = p * t * v_exp(x * x * -0.5f);
    return v_select(x > 0, 1.0f - p, p);
}

/* What the logistic function takes in GELU's approximation: 2 sqrt(2 / pi) (x + 0.044715 x^3). */
FC_INLINE vf v_gelu_argument(vf x) { return x * (1.59576912160573f + 0.0713548162726009f * (x * x)); }

/* tanh(log(1 + exp(x))); beyond 20 it is 1. */
FC_INLINE vf v_mish_gate(vf x) {
    vf e = v_exp(v_lesser(v_set(20.0f), x)), w = e * (e + 2.0f);
    return w / (w + 2.0f);
}

FC_INLINE vf v_activate(vf x, const fc_activation a) {
    switch (a.function) {
    case FC_ACT_NONE: return x;
    case FC_ACT_RELU: return v_relu(x);
    case FC_ACT_CLIP: return v_clip(x, a.alpha, a.beta);
    case FC_ACT_LEAKY_RELU: return v_select(x < 0, x * a.alpha, x);
    case FC_ACT_SIGMOID: return v_sigmoid(x);
    case FC_ACT_TANH: return v_tanh(x);
    case FC_ACT_ELU: return a.beta * v_select(x > 0, x, a.alpha * v_expm1(v_lesser(v_zero(), x)));
    case FC_ACT_SOFTPLUS: return v_relu(x) + v_log1p(v_exp(-v_abs(x)));
    case FC_ACT_HARD_SIGMOID: return v_clip(x * a.alpha + a.beta, 0, 1);
    case FC_ACT_HARD_SWISH: return x * v_clip(x * a.alpha + a.beta, 0, 1);
    case FC_ACT_SILU: return x / (1.0f + v_exp(-x));
    case FC_ACT_GELU: return x * v_normal(x);
    case FC_ACT_GELU_TANH: return x / (1.0f + v_exp(-v_gelu_argument(x)));
    case FC_ACT_MISH: return x * v_mish_gate(x);
    case FC_ACT_SOFTSIGN: return x / (1.0f + v_abs(x));
    }
    return x;
}

/* dx = dy * f'(x), of a function whose derivative its own value y tells, and then `v` is y; of the others (see
 * fc_function), `v` is x. NaN where v is. ReLU chooses and does not multiply: 0 where y = 0, also for an infinite dy. */
FC_INLINE vf v_activate_backward(vf v, vf dy, const fc_activation a) {
    const vf nan = v_select(v != v, v, v_zero());
    switch (a.function) {
    case FC_ACT_NONE: return dy;
    case FC_ACT_RELU: return v_select(v > 0, dy, nan);
    case FC_ACT_CLIP: return v_select((v > a.alpha) & (v < a.beta), dy, nan);
    case FC_ACT_LEAKY_RELU: return v_select(v > 0, dy, v_select(v != v, v, dy * a.alpha));
    case FC_ACT_SIGMOID: return dy * (v * (1.0f - v));
    case FC_ACT_TANH: return dy * (1.0f - v * v);
    case FC_ACT_ELU: return dy * v_select(v > 0, v_set(a.beta), v + a.alpha * a.beta);
    case FC_ACT_SOFTPLUS: return dy * -v_expm1(-v);
    case FC_ACT_HARD_SIGMOID: return v_select((v > 0) & (v < 1), dy * a.alpha, nan);
    case FC_ACT_HARD_SWISH: {
        const vf z = v * a.alpha + a.beta;
        return dy * (v_clip(z, 0, 1) + v_select((z > 0) & (z < 1), v * a.alpha, v_zero()));
    }
    case FC_ACT_SILU: {
        vf slope, s = v_sigmoid_slope(v, &slope);
        return dy * (s + v * slope);
    }
    case FC_ACT_GELU: return dy * (v_normal(v) + v * (0.398942280401433f * v_exp(v * v * -0.5f)));
    case FC_ACT_GELU_TANH: {
        vf slope, s = v_sigmoid_slope(v_gelu_argument(v), &slope);
        return dy * (s + v * slope * (1.59576912160573f + 0.214064448817803f * (v * v)));
    }
    case FC_ACT_MISH: {
        const vf t = v_mish_gate(v);
        return dy * (t + v * (1.0f - t * t) * v_sigmoid(v));
    }
    case FC_ACT_SOFTSIGN: {
        const vf d = 1.0f / (1.0f + v_abs(v));
        return dy * (d * d);
    }
    }
    return dy;
}

/* The activation as far as it is short. */
FC_INLINE vf v_finish(vf x, const fc_activation *a) {
    if (a->function == FC_ACT_RELU) return v_relu(x);
    if (a->function == FC_ACT_CLIP) return v_clip(x, a->alpha, a->beta);
    return x;
}

/* max(value, best), NaN if one is. */
FC_INLINE vf v_larger(vf value, vf best) { return v_select(value != value, value, v_greater(value, best)); }

FC_INLINE void activate_as(const float *x, float *y, int64_t n, const fc_activation a) {
    int64_t i = 0;
    for (; i + FC_VL <= n; i += FC_VL) v_store(y + i, v_activate(v_load(x + i), a));
    if (i < n) v_store_n(y + i, v_activate(v_load_n(x + i, n - i), a), n - i);
}

FC_INLINE void activate_backward_as(const float *v, const float *dy, float *dx, int64_t n, const fc_activation a) {
    int64_t i = 0;
    for (; i + FC_VL <= n; i += FC_VL) v_store(dx + i, v_activate_backward(v_load(v + i), v_load(dy + i), a));
    if (i < n) v_store_n(dx + i, v_activate_backward(v_load_n(v + i, n - i), v_load_n(dy + i, n - i), a), n - i);
}

/* One loop for each function: a switch inside the loop would cost more than ReLU does. */
#define FC_AS(f) ((fc_activation){f, a.alpha, a.beta})

static void fc_activate(const float *x, float *y, int64_t n, fc_activation a) {
    switch (a.function) {
#define FC_CASE(f) \
    case f: activate_as(x, y, n, FC_AS(f)); break;
        FC_EACH_ACTIVATION(FC_CASE)
#undef FC_CASE
    }
}

static void fc_activate_backward(const float *v, const float *dy, float *dx, int64_t n, fc_activation a) {
    switch (a.function) {
#define FC_CASE(f) \
    case f: activate_backward_as(v, dy, dx, n, FC_AS(f)); break;
        FC_EACH_ACTIVATION(FC_CASE)
#undef FC_CASE
    }
}

/* What v_finish left undone, over rows of n elements that begin at y + offsets[row], or `stride` apart if that is NULL. */
static __attribute__((noinline)) void fc_activate_rows(float *y, const int64_t *offsets, int64_t stride, int64_t rows,
                                                       int64_t n, fc_activation a) {
    switch (a.function) {
#define FC_CASE(f) \
    case f: \
        if (f <= FC_ACT_CLIP) break; \
        for (int64_t m = 0; m < rows; m++) { \
            float *row = y + (offsets ? offsets[m] : m * stride); \
            activate_as(row, row, n, FC_AS(f)); \
        } \
        break;
        FC_EACH_ACTIVATION(FC_CASE)
#undef FC_CASE
    }
}
