/* Dropout and normal numbers: the bits of Philox 4x32-10, one block after another. */
#include "check.h"

static void philox(uint64_t key, uint64_t block, uint32_t word[4]) {
    uint32_t k0 = (uint32_t)key, k1 = (uint32_t)(key >> 32);
    word[0] = (uint32_t)block, word[1] = (uint32_t)(block >> 32), word[2] = word[3] = 0;
    for (int round = 0; round < 10; round++, k0 += 0x9E3779B9u, k1 += 0xBB67AE85u) {
        const uint64_t a = (uint64_t)word[0] * 0xD2511F53u, b = (uint64_t)word[2] * 0xCD9E8D57u;
        const uint32_t next[4] = {(uint32_t)(b >> 32) ^ word[1] ^ k0, (uint32_t)b, (uint32_t)(a >> 32) ^ word[3] ^ k1,
                                  (uint32_t)a};
        memcpy(word, next, sizeof next);
    }
}

void test_random(void) {
    uint32_t word[4];
    const uint32_t known[4] = {0x6627e8d5u, 0xe169c58du, 0xbc57ac4cu, 0x9b00dbd8u}; /* from the authors' Random123 */
    testing("dropout");
    philox(0, 0, word);
    expect_equal(word, known, sizeof word);
    FOR_EACH (n, 1, 15, 16, 63, 64, 65, 300)
        FOR_EACH (first, 0, 16, 0xfffffff0)
            FOR_EACH (threshold, 0, 0x40000000, 0xffffffff) {
                const uint64_t key = 0x0123456789abcdefu;
                const float *x = random_floats(n, -1, 1), scale = 1.25f;
                output y = new_output(n), dx = new_output(n);
                const int64_t bytes = (n + 7) / 8;
                uint8_t *mask = fresh(bytes), *want = fresh(bytes);
                memset(want, 0, bytes);
                for (int64_t i = 0; i < n; i++) { /* 16 blocks make a group of 64 words */
                    philox(key, (uint64_t)(first + i / 64 * 16 + i % 16), word);
                    const int keep = word[i % 64 / 16] >= (uint32_t)threshold;
                    want[i / 8] |= keep << i % 8;
                    put(y, i, keep ? x[i] * scale : 0, 0);
                    put(dx, i, y.want[i], 0);
                }
                testing("dropout");
                k->dropout(x, y.got, mask, n, key, (uint64_t)first, (uint32_t)threshold, scale);
                expect_equal(mask, want, bytes);
                expect(y, 0);
                testing("dropout_backward");
                k->dropout_backward(x, want, dx.got, n, scale);
                expect(dx, 0);
                release();
            }
    FOR_EACH (n, 1, 15, 16, 17, 63, 64, 65, 300)
        FOR_EACH (first, 0, 16, 0xfffffff0) {
            const uint64_t key = 0x0123456789abcdefu;
            output y = new_output(n);
            for (int64_t i = 0; i < n; i++) { /* words 0 and 1 of a block, or 2 and 3: a length and a direction */
                philox(key, (uint64_t)(first + i / 64 * 16 + i % 16), word);
                const uint32_t *pair = word + i % 64 / 32 * 2;
                const double length = sqrt(-2 * log(((pair[0] >> 9) + 0.5) / (1 << 23)));
                const double turn = 8 * atan(1) * ((pair[1] >> 9) + 0.5) / (1 << 23);
                put(y, i, length * (i % 32 < 16 ? cos(turn) : sin(turn)), length);
            }
            testing("normal");
            k->normal(y.got, n, key, (uint64_t)first);
            expect(y, 8);
            release();
        }
}
