/* Pointwise functions of one, two and three operands. */
#include "check.h"

static double unary(fc_unary_kind kind, double x) {
    switch (kind) {
    case FC_EXP: return exp(x);
    case FC_LOG: return log(x);
    case FC_SQRT: return sqrt(x);
    case FC_SQUARE: return x * x;
    case FC_ABS: return fabs(x);
    case FC_NEGATIVE: return -x;
    case FC_RECIPROCAL: return 1 / x;
    case FC_FLOOR: return floor(x);
    case FC_CEIL: return ceil(x);
    case FC_ROUND: return rint(x);
    case FC_SIGN: return x > 0 ? 1 : x < 0 ? -1 : x;
    case FC_ERF: return erf(x);
    case FC_SIN: return sin(x);
    case FC_COS: return cos(x);
    case FC_TAN: return tan(x);
    case FC_ASIN: return asin(x);
    case FC_ACOS: return acos(x);
    case FC_ATAN: return atan(x);
    case FC_SINH: return sinh(x);
    case FC_COSH: return cosh(x);
    case FC_ASINH: return asinh(x);
    case FC_ACOSH: return acosh(x);
    default: return atanh(x);
    }
}

static void test_unary(void) {
    testing("unary");
    for (int kind = FC_EXP; kind <= FC_ATANH; kind++)
        FOR_EACH_LENGTH (n) {
            float *x = random_floats(n, -3, 3);
            if (n > 8) x[0] = NAN, x[1] = INFINITY, x[2] = -INFINITY, x[3] = 0, x[4] = 2.5f, x[5] = -0.5f;
            output y = new_output(n);
            for (int64_t i = 0; i < n; i++) {
                const double value = unary(kind, x[i]);
                put(y, i, value, fabs(value) + 1e-3);
            }
            k->unary(kind, x, y.got, n);
            expect(y, 8);
            memcpy(y.got, x, n * sizeof *x);
            k->unary(kind, y.got, y.got, n);
            expect(y, 8);
            release();
        }
}

static double binary(fc_binary_kind kind, double a, double b) {
    switch (kind) {
    case FC_ADD: return a + b;
    case FC_SUBTRACT: return a - b;
    case FC_MULTIPLY: return a * b;
    case FC_DIVIDE: return a / b;
    case FC_MAXIMUM: return a > b || a != a ? a : b;
    case FC_MINIMUM: return a < b || a != a ? a : b;
    case FC_PRELU: return a < 0 ? a * b : a;
    default: return pow(a, b);
    }
}

static void test_binary(void) {
    testing("binary");
    for (int kind = FC_ADD; kind <= FC_PRELU; kind++)
        FOR_EACH (columns, 1, 3, VL - 1, VL, 4 * VL + 1)
            FOR_EACH (steps, 0, 1, 2, 3)         /* of a, of b */
                FOR_EACH (same, 0, 1, 2) {       /* neither, a, b is the same in all rows */
                    const int64_t rows = 41, y_row = columns, a_step = steps & 1, b_step = steps >> 1;
                    float *a = random_floats(rows * columns, -2, 2), *b = random_floats(rows * columns, 0.5f, 2);
                    fc_binary call = {a, b, NULL, rows, columns, same == 1 ? 0 : columns, same == 2 ? 0 : columns, y_row,
                                      a_step, b_step, (fc_binary_kind)kind};
                    if (kind < FC_POWER) a[0] = NAN, b[columns / 2] = NAN;
                    output y = new_output(rows * y_row);
                    for (int64_t r = 0; r < rows; r++)
                        for (int64_t i = 0; i < columns; i++) {
                            const float left = a[r * call.a_row + i * a_step], right = b[r * call.b_row + i * b_step];
                            const double value = (float)binary((fc_binary_kind)kind, left, right);
                            put(y, r * y_row + i, value, kind == FC_POWER ? fabs(value) : 0);
                        }
                    call.y = y.got;
                    k->binary(&call);
                    expect(y, 4);
                    release();
                }
}

static void test_where(void) {
    testing("where");
    FOR_EACH_LENGTH (n)
        FOR_EACH (steps, 0, 1, 3, 4, 7) { /* of the condition, of a, of b */
            const int64_t step = steps & 1, a_step = steps >> 1 & 1, b_step = steps >> 2;
            uint8_t *condition = fresh(n);
            for (int64_t i = 0; i < n; i++) condition[i] = random_float(0, 1) < 0.5f;
            const float *a = random_floats(n, -1, 1), *b = random_floats(n, -1, 1);
            output y = new_output(n);
            for (int64_t i = 0; i < n; i++) put(y, i, condition[i * step] ? a[i * a_step] : b[i * b_step], 0);
            k->where(condition, step, a, a_step, b, b_step, y.got, n);
            expect(y, 0);
            release();
        }
}

void test_pointwise(void) {
    test_unary();
    test_binary();
    test_where();
}
