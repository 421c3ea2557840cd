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
#endif

#include "vector.h"

#ifdef __AVX512F__
FC_INLINE vf v_load_n(const float *p, int64_t n) { return (vf)_mm512_maskz_loadu_ps((__mmask16)((1u << n) - 1), p); }
FC_INLINE void v_store_n(float *p, vf v, int64_t n) { _mm512_mask_storeu_ps(p, (__mmask16)((1u << n) - 1), (__m512)v); }
#endif
