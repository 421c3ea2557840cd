/* The vector vocabulary that every kernel is written in, over the compiler's vector types.
 *
 * A simd/<isa>.h defines FC_ISA, FC_VL (floats per vector), FC_MR and FC_NRV (the tile: rows, vectors per row), and may
 * define FC_OWN_PARTIAL / FC_OWN_SELECT / FC_OWN_BYTES / FC_OWN_BITS / FC_OWN_SCALE to bring faster versions, before it
 * includes this file.
 * Arithmetic uses the ordinary operators; `a * b + c` contracts to a fused multiply-add where the set has one.
 */
#ifndef FC_VECTOR_H
#define FC_VECTOR_H

#include <math.h>
#include <stdint.h>
#include <string.h>

#include "../fastconv.h"

typedef float vf __attribute__((vector_size(4 * FC_VL)));
typedef int32_t vi __attribute__((vector_size(4 * FC_VL)));
typedef float vf_loose __attribute__((vector_size(4 * FC_VL), aligned(4), may_alias));

#define FC_NR (FC_NRV * FC_VL)

/* Floats in a line of the cache. */
enum { FC_LINE = 16 };

#define FC_INLINE static inline __attribute__((always_inline))

FC_INLINE vf v_load(const float *p) { return *(const vf_loose *)p; }
FC_INLINE void v_store(float *p, vf v) { *(vf_loose *)p = v; }
FC_INLINE vf v_set(float x) { return x - (vf){0}; }
FC_INLINE vf v_zero(void) { return (vf){0}; }
FC_INLINE vi v_seti(int32_t x) { return x - (vi){0}; }

#define FC_UNROLL _Pragma("GCC unroll 16")

FC_INLINE int64_t fc_clamp(int64_t x, int64_t low, int64_t high) { return x < low ? low : x > high ? high : x; }

/* The positions j in [0, count) with 0 <= j * step + offset < size: from *low up to *high. */
FC_INLINE void fc_inside(int64_t offset, int64_t step, int64_t size, int64_t count, int64_t *low, int64_t *high) {
    *low = offset >= 0 ? 0 : (-offset + step - 1) / step;
    *high = offset >= size ? 0 : (size - 1 - offset) / step + 1;
    *low = fc_clamp(*low, 0, count);
    *high = fc_clamp(*high, *low, count);
}

/* Apply f(1) ... f(14): one case per number of rows; those above MR compile to nothing. */
#define FC_EACH_ROWS(f) f(1) f(2) f(3) f(4) f(5) f(6) f(7) f(8) f(9) f(10) f(11) f(12) f(13) f(14)

_Static_assert(FC_MR <= 14, "FC_EACH_ROWS ends at 14");

/* The first n <= FC_VL elements; the rest read as zero and are not stored. Lane by lane: a loop to n would become a
 * call of memcpy, around which every sum that a kernel holds in a register is spilled. */
#ifndef FC_OWN_PARTIAL
FC_INLINE vf v_load_n(const float *p, int64_t n) {
    vf v = {0};
    FC_UNROLL for (int i = 0; i < FC_VL; i++)
        if (i < n) v[i] = p[i];
    return v;
}
FC_INLINE void v_store_n(float *p, vf v, int64_t n) {
    FC_UNROLL for (int i = 0; i < FC_VL; i++)
        if (i < n) p[i] = v[i];
}
#endif

