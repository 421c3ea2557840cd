/* The register tiles, what feeds them, and the passes around them. */
#include "check.h"

static void tile_case(int64_t rows, int64_t columns, int64_t taps, int64_t depth, int variant) {
    const int64_t offset = 3, row_length = columns + NR + 5;
    const float **a = fresh(taps * rows * sizeof *a);
    int64_t *y_rows = fresh(rows * sizeof *y_rows);
    for (int64_t i = 0; i < taps * rows; i++) a[i] = random_floats(offset + depth, -1, 1);
    for (int64_t m = 0; m < rows; m++) y_rows[m] = (rows - 1 - m) * row_length;
    output y = new_output(rows * row_length);
    fc_tile t = {
        .a = a, .a_tap = rows, .a_offset = offset, .b_tap = depth * NR,
        .b = random_floats((columns + NR - 1) / NR * taps * depth * NR, -1, 1), .b_panel = taps * depth * NR,
        .taps = taps, .depth = depth, .y = y.got, .y_rows = y_rows, .rows = rows, .columns = columns,
        .add = variant >> 1 & 1 ? variant % 3 ? y.got : random_floats(rows * row_length, -1, 1) : NULL,
        .bias = variant & 1 ? random_floats(columns, -1, 1) : NULL,
        .last = variant >> 2 & 1, .activation = {variant % ACTIVATIONS, 0.25f, 1.5f},
    };
    for (int64_t m = 0; m < rows; m++) {
        for (int64_t n = 0; n < columns; n++) {
            double sum = 0, scale = 0;
            for (int64_t tap = 0; tap < taps; tap++)
                for (int64_t i = 0; i < depth; i++) {
                    const float *b = t.b + n / NR * t.b_panel + (tap * depth + i) * NR;
                    const double term = (double)a[tap * rows + m][offset + i] * b[n % NR];
                    sum += term, scale += fabs(term);
                }
            if (t.add == y.got) y.got[y_rows[m] + n] = random_float(-1, 1);
            if (t.add) sum += t.add[y_rows[m] + n], scale += 1;
            if (t.last && t.bias) sum += t.bias[n], scale += 1;
            if (t.last) sum = activation(sum, t.activation);
            put(y, y_rows[m] + n, sum, scale + fabs(sum));
        }
    }
    k->tile(&t);
    expect(y, taps * depth + 2 + ACTIVATION_ROUNDINGS);
    release();
}

static void test_tile(void) {
    int variant = 0;
    testing("tile");
    for (int64_t rows = 1; rows <= 2; rows++)
        for (int64_t panels = 2; panels <= (rows == 1 ? 4 : 2); panels += 2)
            FOR_EACH (missing, 0, 1, VL, NR - 1)
                for (int i = 0; i < 8; i++) tile_case(rows, panels * NR - missing, 1 + i % 3, i % 5 ? 7 : 61, variant++);
    for (int64_t rows = 1; rows <= 2 * MR + 1; rows++)
        FOR_EACH (columns, 1, VL - 1, VL, VL + 1, NR - 1, NR) {
            const int64_t taps = 1 + variant % 3, depth = variant % 5 ? variant % 7 : 61;
            tile_case(rows, columns, taps, depth, variant++);
        }
}

static void test_outer(void) {
    int variant = 0;
    testing("outer");
    for (int64_t rows = 1; rows <= MR; rows++)
        FOR_EACH (columns, 1, VL - 1, VL, VL + 1, NR - 1, NR) {
            const int64_t images = variant % 4, height = 1 + variant % 3, width = 1 + variant % 5, row = NR + 2;
            const int64_t spread = variant >> 1 & 1, dy_pixel = (spread ? NR : columns) + 2;
            int64_t *offsets = fresh(rows * sizeof *offsets);
            for (int64_t m = 0; m < rows; m++) offsets[m] = spread ? rows - 1 - m : m;
            fc_outer t = {
                .images = images, .height = height, .width = width, .x_pixel = rows + 1,
                .x_row = (rows + 1) * width + variant % 7 % 2, .dy_pixel = dy_pixel, .dy_row = dy_pixel * width,
                .offsets = spread ? offsets : NULL, .dw_row = row, .rows = rows, .columns = columns,
                .accumulate = variant++ & 1,
            };
            t.x_image = t.x_row * height, t.dy_image = t.dy_row * height;
            t.x = random_floats(images * t.x_image, -1, 1);
            t.dy = random_floats(images * t.dy_image, -1, 1);
            output dw = new_output(rows * row);
            t.dw = dw.got;
            for (int64_t m = 0; m < rows; m++)
                for (int64_t n = 0; n < columns; n++) {
                    double sum = 0, scale = 0;
                    for (int64_t p = 0; p < images * height * width; p++) {
                        const int64_t image = p / (height * width), i = p / width % height, j = p % width;
                        const double term = (double)t.x[image * t.x_image + i * t.x_row + j * t.x_pixel + offsets[m]] *
                                            t.dy[image * t.dy_image + i * t.dy_row + j * t.dy_pixel + n];
                        sum += term, scale += fabs(term);
                    }
                    if (t.accumulate) sum += dw.got[m * row + n] = random_float(-1, 1), scale += 1;
                    put(dw, m * row + n, sum, scale);
                }
            k->outer(&t);
            expect(dw, images * height * width + 1);
            release();
        }
}

