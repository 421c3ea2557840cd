/* Winograd's transforms, each against the product of matrices that defines it: L d L^T. */
#include "check.h"

static const double BT[4][4] = {{1, 0, -1, 0}, {0, 1, 1, 0}, {0, -1, 1, 0}, {0, 1, 0, -1}};
static const double G[4][4] = {{1}, {0.5, 0.5, 0.5}, {0.5, -0.5, 0.5}, {0, 0, 1}};
static const double AT[2][4] = {{1, 1, 1, 0}, {0, 1, -1, -1}};
static const double A[4][4] = {{1}, {1, 1}, {1, -1}, {0, -1}};
static const double GT[3][4] = {{1, 0.5, 0.5, 0}, {0, 0.5, -0.5, 0}, {0, 0.5, 0.5, 1}};
enum { ROUNDINGS = 8 };

/* Element (r, c) of L d L^T, and the sum of its terms' magnitudes. */
static double sandwich(const double l[][4], double d[4][4], int r, int c, double *scale) {
    double sum = 0;
    *scale = 0;
    for (int i = 0; i < 4; i++)
        for (int j = 0; j < 4; j++) sum += l[r][i] * d[i][j] * l[c][j], *scale += fabs(l[r][i] * d[i][j] * l[c][j]);
    return sum;
}

static void test_kernel(void) {
    testing("winograd_kernel");
    FOR_EACH (n, NR, 3 * NR) {
        const int64_t tap = n + 5, matrix = n + 3;
        const float *packed = random_floats(9 * tap, -1, 1);
        output u = new_output(16 * matrix);
        for (int64_t e = 0; e < n; e++) {
            double d[4][4] = {{0}}, scale;
            for (int i = 0; i < 9; i++) d[i / 3][i % 3] = packed[i * tap + e];
            for (int i = 0; i < 16; i++) {
                const double want = sandwich(G, d, i / 4, i % 4, &scale);
                put(u, i * matrix + e, want, scale);
            }
        }
        k->winograd_kernel(packed, tap, n, u.got, matrix);
        expect(u, ROUNDINGS);
        release();
    }
}

enum { IMAGES = 2, H = 7, W = 6, TILES_H = 4, TILES_W = 3, FIRST = 2, COUNT = IMAGES * TILES_H * TILES_W - 3 };

/* The transform of tiles of edge x edge pixels; whole multiples of `unit` channels are written. */
static void test_tiles(void (*transform)(const fc_winograd_input *), const double l[][4], int edge, int64_t unit,
                       int64_t channels) {
    const int64_t v_tile = (channels + unit - 1) / unit * unit, v_matrix = COUNT * v_tile + 4, pixel = channels + 2;
    output v = new_output(16 * v_matrix);
    fc_winograd_input t = {
        .x = random_floats(IMAGES * H * W * pixel, -1, 1), .zero = random_floats(channels, 0, 0), .height = H,
        .width = W, .channels = channels, .x_pixel = pixel, .first_row = -1, .first_column = -1,
        .tiles_h = TILES_H, .tiles_w = TILES_W, .first = FIRST, .count = COUNT,
        .v = v.got, .v_tile = v_tile, .v_matrix = v_matrix,
    };
    for (int64_t p = 0; p < COUNT * v_tile; p++) {
        const int64_t tile = FIRST + p / v_tile, c = p % v_tile, n = tile / (TILES_H * TILES_W);
        double d[4][4] = {{0}}, scale;
        for (int64_t i = 0; i < edge * edge; i++) {
            const int64_t h = tile / TILES_W % TILES_H * 2 - 1 + i / edge, w = tile % TILES_W * 2 - 1 + i % edge;
            if (h < 0 || h >= H || w < 0 || w >= W || c >= channels) continue;
            d[i / edge][i % edge] = t.x[((n * H + h) * W + w) * pixel + c];
        }
        for (int i = 0; i < 16; i++) {
            const double want = sandwich(l, d, i / 4, i % 4, &scale);
            put(v, i * v_matrix + p, want, scale);
        }
    }
    transform(&t);
    expect(v, ROUNDINGS);
    release();
}

static void test_dkernel(int64_t n, int64_t count) {
    testing("winograd_dkernel");
    const int64_t matrix = n + 3, part = 16 * matrix + 5, tap = n + 2;
    float *parts = random_floats(count * part, -1, 1);
    output dkernel = new_output(9 * tap);
    for (int64_t e = 0; e < n; e++) {
        double d[4][4] = {{0}}, scale;
        for (int64_t p = 0; p < count; p++)
            for (int i = 0; i < 16; i++) d[i / 4][i % 4] += parts[p * part + i * matrix + e];
        for (int i = 0; i < 9; i++) {
            const double want = sandwich(GT, d, i / 3, i % 3, &scale);
            put(dkernel, i * tap + e, want, scale + count);
        }
    }
    int finite = k->winograd_dkernel(parts, count, part, matrix, n, dkernel.got, tap), want_finite = 1;
    expect(dkernel, ROUNDINGS);
    expect_equal(&finite, &want_finite, sizeof finite);
    parts[(count - 1) * part + 6 * matrix + n - 1] = NAN;
    finite = k->winograd_dkernel(parts, count, part, matrix, n, dkernel.got, tap), want_finite = 0;
    expect_equal(&finite, &want_finite, sizeof finite);
    release();
}

