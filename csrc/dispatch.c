/* Which kernel tables this build holds and this CPU can run.
 *
 * FC_HAVE_<ISA> come from setup.py: a table is listed only if its library was compiled.
 */
#include "fastconv.h"

#include <string.h>

#if defined(__x86_64__)

#include <cpuid.h>

/* The operating system must save the wide registers too: XCR0 says so. */
static uint64_t enabled_state(void) {
    uint32_t low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return ((uint64_t)high << 32) | low;
}

enum { XMM_YMM = 0x6, OPMASK_ZMM = 0xe0 };

static uint64_t state_if_usable(void) {
    uint32_t a, b, c, d;
    if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & bit_OSXSAVE)) return 0;
    return enabled_state();
}

static int cpu_has_avx2(void) {
    uint32_t a, b, c, d;
    if ((state_if_usable() & XMM_YMM) != XMM_YMM) return 0;
    if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & bit_FMA)) return 0;
    return __get_cpuid_count(7, 0, &a, &b, &c, &d) && (b & bit_AVX2);
}

static int cpu_has_avx512(void) {
#ifdef FC_EMULATE_AVX512
    return cpu_has_avx2(); /* a test build: the 512-bit table, lowered to 256-bit instructions */
#else
    const uint32_t need = bit_AVX512F | bit_AVX512DQ | bit_AVX512BW | bit_AVX512VL;
    uint32_t a, b, c, d;
    if (!cpu_has_avx2() || (state_if_usable() & OPMASK_ZMM) != OPMASK_ZMM) return 0;
    return __get_cpuid_count(7, 0, &a, &b, &c, &d) && (b & need) == need;
#endif
}

#if defined(FC_HAVE_AVX512) && defined(FC_HAVE_AVX512_BF16)
static int cpu_has_avx512_bf16(void) {
#ifdef FC_EMULATE_AVX512
    return cpu_has_avx2();
#else
    enum { AVX512_BF16 = 1 << 5 };
    uint32_t a, b, c, d;
    return cpu_has_avx512() && __get_cpuid_count(7, 1, &a, &b, &c, &d) && (a & AVX512_BF16);
#endif
}
#endif

#else

static int cpu_has_avx2(void) { return 0; }
static int cpu_has_avx512(void) { return 0; }

#endif

static int always(void) { return 1; }

/* The tables that may have a section, with those that this CPU can run: made before anyone can ask for one. */
#ifdef FC_HAVE_AVX512
static fc_kernels avx512;

static __attribute__((constructor)) void compose(void) {
    avx512 = fc_kernels_avx512;
#ifdef FC_HAVE_AVX512_BF16
    if (cpu_has_avx512_bf16()) avx512.bfloat16 = &fc_bfloat16_avx512;
#endif
}
#endif

/* Best first. */
static const struct {
    const char *name;
    const fc_kernels *table;
    int (*runs_here)(void);
} tables[] = {
#ifdef FC_HAVE_AVX512
    {"avx512", &avx512, cpu_has_avx512},
#else
    {"avx512", 0, cpu_has_avx512},
#endif
#ifdef FC_HAVE_AVX2
    {"avx2", &fc_kernels_avx2, cpu_has_avx2},
#else
    {"avx2", 0, cpu_has_avx2},
#endif
#ifdef FC_HAVE_NEON
    {"neon", &fc_kernels_neon, always},
#else
    {"neon", 0, always},
#endif
    {"baseline", &fc_kernels_baseline, always},
};

enum { TABLES = sizeof tables / sizeof *tables };
_Static_assert((int)TABLES <= (int)FC_MAX_TABLES, "callers of fc_available hold FC_MAX_TABLES pointers");

int fc_available(const fc_kernels **found) {
    int n = 0;
    for (int i = 0; i < TABLES; i++)
        if (tables[i].table && tables[i].runs_here()) found[n++] = tables[i].table;
    return n;
}

const fc_kernels *fc_find(const char *isa, int *status) {
    for (int i = 0; i < TABLES; i++) {
        if (strcmp(tables[i].name, isa)) continue;
        *status = !tables[i].table ? FC_NOT_BUILT : !tables[i].runs_here() ? FC_NOT_ON_CPU : FC_OK;
        return *status == FC_OK ? tables[i].table : 0;
    }
    *status = FC_UNKNOWN_ISA;
    return 0;
}
