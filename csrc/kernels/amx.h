/* float32 products on the tile unit, see fc_amx: every operand is a sum of up to three bfloat16 terms, each the remainder
 * of the last one rounded to nearest, and the products of terms of which nothing smaller than float32's rounding is lost
 * are added, the small ones first:
 *
 *   3 terms   x1 w3 + x1 w2 + x2 w2 + x2 w1 + x3 w1 + x1 w1      more accurate than a sum of float32 in sequence
 *   2 terms   x1 w2 + x1 w1 + x2 w1
 *   1 term    x1 w1
 *
 * Source: Henry, Tang, Heinecke, "Leveraging the bfloat16 Artificial Intelligence Datatype For Higher-Precision
 * Computations", arXiv 1904.06376.
 *
 * Where that is not as good as float32, results are told apart in fc_amx_finish, for the caller to sum again in float32:
 *
 * - An operand that is not finite, or not below 2^30, is taken for NaN, and so become the results that it reaches, each in
 *   a row and a column of its own. Nothing below that overflows.
 * - The unit flushes denormals, whatever the mode: of an operand below 2^-103 the low terms, of small products all. What
 *   is lost is at most 2^15 times (the longest sums) 2^-126 times 2^30: next to nothing of a result above 2^-56. */
#include <immintrin.h>

typedef uint16_t amx_half __attribute__((vector_size(2 * FC_VL)));
typedef uint16_t amx_half_loose __attribute__((vector_size(2 * FC_VL), aligned(2), may_alias));

_Static_assert(FC_NR == FC_AMX_COLUMNS && FC_VL == FC_AMX_ROWS, "tiles of sixteen rows of sixteen words, two side by side");

/* ---- terms */

enum { AMX_LARGE = (127 + 30) << 23, AMX_SMALL = (127 - 56) << 23, AMX_INFINITY = 255 << 23 };

/* The bits of the nearest bfloat16, ties to even, in the upper half. */
FC_INLINE vi amx_round(vf x) {
    const vi bits = (vi)x, rounded = (bits + 0x7fff + ((bits >> 16) & 1)) & v_seti((int32_t)0xffff0000);
    return (vi)v_select((bits & 0x7fffffff) >= AMX_LARGE, (vf)v_seti(0x7fc00000), (vf)rounded);
}

/* The upper halves of the lanes. */
FC_INLINE amx_half amx_upper(vi bits) { return __builtin_convertvector((bits >> 16) & 0xffff, amx_half); }

FC_INLINE void amx_store(uint16_t *to, amx_half v) { *(amx_half_loose *)to = v; }

static void fc_amx_split(const float *x, int64_t x_row, int64_t rows, int64_t columns, int64_t terms, uint16_t *out,
                         int64_t out_row, int64_t out_block, int64_t out_term) {
    for (int64_t r = 0; r < rows; r++, x += x_row, out += out_row) {
        uint16_t *block = out;
        for (int64_t c = 0; c < columns; c += FC_AMX_DEPTH, block += out_block) {
            for (int64_t half = 0; half < FC_AMX_DEPTH; half += FC_VL) {
                const int64_t left = fc_clamp(columns - c - half, 0, FC_VL);
                vf rest = left == FC_VL ? v_load(x + c + half) : left > 0 ? v_load_n(x + c + half, left) : v_zero();
                for (int64_t t = 0; t < terms; t++) {
                    const vi term = amx_round(rest);
                    amx_store(block + t * out_term + half, amx_upper(term));
                    rest -= (vf)term;
                }
            }
        }
    }
}

