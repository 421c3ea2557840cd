/* Losses that are sums over elements. */
#include "check.h"

static double value(fc_loss_kind kind, double x, double t) {
    switch (kind) {
    case FC_LOSS_SQUARED: return (x - t) * (x - t);
    case FC_LOSS_BINARY: return -(t * log(x) + (1 - t) * log(1 - x));
    default: return log1p(exp(-fabs(x))) + (x > 0 ? x : 0) - x * t;
    }
}

static double slope(fc_loss_kind kind, double x, double t) {
    switch (kind) {
    case FC_LOSS_SQUARED: return 2 * (x - t);
    case FC_LOSS_BINARY: return (1 - t) / (1 - x) - t / x;
    default: return 1 / (1 + exp(-x)) - t;
    }
}

static void loss_case(fc_loss_kind kind, int64_t columns, int weighted, float smoothing) {
    const int64_t rows = 3, n = rows * columns;
    const float dloss = 0.7f, low = kind == FC_LOSS_BINARY ? 0.05f : -3, high = kind == FC_LOSS_BINARY ? 0.95f : 3;
    output dx = new_output(n);
    fc_loss a = {
        .x = random_floats(n, low, high), .targets = random_floats(n, 0, 1), .dloss = &dloss, .dx = dx.got,
        .weight = weighted ? random_floats(rows, 0, 2) : NULL, .rows = rows, .columns = columns,
        .factor = 1.0 / (double)n, .smoothing = smoothing, .kind = kind,
    };
    double sum = 0, scale = 0;
    for (int64_t i = 0; i < n; i++) {
        const double weight = weighted ? a.weight[i / columns] : 1;
        const double t = a.targets[i] * (1 - smoothing) + 0.5 * smoothing;
        const double s = slope(kind, a.x[i], t) * dloss * a.factor * weight;
        sum += weight * value(kind, a.x[i], t);
        scale += weight * (value(kind, a.x[i], t) + 8);
        put(dx, i, s, fabs(s) + 20 * dloss * a.factor * weight);
    }
    testing("loss");
    expect_near(k->loss(&a), sum, scale, 32);
    testing("loss_backward");
    k->loss_backward(&a);
    expect(dx, 16);
    release();
}

void test_loss(void) {
    for (int kind = 0; kind <= FC_LOSS_BINARY_LOGITS; kind++)
        FOR_EACH_LENGTH (columns)
            for (int variant = 0; variant < 4; variant++) loss_case(kind, columns, variant & 1, variant & 2 ? 0.1f : 0);
    testing("loss_mean");
    const double partial[3] = {1.25, 2.5, 0.125};
    float mean;
    k->loss_mean(partial, 3, 4, &mean);
    expect_near(mean, 3.875 / 4, 0, 0);
}