/* FC_VL bytes as integers, and back (the low byte of each); or the first n < FC_VL of them. */
#ifndef FC_OWN_BYTES
/* By hand: compilers take a direct conversion apart into single bytes. */
FC_INLINE vi v_load_bytes_n(const uint8_t *p, int64_t n) {
    typedef uint64_t vq __attribute__((vector_size(4 * FC_VL)));
    static const int32_t words[16] = {0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3};
    static const int32_t shifts[16] = {0, 8, 16, 24, 0, 8, 16, 24, 0, 8, 16, 24, 0, 8, 16, 24};
    uint64_t q[2] = {0, 0};
    vi word, shift;
    memcpy(q, p, n);
    memcpy(&word, words, sizeof word);
    memcpy(&shift, shifts, sizeof shift);
    return __builtin_shuffle((vi)(vq){q[0], q[1]}, word) >> shift & 255;
}
FC_INLINE vi v_load_bytes(const uint8_t *p) { return v_load_bytes_n(p, FC_VL); }
FC_INLINE void v_store_bytes_n(uint8_t *p, vi v, int64_t n) {
    typedef uint16_t vh __attribute__((vector_size(2 * FC_VL)));
    typedef uint8_t vb __attribute__((vector_size(FC_VL)));
    vb bytes = __builtin_convertvector(__builtin_convertvector(v, vh), vb);
    memcpy(p, &bytes, n);
}
FC_INLINE void v_store_bytes(uint8_t *p, vi v) { v_store_bytes_n(p, v, FC_VL); }
#endif

/* One bit per lane of a mask (all ones or zero, as comparisons give it), lane 0 the least significant; and the mask of
 * the low FC_VL bits. */
FC_INLINE vi v_lane_bit(void) {
    vi bit;
    for (int i = 0; i < FC_VL; i++) bit[i] = 1 << i;
    return bit;
}
FC_INLINE vi v_from_bits(uint32_t bits) { return (v_seti((int32_t)bits) & v_lane_bit()) != 0; }
#ifndef FC_OWN_BITS
FC_INLINE uint32_t v_bits(vi mask) {
    uint64_t words[FC_VL / 2], all = 0;
    vi own = mask & v_lane_bit();
    memcpy(words, &own, sizeof words);
    for (int i = 0; i < FC_VL / 2; i++) all |= words[i];
    return (uint32_t)(all | all >> 32);
}
#endif

/* Whether any lane is not zero. */
FC_INLINE int v_any(vi v) {
    uint64_t words[FC_VL / 2], all = 0;
    memcpy(words, &v, sizeof words);
    for (int i = 0; i < FC_VL / 2; i++) all |= words[i];
    return all != 0;
}

/* Where the mask (all ones or zero, as comparisons give it) is set, a, else b; the greater of a and b, or the lesser, b
 * where one of them is NaN; where a > b, x, else y. */
#ifndef FC_OWN_SELECT
FC_INLINE vf v_select(vi mask, vf a, vf b) { return (vf)((mask & (vi)a) | (~mask & (vi)b)); }
FC_INLINE vf v_greater(vf a, vf b) { return v_select(a > b, a, b); }
FC_INLINE vf v_lesser(vf a, vf b) { return v_select(a < b, a, b); }
FC_INLINE vi v_where_greater(vf a, vf b, vi x, vi y) { return (vi)v_select(a > b, (vf)x, (vf)y); }
#else
FC_INLINE vf v_select(vi mask, vf a, vf b);
FC_INLINE vf v_greater(vf a, vf b);
FC_INLINE vf v_lesser(vf a, vf b);
FC_INLINE vi v_where_greater(vf a, vf b, vi x, vi y);
#endif

/* Lane i of the result is lane lanes[i] of v. */
FC_INLINE vf v_permute(vf v, vi lanes) {
#ifdef __clang__
    vf result = {0};
    for (int i = 0; i < FC_VL; i++) result[i] = v[lanes[i]];
    return result;
#else
    return __builtin_shuffle(v, lanes);
#endif
}

/* NaN in either argument comes through. */
FC_INLINE vf v_max(vf a, vf b) { return v_select((a > b) | (a != a), a, b); }
FC_INLINE vf v_min(vf a, vf b) { return v_select((a < b) | (a != a), a, b); }

/* max(x, 0) that passes NaN on. */
FC_INLINE vf v_relu(vf x) { return v_greater(v_zero(), x); }

FC_INLINE float v_sum(vf v) {
    float s = 0;
    for (int i = 0; i < FC_VL; i++) s += v[i];
    return s;
}

FC_INLINE vf v_abs(vf x) { return (vf)((vi)x & v_seti(0x7fffffff)); }