/* Sixteen vectors of words, rows for columns. */
FC_INLINE void amx_transpose(vi *v) {
#define FC_EXCHANGE(step, low, high) \
    for (int i = 0; i < 16; i++) { \
        if (i & step) continue; \
        const vi a = v[i], b = v[i + step]; \
        v[i] = __builtin_shuffle(a, b, (vi)low); \
        v[i + step] = __builtin_shuffle(a, b, (vi)high); \
    }
    FC_UNROLL FC_EXCHANGE(8, ((vi){0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23}),
                          ((vi){8, 9, 10, 11, 12, 13, 14, 15, 24, 25, 26, 27, 28, 29, 30, 31}))
    FC_UNROLL FC_EXCHANGE(4, ((vi){0, 1, 2, 3, 16, 17, 18, 19, 8, 9, 10, 11, 24, 25, 26, 27}),
                          ((vi){4, 5, 6, 7, 20, 21, 22, 23, 12, 13, 14, 15, 28, 29, 30, 31}))
    FC_UNROLL FC_EXCHANGE(2, ((vi){0, 1, 16, 17, 4, 5, 20, 21, 8, 9, 24, 25, 12, 13, 28, 29}),
                          ((vi){2, 3, 18, 19, 6, 7, 22, 23, 10, 11, 26, 27, 14, 15, 30, 31}))
    FC_UNROLL FC_EXCHANGE(1, ((vi){0, 16, 2, 18, 4, 20, 6, 22, 8, 24, 10, 26, 12, 28, 14, 30}),
                          ((vi){1, 17, 3, 19, 5, 21, 7, 23, 9, 25, 11, 27, 13, 29, 15, 31}))
#undef FC_EXCHANGE
}

static void fc_amx_split_transposed(const float *x, int64_t x_k, int64_t rows, int64_t depth, int64_t terms, uint16_t *out,
                                    int64_t out_row, int64_t out_block, int64_t out_term) {
    for (int64_t k = 0; k < depth; k += FC_AMX_DEPTH, out += out_block) {
        vi pairs[3][FC_VL];
        for (int i = 0; i < FC_VL; i++) {
            vi terms_of[2][3];
            for (int odd = 0; odd < 2; odd++) {
                const int64_t row = k + 2 * i + odd;
                vf rest = row < depth ? v_load_n(x + row * x_k, rows) : v_zero();
                for (int t = 0; t < 3; t++) {
                    terms_of[odd][t] = amx_round(rest);
                    rest -= (vf)terms_of[odd][t];
                }
            }
            for (int t = 0; t < 3; t++) pairs[t][i] = ((terms_of[0][t] >> 16) & 0xffff) | terms_of[1][t];
        }
        for (int64_t t = 0; t < terms; t++) {
            amx_transpose(pairs[t]);
            for (int64_t r = 0; r < rows; r++) memcpy(out + r * out_row + t * out_term, &pairs[t][r], sizeof(vi));
        }
    }
}

static void fc_amx_pack(const float *panel, int64_t depth, int64_t terms, uint16_t *out) {
    for (int64_t k = 0; k < depth; k += FC_AMX_DEPTH) {
        for (int64_t i = k; i < k + FC_AMX_DEPTH; i += 2) {
            for (int half = 0; half < 2; half++) {
                vf even = i < depth ? v_load(panel + i * FC_NR + half * FC_VL) : v_zero();
                vf odd = i + 1 < depth ? v_load(panel + (i + 1) * FC_NR + half * FC_VL) : v_zero();
                uint16_t *to = out + half * FC_AMX_TILE + (i - k) * FC_VL;
                for (int64_t t = 0; t < terms; t++, to += 2 * FC_AMX_TILE) {
                    const vi x = amx_round(even), y = amx_round(odd), pair = ((x >> 16) & 0xffff) | y;
                    memcpy(to, &pair, sizeof pair);
                    even -= (vf)x;
                    odd -= (vf)y;
                }
            }
        }
        out += 2 * terms * FC_AMX_TILE;
    }
}

/* ---- the tiles
 *
 * Registers: 0 and 1 hold sums of the first sixteen rows, 2 and 3 of the second; 4 and 5 a term of a, of the first rows
 * and of the second; 6 and 7 a term of b, of the first columns and of the second. With four registers for operands the
 * six products need 14 loads: of the chain of terms that differ by one from product to product one has to come again.
 * 24 products of 16 cycles, 14 loads of 8. */

