/* Reductions of rows and of runs. */
#include "check.h"

static double join(fc_reduction kind, double a, double b) {
    switch (kind) {
    case FC_REDUCE_MAX: return a > b || a != a ? a : b;
    case FC_REDUCE_MIN: return a < b || a != a ? a : b;
    case FC_REDUCE_PROD: return a * b;
    default: return a + b;
    }
}

void test_reduce(void) {
    testing("reduce");
    for (int kind = FC_REDUCE_SUM; kind <= FC_REDUCE_PROD; kind++)
        FOR_EACH (rows, 1, 3, VL, 4 * VL + 1, 151)
            FOR_EACH (columns, 0, 1, 3, VL, 4 * VL + 1) /* 0: a run */
                FOR_EACH (accumulate, 0, 1)
                    FOR_EACH (special, 0, 1) {
                        const int64_t width = columns ? columns : 1, x_row = columns + 2, n = columns ? rows * x_row : rows;
                        float *x = random_floats(n, 0.9f, 1.1f);
                        if (kind != FC_REDUCE_PROD)
                            for (int64_t i = 0; i < n; i++) x[i] -= 1;
                        if (special) x[n / 2] = NAN;
                        const float *before = random_floats(width, 0.5f, 1.5f);
                        output y = new_output(width);
                        for (int64_t c = 0; c < width; c++) {
                            double result = accumulate ? before[c] : 0, scale = accumulate ? before[c] : 0;
                            for (int64_t r = 0; r < rows; r++) {
                                const double value = columns ? x[r * x_row + c] : x[r];
                                result = r == 0 && !accumulate ? value : join((fc_reduction)kind, result, value);
                                scale = kind == FC_REDUCE_SUM ? scale + fabs(value) : fabs(result);
                            }
                            put(y, c, result, kind == FC_REDUCE_MAX || kind == FC_REDUCE_MIN ? 0 : scale);
                            if (accumulate) y.got[c] = before[c];
                        }
                        fc_reduce call = {x, y.got, rows, columns, columns ? x_row : 0,
                                          (int32_t)accumulate, (fc_reduction)kind};
                        k->reduce(&call);
                        expect(y, 2.0 * (double)rows + 4);
                        release();
                    }
}
