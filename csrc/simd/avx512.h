/* AVX-512 (F, DQ, BW, VL): 32 registers of sixteen floats; 28 accumulators + 2 of B + 1 broadcast.
 *
 * Without __AVX512F__ this is the emulated test build: the same tile, lowered by the compiler. */
#include <stdint.h>

#define FC_ISA avx512
#define FC_VL 16
#define FC_MR 14
#define FC_NRV 2

#ifdef __AVX512F__
#include <immintrin.h>
#define FC_OWN_PARTIAL
#define FC_OWN_SELECT
#define FC_OWN_BYTES
#define FC_OWN_BITS
#define FC_OWN_SCALE
#endif

#include "vector.h"

#ifdef __AVX512F__
FC_INLINE vf v_load_n(const float *p, int64_t n) { return (vf)_mm512_maskz_loadu_ps((__mmask16)((1u << n) - 1), p); }
FC_INLINE void v_store_n(float *p, vf v, int64_t n) { _mm512_mask_storeu_ps(p, (__mmask16)((1u << n) - 1), (__m512)v); }

FC_INLINE vf v_select(vi mask, vf a, vf b) { return (vf)((mask & (vi)a) | (~mask & (vi)b)); }
FC_INLINE vf v_greater(vf a, vf b) { return (vf)_mm512_max_ps((__m512)a, (__m512)b); }
FC_INLINE vf v_lesser(vf a, vf b) { return (vf)_mm512_min_ps((__m512)a, (__m512)b); }
FC_INLINE vi v_where_greater(vf a, vf b, vi x, vi y) {
    return (vi)_mm512_mask_blend_epi32(_mm512_cmp_ps_mask((__m512)a, (__m512)b, _CMP_GT_OQ), (__m512i)y, (__m512i)x);
}

FC_INLINE vi v_load_bytes(const uint8_t *p) { return (vi)_mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)p)); }
FC_INLINE vi v_load_bytes_n(const uint8_t *p, int64_t n) {
    return (vi)_mm512_cvtepu8_epi32(_mm_maskz_loadu_epi8((__mmask16)((1u << n) - 1), p));
}
FC_INLINE void v_store_bytes(uint8_t *p, vi v) { _mm_storeu_si128((__m128i *)p, _mm512_cvtepi32_epi8((__m512i)v)); }
FC_INLINE void v_store_bytes_n(uint8_t *p, vi v, int64_t n) {
    _mm_mask_storeu_epi8(p, (__mmask16)((1u << n) - 1), _mm512_cvtepi32_epi8((__m512i)v));
}

FC_INLINE vf v_scale(vf x, vf n) { return (vf)_mm512_scalef_ps((__m512)x, (__m512)n); }

FC_INLINE uint32_t v_bits(vi mask) { return _mm512_movepi32_mask((__m512i)mask); }
#endif
