/* Random bits by counter: Philox 4x32-10 (Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3",
 * SC 2011). Nothing is carried from block to block, so bits depend on key and position alone.
 *
 * Sixteen blocks make a group of 64 words; element e of a group takes word e / 16 of block e % 16, so that vectors of
 * 4, 8 and 16 lanes all store whole words without a transposition. Needs optim.h. */

enum { PHILOX_BLOCKS = 16, PHILOX_GROUP = 64 };

typedef uint32_t vu __attribute__((vector_size(4 * FC_VL)));
typedef uint64_t vq __attribute__((vector_size(4 * FC_VL))); /* half as many, for 32 x 32 -> 64 bit products */

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

/* The round keys, worked out once for many blocks. */
typedef struct {
    vq k0[10], k1[10];
} philox_keys;

FC_INLINE philox_keys philox_schedule(uint64_t key) {
    philox_keys keys;
    uint32_t k0 = (uint32_t)key, k1 = (uint32_t)(key >> 32);
    for (int round = 0; round < 10; round++, k0 += 0x9E3779B9u, k1 += 0xBB67AE85u) {
        keys.k0[round] = k0 - (vq){0};
        keys.k1[round] = k1 - (vq){0};
    }
    return keys;
}

/* One state in the low halves of the lanes; what stands in the high halves is ignored. */
typedef struct {
    vq c0, c1, c2, c3;
} philox_state;

FC_INLINE void philox_round(philox_state *s, vq k0, vq k1) {
    vq a = v_multiply_low(s->c0, 0xD2511F53u), b = v_multiply_low(s->c2, 0xCD9E8D57u);
    s->c0 = (b >> 32) ^ s->c1 ^ k0;
    s->c1 = b;
    s->c2 = (a >> 32) ^ s->c3 ^ k1;
    s->c3 = a;
}

/* Interleave the even and the odd blocks. */
FC_INLINE vu philox_join(vq even, vq odd) { return (vu)((even & 0xffffffffu) | (odd << 32)); }

/* The four words of each block from `block` on, two vectors of blocks: a round waits for the one before, and one vector
 * alone would leave the multipliers idle meanwhile. */
FC_INLINE void philox(const philox_keys *keys, uint64_t block, vu words[2][4]) {
    philox_state states[4]; /* even and odd blocks of each vector */
    for (int s = 0; s < 4; s++) {
        vq counter;
        for (int l = 0; l < FC_VL / 2; l++) counter[l] = s / 2 * FC_VL + 2 * l + s % 2;
        counter += block;
        states[s] = (philox_state){counter, counter >> 32, {0}, {0}};
    }
    FC_UNROLL for (int round = 0; round < 10; round++)
        FC_UNROLL for (int s = 0; s < 4; s++) philox_round(&states[s], keys->k0[round], keys->k1[round]);
    FC_UNROLL for (int v = 0; v < 2; v++) {
        words[v][0] = philox_join(states[2 * v].c0, states[2 * v + 1].c0);
        words[v][1] = philox_join(states[2 * v].c1, states[2 * v + 1].c1);
        words[v][2] = philox_join(states[2 * v].c2, states[2 * v + 1].c2);
        words[v][3] = philox_join(states[2 * v].c3, states[2 * v + 1].c3);
    }
}

/* The first n bits of a mask, least significant first, are the first (n + 7) / 8 bytes (of a little-endian machine). */
FC_INLINE uint64_t mask_load(const uint8_t *mask, int64_t n) {
    uint64_t bits = 0;
    if (n >= PHILOX_GROUP) memcpy(&bits, mask, sizeof bits);
    else memcpy(&bits, mask, (n + 7) / 8);
    return bits;
}

FC_INLINE void mask_store(uint8_t *mask, uint64_t bits, int64_t n) {
    if (n >= PHILOX_GROUP) {
        memcpy(mask, &bits, sizeof bits);
        return;
    }
    bits &= ((uint64_t)1 << n) - 1;
    memcpy(mask, &bits, (n + 7) / 8);
}

/* y = keep ? x * scale : 0, for the n elements that are left or a vector. */
FC_INLINE void dropout_some(const float *x, float *y, vi keep, float scale, int64_t n) {
    v_store_some(y, v_select(keep, v_load_some(x, n) * scale, v_zero()), n);
}

/* At most DROPOUT_RUN elements: the groups that two vectors of blocks reach. */
enum { DROPOUT_GROUPS = 2 * FC_VL > PHILOX_BLOCKS ? 2 : 1, DROPOUT_RUN = DROPOUT_GROUPS * PHILOX_GROUP };

FC_INLINE void dropout_run(const float *x, float *y, uint8_t *mask, int64_t n, const philox_keys *keys, uint64_t block,
                           vu threshold, float scale) {
    uint64_t bits[DROPOUT_GROUPS] = {0};
    for (int first = 0; first < DROPOUT_GROUPS * PHILOX_BLOCKS; first += 2 * FC_VL) {
        vu words[2][4];
        philox(keys, block + first, words);
        FC_UNROLL for (int v = 0; v < 2; v++) {
            const int at = first + v * FC_VL, group = at / PHILOX_BLOCKS;
            FC_UNROLL for (int word = 0; word < 4; word++) {
                const int bit = word * PHILOX_BLOCKS + at % PHILOX_BLOCKS, i = group * PHILOX_GROUP + bit;
                const vi keep = words[v][word] >= threshold;
                bits[group] |= (uint64_t)v_bits(keep) << bit;
                if (i < n) dropout_some(x + i, y + i, keep, scale, n - i);
            }
        }
    }
    for (int group = 0; group < DROPOUT_GROUPS; group++)
        if (group * PHILOX_GROUP < n) mask_store(mask + group * 8, bits[group], n - group * PHILOX_GROUP);
}

