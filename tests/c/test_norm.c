/* Batch normalisation: the chain of kernels, each compared with what the formulas in double give from the inputs. */
#include <float.h>

#include "check.h"

enum { PARTS = 2, BLOCK = 64 }; /* the finishing kernels do BLOCK channels in a call */
static const double MOMENTUM = 0.9, EPSILON = 1e-3;

/* Roundings of a float32 sum: a run has 64 lines at most, then double goes on. */
enum { SUM = 64 + 8 };

typedef struct {
    int64_t channels, columns, count, size; /* a line holds columns / channels pixels */
    float *x, *dy, *gamma, *beta, *moving_mean, *moving_variance, *dmean, *dvariance;
    double *mean, *variance; /* of the batch */
} batch;

static batch make_batch(int64_t channels, int64_t fold) {
    batch b = {.channels = channels, .columns = channels * fold, .count = 151, .size = 151 * channels};
    b.x = random_floats(b.size, 2, 5);
    b.dy = random_floats(b.size, -1, 1);
    b.gamma = random_floats(channels, 0.5f, 2);
    b.beta = random_floats(channels, -1, 1);
    b.moving_mean = random_floats(channels, 2, 5);
    b.moving_variance = random_floats(channels, 0.5f, 2);
    b.dmean = random_floats(channels, -1, 1);
    b.dvariance = random_floats(channels, -1, 1);
    b.mean = fresh(channels * 8);
    b.variance = fresh(channels * 8);
    for (int64_t c = 0; c < channels; c++) {
        double sum = 0, squares = 0;
        for (int64_t i = c; i < b.size; i += channels) sum += b.x[i];
        b.mean[c] = sum / (double)b.count;
        for (int64_t i = c; i < b.size; i += channels) squares += (b.x[i] - b.mean[c]) * (b.x[i] - b.mean[c]);
        b.variance[c] = squares / (double)b.count;
    }
    return b;
}

/* The elements of a part: whole lines, and in the last one what is left. */
static int64_t part_start(const batch *b, int part) {
    return part == PARTS ? b->size : part * (b->size / b->columns / PARTS) * b->columns;
}

static fc_norm make_norm(const batch *b, const double *partial, float *coefficients) {
    return (fc_norm){
        .partial = partial, .gamma = b->gamma, .beta = b->beta, .moving_mean = b->moving_mean,
        .moving_variance = b->moving_variance, .coefficients = coefficients, .parts = PARTS, .columns = b->columns,
        .width = b->columns, .channels = b->channels, .count = b->count, .momentum = MOMENTUM, .epsilon = EPSILON,
    };
}

/* A finite limit: clipped to 0 ... limit. */
static void expect_normal(const batch *b, output y, const double *mean, const double *variance, const float *residual,
                          double limit) {
    for (int64_t i = 0; i < b->size; i++) {
        const int64_t c = i % b->channels;
        const double scaled = (b->x[i] - mean[c]) / sqrt(variance[c] + EPSILON) * b->gamma[c];
        const double z = scaled + b->beta[c] + (residual ? residual[i] : 0);
        put(y, i, isinf(limit) ? z : fmin(fmax(z, 0), limit), fabs(scaled) + fabs(b->beta[c]) + 1);
    }
    expect(y, SUM);
}

