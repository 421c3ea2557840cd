/* Depthwise convolution and the two helpers of its channel multiplier. */
#include "check.h"

static void depthwise_case(int64_t rows, int64_t channels, int64_t taps, int variant) {
    const int64_t row = channels + 3;
    const float **a = fresh(taps * rows * sizeof *a);
    int64_t *y_rows = fresh(rows * 8), *w_taps = fresh(taps * 8);
    for (int64_t i = 0; i < taps * rows; i++) a[i] = random_floats(channels, -1, 1);
    for (int64_t m = 0; m < rows; m++) y_rows[m] = (rows - 1 - m) * row;
    for (int64_t tap = 0; tap < taps; tap++) w_taps[tap] = (taps - 1 - tap) * channels;
    output y = new_output(rows * row), dw = new_output(taps * channels);
    fc_depthwise t = {
        .a = a, .a_tap = rows, .taps = taps, .w = random_floats(taps * channels, -1, 1),
        .bias = variant & 1 ? random_floats(channels, -1, 1) : NULL, .w_taps = w_taps, .y = y.got, .y_rows = y_rows,
        .rows = rows, .channels = channels, .activation = variant % ACTIVATIONS, .alpha = 0.25f,
    };
    testing("depthwise");
    for (int64_t m = 0; m < rows; m++)
        for (int64_t c = 0; c < channels; c++) {
            double sum = t.bias ? t.bias[c] : 0, scale = fabs(sum);
            for (int64_t tap = 0; tap < taps; tap++) {
                const double term = (double)a[tap * rows + m][c] * t.w[w_taps[tap] + c];
                sum += term, scale += fabs(term);
            }
            sum = activation(sum, t.activation, t.alpha);
            put(y, y_rows[m] + c, sum, scale + fabs(sum));
        }
    k->depthwise(&t);
    expect(y, taps + 1 + ACTIVATION_ROUNDINGS);

    testing("depthwise_backward_kernel");
    t.y = random_floats(rows * row, -1, 1);
    t.dw = dw.got;
    t.accumulate = variant & 1;
    for (int64_t tap = 0; tap < taps; tap++)
        for (int64_t c = 0; c < channels; c++) {
            double sum = 0, scale = 0;
            for (int64_t m = 0; m < rows; m++) {
                const double term = (double)a[tap * rows + m][c] * t.y[y_rows[m] + c];
                sum += term, scale += fabs(term);
            }
            if (t.accumulate) sum += dw.got[w_taps[tap] + c] = random_float(-1, 1), scale += 1;
            put(dw, w_taps[tap] + c, sum, scale);
        }
    k->depthwise_backward_kernel(&t);
    expect(dw, rows + 1);
    release();
}

void test_depthwise(void) {
    int variant = 0;
    FOR_EACH (rows, 1, 3, 4, 5, 9)
        FOR_EACH (channels, 1, VL - 1, VL, VL + 1, 2 * VL - 1, 2 * VL, 2 * VL + 1, 5 * VL + 2)
            FOR_EACH (taps, 1, 4, 9, 25) depthwise_case(rows, channels, taps, variant++);
    FOR_EACH (n, 1, 17)
        FOR_EACH (count, 1, 2, 5) {
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
}