static void amx_configure(int64_t first, int64_t second, int64_t words) {
    uint8_t config[64] __attribute__((aligned(64))) = {1};
    for (int tile = 0; tile < 8; tile++) {
        const int64_t rows = tile > 5 ? words : tile == 2 || tile == 3 || tile == 5 ? second : first;
        config[48 + tile] = (uint8_t)rows;
        config[16 + 2 * tile] = !rows ? 0 : tile == 4 || tile == 5 ? (uint8_t)(4 * words) : 64;
    }
    /* The compiler takes the instruction to read eight bytes. */
    __asm__ volatile("" ::"r"(config) : "memory");
    _tile_loadconfig(config);
}

#define AMX_LOAD_A(term) \
    _tile_loadd(4, a0 + (term) * t->a_term, stride0); \
    if (two) _tile_loadd(5, a1 + (term) * t->a_term, stride1)
#define AMX_LOAD_B(term) \
    _tile_loadd(6, b + (term) * 4 * FC_AMX_TILE, 64); \
    _tile_loadd(7, b + (term) * 4 * FC_AMX_TILE + 2 * FC_AMX_TILE, 64)
#define AMX_PRODUCT() \
    _tile_dpbf16ps(0, 4, 6); \
    _tile_dpbf16ps(1, 4, 7); \
    if (two) { \
        _tile_dpbf16ps(2, 5, 6); \
        _tile_dpbf16ps(3, 5, 7); \
    }

/* One row of tiles, or two, from `tile` on. */
FC_INLINE void amx_rows(const fc_amx_tile *t, int64_t tile, const int terms, const int two) {
    float *c = t->c + tile * FC_AMX_ROWS * FC_NR;
    const int64_t c_row = 4 * FC_NR;
    if (t->accumulate) {
        _tile_loadd(0, c, c_row);
        _tile_loadd(1, c + FC_VL, c_row);
        if (two) {
            _tile_loadd(2, c + FC_AMX_ROWS * FC_NR, c_row);
            _tile_loadd(3, c + FC_AMX_ROWS * FC_NR + FC_VL, c_row);
        }
    } else {
        _tile_zero(0);
        _tile_zero(1);
        if (two) {
            _tile_zero(2);
            _tile_zero(3);
        }
    }
    const char *panel = t->b;
    for (int64_t tap = 0; tap < t->taps; tap++, panel += t->b_tap) {
        const char *a0 = t->a[tap * t->a_tap + tile] + t->a_offset, *b = panel;
        const char *a1 = two ? t->a[tap * t->a_tap + tile + 1] + t->a_offset : NULL;
        const int64_t stride0 = t->a_row[tap * t->a_tap + tile], stride1 = two ? t->a_row[tap * t->a_tap + tile + 1] : 0;
        for (int64_t block = 0; block < t->blocks; block++, a0 += t->a_block, a1 += t->a_block, b += terms * 4 * FC_AMX_TILE) {
            AMX_LOAD_A(0);
            if (terms == 3) {
                AMX_LOAD_B(2);
                AMX_PRODUCT();
                AMX_LOAD_B(1);
                AMX_PRODUCT();
                AMX_LOAD_A(1);
                AMX_PRODUCT();
                AMX_LOAD_B(0);
                AMX_PRODUCT();
                AMX_LOAD_A(2);
                AMX_PRODUCT();
                AMX_LOAD_A(0);
                AMX_PRODUCT();
            } else if (terms == 2) {
                AMX_LOAD_B(1);
                AMX_PRODUCT();
                AMX_LOAD_B(0);
                AMX_PRODUCT();
                AMX_LOAD_A(1);
                AMX_PRODUCT();
            } else {
                AMX_LOAD_B(0);
                AMX_PRODUCT();
            }
        }
    }
    _tile_stored(0, c, c_row);
    _tile_stored(1, c + FC_VL, c_row);
    if (two) {
        _tile_stored(2, c + FC_AMX_ROWS * FC_NR, c_row);
        _tile_stored(3, c + FC_AMX_ROWS * FC_NR + FC_VL, c_row);
    }
}