/* x * 2^n, of a whole n that a float holds: in two factors, n may be 128 or -150. */
#ifndef FC_OWN_SCALE
FC_INLINE vf v_scale(vf x, vf n) {
    vi e = __builtin_convertvector(n, vi), half = e >> 1;
    return x * (vf)((half + 127) << 23) * (vf)((e - half + 127) << 23);
}
#else
FC_INLINE vf v_scale(vf x, vf n);
#endif

/* exp(x) = 2^n exp(r), and exp(r) - 1: Cody-Waite reduction by ln 2 in two parts, then a polynomial of degree 6 on
 * [-ln2/2, ln2/2], its terms in pairs, so that several multiply-adds are on their way at a time. For -104 <= x <= 89. */
FC_INLINE vf v_exp_parts(vf x, vf *n) {
    *n = x * 1.44269504088896341f + 12582912.0f - 12582912.0f; /* round to nearest through 1.5 * 2^23 */
    vf r = x - *n * 0.693359375f;
    r = r + *n * 2.12194440e-4f;
    vf square = r * r;
    vf high = r * 1.9875691500e-4f + 1.3981999507e-3f;
    vf middle = r * 8.3334519073e-3f + 4.1665795894e-2f;
    vf low = r * 1.6666665459e-1f + 5.0000001201e-1f;
    return ((high * square + middle) * square + low) * square + r;
}

/* exp(x), within 2 ulp; inf above 88.72, 0 below -104 (denormal below -87.34), NaN for NaN. */
FC_INLINE vf v_exp(vf x) {
    vf n, p = v_exp_parts(v_lesser(v_set(89.0f), v_greater(v_set(-104.0f), x)), &n);
    return v_scale(p + 1.0f, n);
}

/* exp(x) - 1 for x <= 0: no cancellation near 0. */
FC_INLINE vf v_expm1(vf x) {
    vf n, p = v_exp_parts(v_greater(v_set(-104.0f), x), &n), s = v_scale(v_set(1.0f), n);
    return p * s + (s - 1.0f);
}

/* log(x) for normal x > 0, within 2 ulp; NaN for NaN: x = m * 2^e with m in [sqrt(1/2), sqrt(2)), a polynomial in
 * m - 1, and e * ln 2 in two parts. */
FC_INLINE vf v_log(vf x) {
    vi e = ((vi)x >> 23) - v_seti(126);
    vf m = (vf)(((vi)x & v_seti(0x007fffff)) | v_seti(0x3f000000));
    vi low = m < 0.707106781186547524f;
    m = v_select(low, m + m, m) - 1.0f;
    vf k = __builtin_convertvector(e + low, vf);
    vf z = m * m;
    vf p = v_set(7.0376836292e-2f);
    p = p * m - 1.1514610310e-1f;
    p = p * m + 1.1676998740e-1f;
    p = p * m - 1.2420140846e-1f;
    p = p * m + 1.4249322787e-1f;
    p = p * m - 1.6668057665e-1f;
    p = p * m + 2.0000714765e-1f;
    p = p * m - 2.4999993993e-1f;
    p = p * m + 3.3333331174e-1f;
    p = p * m * z;
    p = p + k * -2.12194440e-4f;
    p = p - z * 0.5f;
    p = m + p + k * 0.693359375f;
    return v_select(x != x, x, p);
}

/* log(1 + x) for 0 <= x <= 1: what rounding 1 + x lost is put back in proportion. */
FC_INLINE vf v_log1p(vf x) {
    vf u = 1.0f + x, d = u - 1.0f;
    return v_select(d == 0, x, v_log(u) * (x / v_select(d == 0, v_set(1), d)));
}

/* What the compiler was told, so that a test can prove which object runs. */
FC_INLINE const char *fc_compiled_for_macros(void) {
#if defined(__AVX512F__)
    return "avx512";
#elif defined(__AVX2__)
    return FC_VL == 16 ? "avx512 emulated" : "avx2";
#elif defined(FC_NEON)
    return "neon";
#else
    return "baseline";
#endif
}

#endif
