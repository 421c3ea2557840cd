/* bfloat16: the upper half of a float32, and words of two neighbours, the first in the low half.
 *
 * With AVX512_BF16 these are single instructions; without, as in the emulated test build, plain arithmetic. */
#ifndef FC_BFLOAT16_H
#define FC_BFLOAT16_H

#include "vector.h"

typedef uint16_t fc_item; /* in the place of eltwise.h's */

/* sum + both products of each pair. Products of bfloat16 are exact in float32; denormals count as zero. */
FC_INLINE vf v_add_pairs(vf sum, vi a, vi b) {
#ifdef __AVX512BF16__
    return (vf)_mm512_dpbf16_ps((__m512)sum, (__m512bh)a, (__m512bh)b);
#else
    const vi high = v_seti((int32_t)0xffff0000);
    sum += (vf)(a & high) * (vf)(b & high);
    return sum + (vf)(a << 16) * (vf)(b << 16);
#endif
}

/* Finite numbers that would be rounded to infinity are cut to the largest bfloat16: what they are multiplied with may be
 * small, and a result that is finite in float32 shall be. */
FC_INLINE vf v_hold(vf x) {
#ifdef __AVX512BF16__
    /* The lesser size; what that makes of infinities and NaNs, the second instruction puts right. */
    const __m512 largest = _mm512_castsi512_ps(_mm512_set1_epi32(0x7f7f0000));
    const __m512i special = _mm512_set1_epi32(0x00540021); /* 4 bits a class: quiet NaN, signalling, -inf, inf; others stay */
    return (vf)_mm512_fixupimm_ps(_mm512_range_ps((__m512)x, largest, 2), (__m512)x, special, 0);
#else
    const vi size = (vi)x & 0x7fffffff, beyond = (size >= 0x7f7f8000) & (size < 0x7f800000);
    return (vf)((vi)x & ~(beyond & 0xffff));
#endif
}

/* To nearest, ties to even, in the low half of each lane. What is finite stays finite, NaN stays NaN. */
FC_INLINE vi v_round(vf x) {
    x = v_hold(x);
#ifdef __AVX512BF16__
    return (vi)_mm512_cvtepu16_epi32((__m256i)_mm512_cvtneps_pbh((__m512)x));
#else
    typedef uint32_t vu __attribute__((vector_size(4 * FC_VL)));
    const vu bits = (vu)x, nearest = bits + 0x7fff + (bits >> 16 & 1);
    return (vi)((vu)v_select(x != x, (vf)(bits | 0x400000), (vf)nearest) >> 16);
#endif
}

/* x0 in the low halves, x1 in the high ones. */
FC_INLINE vi v_pairs(vf x0, vf x1) {
#ifdef __AVX512BF16__
    const __m512i low = (__m512i)(vi){0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    const __m512i order = _mm512_or_si512(low, _mm512_slli_epi32(_mm512_add_epi32(low, _mm512_set1_epi32(16)), 16));
    const __m512bh both = _mm512_cvtne2ps_pbh((__m512)v_hold(x1), (__m512)v_hold(x0));
    return (vi)_mm512_permutexvar_epi16(order, (__m512i)both);
#else
    return v_round(x0) | v_round(x1) << 16;
#endif
}

/* A word in every lane: two neighbours, from any element on, or one with zero in the place of the second. */
FC_INLINE vi v_set_pair(const fc_item *p) {
    int32_t word;
    __builtin_memcpy(&word, p, sizeof word);
    return v_seti(word);
}
FC_INLINE vi v_set_single(const fc_item *p) {
#ifdef __AVX512BF16__
    return (vi)_mm512_maskz_set1_epi16(0x55555555, (short)*p);
#else
    return v_seti(*p);
#endif
}

/* FC_VL neighbours, or the first n <= FC_VL of them: the rest read as zero and are not stored. */
FC_INLINE vf v_read(const fc_item *p) {
#ifdef __AVX512BF16__
    return (vf)_mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)p)), 16);
#else
    vi v;
    for (int i = 0; i < FC_VL; i++) v[i] = p[i] << 16;
    return (vf)v;
#endif
}
FC_INLINE vf v_read_n(const fc_item *p, int64_t n) {
#ifdef __AVX512BF16__
    return (vf)_mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16((__mmask16)((1u << n) - 1), p)), 16);
#else
    vi v = {0};
    for (int i = 0; i < n; i++) v[i] = p[i] << 16;
    return (vf)v;
#endif
}
/* Of what was held already, or cannot be so large; the last: of two vectors that follow one another. */
FC_INLINE void v_write_held(fc_item *p, vf x) {
#ifdef __AVX512BF16__
    _mm256_storeu_si256((__m256i *)p, (__m256i)_mm512_cvtneps_pbh((__m512)x));
#else
    const vi v = v_round(x);
    for (int i = 0; i < FC_VL; i++) p[i] = (uint16_t)v[i];
#endif
}
FC_INLINE void v_write_held_n(fc_item *p, vf x, int64_t n) {
#ifdef __AVX512BF16__
    _mm256_mask_storeu_epi16(p, (__mmask16)((1u << n) - 1), (__m256i)_mm512_cvtneps_pbh((__m512)x));
#else
    const vi v = v_round(x);
    for (int i = 0; i < n; i++) p[i] = (uint16_t)v[i];
#endif
}
FC_INLINE void v_write_held_two(fc_item *p, vf x0, vf x1) {
#ifdef __AVX512BF16__
    _mm512_storeu_si512(p, (__m512i)_mm512_cvtne2ps_pbh((__m512)x1, (__m512)x0));
#else
    v_write_held(p, x0);
    v_write_held(p + FC_VL, x1);
#endif
}
FC_INLINE void v_write(fc_item *p, vf x) { v_write_held(p, v_hold(x)); }
FC_INLINE void v_write_n(fc_item *p, vf x, int64_t n) { v_write_held_n(p, v_hold(x), n); }

/* Whether results of an activation are small enough not to be held. */
FC_INLINE int fc_is_small(const fc_activation *a) {
    const float most = 0x1.fep127f; /* the largest bfloat16 */
    return a->function == FC_ACT_CLIP && -most <= a->alpha && a->alpha <= most && -most <= a->beta && a->beta <= most;
}

static void fc_round(const float *x, int64_t x_row, fc_item *y, int64_t y_row, int64_t rows, int64_t columns) {
    for (int64_t r = 0; r < rows; r++, x += x_row, y += y_row) {
        int64_t i = 0;
        for (; i + FC_VL <= columns; i += FC_VL) v_write(y + i, v_load(x + i));
        if (i < columns) v_write_n(y + i, v_load_n(x + i, columns - i), columns - i);
    }
}

static void fc_widen(const fc_item *x, float *y, int64_t n) {
    int64_t i = 0;
    for (; i + FC_VL <= n; i += FC_VL) v_store(y + i, v_read(x + i));
    if (i < n) v_store_n(y + i, v_read_n(x + i, n - i), n - i);
}

#endif
