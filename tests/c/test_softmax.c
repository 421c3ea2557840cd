/* Softmax alone and with cross-entropy. */
#include "check.h"

enum { ROWS = 3, EXPONENTIAL = 8 }; /* half ulps of exp, division and logarithm together */

static double *probabilities(const float *x, int64_t columns, int log_result) {
    double *y = fresh(ROWS * columns * 8);
    for (int64_t r = 0; r < ROWS; r++) {
        double sum = 0;
        for (int64_t i = r * columns; i < (r + 1) * columns; i++) sum += exp(x[i]);
        for (int64_t i = r * columns; i < (r + 1) * columns; i++) y[i] = log_result ? x[i] - log(sum) : exp(x[i]) / sum;
    }
    return y;
}

static void softmax_case(int64_t columns, int log_result) {
    const int64_t n = ROWS * columns;
    const float *x = random_floats(n, -6, 6);
    output y = new_output(n), dx = new_output(n);
    testing("softmax");
    const double *want = probabilities(x, columns, log_result);
    for (int64_t i = 0; i < n; i++) put(y, i, want[i], log_result ? 12 : want[i] * 12); /* x - max has |x| <= 12 */
    k->softmax(x, y.got, ROWS, columns, log_result);
    expect(y, columns + EXPONENTIAL);

    testing("softmax_backward");
    const float *p = copy_floats(y.got, n), *dy = random_floats(n, -1, 1);
    for (int64_t r = 0; r < ROWS; r++) {
        double sum = 0, scale = 0;
        for (int64_t i = r * columns; i < (r + 1) * columns; i++) {
            const double term = log_result ? dy[i] : (double)dy[i] * p[i];
            sum += term, scale += fabs(term);
        }
        for (int64_t i = r * columns; i < (r + 1) * columns; i++) {
            const double q = log_result ? exp(p[i]) : p[i];
            put(dx, i, log_result ? dy[i] - q * sum : q * (dy[i] - sum), log_result ? 1 + q * scale : q * (1 + scale));
        }
    }
    k->softmax_backward(p, dy, dx.got, ROWS, columns, log_result);
    expect(dx, columns + EXPONENTIAL);
    release();
}

static void loss_case(int64_t columns, int with_labels, int with_weight, float smoothing) {
    const int64_t n = ROWS * columns;
    const float *x = random_floats(n, -6, 6), *dp = random_floats(n, -1, 1), *t = random_floats(n, 0, 1);
    int32_t *labels = fresh(ROWS * 4);
    for (int64_t r = 0; r < ROWS; r++) labels[r] = (int32_t)((r * 5 + 3) % columns);
    const float dloss = 0.7f;
    output y = new_output(n), dx = new_output(n);
    fc_softmax_loss a = {
        .x = x, .labels = with_labels ? labels : NULL, .targets = with_labels ? NULL : t,
        .weight = with_weight ? random_floats(ROWS, 0, 2) : NULL, .y = y.got, .rows = ROWS, .columns = columns,
        .samples = ROWS, .smoothing = smoothing, .dy = dp, .dloss = &dloss,
    };
    const double *p = probabilities(x, columns, 0), *log_p = probabilities(x, columns, 1);
    double loss = 0, scale = 0;
    for (int64_t r = 0; r < ROWS; r++) {
        const double weight = a.weight ? a.weight[r] : 1;
        double targets = 0, dot = 0;
        for (int64_t c = 0, i = r * columns; c < columns; c++, i++) dot += dp[i] * p[i];
        for (int64_t pass = 0; pass < 2; pass++) /* the sum of the targets first */
            for (int64_t c = 0, i = r * columns; c < columns; c++, i++) {
                const double raw = with_labels ? c == labels[r] : t[i];
                const double target = raw * (1 - smoothing) + smoothing / (double)columns;
                if (!pass) {
                    targets += target;
                    loss -= weight * target * log_p[i];
                    scale += weight * target * (fabs(log_p[i]) + 12);
                    continue;
                }
                const double step = dloss * weight / ROWS;
                put(y, i, p[i], p[i] * 12);
                put(dx, i, (p[i] * targets - target) * step + p[i] * (dp[i] - dot), step * (targets + 1) + p[i] * 2);
            }
    }
    testing("softmax_loss");
    expect_near(k->softmax_loss(&a), loss, scale, columns + EXPONENTIAL);
    expect(y, columns + EXPONENTIAL);
    testing("softmax_loss_backward");
    a.x = copy_floats(y.got, n);
    a.y = dx.got;
    k->softmax_loss_backward(&a);
    expect(dx, 2 * columns + 12 * EXPONENTIAL);
    release();
}

void test_softmax(void) {
    FOR_EACH_LENGTH (columns) {
        for (int variant = 0; variant < 2; variant++) softmax_case(columns, variant);
        for (int variant = 0; variant < 8; variant++)
            loss_case(columns, variant & 1, variant & 2, variant & 4 ? 0.1f : 0);
    }
}
