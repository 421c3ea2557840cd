/* Copies between arrangements, and conversions. */
#include "check.h"

static void test_move(void) {
    testing("move");
    FOR_EACH (item, 1, 2, 4, 8)
        FOR_EACH (rows, 1, 2, 3, 4, VL, 2 * VL + 3)
            FOR_EACH (columns, 1, 2, 3, 4, VL, 70)
                FOR_EACH (kind, 0, 1, 2, 3, 4) {
                    /* Contiguous rows; transposed, dense and with gaps; every other column backwards; one element. */
                    fc_move m = {.rows = rows, .columns = columns, .y_row = columns, .y_column = 1, .item = item};
                    const int64_t size = 4 * rows * columns + 8, first = kind == 3 ? 2 * columns : 0;
                    if (kind == 0) m.x_row = columns + 1, m.x_column = 1, m.y_row = columns + 2;
                    if (kind == 1) m.x_row = 1, m.x_column = rows;
                    if (kind == 2) m.x_row = 1, m.x_column = rows + 3, m.y_row = columns + 1;
                    if (kind == 3) m.x_row = 2 * columns, m.x_column = -2, m.y_row = 1, m.y_column = rows;
                    uint8_t *x = fresh(size * item), *got = fresh(size * item), *want = fresh(size * item);
                    for (int64_t i = 0; i < size * item; i++) x[i] = (uint8_t)(i * 7), got[i] = want[i] = 99;
                    for (int64_t r = 0; r < rows; r++)
                        for (int64_t c = 0; c < columns; c++)
                            memcpy(want + (r * m.y_row + c * m.y_column) * item,
                                   x + (first + r * m.x_row + c * m.x_column) * item, item);
                    m.x = x + first * item;
                    m.y = got;
                    k->move(&m);
                    expect_equal(got, want, size * item);
                    release();
                }
}

static double element(const void *x, fc_type type, int64_t i) {
    switch (type) {
    case FC_FLOAT32: return ((const float *)x)[i];
    case FC_INT32: return ((const int32_t *)x)[i];
    case FC_INT64: return (double)((const int64_t *)x)[i];
    default: return ((const uint8_t *)x)[i];
    }
}

static void test_cast(void) {
    testing("cast");
    for (int source = FC_FLOAT32; source <= FC_BOOL; source++)
        for (int target = FC_FLOAT32; target <= FC_BOOL; target++)
            FOR_EACH_LENGTH (n) {
                int64_t *x = fresh(8 * n), *y = fresh(8 * n);
                for (int64_t i = 0; i < n; i++) {
                    if (source == FC_FLOAT32) ((float *)x)[i] = i % 3 ? 0.5f * (float)i : 0;
                    if (source == FC_INT32) ((int32_t *)x)[i] = i % 3 ? (int32_t)i : 0;
                    if (source == FC_INT64) x[i] = i % 3 ? i : 0;
                    if (source >= FC_UINT8) ((uint8_t *)x)[i] = source == FC_BOOL ? i % 3 == 1 : i % 3 ? (uint8_t)i : 0;
                }
                k->cast(source, target, x, y, n);
                for (int64_t i = 0; i < n; i++) {
                    const double value = element(x, source, i);
                    const double want = target == FC_BOOL ? value != 0 : target == FC_FLOAT32 ? value : trunc(value);
                    expect_near(element(y, target, i), want, 0, 0);
                }
                release();
            }
}

void test_move_family(void) {
    test_move();
    test_cast();
}