#define FC_AMX_ROWS_AS(terms) \
    static __attribute__((noinline)) void amx_two_rows_##terms(const fc_amx_tile *t, int64_t tile) { \
        amx_rows(t, tile, terms, 1); \
    } \
    static __attribute__((noinline)) void amx_one_row_##terms(const fc_amx_tile *t, int64_t tile) { \
        amx_rows(t, tile, terms, 0); \
    }
FC_AMX_ROWS_AS(1)
FC_AMX_ROWS_AS(2)
FC_AMX_ROWS_AS(3)

static void fc_amx_tile_run(const fc_amx_tile *t) {
    typedef void rows_fn(const fc_amx_tile *, int64_t);
    rows_fn *const two = t->terms == 3 ? amx_two_rows_3 : t->terms == 2 ? amx_two_rows_2 : amx_two_rows_1;
    rows_fn *const one = t->terms == 3 ? amx_one_row_3 : t->terms == 2 ? amx_one_row_2 : amx_one_row_1;
    const int64_t whole = t->rows / (2 * FC_AMX_ROWS), left = t->rows % (2 * FC_AMX_ROWS);
    int64_t tile = 0;
    if (whole) amx_configure(FC_AMX_ROWS, FC_AMX_ROWS, t->words);
    for (; tile < 2 * whole; tile += 2) two(t, tile);
    /* Short tiles: the unit takes a cycle for each row. */
    if (left > FC_AMX_ROWS) {
        amx_configure(FC_AMX_ROWS, left - FC_AMX_ROWS, t->words);
        two(t, tile);
    } else if (left) {
        amx_configure(left, 0, t->words);
        one(t, tile);
    }
    _tile_release();
}

/* ---- results */

FC_INLINE vi amx_suspect(vf sum) {
    const vi size = (vi)sum & 0x7fffffff;
    return (size >= AMX_INFINITY) | ((size < AMX_SMALL) & (size > 0));
}

static int64_t fc_amx_finish_run(const fc_amx_finish *f) {
    int64_t suspects = 0, left[2] = {fc_clamp(f->columns, 0, FC_VL), fc_clamp(f->columns - FC_VL, 0, FC_VL)};
    const float *c = f->c;
    const int longer = f->activation.function > FC_ACT_CLIP;
    for (int64_t r = 0; r < f->rows; r++, c += FC_NR) {
        float *y = f->y + f->y_rows[r];
        vf sum[2] = {v_load(c), v_load(c + FC_VL)};
        if (v_any(amx_suspect(sum[0]) | amx_suspect(sum[1]))) {
            f->suspect[suspects++] = (int32_t)r;
            continue;
        }
        for (int v = 0; v < 2; v++) {
            if (f->add) sum[v] += v_load_n(f->add + f->y_rows[r] + v * FC_VL, left[v]);
            if (f->bias) sum[v] += v_load_n(f->bias + v * FC_VL, left[v]);
            v_store_n(y + v * FC_VL, v_finish(sum[v], &f->activation), left[v]);
        }
        if (longer) fc_activate(y, y, f->columns, f->activation);
    }
    return suspects;
}

static const char *fc_amx_compiled_for(void) {
#if defined(__AMX_TILE__) && defined(__AMX_BF16__)
    return "amx";
#else
#error "csrc/flags.toml: the tile instructions are not switched on"
#endif
}

const fc_amx fc_amx_bf16 = {
    .compiled_for = fc_amx_compiled_for,
    .split = fc_amx_split,
    .split_transposed = fc_amx_split_transposed,
    .pack = fc_amx_pack,
    .tile = fc_amx_tile_run,
    .finish = fc_amx_finish_run,
};
