/* Single tile instructions, for test_emulator.py to call. */
#include <immintrin.h>
#include <stdint.h>

/* c += a b on tiles 0, 1 and 2; strides are in bytes. */
void multiply(const void *config, float *c, int64_t c_row, const void *a, int64_t a_row, const void *b, int64_t b_row) {
    _tile_loadconfig(config);
    _tile_loadd(0, c, c_row);
    _tile_loadd(1, a, a_row);
    _tile_stream_loadd(2, b, b_row);
    _tile_dpbf16ps(0, 1, 2);
    _tile_stored(0, c, c_row);
    _tile_release();
}

/* The same on tiles 5, 7 and 6, with the address in registers of every kind and a sum that starts from zero. */
void multiply_others(const void *config, float *c, int64_t c_row, const void *a, int64_t a_row, const void *b, int64_t b_row) {
    __asm__ volatile("ldtilecfg %0" ::"m"(*(const char(*)[64])config));
    __asm__ volatile("tilezero %tmm5");
    register const void *r13 __asm__("r13") = a; /* as a base it needs a displacement */
    register int64_t r9 __asm__("r9") = a_row / 4;
    __asm__ volatile("tileloadd (%0,%1,4), %%tmm7" ::"r"(r13), "r"(r9));
    register const void *r12 __asm__("r12") = (const char *)b - 0x1230; /* and so does this, for other reasons */
    register int64_t r15 __asm__("r15") = b_row;
    __asm__ volatile("tileloadd 0x1230(%0,%1,1), %%tmm6" ::"r"(r12), "r"(r15));
    __asm__ volatile("tdpbf16ps %tmm6, %tmm7, %tmm5");
    __asm__ volatile("tilestored %%tmm5, -8(%0,%1,2)" ::"r"((char *)c + 8), "r"(c_row / 2) : "memory");
    __asm__ volatile("tilerelease");
}

void configure(const void *config) { _tile_loadconfig(config); }
void read_config(void *config) { _tile_storeconfig(config); }
void release(void) { _tile_release(); }
void zero(void) { _tile_zero(3); }
/* tdpbf16ps %tmm1, %tmm1, %tmm0, which assemblers refuse, too */
void itself(void) { __asm__ volatile(".byte 0xc4, 0xe2, 0x72, 0x5c, 0xc1"); }