static void forward_case(const batch *b) {
    double *partial = fresh(PARTS * 2 * b->columns * 8);
    testing("norm_sums");
    for (int part = 0; part < PARTS; part++) {
        const int64_t start = part_start(b, part), end = part_start(b, part + 1);
        double *sums = partial + part * 2 * b->columns;
        k->norm_sums(b->x + start, end - start, b->columns, sums);
        for (int64_t column = 0; column < b->columns; column++) {
            double sum = 0, squares = 0;
            for (int64_t i = start + column; i < end; i += b->columns)
                sum += b->x[i], squares += (double)b->x[i] * b->x[i];
            expect_near(sums[column], sum, sum, SUM);
            expect_near(sums[b->columns + column], squares, squares, SUM);
        }
    }

    testing("norm_finish");
    const int64_t channels = b->channels;
    output mean = new_output(channels), inv_std = new_output(channels);
    output new_mean = new_output(channels), new_variance = new_output(channels);
    float *coefficients = fresh(3 * b->columns * 4);
    fc_norm p = make_norm(b, partial, coefficients);
    p.mean = mean.got, p.inv_std = inv_std.got;
    p.new_moving_mean = new_mean.got, p.new_moving_variance = new_variance.got;
    for (int64_t c = 0; c < channels; c++) {
        const double m = b->mean[c], v = b->variance[c], s = 1 / sqrt(v + EPSILON);
        const double mean_after = b->moving_mean[c] * MOMENTUM + m * (1 - MOMENTUM);
        const double variance_after = b->moving_variance[c] * MOMENTUM + v * (1 - MOMENTUM);
        put(mean, c, m, m);
        put(inv_std, c, s, s);
        put(new_mean, c, mean_after, mean_after);
        put(new_variance, c, variance_after, variance_after);
    }
    for (int64_t c0 = 0; c0 < channels; c0 += BLOCK) k->norm_finish(&p, c0);
    expect(mean, SUM);
    expect(inv_std, SUM);
    expect(new_mean, SUM);
    expect(new_variance, SUM);

    testing("norm_apply");
    output y = new_output(b->size);
    fc_norm_pass pass = {.x = b->x, .coefficients = coefficients, .out = y.got, .size = b->size, .columns = b->columns};
    k->norm_apply(&pass);
    expect_normal(b, y, b->mean, b->variance, NULL, INFINITY);

    /* With a sum and ReLU in the same pass, cut off at 1 or not. */
    pass.residual = b->dy;
    k->norm_apply(&pass);
    expect_normal(b, y, b->mean, b->variance, b->dy, INFINITY);
    pass.clip = 1;
    for (int add = 0; add < 2; add++) {
        pass.residual = add ? b->dy : NULL;
        FOR_EACH (limit, 1, 2) {
            pass.limit = limit == 1 ? 1.0f : NAN;
            k->norm_apply(&pass);
            expect_normal(b, y, b->mean, b->variance, pass.residual, limit == 1 ? 1 : FLT_MAX);
        }
    }
    pass.residual = NULL, pass.clip = 0;

    testing("norm_inference");
    double *moving_mean = fresh(channels * 8), *moving_variance = fresh(channels * 8);
    for (int64_t c = 0; c < channels; c++)
        moving_mean[c] = b->moving_mean[c], moving_variance[c] = b->moving_variance[c];
    for (int64_t c0 = 0; c0 < channels; c0 += BLOCK) k->norm_inference(&p, c0);
    k->norm_apply(&pass);
    expect_normal(b, y, moving_mean, moving_variance, NULL, INFINITY);

    /* The same numbers, a channel each. */
    fc_norm affine = make_norm(b, NULL, NULL);
    affine.scale = fresh(channels * 4), affine.shift = fresh(channels * 4);
    for (int64_t c0 = 0; c0 < channels; c0 += BLOCK) k->norm_inference(&affine, c0);
    for (int64_t i = 0; i < b->columns; i++) {
        expect_near(coefficients[i], 0, 0, 0);
        expect_near(coefficients[b->columns + i], affine.scale[i % channels], 0, 0);
        expect_near(coefficients[2 * b->columns + i], affine.shift[i % channels], 0, 0);
    }
}

