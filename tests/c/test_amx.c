/* The section of the tile unit, where the table has one: on a CPU that has it, or in tests/amx/emulator.c. */
#include "check.h"

#ifdef FC_HAVE_AMX

#include <immintrin.h>

enum { ROWS = FC_AMX_ROWS, COLUMNS = FC_AMX_COLUMNS, DEPTH = FC_AMX_DEPTH, TILE = FC_AMX_TILE };

static float value(uint16_t half) {
    const uint32_t bits = (uint32_t)half << 16;
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

/* The nearest bfloat16, ties to even; what the unit is not good for is NaN. */
static uint16_t nearest(float x) {
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    if (!(fabsf(x) < 0x1p30f)) return 0x7fc0;
    return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

static uint16_t term(float x, int64_t number) {
    for (; number; number--) x -= value(nearest(x));
    return nearest(x);
}

/* Numbers of many sizes, and a few that stand for others. */
static float *samples(int64_t n) {
    static const float odd[] = {NAN, INFINITY, -INFINITY, 0x1p30f, 0x1.fffffep29f, -0.0f, 0x1.01p0f, 0x1.03p0f};
    float *x = random_floats(n, -1, 1);
    for (int64_t i = 0; i < n; i++) x[i] = i % 13 == 5 ? odd[i / 13 % 8] : ldexpf(x[i], (int)(i % 40) - 20);
    return x;
}

enum { UNTOUCHED = 0x1234 };

static uint16_t *untouched(int64_t n) {
    uint16_t *x = fresh(2 * n);
    for (int64_t i = 0; i < n; i++) x[i] = UNTOUCHED;
    return x;
}

static void test_split(int transposed) {
    testing(transposed ? "amx_split_transposed" : "amx_split");
    FOR_EACH (rows, 1, 5, ROWS)
        FOR_EACH (length, 1, 15, 16, 17, 31, DEPTH, 33, 3 * DEPTH - 2)
            for (int64_t terms = 1; terms <= 3; terms++) {
                const int64_t x_row = (transposed ? rows : length) + 3, blocks = (length + DEPTH - 1) / DEPTH;
                const int64_t out_row = DEPTH + 2, out_term = rows * out_row + 5, out_block = terms * out_term + 7;
                const int64_t size = blocks * out_block;
                const float *x = samples((transposed ? length : rows) * x_row);
                uint16_t *got = untouched(size), *want = untouched(size);
                for (int64_t r = 0; r < rows; r++)
                    for (int64_t c = 0; c < blocks * DEPTH; c++)
                        for (int64_t t = 0; t < terms; t++)
                            want[c / DEPTH * out_block + t * out_term + r * out_row + c % DEPTH] =
                                c < length ? term(x[transposed ? c * x_row + r : r * x_row + c], t) : 0;
                (transposed ? k->amx->split_transposed : k->amx->split)(x, x_row, rows, length, terms, got, out_row,
                                                                        out_block, out_term);
                expect_equal(got, want, 2 * size);
                release();
            }
}

static void test_pack(void) {
    testing("amx_pack");
    FOR_EACH (depth, 1, 2, 31, DEPTH, 33, 2 * DEPTH)
        for (int64_t terms = 1; terms <= 3; terms++) {
            const int64_t blocks = (depth + DEPTH - 1) / DEPTH, size = blocks * terms * 2 * TILE;
            const float *panel = samples(depth * COLUMNS);
            uint16_t *got = untouched(size + 1), *want = untouched(size + 1), *to = want;
            for (int64_t block = 0; block < blocks; block++)
                for (int64_t t = 0; t < terms; t++)
                    for (int64_t half = 0; half < 2; half++)
                        for (int64_t word = 0; word < DEPTH / 2; word++)
                            for (int64_t c = 0; c < COLUMNS / 2; c++)
                                for (int64_t i = 0; i < 2; i++) {
                                    const int64_t row = block * DEPTH + 2 * word + i;
                                    const float *x = panel + row * COLUMNS + half * (COLUMNS / 2) + c;
                                    *to++ = row < depth ? term(*x, t) : 0;
                                }
            k->amx->pack(panel, depth, terms, got);
            expect_equal(got, want, 2 * (size + 1));
            release();
        }
}

/* What the thread holds of the unit after a kernel: nothing, or the system would save it at every switch. */
static __attribute__((target("amx-tile"))) int64_t held(void) {
    uint8_t config[64];
    int64_t sum = 0;
    __asm__ volatile("sttilecfg %0" : "=m"(config));
    for (int i = 0; i < 64; i++) sum += config[i];
    return sum;
}

/* Terms are numbers of one size here: every product that is missing, or one too many, shows. */
static void tile_case(int64_t rows, int64_t taps, int64_t blocks, int64_t terms, int64_t words, int accumulate) {
    const int64_t tiles = (rows + ROWS - 1) / ROWS, size = blocks * terms * ROWS * DEPTH, a_tap = tiles + 1;
    const int64_t offset = 6, b_tap = blocks * terms * 2 * TILE;
    const char **a = fresh(taps * a_tap * sizeof *a);
    int64_t *a_row = fresh(taps * a_tap * sizeof *a_row);
    for (int64_t i = 0; i < taps * a_tap; i++) {
        /* Rows farther apart than they are long, and a tap whose rows are all the same. */
        const int64_t pitch = i % 3 == 2 ? 0 : 2 * DEPTH + 2 * (i % 3);
        uint16_t *x = fresh(2 * (size + offset + ROWS * pitch));
        for (int64_t j = 0; j < size + offset + ROWS * pitch; j++) x[j] = nearest(random_float(-1, 1));
        a[i] = (const char *)x, a_row[i] = pitch;
    }
    uint16_t *b = fresh(2 * taps * b_tap);
    for (int64_t i = 0; i < taps * b_tap; i++) b[i] = nearest(random_float(-1, 1));
    output c = new_output(tiles * ROWS * COLUMNS);
    const fc_amx_tile t = {
        .a = a, .a_row = a_row, .a_tap = a_tap, .a_offset = 2 * offset, .a_block = 2 * terms * ROWS * DEPTH,
        .a_term = 2 * ROWS * DEPTH, .b = (const char *)b, .b_tap = 2 * b_tap, .taps = taps, .blocks = blocks,
        .terms = terms, .words = words, .rows = rows, .c = c.got, .accumulate = accumulate,
    };
    for (int64_t m = 0; m < rows; m++)
        for (int64_t n = 0; n < COLUMNS; n++) {
            double sum = 0, scale = 0;
            if (accumulate) sum = c.got[m * COLUMNS + n] = random_float(-1, 1), scale = 1;
            for (int64_t tap = 0; tap < taps; tap++)
                for (int64_t j = 0; j < blocks * DEPTH; j++)
                    for (int64_t first = j % DEPTH < 2 * words ? 0 : terms; first < terms; first++)
                        for (int64_t second = 0; first + second < terms; second++) {
                            const int64_t at = tap * a_tap + m / ROWS, block = j / DEPTH;
                            const char *x = a[at] + t.a_offset + block * t.a_block + first * t.a_term;
                            const uint16_t *row = (const uint16_t *)(x + m % ROWS * a_row[at]);
                            const int64_t half = ((block * terms + second) * 2 + n / ROWS) * TILE;
                            const int64_t word = (j % DEPTH / 2 * ROWS + n % ROWS) * 2 + j % 2;
                            const double one = (double)value(row[j % DEPTH]) * value(b[tap * b_tap + half + word]);
                            sum += one, scale += fabs(one);
                        }
            put(c, m * COLUMNS + n, sum, scale);
        }
    k->amx->tile(&t);
    expect(c, 12 * taps * blocks * DEPTH);
    expect_near(held(), 0, 0, 0);
    release();
}

static void test_tile(void) {
    testing("amx_tile");
    for (int64_t terms = 1; terms <= 3; terms++) {
        for (int64_t rows = 1; rows <= 2 * ROWS + 1; rows += 1 + (rows == 2) * 11) tile_case(rows, 1, 2, terms, DEPTH / 2, 0);
        FOR_EACH (rows, 47, 49, 64, 77) tile_case(rows, 3, 1, terms, rows == 49 ? 5 : DEPTH / 2, rows & 1);
    }
}

static void test_finish(void) {
    testing("amx_finish");
    static const float odd[] = {NAN, INFINITY, -INFINITY, 0x1p-57f, -0x1p-126f, 0, -0.0f, 0x1p-56f};
    FOR_EACH (columns, 1, 15, 16, 17, COLUMNS)
        for (int variant = 0; variant < 8; variant++) {
            const int64_t rows = 19, pitch = columns + 2;
            static const fc_activation activations[] = {{FC_ACT_RELU, 0, 0}, {FC_ACT_SIGMOID, 0, 0}};
            const fc_activation act = activations[variant / 4];
            float *c = random_floats(rows * COLUMNS, -1, 1);
            int64_t *y_rows = fresh(8 * rows), suspects = 0;
            int32_t *got = fresh(4 * rows), *want = fresh(4 * rows);
            output y = new_output(rows * pitch);
            const fc_amx_finish f = {
                .c = c, .rows = rows, .columns = columns, .y = y.got, .y_rows = y_rows, .activation = act,
                .add = variant & 1 ? random_floats(rows * pitch, -1, 1) : NULL,
                .bias = variant & 2 ? random_floats(columns, -1, 1) : NULL, .suspect = got,
            };
            for (int64_t r = 0; r < rows; r++) {
                y_rows[r] = (rows - 1 - r) * pitch;
                /* Odd rows hold what is told apart, or looks like it, in one of their columns; also beyond the last. */
                if (r % 2) c[r * COLUMNS + r * 5 % COLUMNS] = odd[r / 2 % 8];
                if (r % 2 && r / 2 % 8 < 5) {
                    want[suspects++] = (int32_t)r;
                    continue;
                }
                for (int64_t n = 0; n < columns; n++) {
                    double sum = c[r * COLUMNS + n];
                    if (f.add) sum += f.add[y_rows[r] + n];
                    if (f.bias) sum += f.bias[n];
                    put(y, y_rows[r] + n, activation(sum, act), 3);
                }
            }
            expect_near((double)k->amx->finish(&f), (double)suspects, 0, 0);
            expect_equal(got, want, 4 * suspects);
            expect(y, ACTIVATION_ROUNDINGS);
            release();
        }
}

void test_amx(void) {
    test_split(0);
    test_split(1);
    test_pack();
    test_tile();
    test_finish();
}

#else

void test_amx(void) {}

#endif
