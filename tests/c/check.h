/* A frame for tests of kernel tables: random inputs, outputs between guards, scalar loops in double beside every
 * kernel.
 *
 * The scalar loop writes to the `want` of an output what it expects, and to its `scale` the sum of the magnitudes of
 * all terms: rounding of a sum of n terms is at most about n * 2^-24 * scale, in any order. Whatever the loop leaves
 * alone, the kernel has to leave alone too. A scale of zero asks for the very bits.
 */
#ifndef CHECK_H
#define CHECK_H

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fastconv.h"

extern const fc_kernels *k; /* the table under test */

typedef struct {
    float *got;
    double *want, *scale;
    int64_t n;
} output;

/* Memory lives until the next release(). */
void *fresh(int64_t bytes);
void release(void);
float random_float(float low, float high);
float *random_floats(int64_t n, float low, float high);
float *copy_floats(const float *x, int64_t n);
output new_output(int64_t n); /* between guards; what is not written stays as it is */

void testing(const char *kernel); /* whose line of the report the next comparisons belong to */
/* Compare: an error of `roundings` half ulps of the scale is allowed. */
void expect(output y, double roundings);
void expect_equal(const void *got, const void *want, int64_t bytes);
void expect_near(double got, double want, double scale, double roundings);

static inline void put(output y, int64_t i, double want, double scale) {
    y.want[i] = want;
    y.scale[i] = scale;
}

/* In scalar: the activation, its slope written in what the kernel reads, and a bound of its error in half ulps. */
double activation(double x, fc_activation a);
double activation_slope(double v, fc_activation a);
enum { ACTIVATION_ROUNDINGS = 12, ACTIVATIONS = FC_ACT_SOFTSIGN + 1, FUSED_BACKWARD = FC_ACT_HARD_SIGMOID + 1 };

static inline int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

/* for (x in list) */
#define FOR_EACH(x, ...) \
    for (int64_t list_##x[] = {__VA_ARGS__}, at_##x = 0, x; \
         at_##x < (int64_t)(sizeof list_##x / sizeof *list_##x) && (x = list_##x[at_##x], 1); at_##x++)
/* Sizes around the edges of vectors of VL floats, which a loop may unroll by up to four. */
#define FOR_EACH_LENGTH(x) \
    FOR_EACH (x, 1, VL - 1, VL, VL + 1, 2 * VL - 1, 2 * VL, 4 * VL - 1, 4 * VL, 4 * VL + 1, 9 * VL + 3, 151)
#define VL (k->vector_length)
#define MR (k->mr)
#define NR (k->nr)

void test_gemm(void), test_eltwise(void), test_pool(void), test_norm(void), test_depthwise(void), test_softmax(void);
void test_shallow(void), test_winograd(void), test_loss(void), test_random(void), test_optim(void);
void test_pointwise(void), test_move_family(void), test_resample(void), test_reduce(void), test_bfloat16(void);
void test_amx(void);

#endif
