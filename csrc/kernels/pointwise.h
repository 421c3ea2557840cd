/* Pointwise functions of one, two or three operands. A tail runs through the same vector code as the rest, so an
 * element's value never depends on where it stands. The output may be an operand that has its shape. Needs loss.h. */

/* ---- one operand */

/* Loops that the compiler turns into vectors, or into calls of the C library: functions that no network spends its time
 * on. y may be x. */
#define POINTWISE_LOOP(value) \
    _Pragma("GCC ivdep") for (int64_t i = 0; i < n; i++) y[i] = value; \
    break
#define POINTWISE_VECTORS(value) \
    for (int64_t i = 0; i < n; i += FC_VL) { \
        const vf v = v_load_some(x + i, n - i); \
        v_store_some(y + i, value, n - i); \
    } \
    break

/* v_log of anything: -inf for 0 and what is flushed to it, NaN below. */
FC_INLINE vf pointwise_log(vf x) {
    const vf low = v_select(x < 0, v_set(NAN), v_set(-INFINITY));
    return v_select(x < 1.17549435e-38f, low, v_select(x < INFINITY, v_log(x), x));
}

/* floorf would not be vectorised: it may not set the flag of inexact results. */
FC_INLINE float pointwise_floor(float x) {
    const float near = rintf(x);
    return near > x ? near - 1.0f : near;
}

FC_INLINE vf pointwise_sign(vf x) {
    const vf zero_or_nan = v_select(x == 0, v_zero(), x);
    return v_select(x > 0, v_set(1.0f), v_select(x < 0, v_set(-1.0f), zero_or_nan));
}

static void fc_unary(fc_unary_kind kind, const float *x, float *y, int64_t n) {
    switch (kind) {
    case FC_EXP: POINTWISE_VECTORS(v_exp(v));
    case FC_LOG: POINTWISE_VECTORS(pointwise_log(v));
    case FC_SQRT: POINTWISE_LOOP(sqrtf(x[i]));
    case FC_SQUARE: POINTWISE_VECTORS(v * v);
    case FC_ABS: POINTWISE_VECTORS((vf)((vi)v & 0x7fffffff));
    case FC_NEGATIVE: POINTWISE_VECTORS(-v);
    case FC_RECIPROCAL: POINTWISE_VECTORS(1.0f / v);
    case FC_FLOOR: POINTWISE_LOOP(pointwise_floor(x[i]));
    case FC_CEIL: POINTWISE_LOOP(-pointwise_floor(-x[i]));
    case FC_ROUND: POINTWISE_LOOP(rintf(x[i])); /* to nearest, halves to even: the mode that the runner leaves alone */
    case FC_SIGN: POINTWISE_VECTORS(pointwise_sign(v));
    case FC_ERF: POINTWISE_LOOP(erff(x[i]));
    case FC_SIN: POINTWISE_LOOP(sinf(x[i]));
    case FC_COS: POINTWISE_LOOP(cosf(x[i]));
    case FC_TAN: POINTWISE_LOOP(tanf(x[i]));
    case FC_ASIN: POINTWISE_LOOP(asinf(x[i]));
    case FC_ACOS: POINTWISE_LOOP(acosf(x[i]));
    case FC_ATAN: POINTWISE_LOOP(atanf(x[i]));
    case FC_SINH: POINTWISE_LOOP(sinhf(x[i]));
    case FC_COSH: POINTWISE_LOOP(coshf(x[i]));
    case FC_ASINH: POINTWISE_LOOP(asinhf(x[i]));
    case FC_ACOSH: POINTWISE_LOOP(acoshf(x[i]));
    case FC_ATANH: POINTWISE_LOOP(atanhf(x[i]));
    }
}

/* ---- two operands */

FC_INLINE vf v_power(vf a, vf b) {
    vf y;
    for (int i = 0; i < FC_VL; i++) y[i] = powf(a[i], b[i]);
    return y;
}

FC_INLINE vf binary_vector(fc_binary_kind kind, vf a, vf b) {
    switch (kind) {
    case FC_ADD: return a + b;
    case FC_SUBTRACT: return a - b;
    case FC_MULTIPLY: return a * b;
    case FC_DIVIDE: return a / b;
    case FC_MAXIMUM: return v_max(a, b);
    case FC_MINIMUM: return v_min(a, b);
    case FC_PRELU: return v_select(a < 0, a * b, a);
    default: return v_power(a, b);
    }
}

