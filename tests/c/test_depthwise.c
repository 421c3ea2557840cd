/* Depthwise and grouped convolution, their gradients, and the two helpers of its channel multiplier. */
#include "check.h"

/* Taps, steps, spreads, the first tap of the first output, outputs. */
static const int64_t windows[][10] = {
    {3, 3, 1, 1, 1, 1, -1, -1, 6, 37}, {3, 3, 1, 1, 1, 1, -1, -1, 3, 5}, {3, 3, 2, 2, 1, 1, 0, -1, 3, 18},
    {5, 5, 1, 1, 1, 1, -2, -2, 6, 14}, {5, 5, 2, 2, 1, 1, -2, -1, 4, 9}, {3, 3, 1, 1, 2, 2, -2, -2, 6, 9},
    {1, 1, 1, 1, 1, 1, 0, 0, 4, 7},    {2, 4, 1, 2, 1, 1, -1, -1, 6, 8}, {7, 7, 1, 1, 1, 1, -3, -3, 6, 11},
    {3, 9, 3, 1, 1, 1, -1, -8, 3, 21}, {2, 2, 1, 1, 1, 1, -1, 0, 4, 3},  {6, 6, 1, 1, 2, 3, -5, -9, 6, 12},
};
enum { WINDOWS = sizeof windows / sizeof *windows, HEIGHT = 6 };

/* for every term of output (i, j, c): `at` in x and `of` in w, of a tap inside the image and a channel of the group */
#define FOR_EACH_TERM(t, g, i, j, c) \
    for (int64_t term = 0, tap, d, h, w, at, of; term < (g)->taps_h * (g)->taps_w * (t)->depth; term++) \
        if (tap = term / (t)->depth, d = term % (t)->depth, \
            h = (g)->first_h + (i) * (g)->step_h + tap / (g)->taps_w * (g)->spread_h, \
            w = (g)->first_w + (j) * (g)->step_w + tap % (g)->taps_w * (g)->spread_w, \
            at = h * (g)->x_row + w * (g)->x_pixel + (c) / (t)->depth * (t)->depth + d, \
            of = tap / (g)->taps_w * (t)->w_row + tap % (g)->taps_w * (t)->w_tap + d * (t)->w_depth + (c), \
            h >= 0 && h < (g)->height && w >= 0 && w < (g)->width)

