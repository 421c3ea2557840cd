/* The frame, and the program: every table that this build holds and this CPU can run, one after another.
 *
 *   kernels [table]     test all tables, or the one that is named
 *   kernels --picked    print the table that dispatch.c picks here, and stop
 */
#include "check.h"

const fc_kernels *k;

enum { GUARD = 64, MAX_BLOCKS = 256, MAX_KERNELS = 128 };
static const float UNTOUCHED = -31337.25f;

static void *blocks[MAX_BLOCKS];
static int used;
static uint64_t state = 88172645463325252u;

/* A line of the report. */
typedef struct {
    const char *kernel;
    int comparisons, wrong;
} record;
static record records[MAX_KERNELS], *now;
static int known;

void *fresh(int64_t bytes) {
    void *p = malloc(bytes ? bytes : 1);
    if (!p || used == MAX_BLOCKS) abort();
    return blocks[used++] = p;
}

void release(void) {
    while (used) free(blocks[--used]);
}

float random_float(float low, float high) {
    state ^= state << 13, state ^= state >> 7, state ^= state << 17; /* Marsaglia's xorshift */
    return low + (high - low) * (float)(state >> 40) * 0x1p-24f;
}

float *random_floats(int64_t n, float low, float high) {
    float *x = fresh(n * sizeof *x);
    for (int64_t i = 0; i < n; i++) x[i] = random_float(low, high);
    return x;
}

float *copy_floats(const float *x, int64_t n) { return memcpy(fresh(n * sizeof *x), x, n * sizeof *x); }

output new_output(int64_t n) {
    const int64_t all = n + 2 * GUARD;
    output y = {fresh(all * sizeof(float)), fresh(all * sizeof(double)), fresh(all * sizeof(double)), n};
    for (int64_t i = 0; i < all; i++) {
        y.got[i] = UNTOUCHED;
        y.want[i] = UNTOUCHED;
        y.scale[i] = 0;
    }
    y.got += GUARD, y.want += GUARD, y.scale += GUARD;
    return y;
}

void testing(const char *kernel) {
    for (now = records; now < records + known; now++)
        if (!strcmp(now->kernel, kernel)) return;
    if (known++ == MAX_KERNELS) abort();
    *now = (record){.kernel = kernel};
}

static void complain(int64_t i, double got, double want, double allowed) {
    if (now->wrong++ < 3)
        printf("%s %s, comparison %d, element %lld: %.9g, not %.9g +- %.2g\n", k->isa, now->kernel, now->comparisons,
               (long long)i, got, want, allowed);
}

static int is_near(double got, double want, double allowed) {
    if (want != want) return got != got;
    return got == want || fabs(got - want) <= allowed;
}

void expect_near(double got, double want, double scale, double roundings) {
    const double allowed = roundings * 0x1p-24 * scale;
    now->comparisons++;
    if (!is_near(got, want, allowed)) complain(0, got, want, allowed);
}

void expect(output y, double roundings) {
    now->comparisons++;
    for (int64_t i = -GUARD; i < y.n + GUARD; i++) {
        const double allowed = roundings * 0x1p-24 * y.scale[i];
        if (!is_near(y.got[i], y.want[i], allowed)) {
            complain(i, y.got[i], y.want[i], allowed);
            return;
        }
    }
}

void expect_equal(const void *got, const void *want, int64_t bytes) {
    now->comparisons++;
    for (int64_t i = 0; i < bytes; i++) {
        const int a = ((const uint8_t *)got)[i], b = ((const uint8_t *)want)[i];
        if (a != b) {
            complain(i, a, b, 0);
            return;
        }
    }
}

static double clip(double x, double low, double high) { return x < low ? low : x > high ? high : x; }
static double normal(double x) { return 0.5 * erfc(-x / sqrt(2)); }
static double sigmoid(double x) { return 1 / (1 + exp(-x)); }
static double gelu_argument(double x) { return 2 * sqrt(2 / M_PI) * (x + 0.044715 * x * x * x); }

