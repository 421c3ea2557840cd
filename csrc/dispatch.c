/* Which kernel tables this build holds and this CPU can run.
 *
 * FC_HAVE_<ISA> come from setup.py: a table is listed only if its library was compiled.
 */
#include "fastconv.h"

#include <string.h>

#if defined(__linux__) && defined(__x86_64__)
#include <sys/syscall.h>
#include <unistd.h>
#endif

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

/* Whether the CPU has the tile unit, and of XCR0 what the operating system saves. */
static int cpu_has_tiles(uint64_t *state) {
#ifdef FC_EMULATE_AMX
    extern int fc_amx_emulated(uint64_t *) __attribute__((weak)); /* tests/amx/emulator.c, where it is loaded */
    if (fc_amx_emulated) return fc_amx_emulated(state);
#endif
    enum { AMX_BF16 = 1 << 22, AMX_TILE = 1 << 24 };
    uint32_t a, b, c, d;
    *state = state_if_usable();
    return __get_cpuid_count(7, 0, &a, &b, &c, &d) && (d & (AMX_BF16 | AMX_TILE)) == (AMX_BF16 | AMX_TILE);
}

enum { NO_TILES, TILES_REFUSED, TILES };

/* Linux gives the tile registers to a process that asks; other systems, older kernels and sandboxes need not. */
static int ask_for_tiles(void) {
    enum { TILE_CONFIG = 1 << 17, TILE_DATA = 1 << 18 };
    uint64_t state;
    if (!cpu_has_avx512() || !cpu_has_tiles(&state)) return NO_TILES;
    if (~state & (TILE_CONFIG | TILE_DATA)) return TILES_REFUSED;
#ifdef __linux__
    enum { ARCH_REQ_XCOMP_PERM = 0x1023, XFEATURE_TILE_DATA = 18 };
    if (syscall(SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, XFEATURE_TILE_DATA) == 0) return TILES;
#endif
    return TILES_REFUSED;
}

/* Asked once per process. */
static int tiles(void) {
    static int answer = -1;
    if (answer < 0) answer = ask_for_tiles();
    return answer;
}

static int cpu_has_amx(void) { return tiles() == TILES; }
static int amx_is_refused(void) { return tiles() == TILES_REFUSED; }

#else

static int cpu_has_avx2(void) { return 0; }
static int cpu_has_avx512(void) { return 0; }
static int cpu_has_amx(void) { return 0; }
static int amx_is_refused(void) { return 0; }

#endif

static int always(void) { return 1; }

/* The table of an instruction set, and its parts: an object of each file of csrc/parts. */
#define TABLE(isa)                                                                                                  \
    extern const fc_kernels fc_gemm_##isa, fc_convolution_##isa, fc_depthwise_##isa, fc_pool_##isa, fc_rest_##isa;  \
    static const fc_kernels *const parts_of_##isa[] = {&fc_gemm_##isa, &fc_convolution_##isa, &fc_depthwise_##isa, \
                                                       &fc_pool_##isa, &fc_rest_##isa, 0};                          \
    static fc_kernels isa;

TABLE(baseline)
#ifdef FC_HAVE_NEON
TABLE(neon)
#endif
#ifdef FC_HAVE_AVX2
TABLE(avx2)
#endif
#ifdef FC_HAVE_AVX512
TABLE(avx512)
#ifdef FC_HAVE_AMX
static fc_kernels amx;

static const char *compiled_for_amx(void) { return fc_amx_bf16.compiled_for(); }
#endif
#endif

/* What a part does not fill is zero in it, and a field is filled by one. Done here: code in an object of an instruction set
 * may hold what this CPU cannot run, even where it only copies. */
static void put_together(fc_kernels *table, const fc_kernels *const *parts) {
    char *all = (char *)table;
    for (; *parts; parts++)
        for (size_t i = 0; i < sizeof *table; i++) all[i] |= ((const char *)*parts)[i];
}

/* Every table of the build, with the sections that this CPU can run: made before anyone can ask for one. */
static __attribute__((constructor)) void compose(void) {
    put_together(&baseline, parts_of_baseline);
#ifdef FC_HAVE_NEON
    put_together(&neon, parts_of_neon);
#endif
#ifdef FC_HAVE_AVX2
    put_together(&avx2, parts_of_avx2);
#endif
#ifdef FC_HAVE_AVX512
    put_together(&avx512, parts_of_avx512);
#ifdef FC_HAVE_AVX512_BF16
    if (cpu_has_avx512_bf16()) avx512.bfloat16 = &fc_bfloat16_avx512;
#endif
#ifdef FC_HAVE_AMX
    amx = avx512;
    amx.isa = "amx";
    amx.compiled_for = compiled_for_amx;
    amx.amx = &fc_amx_bf16;
#endif
#endif
}

/* Best first; but amx, which is tested in an emulator and was never timed, stands behind avx512 until it was: it runs only
 * where FASTCONV_ISA=amx asks for it. To make it the default, move its lines up. */
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
#if defined(FC_HAVE_AVX512) && defined(FC_HAVE_AMX)
    {"amx", &amx, cpu_has_amx},
#else
    {"amx", 0, cpu_has_amx},
#endif
#ifdef FC_HAVE_AVX2
    {"avx2", &avx2, cpu_has_avx2},
#else
    {"avx2", 0, cpu_has_avx2},
#endif
#ifdef FC_HAVE_NEON
    {"neon", &neon, always},
#else
    {"neon", 0, always},
#endif
    {"baseline", &baseline, always},
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
        const int refused = !strcmp(isa, "amx") && amx_is_refused();
        *status = !tables[i].table ? FC_NOT_BUILT : refused ? FC_REFUSED : !tables[i].runs_here() ? FC_NOT_ON_CPU : FC_OK;
        return *status == FC_OK ? tables[i].table : 0;
    }
    *status = FC_UNKNOWN_ISA;
    return 0;
}