static void depthwise_case(const int64_t *q, int64_t channels, int64_t depth, int variant) {
    const int64_t gap = variant % 3, width = (q[9] - 1) * q[3] + q[7] + 1 + variant % 2;
    const int64_t terms = q[0] * q[1] * depth, weights = terms * channels;
    fc_depthwise t = {
        .window = {.height = HEIGHT, .width = width, .x_pixel = channels + gap, .first_h = q[6], .first_w = q[7],
                   .step_h = q[2], .step_w = q[3], .spread_h = q[4], .spread_w = q[5], .taps_h = q[0], .taps_w = q[1],
                   .rows = q[8], .columns = q[9], .y_pixel = channels + gap},
        .w_row = q[1] * depth * channels, .w_tap = depth * channels, .w_depth = channels, .channels = channels,
        .depth = depth, .activation = {variant % ACTIVATIONS, 0.25f, 1.5f},
    };
    fc_window *g = &t.window;
    if (g->width < 1) g->width = 1;
    g->x_row = g->width * g->x_pixel + 2 * gap;
    g->y_row = g->columns * g->y_pixel + 2 * gap;
    g->x = random_floats(g->height * g->x_row, -1, 1);
    const float *w = random_floats(weights, -1, 1);
    output y = new_output(g->rows * g->y_row), means = new_output(g->rows * (channels + gap));
    output dw = new_output(weights), dbias = new_output(channels);
    t.w = w, t.dw = dw.got;
    if (variant & 1) t.bias = random_floats(channels, -1, 1), t.dbias = dbias.got;
    if (variant & 2) { /* from the last tap to the first, as backward data asks for it */
        t.w += weights - depth * channels, t.dw += weights - depth * channels;
        t.w_row = -t.w_row, t.w_tap = -t.w_tap;
    }
    if (variant & 1) t.means = means.got, t.means_row = channels + gap;
    if (variant & 4) t.residual = random_floats(g->rows * g->y_row, -1, 1);
    testing("depthwise");
    g->y = y.got;
    for (int64_t p = 0; p < g->rows * g->columns * channels; p++) {
        const int64_t c = p % channels, j = p / channels % g->columns, i = p / channels / g->columns;
        double sum = t.bias ? t.bias[c] : 0, scale = fabs(sum);
        FOR_EACH_TERM (&t, g, i, j, c) sum += (double)g->x[at] * t.w[of], scale += fabsf(g->x[at] * t.w[of]);
        if (t.residual) sum += t.residual[i * g->y_row + j * g->y_pixel + c], scale += 1;
        sum = activation(sum, t.activation);
        put(y, i * g->y_row + j * g->y_pixel + c, sum, scale + fabs(sum));
        if (t.means) {
            const int64_t at = i * t.means_row + c;
            const double term = sum / (double)g->columns, size = (scale + fabs(sum)) / (double)g->columns;
            put(means, at, j ? means.want[at] + term : term, j ? means.scale[at] + size : size);
        }
    }
    k->depthwise(&t);
    expect(y, terms + 2 + ACTIVATION_ROUNDINGS);
    expect(means, terms + 4 + ACTIVATION_ROUNDINGS + g->columns);

    testing("depthwise_backward_kernel");
    float *dy = random_floats(g->rows * g->y_row, -1, 1);
    g->y = dy;
    const int64_t base = t.dw - dw.got;
    for (int64_t i = 0; i < weights; i++) dw.got[i] = random_float(-1, 1), put(dw, i, dw.got[i], 1);
    for (int64_t c = 0; t.dbias && c < channels; c++)
        dbias.got[c] = random_float(-1, 1), put(dbias, c, dbias.got[c], 1);
    for (int64_t p = 0; p < g->rows * g->columns * channels; p++) {
        const int64_t c = p % channels, j = p / channels % g->columns, i = p / channels / g->columns;
        const float gradient = dy[i * g->y_row + j * g->y_pixel + c];
        FOR_EACH_TERM (&t, g, i, j, c) {
            const double product = (double)g->x[at] * gradient;
            put(dw, base + of, dw.want[base + of] + product, dw.scale[base + of] + fabs(product));
        }
        if (t.dbias) put(dbias, c, dbias.want[c] + gradient, dbias.scale[c] + fabsf(gradient));
    }
    k->depthwise_backward_kernel(&t);
    expect(dw, g->rows * g->columns + 1);
    expect(dbias, g->rows * g->columns + 1);
    release();
}

static void test_repeat_and_fold(int64_t n, int64_t count) {
    const float *x = random_floats(n * count, -1, 1);
    output repeated = new_output(n * count), folded = new_output(n);
    for (int64_t i = 0; i < n * count; i++) {
        put(repeated, i, x[i / count], 0);
        if (i % count == 0) put(folded, i / count, 0, 0);
        put(folded, i / count, folded.want[i / count] + x[i], folded.scale[i / count] + fabsf(x[i]));
    }
    testing("repeat");
    k->repeat(x, repeated.got, n, count);
    expect(repeated, 0);
    testing("fold");
    k->fold(x, folded.got, n, count);
    expect(folded, count);
    release();
}

void test_depthwise(void) {
    int variant = 0;
    for (int i = 0; i < WINDOWS; i++)
        FOR_EACH (channels, 1, VL - 1, VL, VL + 1, 2 * VL - 1, 2 * VL, 2 * VL + 1, 5 * VL + 2)
            depthwise_case(windows[i], channels, 1, variant++);
    for (int64_t depth = 4; depth <= least(8, VL); depth *= 2)
        for (int i = 0; i < WINDOWS; i++)
            FOR_EACH (channels, VL, 3 * VL) depthwise_case(windows[i], channels, depth, variant++);
    FOR_EACH (n, 1, 17)
        FOR_EACH (count, 1, 2, 5) test_repeat_and_fold(n, count);
}