/* Bit i of mask = word i >= threshold; y = bit ? x * scale : 0. `block` is the first block of this range and starts a
 * group. y may be x. */
static void fc_dropout(const float *x, float *y, uint8_t *mask, int64_t n, uint64_t key, uint64_t block,
                       uint32_t threshold, float scale) {
    const philox_keys keys = philox_schedule(key);
    const vu least = threshold - (vu){0};
    int64_t i = 0;
    for (; i + DROPOUT_RUN <= n; i += DROPOUT_RUN)
        dropout_run(x + i, y + i, mask + i / 8, DROPOUT_RUN, &keys, block + i / 4, least, scale);
    if (i < n) dropout_run(x + i, y + i, mask + i / 8, n - i, &keys, block + i / 4, least, scale);
}

FC_INLINE void dropout_backward_group(const float *dy, uint64_t bits, float *dx, int64_t n, float scale) {
    FC_UNROLL for (int i = 0; i < PHILOX_GROUP; i += FC_VL)
        if (i < n) dropout_some(dy + i, dx + i, v_from_bits((uint32_t)(bits >> i)), scale, n - i);
}

/* dx = bit ? dy * scale : 0. dx may be dy. */
static void fc_dropout_backward(const float *dy, const uint8_t *mask, float *dx, int64_t n, float scale) {
    int64_t i = 0;
    for (; i + PHILOX_GROUP <= n; i += PHILOX_GROUP)
        dropout_backward_group(dy + i, mask_load(mask + i / 8, PHILOX_GROUP), dx + i, PHILOX_GROUP, scale);
    if (i < n) dropout_backward_group(dy + i, mask_load(mask + i / 8, n - i), dx + i, n - i, scale);
}

/* ---- normal numbers: Box and Muller, "A note on the generation of random normal deviates", 1958 */

/* (high 23 bits + 1/2) / 2^23: exact, above 0 and below 1. */
FC_INLINE vf random_fraction(vu word) { return (__builtin_convertvector((vi)(word >> 9), vf) + 0.5f) * 0x1p-23f; }

/* cos and sin of 2 pi t for 0 <= t <= 1: polynomials of the way from the nearest quarter turn (those of Cephes for
 * [-pi/4, pi/4]), which the number of quarters swaps and turns around. */
FC_INLINE vf random_turn(vf t, vf *sine) {
    const vf quarters = t * 4.0f + 12582912.0f - 12582912.0f; /* to nearest through 1.5 * 2^23 */
    const vi q = __builtin_convertvector(quarters, vi), odd = (q & 1) != 0;
    const vf a = (t - quarters * 0.25f) * 6.28318530717958648f, z = a * a;
    const vf s = ((z * -1.9515295891e-4f + 8.3321608736e-3f) * z - 1.6666654611e-1f) * z * a + a;
    const vf c = ((z * 2.4433157118e-5f - 1.3887316255e-3f) * z + 4.1666645683e-2f) * z * z - z * 0.5f + 1.0f;
    *sine = (vf)((vi)v_select(odd, c, s) ^ ((q & 2) << 30));
    return (vf)((vi)v_select(odd, s, c) ^ (((q + 1) & 2) << 30));
}

/* Normal numbers from those that are left of a group or two. Words 0 and 1 of a block make two, words 2 and 3 as well:
 * the lengths of vectors from the first, their directions from the second. */
FC_INLINE void normal_run(float *y, int64_t n, const philox_keys *keys, uint64_t block) {
    for (int first = 0; first < DROPOUT_GROUPS * PHILOX_BLOCKS; first += 2 * FC_VL) {
        vu words[2][4];
        philox(keys, block + first, words);
        FC_UNROLL for (int v = 0; v < 2; v++) {
            const int at = first + v * FC_VL, i = at / PHILOX_BLOCKS * PHILOX_GROUP + at % PHILOX_BLOCKS;
            FC_UNROLL for (int word = 0; word < 4; word += 2) {
                const int even = i + word * PHILOX_BLOCKS, odd = even + PHILOX_BLOCKS;
                const vf length = v_root(v_log(random_fraction(words[v][word])) * -2.0f);
                vf sine, cosine = random_turn(random_fraction(words[v][word + 1]), &sine);
                if (even < n) v_store_some(y + even, length * cosine, n - even);
                if (odd < n) v_store_some(y + odd, length * sine, n - odd);
            }
        }
    }
}

/* y = n normal numbers. `block` is the first block of this range and starts a group. */
static void fc_normal(float *y, int64_t n, uint64_t key, uint64_t block) {
    const philox_keys keys = philox_schedule(key);
    for (int64_t i = 0; i < n; i += DROPOUT_RUN) normal_run(y + i, n - i, &keys, block + i / 4);
}