double activation(double x, fc_activation a) {
    switch (a.function) {
    case FC_ACT_NONE: return x;
    case FC_ACT_RELU: return x < 0 ? 0 : x;
    case FC_ACT_CLIP: return clip(x, a.alpha, a.beta);
    case FC_ACT_LEAKY_RELU: return x < 0 ? x * a.alpha : x;
    case FC_ACT_SIGMOID: return sigmoid(x);
    case FC_ACT_TANH: return tanh(x);
    case FC_ACT_ELU: return a.beta * (x > 0 ? x : a.alpha * expm1(x));
    case FC_ACT_SOFTPLUS: return (x > 0 ? x : 0) + log1p(exp(-fabs(x))) + (isnan(x) ? x : 0);
    case FC_ACT_HARD_SIGMOID: return clip(x * a.alpha + a.beta, 0, 1);
    case FC_ACT_HARD_SWISH: return x * clip(x * a.alpha + a.beta, 0, 1);
    case FC_ACT_SILU: return x * sigmoid(x);
    case FC_ACT_GELU: return x * normal(x);
    case FC_ACT_GELU_TANH: return x * sigmoid(gelu_argument(x));
    case FC_ACT_MISH: return x * tanh(log1p(exp(x)));
    case FC_ACT_SOFTSIGN: return x / (1 + fabs(x));
    }
    return x;
}

double activation_slope(double v, fc_activation a) {
    const double z = v * a.alpha + a.beta, s = sigmoid(gelu_argument(v)), t = tanh(log1p(exp(v)));
    switch (a.function) {
    case FC_ACT_NONE: return 1;
    case FC_ACT_RELU: return v > 0;
    case FC_ACT_CLIP: return v > a.alpha && v < a.beta;
    case FC_ACT_LEAKY_RELU: return v > 0 ? 1 : a.alpha;
    case FC_ACT_SIGMOID: return v * (1 - v);
    case FC_ACT_TANH: return 1 - v * v;
    case FC_ACT_ELU: return v > 0 ? a.beta : v + a.alpha * a.beta;
    case FC_ACT_SOFTPLUS: return -expm1(-v);
    case FC_ACT_HARD_SIGMOID: return v > 0 && v < 1 ? a.alpha : 0;
    case FC_ACT_HARD_SWISH: return clip(z, 0, 1) + (z > 0 && z < 1 ? v * a.alpha : 0);
    case FC_ACT_SILU: return sigmoid(v) * (1 + v * (1 - sigmoid(v)));
    case FC_ACT_GELU: return normal(v) + v * exp(-v * v / 2) / sqrt(2 * M_PI);
    case FC_ACT_GELU_TANH: return s + v * s * (1 - s) * 2 * sqrt(2 / M_PI) * (1 + 3 * 0.044715 * v * v);
    case FC_ACT_MISH: return t + v * (1 - t * t) * sigmoid(v);
    case FC_ACT_SOFTSIGN: return 1 / ((1 + fabs(v)) * (1 + fabs(v)));
    }
    return 1;
}

static void test_table(void) {
    test_gemm();
    test_bfloat16();
    test_shallow();
    test_winograd();
    test_eltwise();
    test_pointwise();
    test_move_family();
    test_resample();
    test_reduce();
    test_pool();
    test_norm();
    test_depthwise();
    test_softmax();
    test_loss();
    test_random();
    test_optim();
}

int main(int count, char **words) {
    const fc_kernels *tables[FC_MAX_TABLES];
    const int n = fc_available(tables);
    const char *only = count > 1 ? words[1] : NULL;
    if (only && !strcmp(only, "--picked")) {
        printf("%s %s\n", tables[0]->isa, tables[0]->compiled_for());
        return 0;
    }
    int passed = 0, failed = 0;
    for (int i = 0; i < n; i++) {
        k = tables[i];
        known = 0;
        if (only && strcmp(only, k->isa)) continue;
        if (k->amx) test_amx(); /* the rest is the table of avx512 */
        else test_table();
        for (const record *r = records; r < records + known; r++) {
            printf("%-8s %-26s %6d comparisons  %s\n", k->isa, r->kernel, r->comparisons, r->wrong ? "FAILED" : "ok");
            *(r->wrong ? &failed : &passed) += 1;
        }
    }
    printf("%d passed, %d failed\n", passed, failed);
    return failed > 0 || passed == 0;
}
