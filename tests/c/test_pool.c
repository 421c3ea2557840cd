/* Pooling: whole images, row by row, windows of every overlap and padding. */
#include "check.h"

/* The windows: pool, stride, padding before, image. */
static const int64_t windows[][8] = {
    {2, 2, 2, 2, 0, 0, 6, 8}, {2, 2, 2, 2, 0, 0, 5, 7}, {3, 3, 2, 2, 1, 1, 9, 8}, {3, 2, 1, 1, 1, 0, 5, 6},
    {1, 1, 2, 3, 0, 0, 5, 7}, {2, 3, 3, 4, 0, 1, 8, 9}, {5, 6, 5, 6, 0, 0, 5, 6}, {20, 18, 20, 18, 0, 0, 20, 18},
    {2, 2, 2, 2, 0, 0, 4, 75}, {3, 3, 2, 2, 1, 1, 5, 47}, {2, 5, 1, 1, 0, 2, 4, 41}, {2, 2, 2, 5, 0, 0, 4, 50},
};
enum { WINDOWS = sizeof windows / sizeof *windows };

static fc_pool make_pool(int w, int64_t channels, int average) {
    const int64_t *q = windows[w];
    fc_pool p = {.height = q[6], .width = q[7], .channels = channels, .pool_h = q[0], .pool_w = q[1],
                 .stride_h = q[2], .stride_w = q[3], .pad_top = q[4], .pad_left = q[5], .average = average,
                 .wide_index = q[0] * q[1] > 256};
    p.out_height = (p.height + 2 * p.pad_top - p.pool_h) / p.stride_h + 1;
    p.out_width = (p.width + 2 * p.pad_left - p.pool_w) / p.stride_w + 1;
    k->pool_prepare(&p);
    return p;
}

/* for every position of window (oh, ow) inside the image: `tap` in the window, `at` in x (channel c) */
#define FOR_EACH_TAP(p, oh, ow, c) \
    for (int64_t tap = 0, h, w, at; tap < (p).pool_h * (p).pool_w; tap++) \
        if (h = (oh) * (p).stride_h - (p).pad_top + tap / (p).pool_w, \
            w = (ow) * (p).stride_w - (p).pad_left + tap % (p).pool_w, \
            at = (h * (p).width + w) * (p).channels + (c), h >= 0 && h < (p).height && w >= 0 && w < (p).width)

static void max_case(int window, int64_t channels, int special) {
    const fc_pool p = make_pool(window, channels, 0);
    const int64_t outputs = p.out_height * p.out_width * channels, inputs = p.height * p.width * channels;
    const int64_t width = p.wide_index ? 4 : 1;
    float *x = random_floats(inputs, -1, 1);
    for (int64_t i = 0; i < inputs; i++) { /* ties, NaNs, infinities */
        x[i] = floorf(x[i] * 8);
        if (special && i % 11 == 3) x[i] = NAN;
        if (special && i % 7 == 2) x[i] = i % 2 ? INFINITY : -INFINITY;
    }
    const float *dy = random_floats(outputs, -1, 1);
    output y = new_output(outputs), dx = new_output(inputs);
    uint8_t *got = fresh(outputs * width), *want = fresh(outputs * width);
    for (int64_t i = 0; i < inputs; i++) put(dx, i, 0, 0);
    for (int64_t o = 0; o < outputs; o++) {
        const int64_t c = o % channels, ow = o / channels % p.out_width, oh = o / channels / p.out_width;
        double best = -INFINITY;
        int64_t first = -1, from = 0;
        FOR_EACH_TAP (p, oh, ow, c)
            if (first < 0 || (best == best && !(x[at] <= best))) best = x[at], first = tap, from = at;
        put(y, o, best, 0);
        put(dx, from, dx.want[from] + dy[o], dx.scale[from] + fabsf(dy[o]));
        if (p.wide_index) ((int32_t *)want)[o] = (int32_t)first;
        else want[o] = (uint8_t)first;
    }
    testing("max_pool");
    const int64_t row = p.out_width * channels, half = channels / 2;
    for (int64_t oh = 0; oh < p.out_height; oh++) { /* in two parts, to see that a part keeps to itself */
        k->max_pool(&p, x, y.got + oh * row, got + oh * row * width, oh, half, channels);
        k->max_pool(&p, x, y.got + oh * row, got + oh * row * width, oh, 0, half);
    }
    expect(y, 0);
    expect_equal(got, want, outputs * width);
    if (!p.wide_index) {
        for (int64_t i = 0; i < outputs; i++) y.got[i] = 99;
        for (int64_t oh = 0; oh < p.out_height; oh++) k->max_pool(&p, x, y.got + oh * row, NULL, oh, 0, channels);
        expect(y, 0);
    }
    testing("max_pool_backward");
    for (int64_t ih = 0; ih < p.height; ih++)
        k->max_pool_backward(&p, dy, want, dx.got + ih * p.width * channels, ih);
    expect(dx, p.pool_h * p.pool_w);
    release();
}

