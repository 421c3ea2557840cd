/* Pointwise kernels over flat arrays. The output may be one of the inputs. A tail runs through the same vector code
 * as the rest, so an element's value never depends on where it stands. */

/* A whole vector, or the n < FC_VL elements that are left. */
FC_INLINE vf v_load_some(const float *p, int64_t n) {
    if (n < FC_VL) return v_load_n(p, n);
    return v_load(p);
}
FC_INLINE void v_store_some(float *p, vf v, int64_t n) {
    if (n < FC_VL) v_store_n(p, v, n);
    else v_store(p, v);
}

/* The derivative of an activation, written in its own value y: dx = dy * f'(x), NaN where y is. Needs alpha >= 0.
 * ReLU chooses and does not multiply: 0 where y = 0, also for an infinite dy. */
FC_INLINE vf v_activate_backward(vf y, vf dy, fc_activation activation, float alpha) {
    switch (activation) {
    case FC_ACT_RELU: return v_select(y > 0, dy, v_select(y != y, y, v_zero()));
    case FC_ACT_LEAKY_RELU: return v_select(y > 0, dy, v_select(y != y, y, dy * alpha));
    case FC_ACT_SIGMOID: return dy * (y * (1.0f - y));
    case FC_ACT_TANH: return dy * (1.0f - y * y);
    case FC_ACT_RELU6: return v_select((y > 0) & (y < 6), dy, v_select(y != y, y, v_zero()));
    default: return dy;
    }
}

FC_INLINE void activate_as(const float *x, float *y, int64_t n, fc_activation activation, float alpha) {
    int64_t i = 0;
    for (; i + FC_VL <= n; i += FC_VL) v_store(y + i, v_activate(v_load(x + i), activation, alpha));
    if (i < n) v_store_n(y + i, v_activate(v_load_n(x + i, n - i), activation, alpha), n - i);
}

FC_INLINE void activate_backward_as(const float *y, const float *dy, float *dx, int64_t n, fc_activation activation,
                                    float alpha) {
    int64_t i = 0;
    for (; i + FC_VL <= n; i += FC_VL)
        v_store(dx + i, v_activate_backward(v_load(y + i), v_load(dy + i), activation, alpha));
    if (i < n)
        v_store_n(dx + i, v_activate_backward(v_load_n(y + i, n - i), v_load_n(dy + i, n - i), activation, alpha),
                  n - i);
}

/* One loop for each function: a switch inside the loop would cost more than ReLU does. */
static void fc_activate(const float *x, float *y, int64_t n, fc_activation activation, float alpha) {
    switch (activation) {
    case FC_ACT_RELU: activate_as(x, y, n, FC_ACT_RELU, alpha); break;
    case FC_ACT_LEAKY_RELU: activate_as(x, y, n, FC_ACT_LEAKY_RELU, alpha); break;
    case FC_ACT_SIGMOID: activate_as(x, y, n, FC_ACT_SIGMOID, alpha); break;
    case FC_ACT_TANH: activate_as(x, y, n, FC_ACT_TANH, alpha); break;
    case FC_ACT_RELU6: activate_as(x, y, n, FC_ACT_RELU6, alpha); break;
    default: activate_as(x, y, n, FC_ACT_NONE, alpha);
    }
}

static void fc_activate_backward(const float *y, const float *dy, float *dx, int64_t n, fc_activation activation,
                                 float alpha) {
    switch (activation) {
    case FC_ACT_RELU: activate_backward_as(y, dy, dx, n, FC_ACT_RELU, alpha); break;
    case FC_ACT_LEAKY_RELU: activate_backward_as(y, dy, dx, n, FC_ACT_LEAKY_RELU, alpha); break;
    case FC_ACT_SIGMOID: activate_backward_as(y, dy, dx, n, FC_ACT_SIGMOID, alpha); break;
    case FC_ACT_TANH: activate_backward_as(y, dy, dx, n, FC_ACT_TANH, alpha); break;
    case FC_ACT_RELU6: activate_backward_as(y, dy, dx, n, FC_ACT_RELU6, alpha); break;
    default: activate_backward_as(y, dy, dx, n, FC_ACT_NONE, alpha);
    }
}

/* y[i] = ((x0[i] + x1[i]) + x2[i]) + ... for start <= i < start + n. */
static void fc_add_n(const float *const *x, int64_t count, float *y, int64_t start, int64_t n) {
    int64_t i = start;
    const int64_t end = start + n;
    for (; i + FC_VL <= end; i += FC_VL) {
        vf sum = v_load(x[0] + i);
        for (int64_t j = 1; j < count; j++) sum += v_load(x[j] + i);
        v_store(y + i, sum);
    }
    if (i < end) {
        vf sum = v_load_n(x[0] + i, end - i);
        for (int64_t j = 1; j < count; j++) sum += v_load_n(x[j] + i, end - i);
        v_store_n(y + i, sum, end - i);
    }
}

/* Copy `rows` rows of n four-byte elements between matrices with rows x_row and y_row apart. */
static void fc_copy_rows(const float *x, int64_t x_row, float *y, int64_t y_row, int64_t rows, int64_t n) {
    for (int64_t r = 0; r < rows; r++, x += x_row, y += y_row) {
        if (n >= 16 * FC_VL) {
            memcpy(y, x, n * sizeof(float));
            continue;
        }
        int64_t i = 0;
        for (; i + FC_VL <= n; i += FC_VL) v_store(y + i, v_load(x + i));
        if (i < n) v_store_n(y + i, v_load_n(x + i, n - i), n - i);
    }
}