/* Scale, shift and maxima of tiles, behind a short activation; tiles at odd edges are not among those that are pooled. */
static void test_output_block(int64_t columns, int pool) {
    testing("winograd_output");
    const int64_t tiles_h = 2, tiles_w = 3, count = 5, first = 4, m_matrix = count * NR, pixel = columns + 1;
    const int64_t height = pool ? tiles_h : 2 * tiles_h - 1, width = pool ? tiles_w : 2 * tiles_w - 1;
    output y = new_output(2 * height * width * pixel);
    uint8_t *suspect = fresh(count);
    fc_winograd_output t = {
        .m = random_floats(16 * m_matrix, -1, 1), .m_matrix = m_matrix, .tiles_h = tiles_h, .tiles_w = tiles_w,
        .first = first, .count = count, .y = y.got, .y_pixel = pixel, .columns = columns, .pool = pool,
        .out_height = pool ? 2 * tiles_h : height, .out_width = pool ? 2 * tiles_w : width,
        .bias = random_floats(columns, -1, 1), .scale = random_floats(columns, -1, 1),
        .shift = random_floats(columns, -1, 1), .activation = {FC_ACT_RELU, 0, 0}, .suspect = suspect,
    };
    for (int64_t tile = 0; tile < count; tile++)
        for (int64_t c = 0; c < columns; c++) {
            const int64_t at = first + tile, n = at / (tiles_h * tiles_w);
            double d[4][4], scale, largest = -INFINITY;
            for (int i = 0; i < 16; i++) d[i / 4][i % 4] = t.m[i * m_matrix + tile * NR + c];
            for (int i = 0; i < 4; i++) {
                const int64_t h = at / tiles_w % tiles_h * 2 + i / 2, w = at % tiles_w * 2 + i % 2;
                double value = activation(sandwich(AT, d, i / 2, i % 2, &scale) + t.bias[c], t.activation);
                value = value * t.scale[c] + t.shift[c];
                largest = fmax(largest, value);
                if (!pool && h < height && w < width) put(y, ((n * height + h) * width + w) * pixel + c, value, scale + 3);
            }
            if (pool) put(y, at * pixel + c, largest, scale + 3);
        }
    k->winograd_output(&t);
    expect(y, ROUNDINGS + ACTIVATION_ROUNDINGS);
    release();
}

static void test_output(int64_t columns, int variant) {
    testing("winograd_output");
    const int64_t m_matrix = COUNT * NR + 8, pixel = columns + 3;
    float *m = random_floats(16 * m_matrix, -1, 1);
    output y = new_output(IMAGES * H * W * pixel);
    uint8_t *suspect = fresh(COUNT), *want_suspect = memset(fresh(COUNT), 0, COUNT);
    fc_winograd_output t = {
        .m = m, .m_matrix = m_matrix, .tiles_h = TILES_H, .tiles_w = TILES_W, .first = FIRST, .count = COUNT,
        .y = y.got, .y_pixel = pixel, .out_height = H, .out_width = W, .columns = columns,
        .residual = variant & 2 ? random_floats(IMAGES * H * W * pixel, -1, 1) : NULL,
        .bias = variant & 1 ? random_floats(columns, -1, 1) : NULL,
        .activation = {variant % ACTIVATIONS, 0.25f, 1.5f},
        .suspect = suspect,
    };
    for (int64_t tile = 0; tile < COUNT; tile++)
        for (int64_t c = 0; c < columns; c++) {
            const int64_t at = FIRST + tile, n = at / (TILES_H * TILES_W);
            double d[4][4], scale;
            for (int i = 0; i < 16; i++) d[i / 4][i % 4] = m[i * m_matrix + tile * NR + c];
            for (int i = 0; i < 4; i++) {
                const int64_t h = at / TILES_W % TILES_H * 2 + i / 2, w = at % TILES_W * 2 + i % 2;
                if (h >= H || w >= W) continue;
                double value = sandwich(AT, d, i / 2, i % 2, &scale);
                if (t.residual) value += t.residual[((n * H + h) * W + w) * pixel + c], scale += 1;
                if (t.bias) value += t.bias[c], scale += 1;
                value = activation(value, t.activation);
                put(y, ((n * H + h) * W + w) * pixel + c, value, scale + fabs(value));
            }
        }
    k->winograd_output(&t);
    expect(y, ROUNDINGS + ACTIVATION_ROUNDINGS);
    expect_equal(suspect, want_suspect, COUNT);

    m[5 * m_matrix + 3 * NR] = INFINITY; /* in tiles 3 and 4 something is not finite */
    m[10 * m_matrix + 4 * NR + columns - 1] = NAN;
    want_suspect[3] = want_suspect[4] = 1;
    k->winograd_output(&t);
    expect_equal(suspect, want_suspect, COUNT);
    expect(y, ROUNDINGS + ACTIVATION_ROUNDINGS); /* what was there before stays */
    release();
}

void test_winograd(void) {
    int variant = 0;
    test_kernel();
    FOR_EACH (channels, 1, VL - 1, VL, VL + 1, 3 * VL + 2) {
        testing("winograd_input");
        test_tiles(k->winograd_input, BT, 4, VL, channels);
        testing("winograd_gradient");
        test_tiles(k->winograd_gradient, A, 2, NR, channels);
        test_dkernel(channels, 1);
        test_dkernel(channels, 3);
    }
    FOR_EACH (columns, 1, VL - 1, VL, VL + 1, NR - 1, NR)
        for (int f = 0; f <= ACTIVATIONS; f++) test_output(columns, variant++);
    FOR_EACH (columns, 1, VL - 1, VL, VL + 1, NR - 1, NR) test_output_block(columns, 0), test_output_block(columns, 1);
}