static void test_gather(void) {
    testing("gather");
    FOR_EACH (step, 1, 2, 3)
        FOR_EACH (dilation, 1, 2)
            FOR_EACH (pad, 0, 1, 4) {
                enum { H = 7, W = 6, C = 3, TH = 3, TW = 2, IMAGES = 2 };
                int64_t tap_h[TH], tap_w[TW];
                for (int64_t i = 0; i < TH; i++) tap_h[i] = i * dilation - pad;
                for (int64_t j = 0; j < TW; j++) tap_w[j] = j * dilation - pad;
                const int64_t oh = (H + 2 * pad - dilation * (TH - 1) - 1) / step + 1;
                const int64_t ow = (W + 2 * pad - dilation * (TW - 1) - 1) / step + 1;
                const int64_t all = IMAGES * oh * ow, first = all / 5, count = all - first - all / 7, a_tap = count + 2;
                const float *x = fresh(IMAGES * H * W * C * sizeof *x), *zero = fresh(sizeof *zero);
                const int64_t bytes = TH * TW * a_tap * sizeof(float *);
                const float **got = memset(fresh(bytes), 0, bytes), **want = memset(fresh(bytes), 0, bytes);
                int64_t *got_rows = fresh(count * 8), *want_rows = fresh(count * 8);
                fc_gather g = {
                    .x = x, .zero = zero, .x_image = H * W * C, .x_row = W * C, .x_pixel = C, .height = H, .width = W,
                    .step_h = step, .step_w = step, .taps_h = TH, .taps_w = TW, .tap_h = tap_h, .tap_w = tap_w,
                    .out_height = oh, .out_width = ow, .y_image = oh * ow * 5, .y_row = ow * 5, .y_pixel = 5,
                    .first = first, .count = count, .a = got, .a_tap = a_tap, .y_rows = got_rows,
                };
                for (int64_t p = 0; p < count; p++) {
                    const int64_t at = first + p, n = at / (oh * ow), i = at / ow % oh, j = at % ow;
                    want_rows[p] = at * 5;
                    for (int64_t tap = 0; tap < TH * TW; tap++) {
                        const int64_t h = i * step + tap_h[tap / TW], w = j * step + tap_w[tap % TW];
                        const int inside = h >= 0 && h < H && w >= 0 && w < W;
                        want[tap * a_tap + p] = inside ? x + ((n * H + h) * W + w) * C : zero;
                    }
                }
                k->gather(&g);
                expect_equal(got, want, bytes);
                expect_equal(got_rows, want_rows, count * 8);
                release();
            }
}

static void test_pack_panel(void) {
    testing("pack_panel");
    FOR_EACH (depth, 1, 5, 64, 130)
        FOR_EACH (columns, 1, VL - 1, VL, VL + 1, NR - 1, NR)
            for (int transposed = 0; transposed < 2; transposed++) {
                const int64_t k_stride = transposed ? 1 : columns + 3, n_stride = transposed ? depth + 2 : 1;
                const float *b = random_floats((depth - 1) * k_stride + (columns - 1) * n_stride + 1, -1, 1);
                output panel = new_output(depth * NR);
                for (int64_t i = 0; i < depth; i++)
                    for (int64_t n = 0; n < NR; n++)
                        put(panel, i * NR + n, n < columns ? b[i * k_stride + n * n_stride] : 0, 0);
                k->pack_panel(b, k_stride, n_stride, depth, columns, panel.got);
                expect(panel, 0);
                release();
            }
}

static void test_strip(void) {
    testing("strip");
    FOR_EACH (columns, 1, VL - 1, VL, VL + 1, NR - 1, NR)
        FOR_EACH (pixels, 1, 7) {
            const int64_t x_pixel = columns + 3, out_pixel = (columns + VL - 1) / VL * VL;
            const float *x = random_floats((pixels - 1) * x_pixel + columns, -1, 1);
            output y = new_output(pixels * out_pixel);
            for (int64_t i = 0; i < pixels * out_pixel; i++) { /* what follows the columns is nobody's */
                const int64_t p = i / out_pixel, c = i % out_pixel;
                put(y, i, c < columns ? x[p * x_pixel + c] : 0, c < columns ? 0 : INFINITY);
            }
            k->strip(x, x_pixel, pixels, columns, y.got, out_pixel);
            expect(y, 1);
            release();
        }
}

