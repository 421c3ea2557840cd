/* Depthwise convolution: vectors run over channels, four pixels (or four taps) share what they load.
 *
 * Everything is loaded before anything is computed: a load of a part of a vector branches, and between branches the
 * compiler fuses no multiply with its add, so that the bits would depend on how many pixels share a block. */

#define FC_DEPTHWISE 4

/* M pixels, V vectors of channels from c on, of which the last has `left` elements. */
FC_INLINE void depthwise_pixels(const fc_depthwise *t, int64_t row, int64_t c, int64_t left, const int M, const int V) {
    vf sum[FC_DEPTHWISE][2];
    FC_UNROLL for (int m = 0; m < M; m++)
        FC_UNROLL for (int v = 0; v < V; v++)
            sum[m][v] = t->bias ? v_load_some(t->bias + c + v * FC_VL, left) : v_zero();
    const float *const *a = t->a + row;
    for (int64_t tap = 0; tap < t->taps; tap++, a += t->a_tap) {
        const float *w = t->w + t->w_taps[tap] + c;
        FC_UNROLL for (int v = 0; v < V; v++) {
            vf weight = v_load_some(w + v * FC_VL, left), x[FC_DEPTHWISE];
            FC_UNROLL for (int m = 0; m < M; m++) x[m] = v_load_some(a[m] + c + v * FC_VL, left);
            FC_UNROLL for (int m = 0; m < M; m++) sum[m][v] += x[m] * weight;
        }
    }
    FC_UNROLL for (int m = 0; m < M; m++)
        FC_UNROLL for (int v = 0; v < V; v++) v_store_some(
            t->y + t->y_rows[row + m] + c + v * FC_VL, v_activate(sum[m][v], t->activation, t->alpha), left);
}

static void fc_depthwise_run(const fc_depthwise *t) {
    int64_t c = 0;
    for (; c + 2 * FC_VL <= t->channels; c += 2 * FC_VL) {
        int64_t row = 0;
        for (; row + FC_DEPTHWISE <= t->rows; row += FC_DEPTHWISE) depthwise_pixels(t, row, c, FC_VL, FC_DEPTHWISE, 2);
        for (; row < t->rows; row++) depthwise_pixels(t, row, c, FC_VL, 1, 2);
    }
    for (; c < t->channels; c += FC_VL) {
        int64_t row = 0;
        for (; row + FC_DEPTHWISE <= t->rows; row += FC_DEPTHWISE)
            depthwise_pixels(t, row, c, t->channels - c, FC_DEPTHWISE, 1);
        for (; row < t->rows; row++) depthwise_pixels(t, row, c, t->channels - c, 1, 1);
    }
}

/* M taps: w[tap][c] (+)= sum over rows of a[tap][row][c] * y[row][c]. */
FC_INLINE void depthwise_taps(const fc_depthwise *t, int64_t tap, int64_t c, int64_t left, const int M, const int V) {
    vf sum[FC_DEPTHWISE][2];
    FC_UNROLL for (int m = 0; m < M; m++)
        FC_UNROLL for (int v = 0; v < V; v++) sum[m][v] = v_zero();
    const float *const *a = t->a + tap * t->a_tap;
    for (int64_t row = 0; row < t->rows; row++, a++) {
        const float *y = t->y + t->y_rows[row] + c;
        FC_UNROLL for (int v = 0; v < V; v++) {
            vf dy = v_load_some(y + v * FC_VL, left), x[FC_DEPTHWISE];
            FC_UNROLL for (int m = 0; m < M; m++) x[m] = v_load_some(a[m * t->a_tap] + c + v * FC_VL, left);
            FC_UNROLL for (int m = 0; m < M; m++) sum[m][v] += x[m] * dy;
        }
    }
    FC_UNROLL for (int m = 0; m < M; m++) {
        FC_UNROLL for (int v = 0; v < V; v++) {
            float *w = t->dw + t->w_taps[tap + m] + c + v * FC_VL;
            v_store_some(w, t->accumulate ? v_load_some(w, left) + sum[m][v] : sum[m][v], left);
        }
    }
}

static void fc_depthwise_backward_kernel_run(const fc_depthwise *t) {
    int64_t c = 0;
    for (; c + 2 * FC_VL <= t->channels; c += 2 * FC_VL) {
        int64_t tap = 0;
        for (; tap + FC_DEPTHWISE <= t->taps; tap += FC_DEPTHWISE) depthwise_taps(t, tap, c, FC_VL, FC_DEPTHWISE, 2);
        for (; tap < t->taps; tap++) depthwise_taps(t, tap, c, FC_VL, 1, 2);
    }
    for (; c < t->channels; c += FC_VL) {
        int64_t tap = 0;
        for (; tap + FC_DEPTHWISE <= t->taps; tap += FC_DEPTHWISE)
            depthwise_taps(t, tap, c, t->channels - c, FC_DEPTHWISE, 1);
        for (; tap < t->taps; tap++) depthwise_taps(t, tap, c, t->channels - c, 1, 1);
    }
}

/* Each of n elements `count` times, and back: sums of `count` neighbours. */
static void fc_repeat(const float *x, float *y, int64_t n, int64_t count) {
    for (int64_t i = 0; i < n; i++)
        for (int64_t m = 0; m < count; m++) y[i * count + m] = x[i];
}
static void fc_fold(const float *x, float *y, int64_t n, int64_t count) {
    for (int64_t i = 0; i < n; i++) {
        float sum = x[i * count];
        for (int64_t m = 1; m < count; m++) sum += x[i * count + m];
        y[i] = sum;
    }
}
