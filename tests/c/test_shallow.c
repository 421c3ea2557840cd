/* First layers: the padded copy and the convolution with offsets. */
#include "check.h"

static void test_copy_padded(void) {
    testing("copy_padded");
    FOR_EACH (x_row, 1, VL, 3 * VL + 2)
        FOR_EACH (start, -5, 0, 2, x_row + 1)
            FOR_EACH (out_row, 1, VL - 1, VL, 4 * VL + 7) {
                const int64_t height = 4, first_row = -2, rows = 8;
                const float *x = random_floats(height * x_row, -1, 1);
                output y = new_output(rows * out_row);
                for (int64_t i = 0; i < rows * out_row; i++) {
                    const int64_t h = first_row + i / out_row, w = start + i % out_row;
                    put(y, i, h >= 0 && h < height && w >= 0 && w < x_row ? x[h * x_row + w] : 0, 0);
                }
                k->copy_padded(x, x_row, height, first_row, rows, start, y.got, out_row);
                expect(y, 0);
                release();
            }
}

static void shallow_case(int64_t width, int64_t columns, int64_t depth, int variant) {
    const int64_t height = 2, x_pixel = 1 + variant % 3, y_pixel = columns + 2;
    int64_t *offsets = fresh(depth * 8), last = 0;
    for (int64_t i = 0; i < depth; i++) offsets[i] = last = i + i / 5 * 3; /* rows of five, with gaps */
    const int64_t x_row = (width - 1) * x_pixel + last + 1, y_row = width * y_pixel + 3;
    output y = new_output(height * y_row);
    fc_shallow t = {
        .x = random_floats(height * x_row, -1, 1), .x_row = x_row, .x_pixel = x_pixel, .offsets = offsets,
        .depth = depth, .b = random_floats(depth * NR, -1, 1), .y = y.got, .y_row = y_row, .y_pixel = y_pixel,
        .height = height, .width = width, .columns = columns,
        .residual = variant & 2 ? random_floats(height * y_row, -1, 1) : NULL,
        .bias = variant & 1 ? random_floats(columns, -1, 1) : NULL,
        .activation = {variant % ACTIVATIONS, 0.25f, 1.5f},
    };
    if (t.activation.function <= FC_ACT_CLIP) t.scale = random_floats(columns, -1, 1), t.shift = random_floats(columns, -1, 1);
    for (int64_t p = 0; p < height * width; p++)
        for (int64_t n = 0; n < columns; n++) {
            const int64_t i = p / width, j = p % width;
            double sum = t.bias ? t.bias[n] : 0, scale = fabs(sum);
            for (int64_t d = 0; d < depth; d++) {
                const double term = (double)t.x[i * x_row + j * x_pixel + offsets[d]] * t.b[d * NR + n];
                sum += term, scale += fabs(term);
            }
            if (t.residual) sum += t.residual[i * y_row + j * y_pixel + n], scale += 1;
            sum = activation(sum, t.activation);
            if (t.scale) sum = sum * t.scale[n] + t.shift[n], scale += 1;
            put(y, i * y_row + j * y_pixel + n, sum, scale + fabs(sum));
        }
    k->shallow(&t);
    expect(y, depth + 2 + ACTIVATION_ROUNDINGS);
    release();
}

/* The same call with and without pooling. */
static void pooled_case(int64_t width, int64_t columns) {
    const int64_t height = 4, depth = 7, x_row = 2 * width + depth, y_pixel = columns + 3, y_row = width / 2 * y_pixel + 1;
    int64_t *offsets = fresh(depth * 8);
    for (int64_t i = 0; i < depth; i++) offsets[i] = i;
    float *whole = fresh(height * width * columns * 4);
    output y = new_output(height / 2 * y_row);
    fc_shallow t = {
        .x = random_floats(height * x_row, -1, 1), .x_row = x_row, .x_pixel = 2, .offsets = offsets, .depth = depth,
        .b = random_floats(depth * NR, -1, 1), .y = whole, .y_row = width * columns, .y_pixel = columns,
        .height = height, .width = width, .columns = columns, .bias = random_floats(columns, -1, 1),
        .activation = {FC_ACT_LEAKY_RELU, 0.25f, 0},
    };
    k->shallow(&t);
    for (int64_t p = 0; p < height / 2 * width / 2; p++)
        for (int64_t n = 0; n < columns; n++) {
            const int64_t i = p / (width / 2), j = p % (width / 2);
            float largest = -INFINITY;
            for (int64_t q = 0; q < 4; q++)
                largest = fmaxf(largest, whole[((2 * i + q / 2) * width + 2 * j + q % 2) * columns + n]);
            put(y, i * y_row + j * y_pixel + n, largest, 0);
        }
    t.y = y.got, t.y_row = y_row, t.y_pixel = y_pixel, t.unpooled = fresh(2 * width * NR * 4);
    k->shallow(&t);
    expect(y, 0);
    release();
}

void test_shallow(void) {
    int variant = 0;
    test_copy_padded();
    testing("shallow");
    for (int64_t width = 1; width <= 2 * MR + 1; width++)
        FOR_EACH (columns, 1, VL - 1, VL, VL + 1, NR - 1, NR)
            shallow_case(width, columns, variant % 2 ? 9 : 1 + variant % 28, variant), variant++;
    FOR_EACH (width, 2, MR + MR % 2, 2 * MR + 2)
        FOR_EACH (columns, 1, VL - 1, VL, VL + 1, NR - 1, NR) pooled_case(width, columns);
}
