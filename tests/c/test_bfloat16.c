/* The section of bfloat16, where the table has one. */
#include "check.h"

static uint16_t nearest(float x) {
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    if (x != x) return (uint16_t)(bits >> 16 | 0x40);
    if (fabsf(x) < 0x1p-126f) return (uint16_t)(bits >> 16 & 0x8000);
    if (fabsf(x) >= 0x1.ffp127f && fabsf(x) < INFINITY) return (uint16_t)(bits >> 16);
    return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

static float value(uint16_t half) {
    const uint32_t bits = (uint32_t)half << 16;
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

/* Random words, and the same numbers as floats, two for each. */
static float *random_words(int64_t n, float *values) {
    uint16_t *words = fresh(4 * n);
    for (int64_t i = 0; i < 2 * n; i++) values[i] = value(words[i] = nearest(random_float(-1, 1)));
    return (float *)words;
}

static void tile_case(int64_t rows, int64_t columns, int64_t taps, int64_t depth, int variant) {
    const int64_t offset = 2, row_length = columns + 3, panels = (columns + NR - 1) / NR;
    const float **a = fresh(taps * rows * sizeof *a);
    float **a_values = fresh(taps * rows * sizeof *a_values);
    int64_t *y_rows = fresh(rows * sizeof *y_rows);
    for (int64_t i = 0; i < taps * rows; i++) {
        a_values[i] = fresh(2 * (offset + depth) * sizeof(float));
        a[i] = random_words(offset + depth, a_values[i]);
    }
    for (int64_t m = 0; m < rows; m++) y_rows[m] = (rows - 1 - m) * row_length;
    float *b_values = fresh(2 * panels * taps * depth * NR * sizeof(float));
    output y = new_output(rows * row_length);
    fc_tile t = {
        .a = a, .a_tap = rows, .a_offset = offset, .b_tap = depth * NR,
        .b = random_words(panels * taps * depth * NR, b_values), .b_panel = taps * depth * NR,
        .taps = taps, .depth = depth, .y = y.got, .y_rows = y_rows, .rows = rows, .columns = columns,
        .add = variant & 1 ? random_floats(rows * row_length, -1, 1) : NULL,
        .bias = variant & 2 ? random_floats(columns, -1, 1) : NULL,
        .last = 1, .activation = {FC_ACT_RELU, 0, 0},
    };
    for (int64_t m = 0; m < rows; m++) {
        for (int64_t n = 0; n < columns; n++) {
            double sum = 0, scale = 0;
            for (int64_t tap = 0; tap < taps; tap++)
                for (int64_t i = 0; i < 2 * depth; i++) {
                    const int64_t word = n / NR * t.b_panel + (tap * depth + i / 2) * NR + n % NR;
                    const double term = (double)a_values[tap * rows + m][2 * offset + i] * b_values[2 * word + i % 2];
                    sum += term, scale += fabs(term);
                }
            if (t.add) sum += t.add[y_rows[m] + n], scale += 1;
            if (t.bias) sum += t.bias[n], scale += 1;
            put(y, y_rows[m] + n, sum < 0 ? 0 : sum, scale);
        }
    }
    k->bfloat16->tile(&t);
    expect(y, 2 * taps * depth + 2);
    release();
}

static void test_tile(void) {
    int variant = 0;
    testing("bfloat16_tile");
    for (int64_t rows = 1; rows <= 2; rows++)
        for (int64_t panels = 2; panels <= (rows == 1 ? 4 : 2); panels += 2)
            FOR_EACH (missing, 0, 1, VL, NR - 1)
                for (int i = 0; i < 4; i++) tile_case(rows, panels * NR - missing, 1 + i % 3, i % 2 ? 7 : 31, variant++);
    for (int64_t rows = 1; rows <= 2 * MR + 1; rows++)
        FOR_EACH (columns, 1, VL, VL + 1, NR) {
            tile_case(rows, columns, 1 + variant % 2, variant % 5 ? variant % 7 : 31, variant);
            variant++;
        }
}

/* Against the tile, whose rows may lie anywhere: the very bits, and what lies between the rows of y left alone. */
static void band_case(int64_t rows, int64_t columns, int64_t depth, int variant) {
    const int64_t pitch = columns + variant % 3, size = rows * pitch;
    float *values = fresh(2 * (rows * depth + depth * NR) * sizeof(float));
    float *a = random_words(rows * depth, values), *b = random_words(depth * NR, values);
    const float **table = fresh(rows * sizeof *table);
    float *sums = fresh(rows * NR * sizeof(float));
    int64_t *sum_rows = fresh(rows * sizeof *sum_rows), *half_rows = fresh(rows * sizeof *half_rows);
    for (int64_t m = 0; m < rows; m++) table[m] = a + m * depth, sum_rows[m] = m * NR, half_rows[m] = m * pitch;
    uint16_t *want = fresh(2 * size), *got = fresh(2 * size), *add = fresh(2 * size);
    for (int64_t i = 0; i < size; i++) want[i] = got[i] = (uint16_t)i, add[i] = nearest(random_float(-9, 9));
    fc_band t = {
        .a = a, .a_row = depth, .b = b, .depth = depth, .y = got, .y_row = pitch, .rows = rows, .columns = columns,
        .add = variant & 1 ? add : NULL, .bias = variant & 2 ? random_floats(columns, -9, 9) : NULL,
        .activation = {(fc_function)(variant % (FC_ACT_CLIP + 1)), -1, 6},
    };
    fc_tile like = {
        .a = table, .a_tap = rows, .b = b, .b_tap = depth * NR, .taps = 1, .depth = depth, .y = sums, .y_rows = sum_rows,
        .rows = rows, .columns = columns, .bias = t.bias, .last = 1, .activation = t.activation,
        .half = want, .half_add = t.add, .half_rows = half_rows,
    };
    /* A product that only infinity is near enough to: cut to the largest bfloat16. */
    a[0] = values[0] = 0, ((uint16_t *)a)[0] = 0x7f7f, ((uint16_t *)b)[0] = 0x3f80;
    k->bfloat16->tile(&like);
    k->bfloat16->band(&t);
    expect_equal(got, want, 2 * size);
    release();
}

static void test_band(void) {
    int variant = 0;
    testing("bfloat16_band");
    for (int64_t rows = 1; rows <= 2 * MR + 1; rows++)
        FOR_EACH (columns, 1, VL - 1, VL, VL + 1, NR - 1, NR)
            FOR_EACH (depth, 0, 1, 2, 7, 32) band_case(rows, columns, depth, variant++);
}

/* Words that count by half have NaN in the other: no bit of it may be seen. */
static void outer_case(int64_t rows, int64_t columns, int variant) {
    const int64_t images = variant % 3, height = 1 + variant % 2, width = 2 + variant % 4, row = NR + 2;
    const int64_t x_pixel = rows + variant % 2, x_row = x_pixel * width + variant / 3 % 2, words = images * height * width;
    fc_outer t = {
        .images = images, .height = height, .width = width, .x_pixel = x_pixel, .x_row = x_row, .x_image = x_row * height,
        .dy_pixel = NR, .dy_row = NR * width, .dy_image = NR * width * height, .dw_row = row, .rows = rows,
        .columns = columns, .accumulate = variant & 1, .head = variant >> 1 & 1, .tail = variant >> 2 & 1,
    };
    float *x = fresh(8 * (images * t.x_image + rows)), *dy = fresh(8 * words * NR);
    t.x = random_words(images * t.x_image + rows, x), t.dy = random_words(words * NR, dy);
    t.ahead = t.dy, t.ahead_row = NR, t.ahead_rows = variant / 2 % 2 * words / 4;
    output dw = new_output(rows * row);
    t.dw = dw.got;
    for (int64_t w = 0; w < words; w++)
        for (int half = 0; half < 2; half++) {
            if (half ? !(t.tail && w % width == width - 1) : !(t.head && w % width == 0)) continue;
            uint16_t *x_word = (uint16_t *)(t.x + w / width * x_row + w % width * x_pixel) + half;
            uint16_t *dy_word = (uint16_t *)(t.dy + w * NR) + half;
            for (int64_t m = 0; m < rows; m++) x_word[2 * m] = 0x7fc0;
            for (int64_t n = 0; n < NR; n++) dy_word[2 * n] = 0x7fc0;
        }
    for (int64_t m = 0; m < rows; m++)
        for (int64_t n = 0; n < columns; n++) {
            double sum = 0, scale = 0;
            for (int64_t w = 0; w < words; w++)
                for (int half = t.head && w % width == 0; half < 2 - (t.tail && w % width == width - 1); half++) {
                    const int64_t at = w / width * x_row + w % width * x_pixel + m;
                    const double term = (double)x[2 * at + half] * dy[2 * (w * NR + n) + half];
                    sum += term, scale += fabs(term);
                }
            if (t.accumulate) sum += dw.got[m * row + n] = random_float(-1, 1), scale += 1;
            put(dw, m * row + n, sum, scale);
        }
    k->bfloat16->outer(&t);
    expect(dw, 2 * words + 1);
    release();
}

static void test_outer(void) {
    int variant = 0;
    testing("bfloat16_outer");
    for (int64_t rows = 1; rows <= MR; rows++)
        FOR_EACH (columns, 1, VL, VL + 1, NR)
            for (int i = 0; i < 3; i++) outer_case(rows, columns, variant++);
}

static void strips_case(int64_t columns, int64_t tiles, int64_t rows, int64_t larger, int64_t out_word, int variant) {
    const int64_t words = 6, out_tile = words * out_word + VL, x_pixel = columns + variant % 3, size = 9;
    fc_pair_strip t = {
        .x = random_floats((size - 1) * x_pixel + columns, -1, 1), .x_pixel = x_pixel, .size = size,
        .first = variant % 4 - 2, .every = 2 + variant % 2, .step = 1 + variant % 3, .words = words, .columns = columns,
        .tiles = tiles, .rows = rows, .larger = larger, .out_tile = out_tile, .out_word = out_word,
    };
    uint16_t *got = fresh(4 * tiles * out_tile), *want = fresh(4 * tiles * out_tile);
    output sums = new_output(columns);
    memset(got, 0x11, 4 * tiles * out_tile), memset(want, 0x11, 4 * tiles * out_tile);
    for (int64_t c = 0; c < columns; c++) put(sums, c, sums.got[c] = random_float(-1, 1), 1);
    for (int64_t w = 0; w < words; w++)
        for (int half = 0; half < 2; half++) {
            const int64_t pixel = t.first + w * t.every + half * t.step;
            for (int64_t tile = 0, done = 0; tile < tiles; tile++) {
                const int64_t mine = least(columns - done, rows + (tile < larger));
                for (int64_t c = 0; c < out_word; c++) {
                    const int inside = c < mine && pixel >= 0 && pixel < size;
                    const float one = inside ? t.x[pixel * x_pixel + done + c] : 0;
                    want[2 * (tile * out_tile + w * out_word + c) + half] = nearest(one);
                    if (inside) put(sums, done + c, sums.want[done + c] + one, sums.scale[done + c] + fabsf(one));
                }
                done += mine;
            }
        }
    t.out = (float *)got, t.sums = variant & 1 ? sums.got : NULL;
    k->bfloat16->strips(&t);
    expect_equal(got, want, 4 * tiles * out_tile);
    if (t.sums) expect(sums, 2 * words + 1);
    release();
}

static void test_strips(void) {
    int variant = 0;
    testing("bfloat16_strips");
    FOR_EACH (rows, 1, MR - 1)
        FOR_EACH (tiles, 1, 3)
            for (int64_t larger = 0; larger <= tiles; larger++) {
                const int64_t out_word = (MR + VL - 1) / VL * VL;
                strips_case(rows * tiles + larger, tiles, rows, larger, out_word, variant++);
            }
    FOR_EACH (columns, 1, VL, NR - 1, NR, 2 * NR + VL + 1)
        for (int i = 0; i < 4; i++) strips_case(columns, (columns + NR - 1) / NR, NR, 0, NR, variant++);
}

static void test_pack_panel(void) {
    testing("bfloat16_pack_panel");
    FOR_EACH (depth, 1, 2, 8, 21, 65, 66, 130)
        FOR_EACH (columns, 1, VL + 1, NR)
            for (int transposed = 0; transposed < 2; transposed++) {
                const int64_t k_stride = transposed ? 1 : columns + 2, n_stride = transposed ? depth + 3 : 1;
                const float *b = random_floats((depth + 3) * (columns + 2), -1, 1);
                const int64_t even = depth + depth % 2;
                uint16_t *got = fresh(2 * even * NR), *want = fresh(2 * even * NR);
                for (int64_t i = 0; i < even; i++)
                    for (int64_t n = 0; n < NR; n++)
                        want[(i / 2 * NR + n) * 2 + i % 2] = 
                            n < columns && i < depth ? nearest(b[i * k_stride + n * n_stride]) : 0;
                k->bfloat16->pack_panel(b, k_stride, n_stride, depth, columns, (float *)got);
                expect_equal(got, want, 2 * even * NR);
                release();
            }
}

static void test_conversions(void) {
    FOR_EACH_LENGTH (n) {
        float *x = random_floats(n, -1e30f, 1e30f);
        uint16_t *got = fresh(2 * (n + 1)), *want = fresh(2 * (n + 1));
        const float special[] = {INFINITY, -INFINITY, NAN, 3.4e38f, -0.0f};
        for (int64_t i = 0; i < least(n, 5); i++) x[n - 1 - i] = special[i];
        for (int64_t i = 0; i < n; i++) want[i] = nearest(x[i]);
        got[n] = want[n] = 0x1234;
        testing("bfloat16_round");
        k->bfloat16->round(x, 0, got, 0, 1, n);
        expect_equal(got, want, 2 * (n + 1));
        float *back = fresh(4 * (n + 1));
        for (int64_t i = 0; i < n; i++) x[i] = value(want[i]);
        back[n] = 5;
        testing("bfloat16_widen");
        k->bfloat16->widen(want, back, n);
        expect_equal(back, x, 4 * n);
        expect_near(back[n], 5, 1, 0);
        release();
    }
}

/* Each against its twin of float32, given the same numbers: one rounding apart. */
static void expect_rounded(const uint16_t *got, const float *want, int64_t n) {
    output y = new_output(n);
    for (int64_t i = 0; i < n; i++) y.got[i] = value(got[i]), put(y, i, want[i], fabs(want[i]) + 1e-6);
    expect(y, 0x1p16 + 64);
}

static uint16_t *halves(const float *x, int64_t n) {
    uint16_t *y = fresh(2 * n);
    for (int64_t i = 0; i < n; i++) y[i] = nearest(x[i]);
    return y;
}

static float *random_halves(int64_t n) {
    float *x = random_floats(n, -1, 1);
    for (int64_t i = 0; i < n; i++) x[i] = value(nearest(x[i]));
    return x;
}

static void test_half_pools(void) {
    FOR_EACH (channels, 1, 3, VL, 2 * VL + 5)
        for (int average = 0; average < 2; average++) {
            fc_pool p = {.height = 7, .width = 9, .channels = channels, .out_height = 4, .out_width = 5, .pool_h = 3,
                         .pool_w = 3, .stride_h = 2, .stride_w = 2, .pad_top = 1, .pad_left = 1, .average = average};
            const int64_t n = p.out_width * channels;
            const float *x = random_halves(7 * 9 * channels);
            const uint16_t *half = halves(x, 7 * 9 * channels);
            float *want = fresh(4 * n);
            uint16_t *got = fresh(2 * n);
            k->pool_prepare(&p);
            for (int64_t row = 0; row < p.out_height; row++) {
                testing("bfloat16_max_pool");
                k->max_pool(&p, x, want, NULL, row, 0, channels);
                k->bfloat16->max_pool(&p, half, got, NULL, row, 0, channels);
                expect_equal(got, halves(want, n), 2 * n);
                testing("bfloat16_sum_pool");
                k->sum_pool(&p, x, want, row, 0, channels);
                k->bfloat16->sum_pool(&p, half, got, row, 0, channels);
                expect_rounded(got, want, n);
            }
            release();
        }
}

static void test_half_copy(void) {
    testing("bfloat16_copy_padded");
    FOR_EACH (start, -5, 0, 2, VL + 1)
        FOR_EACH (out_row, 1, VL, 3 * VL + 7) {
            const int64_t x_row = VL + 3, rows = 6;
            const float *x = random_floats(3 * x_row, -1e30f, 1e30f);
            float *copy = fresh(4 * rows * out_row);
            uint16_t *got = fresh(2 * rows * out_row);
            k->copy_padded(x, x_row, 3, -2, rows, start, copy, out_row);
            k->bfloat16->copy_padded(x, x_row, 3, -2, rows, start, got, out_row);
            expect_equal(got, halves(copy, rows * out_row), 2 * rows * out_row);
            release();
        }
}

/* Rows of `length` neighbours by words, against the float32 kernel over every element. What stands beside the last of an
 * odd length is NaN. */
static void half_shallow_case(int64_t width, int64_t columns, int64_t length, int variant) {
    const int64_t rows = 1 + variant % 3, height = 2, words = (length + 1) / 2, x_pixel = length + 1 + variant % 2;
    const int64_t tap_row = width * x_pixel, x_row = rows * tap_row, n = height * width * columns, size = height * x_row;
    float *x = random_halves(size), *b = fresh(4 * rows * length * NR), *want = fresh(4 * n);
    for (int64_t i = length; i < size; i += x_pixel) x[i] = NAN;
    uint16_t *pairs = fresh(4 * rows * words * NR);
    int64_t *offsets = fresh(8 * rows * length), *row_offsets = fresh(8 * rows);
    for (int64_t r = 0; r < rows; r++) {
        row_offsets[r] = r * tap_row;
        for (int64_t l = 0; l < 2 * words; l++)
            for (int64_t c = 0; c < NR; c++) {
                const uint16_t half = l < length ? nearest(random_float(-1, 1)) : 0;
                pairs[((r * words + l / 2) * NR + c) * 2 + l % 2] = half;
                if (l < length) b[(r * length + l) * NR + c] = value(half), offsets[r * length + l] = r * tap_row + l;
            }
    }
    fc_shallow t = {
        .x = x, .x_row = x_row, .x_pixel = x_pixel, .offsets = offsets, .depth = rows * length, .b = b, .y = want,
        .y_row = width * columns, .y_pixel = columns, .height = height, .width = width, .columns = columns,
        .residual = variant & 2 ? random_floats(n, -1, 1) : NULL, .bias = random_floats(columns, -1, 1),
        .activation = {FC_ACT_RELU, 0, 0},
    };
    k->shallow(&t);
    output y = new_output(n);
    for (int64_t i = 0; i < n; i++) put(y, i, want[i], rows * length + 2);
    t.x = (float *)halves(x, size), t.b = (float *)pairs, t.y = y.got;
    t.offsets = row_offsets, t.depth = rows, t.length = length;
    k->bfloat16->shallow(&t);
    expect(y, 4);
    if (!t.residual) {
        t.half = fresh(2 * n);
        k->bfloat16->shallow(&t);
        expect_equal(t.half, halves(y.got, n), 2 * n);
    }
    release();
}

static void test_half_shallow(void) {
    int variant = 0;
    testing("bfloat16_shallow");
    for (int64_t width = 1; width <= 2 * MR + 1; width++)
        FOR_EACH (columns, 1, VL, VL + 1, NR) half_shallow_case(width, columns, 1 + variant % 7, variant), variant++;
}

static void test_half_depthwise(void) {
    testing("bfloat16_depthwise");
    FOR_EACH (channels, 1, VL, 2 * VL + 3)
        for (int64_t step = 1; step < 3; step++) {
            const int64_t size = 9, out = 8 / step, n = out * out * channels;
            float *x = random_halves(size * size * channels), *add = random_halves(n), *want = fresh(4 * n);
            uint16_t *got = fresh(2 * n);
            fc_depthwise t = {
                .window = {.x = x, .height = size, .width = size, .x_row = size * channels, .x_pixel = channels,
                           .first_h = -1, .first_w = -1, .step_h = step, .step_w = step, .spread_h = 1, .spread_w = 1,
                           .taps_h = 3, .taps_w = 3, .y = want, .rows = out, .columns = out, .y_row = out * channels,
                           .y_pixel = channels},
                .w = random_floats(9 * channels, -1, 1), .bias = random_floats(channels, -1, 1), .residual = add,
                .w_row = 3 * channels, .w_tap = channels, .w_depth = channels, .channels = channels, .depth = 1,
                .activation = {FC_ACT_CLIP, -0.5f, 1},
            };
            k->depthwise(&t);
            t.window.x = (float *)halves(x, size * size * channels), t.residual = (float *)halves(add, n);
            t.window.y = (float *)got;
            k->bfloat16->depthwise(&t);
            expect_rounded(got, want, n);
            release();
        }
}

void test_bfloat16(void) {
    if (!k->bfloat16) return;
    test_tile();
    test_band();
    test_outer();
    test_strips();
    test_pack_panel();
    test_conversions();
    test_half_pools();
    test_half_copy();
    test_half_shallow();
    test_half_depthwise();
}