static void test_strip_tiles(void) {
    testing("strip_tiles");
    FOR_EACH (rows, 1, MR - 1, MR)
        FOR_EACH (tiles, 1, 3)
            for (int64_t larger = -1; larger <= (rows < MR ? tiles : 0); larger++) {
                const int64_t pixels = 5, out_pixel = (MR + VL - 1) / VL * VL, out_tile = pixels * out_pixel + VL;
                const int64_t x_pixel = rows * tiles + (larger > 0 ? larger : 0) + 2;
                const float *x = random_floats(pixels * x_pixel - 2, -1, 1);
                output y = new_output(tiles * out_tile);
                for (int64_t p = 0; p < pixels; p++)
                    for (int64_t t = 0, channel = 0; t < tiles; t++)
                        for (int64_t c = 0; c < out_pixel; c++) {
                            const int mine = c < rows + (t < larger);
                            put(y, t * out_tile + p * out_pixel + c, mine ? x[p * x_pixel + channel++] : 0, 0);
                        }
                k->strip_tiles(x, x_pixel, pixels, tiles, rows, larger, y.got, out_tile);
                expect(y, 0);
                release();
            }
}

static void test_strip_panel(void) {
    testing("strip_panel");
    FOR_EACH (columns, 1, VL - 1, VL, VL + 1, NR - 1, NR)
        FOR_EACH (pixels, 1, 9) {
            const int64_t dy_pixel = columns + 3;
            const float *dy = random_floats((pixels - 1) * dy_pixel + columns, -1, 1);
            output y = new_output(pixels * NR), dbias = new_output(NR);
            for (int64_t c = 0; c < NR; c++) {
                double sum = 0, scale = 1;
                for (int64_t p = 0; p < pixels; p++) {
                    const float value = c < columns ? dy[p * dy_pixel + c] : 0;
                    put(y, p * NR + c, value, 0);
                    sum += value, scale += fabs(value);
                }
                if (c < columns) put(dbias, c, sum + (dbias.got[c] = random_float(-1, 1)), scale);
            }
            k->strip_panel(dy, dy_pixel, pixels, columns, y.got, pixels == 1 ? NULL : dbias.got);
            expect(y, 0);
            if (pixels > 1) expect(dbias, pixels + 1);
            release();
        }
}

static void test_sum_parts(void) {
    testing("sum_parts");
    FOR_EACH (count, 1, 2, 5)
        FOR_EACH_LENGTH (size) {
            const int64_t stride = size + 3;
            const float *parts = random_floats(count * stride, -1, 1);
            output y = new_output(size);
            for (int64_t i = 0; i < size; i++) {
                float sum = parts[i]; /* the order is promised, so the bits are */
                for (int64_t p = 1; p < count; p++) sum += parts[p * stride + i];
                put(y, i, sum, 0);
            }
            k->sum_parts(parts, count, stride, size, y.got);
            expect(y, 0);
            release();
        }
}

static void test_epilogue_backward(void) {
    testing("epilogue_backward");
    for (int f = 0; f < FUSED_BACKWARD; f++)
        for (int wanted = 1; wanted < 4; wanted++)
            FOR_EACH (columns, 1, VL - 1, VL, VL + 1, 3 * VL + 2) {
                const int64_t rows = 9;
                const fc_activation a = {f, 0.25f, 1.5f};
                const float *y = random_floats(rows * columns, -1, 1), *dy = random_floats(rows * columns, -1, 1);
                output dz = new_output(rows * columns), dbias = new_output(columns);
                for (int64_t c = 0; c < columns; c++) {
                    double sum = 0, scale = 0;
                    for (int64_t i = c; i < rows * columns; i += columns) {
                        const double d = dy[i] * activation_slope(y[i], a);
                        sum += d, scale += 1;
                        if (wanted & 1) put(dz, i, d, 1);
                    }
                    if (wanted & 2) put(dbias, c, sum, scale);
                }
                fc_epilogue_backward t = {
                    .dy = dy, .y = y, .dz = wanted & 1 ? dz.got : NULL, .dbias = wanted & 2 ? dbias.got : NULL,
                    .rows = rows, .columns = columns, .activation = a,
                };
                k->epilogue_backward(&t);
                expect(dz, 4);
                expect(dbias, rows + 4);
                release();
            }
}

void test_gemm(void) {
    test_tile();
    test_outer();
    test_gather();
    test_pack_panel();
    test_strip();
    test_strip_tiles();
    test_strip_panel();
    test_sum_parts();
    test_epilogue_backward();
}