static void sum_case(int window, int64_t channels, int average) {
    const fc_pool p = make_pool(window, channels, average);
    const int64_t outputs = p.out_height * p.out_width * channels, inputs = p.height * p.width * channels;
    const float *x = random_floats(inputs, -1, 1), *dy = random_floats(outputs, -1, 1);
    output y = new_output(outputs), dx = new_output(inputs);
    for (int64_t i = 0; i < inputs; i++) put(dx, i, 0, 0);
    for (int64_t o = 0; o < outputs; o++) {
        const int64_t c = o % channels, ow = o / channels % p.out_width, oh = o / channels / p.out_width;
        double sum = 0, scale = 0, count = 0;
        FOR_EACH_TAP (p, oh, ow, c) sum += x[at], scale += fabsf(x[at]), count++;
        if (!average) count = 1;
        put(y, o, sum / count, scale / count);
        FOR_EACH_TAP (p, oh, ow, c) put(dx, at, dx.want[at] + dy[o] / count, dx.scale[at] + fabsf(dy[o]));
    }
    testing("sum_pool");
    const int64_t row = p.out_width * channels, half = channels / 2;
    for (int64_t oh = 0; oh < p.out_height; oh++) {
        k->sum_pool(&p, x, y.got + oh * row, oh, half, channels);
        k->sum_pool(&p, x, y.got + oh * row, oh, 0, half);
    }
    expect(y, p.pool_h * p.pool_w + 2);
    testing("sum_pool_backward");
    for (int64_t ih = 0; ih < p.height; ih++) k->sum_pool_backward(&p, dy, dx.got + ih * p.width * channels, ih);
    expect(dx, p.pool_h * p.pool_w + 2);
    release();
}

/* The shares of whole windows; what else pool_prepare finds out, the kernels prove. */
static void prepare_case(int average) {
    output share = new_output(WINDOWS);
    for (int w = 0; w < WINDOWS; w++) {
        const fc_pool p = make_pool(w, 3, average);
        share.got[w] = p.share;
        put(share, w, average ? 1.0 / (double)(p.pool_h * p.pool_w) : 1.0, 1);
    }
    testing("pool_prepare");
    expect(share, 1);
    release();
}

void test_pool(void) {
    for (int average = 0; average < 2; average++) prepare_case(average);
    for (int backward = 0; backward < 2; backward++)
        for (int window = 0; window < WINDOWS; window++)
            FOR_EACH (channels, 1, 2, 3, VL / 2, VL - 1, VL, VL + 1, 4 * VL, 5 * VL + 2)
                max_case(window, channels, window % 2);
    for (int window = 0; window < WINDOWS; window++)
        FOR_EACH (channels, 1, 2, 3, VL / 2, VL - 1, VL, VL + 1, 4 * VL, 5 * VL + 2)
            sum_case(window, channels, window % 2);
}
