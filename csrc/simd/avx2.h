/* AVX2 + FMA: 16 registers of eight floats; 12 accumulators + 2 of B + 1 broadcast. */
#include <immintrin.h>
#include <stdint.h>

#define FC_ISA avx2
#define FC_VL 8
#define FC_MR 6
#define FC_NRV 2
#define FC_OWN_PARTIAL
#define FC_OWN_SELECT
#define FC_OWN_BYTES
#define FC_OWN_BITS

#include "vector.h"

FC_INLINE __m256i fc_mask(int64_t n) {
    static const int32_t ramp[16] = {-1, -1, -1, -1, -1, -1, -1, -1};
    return _mm256_loadu_si256((const __m256i *)(ramp + 8 - n));
}
FC_INLINE vf v_load_n(const float *p, int64_t n) { return (vf)_mm256_maskload_ps(p, fc_mask(n)); }
FC_INLINE void v_store_n(float *p, vf v, int64_t n) { _mm256_maskstore_ps(p, fc_mask(n), (__m256)v); }

FC_INLINE vf v_select(vi mask, vf a, vf b) { return (vf)_mm256_blendv_ps((__m256)b, (__m256)a, (__m256)mask); }
FC_INLINE vf v_greater(vf a, vf b) { return (vf)_mm256_max_ps((__m256)a, (__m256)b); }
FC_INLINE vf v_lesser(vf a, vf b) { return (vf)_mm256_min_ps((__m256)a, (__m256)b); }
FC_INLINE vi v_where_greater(vf a, vf b, vi x, vi y) { return (vi)v_select(a > b, (vf)x, (vf)y); }

FC_INLINE vi v_load_bytes(const uint8_t *p) { return (vi)_mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)p)); }
FC_INLINE vi v_load_bytes_n(const uint8_t *p, int64_t n) {
    uint8_t bytes[8] = {0};
    memcpy(bytes, p, n);
    return v_load_bytes(bytes);
}
FC_INLINE void v_store_bytes(uint8_t *p, vi v) {
    __m128i low = _mm256_castsi256_si128((__m256i)v), high = _mm256_extracti128_si256((__m256i)v, 1);
    __m128i bytes = _mm_packus_epi16(_mm_packus_epi32(low, high), _mm_setzero_si128());
    _mm_storel_epi64((__m128i *)p, bytes);
}
FC_INLINE void v_store_bytes_n(uint8_t *p, vi v, int64_t n) {
    uint8_t bytes[8];
    v_store_bytes(bytes, v);
    memcpy(p, bytes, n);
}

FC_INLINE uint32_t v_bits(vi mask) { return (uint32_t)_mm256_movemask_ps((__m256)mask); }