static void backward_case(const batch *b) {
    const int64_t channels = b->channels, columns = b->columns;
    const double count = (double)b->count;
    float *mean = fresh(columns * 4), *inv_std = fresh(channels * 4), *coefficients = fresh(4 * columns * 4);
    double *partial = fresh(PARTS * 3 * columns * 8);
    for (int64_t c = 0; c < columns; c++) mean[c] = (float)b->mean[c % channels];
    for (int64_t c = 0; c < channels; c++) inv_std[c] = (float)(1 / sqrt(b->variance[c] + EPSILON));

    testing("norm_backward_sums");
    for (int part = 0; part < PARTS; part++) {
        const int64_t start = part_start(b, part), end = part_start(b, part + 1);
        double *sums = partial + part * 3 * columns;
        fc_norm_pass pass = {.x = b->x + start, .dy = b->dy + start, .coefficients = mean, .size = end - start,
                             .columns = columns};
        k->norm_backward_sums(&pass, sums);
        for (int64_t column = 0; column < columns; column++) {
            double want[3] = {0}, scale[3] = {0};
            for (int64_t i = start + column; i < end; i += columns) {
                const double d = (double)b->x[i] - mean[column], terms[3] = {b->dy[i], b->dy[i] * d, d};
                for (int q = 0; q < 3; q++) want[q] += terms[q], scale[q] += fabs(terms[q]);
            }
            for (int q = 0; q < 3; q++) expect_near(sums[q * columns + column], want[q], scale[q], SUM);
        }
    }

    testing("norm_backward_finish");
    output dgamma = new_output(channels), dbeta = new_output(channels), dx = new_output(b->size);
    fc_norm p = make_norm(b, partial, coefficients);
    p.mean = mean, p.inv_std = inv_std, p.dgamma = dgamma.got, p.dbeta = dbeta.got;
    p.dnew_moving_mean = b->dmean, p.dnew_moving_variance = b->dvariance;
    for (int64_t c = 0; c < channels; c++) {
        const double m = b->mean[c], s = 1 / sqrt(b->variance[c] + EPSILON), share = (1 - MOMENTUM) / count;
        double sum = 0, product = 0, size = 0, product_size = 0;
        for (int64_t i = c; i < b->size; i += channels) {
            const double d = (b->x[i] - m) * s;
            sum += b->dy[i], product += b->dy[i] * d;
            size += fabs(b->dy[i]), product_size += fabs(b->dy[i] * d);
        }
        put(dbeta, c, sum, size);
        put(dgamma, c, product, product_size);
        for (int64_t i = c; i < b->size; i += channels) {
            const double d = b->x[i] - m, a = b->gamma[c] * s;
            put(dx, i, a * (b->dy[i] - sum / count - d * s * product / count) + share * b->dmean[c] +
                           2 * share * b->dvariance[c] * d,
                a * (1 + size / count + fabs(d * s) * product_size / count) + share * (1 + 2 * fabs(d)));
        }
    }
    for (int64_t c0 = 0; c0 < channels; c0 += BLOCK) k->norm_backward_finish(&p, c0);
    expect(dgamma, SUM);
    expect(dbeta, SUM);
    testing("norm_backward_apply");
    fc_norm_pass pass = {.x = b->x, .dy = b->dy, .coefficients = coefficients, .out = dx.got, .size = b->size,
                         .columns = columns};
    k->norm_backward_apply(&pass);
    expect(dx, SUM);
}

/* The gradient before a ReLU cut off at 1, whose y is known or made again from x: as the plain kernels do it with a
 * gradient that has zeros where nothing goes through. */
static void clip_case(const batch *b) {
    const int64_t columns = b->columns;
    float *coefficients = fresh(6 * columns * 4), *y = fresh(b->size * 4), *masked = fresh(b->size * 4);
    double *sums = fresh(3 * columns * 8), *want = fresh(3 * columns * 8);
    output dz = new_output(b->size), dx = new_output(b->size);
    for (int64_t i = 0; i < 6 * columns; i++) /* mean, scale, shift; or mean, a, b, d, scale, shift */
        coefficients[i] = i / columns ? 0.25f * (float)(i / columns) : (float)b->mean[i % b->channels];
    fc_norm_pass p = {.x = b->x, .dy = b->dy, .coefficients = coefficients, .out = y, .size = b->size,
                      .columns = columns, .clip = 1, .limit = 1};
    k->norm_apply(&p);
    for (int64_t i = 0; i < b->size; i++) {
        masked[i] = y[i] > 0 && y[i] < 1 ? b->dy[i] : 0;
        put(dz, i, masked[i], 0);
    }
    p.clip = 0, p.dy = masked;
    k->norm_backward_sums(&p, want);
    p.clip = 1, p.dy = b->dy, p.out = NULL;
    testing("norm_backward_sums"); /* y made again from x */
    k->norm_backward_sums(&p, sums);
    for (int64_t i = 0; i < 3 * columns; i++) expect_near(sums[i], want[i], want[i], 0);
    p.y = y, p.out = dz.got;
    k->norm_backward_sums(&p, sums);
    for (int64_t i = 0; i < 3 * columns; i++) expect_near(sums[i], want[i], want[i], 0);
    expect(dz, 0);

    testing("norm_backward_apply");
    memcpy(coefficients + 4 * columns, coefficients + columns, 2 * columns * 4); /* scale and shift as before */
    p.clip = 0, p.y = NULL, p.dy = masked, p.out = y;
    k->norm_backward_apply(&p);
    for (int64_t i = 0; i < b->size; i++) put(dx, i, y[i], 0);
    p.clip = 1, p.dy = b->dy, p.out = dx.got;
    k->norm_backward_apply(&p);
    expect(dx, 0);
}

void test_norm(void) {
    FOR_EACH (channels, 1, VL - 1, VL, VL + 1, 4 * VL, 70)
        FOR_EACH (fold, 1, 4) {
            const batch b = make_batch(channels, fold);
            forward_case(&b);
            backward_case(&b);
            clip_case(&b);
            release();
        }
}
