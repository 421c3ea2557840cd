/* Random bits by counter: Philox 4x32-10 (Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3",
 * SC 2011). Nothing is carried from block to block, so bits depend on key and position alone.
 *
 * Sixteen blocks make a group of 64 words; element e of a group takes word e / 16 of block e % 16, so that vectors of
 * 4, 8 and 16 lanes all store whole words without a transposition. */

enum { PHILOX_BLOCKS = 16, PHILOX_GROUP = 64 };

typedef uint32_t vu __attribute__((vector_size(4 * FC_VL)));
typedef uint64_t vq __attribute__((vector_size(4 * FC_VL))); /* half as many, for 32 x 32 -> 64 bit products */
typedef uint8_t vb __attribute__((vector_size(FC_VL)));

/* The product of the low halves of each 64-bit lane with m. */
FC_INLINE vq v_multiply_low(vq a, uint32_t m) {
#if defined(__AVX512F__) && FC_VL == 16
    return (vq)_mm512_mul_epu32((__m512i)a, _mm512_set1_epi64(m));
#elif defined(__AVX2__) && FC_VL == 8
    return (vq)_mm256_mul_epu32((__m256i)a, _mm256_set1_epi64x(m));
#elif defined(__SSE2__) && FC_VL == 4
    return (vq)__builtin_ia32_pmuludq128((vi)a, (vi){(int)m, 0, (int)m, 0});
#elif defined(FC_NEON)
    return (vq)vmull_u32(vmovn_u64((uint64x2_t)a), vdup_n_u32(m));
#else
    return (a & 0xffffffffu) * m;
#endif
}

/* One state in the low halves of the lanes; what stands in the high halves is ignored. */
typedef struct {
    vq c0, c1, c2, c3;
} philox_state;

FC_INLINE void philox_round(philox_state *s, uint32_t k0, uint32_t k1) {
    vq a = v_multiply_low(s->c0, 0xD2511F53u), b = v_multiply_low(s->c2, 0xCD9E8D57u);
    s->c0 = (b >> 32) ^ s->c1 ^ k0;
    s->c1 = b;
    s->c2 = (a >> 32) ^ s->c3 ^ k1;
    s->c3 = a;
}

/* Interleave the even and the odd blocks. */
FC_INLINE vu philox_join(vq even, vq odd) { return (vu)((even & 0xffffffffu) | (odd << 32)); }

/* The four words of FC_VL blocks from `block` on. */
FC_INLINE void philox(uint64_t key, uint64_t block, vu words[4]) {
    vq counter;
    for (int l = 0; l < FC_VL / 2; l++) counter[l] = block + 2 * l;
    philox_state even = {counter, counter >> 32, {0}, {0}};
    counter = counter + 1;
    philox_state odd = {counter, counter >> 32, {0}, {0}};
    uint32_t k0 = (uint32_t)key, k1 = (uint32_t)(key >> 32);
    for (int round = 0; round < 10; round++) {
        philox_round(&even, k0, k1);
        philox_round(&odd, k0, k1);
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    words[0] = philox_join(even.c0, odd.c0);
    words[1] = philox_join(even.c1, odd.c1);
    words[2] = philox_join(even.c2, odd.c2);
    words[3] = philox_join(even.c3, odd.c3);
}

FC_INLINE void dropout_some(const float *x, float *y, uint8_t *mask, int64_t n, vu word, uint32_t threshold,
                            float scale) {
    vi keep = word >= (threshold - (vu){0});
    vb bytes = __builtin_convertvector((vu)keep & 1, vb);
    vf value = v_select(keep, v_load_some(x, n) * scale, v_zero());
    v_store_some(y, value, n);
    if (n < FC_VL) memcpy(mask, &bytes, n);
    else memcpy(mask, &bytes, FC_VL);
}

/* mask = word >= threshold; y = mask ? x * scale : 0. `block` is the first block of this range and starts a group. */
static void fc_dropout(const float *x, float *y, uint8_t *mask, int64_t n, uint64_t key, uint64_t block,
                       uint32_t threshold, float scale) {
    vu words[4];
    for (int64_t group = 0; group < n; group += PHILOX_GROUP, block += PHILOX_BLOCKS)
        for (int part = 0; part < PHILOX_BLOCKS; part += FC_VL) {
            philox(key, block + part, words);
            for (int word = 0; word < 4; word++) {
                const int64_t i = group + word * PHILOX_BLOCKS + part;
                if (i < n) dropout_some(x + i, y + i, mask + i, n - i, words[word], threshold, scale);
            }
        }
}

/* dx = mask ? dy * scale : 0. dx may be dy. */
static void fc_dropout_backward(const float *dy, const uint8_t *mask, float *dx, int64_t n, float scale) {
    for (int64_t i = 0; i < n; i += FC_VL) {
        vb bytes = {0};
        if (n - i < FC_VL) memcpy(&bytes, mask + i, n - i);
        else memcpy(&bytes, mask + i, FC_VL);
        vi keep = __builtin_convertvector(bytes, vi) != 0;
        v_store_some(dx + i, v_select(keep, v_load_some(dy + i, n - i) * scale, v_zero()), n - i);
    }
}