/* A run of n elements; a step of 0 repeats one element of its operand. */
FC_INLINE void binary_run(fc_binary_kind kind, const float *a, int a_step, const float *b, int b_step, float *y,
                          int64_t n) {
    const vf a0 = v_set(a[0]), b0 = v_set(b[0]);
    int64_t i = 0;
    for (; i + FC_VL <= n; i += FC_VL)
        v_store(y + i, binary_vector(kind, a_step ? v_load(a + i) : a0, b_step ? v_load(b + i) : b0));
    if (i < n) {
        const vf va = a_step ? v_load_n(a + i, n - i) : a0, vb = b_step ? v_load_n(b + i, n - i) : b0;
        v_store_n(y + i, binary_vector(kind, va, vb), n - i);
    }
}

FC_INLINE void binary_rows(fc_binary_kind kind, const fc_binary *p, int a_step, int b_step) {
    for (int64_t r = 0; r < p->rows; r++)
        binary_run(kind, p->a + r * p->a_row, a_step, p->b + r * p->b_row, b_step, p->y + r * p->y_row, p->columns);
}

enum { BINARY_LINE = 8 * FC_VL };

/* Rows too short for vectors, of an operand that is the same for all: it is repeated, so that a run holds many rows. */
FC_INLINE int binary_short(fc_binary_kind kind, const fc_binary *p) {
    const int64_t n = p->columns, size = p->rows * n, repeats = BINARY_LINE / n;
    const int a_same = p->a_row == 0 && p->b_row == n, b_same = p->b_row == 0 && p->a_row == n;
    float line[BINARY_LINE];
    if (2 * n > BINARY_LINE || p->rows < 4 || p->y_row != n || !(p->a_step && p->b_step) || !(a_same || b_same)) return 0;
    const float *same = a_same ? p->a : p->b;
    for (int64_t i = 0; i < repeats * n; i++) line[i] = same[i % n];
    for (int64_t at = 0; at < size; at += repeats * n) {
        const int64_t count = size - at < repeats * n ? size - at : repeats * n;
        if (a_same) binary_run(kind, line, 1, p->b + at, 1, p->y + at, count);
        else binary_run(kind, p->a + at, 1, line, 1, p->y + at, count);
    }
    return 1;
}

FC_INLINE void binary_as(fc_binary_kind kind, const fc_binary *p) {
    if (binary_short(kind, p)) return;
    if (p->a_step && p->b_step) binary_rows(kind, p, 1, 1);
    else if (p->a_step) binary_rows(kind, p, 1, 0);
    else if (p->b_step) binary_rows(kind, p, 0, 1);
    else binary_rows(kind, p, 0, 0);
}

static void fc_binary_run(const fc_binary *p) {
    switch (p->kind) {
    case FC_ADD: binary_as(FC_ADD, p); break;
    case FC_SUBTRACT: binary_as(FC_SUBTRACT, p); break;
    case FC_MULTIPLY: binary_as(FC_MULTIPLY, p); break;
    case FC_DIVIDE: binary_as(FC_DIVIDE, p); break;
    case FC_MAXIMUM: binary_as(FC_MAXIMUM, p); break;
    case FC_MINIMUM: binary_as(FC_MINIMUM, p); break;
    case FC_PRELU: binary_as(FC_PRELU, p); break;
    case FC_POWER: binary_as(FC_POWER, p); break;
    }
}

/* ---- a condition and two operands */

/* y[i] = condition[i] ? a[i] : b[i], of four-byte elements; steps are 0 or 1. */
static void fc_where(const uint8_t *condition, int64_t step, const float *a, int64_t a_step, const float *b,
                     int64_t b_step, float *y, int64_t n) {
    for (int64_t i = 0; i < n; i += FC_VL) {
        const int64_t left = n - i < FC_VL ? n - i : FC_VL;
        vi c = v_seti(*condition);
        if (step) c = left == FC_VL ? v_load_bytes(condition + i) : v_load_bytes_n(condition + i, left);
        const vf va = a_step ? (vf)v_load_some(a + i, left) : v_set(*a);
        const vf vb = b_step ? (vf)v_load_some(b + i, left) : v_set(*b);
        v_store_some(y + i, v_select(c != 0, va, vb), left);
    }
}
