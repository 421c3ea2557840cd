/* AVX2 + FMA: 16 registers of eight floats; 12 accumulators + 2 of B + 1 broadcast. */
#include <immintrin.h>
#include <stdint.h>

#define FC_ISA avx2
#define FC_VL 8
#define FC_MR 6
#define FC_NRV 2
#define FC_OWN_PARTIAL

#include "vector.h"

FC_INLINE __m256i fc_mask(int64_t n) {
    static const int32_t ramp[16] = {-1, -1, -1, -1, -1, -1, -1, -1};
    return _mm256_loadu_si256((const __m256i *)(ramp + 8 - n));
}
FC_INLINE vf v_load_n(const float *p, int64_t n) { return (vf)_mm256_maskload_ps(p, fc_mask(n)); }
FC_INLINE void v_store_n(float *p, vf v, int64_t n) { _mm256_maskstore_ps(p, fc_mask(n), (__m256)v); }
