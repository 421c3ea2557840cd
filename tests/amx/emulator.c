/* The tile instructions (AMX-TILE, AMX-BF16) on a Linux machine that lacks them, for tests only.
 *
 * Loaded into a process (LD_PRELOAD, or ctypes), it takes the illegal-instruction signal, decodes the tile instruction at
 * the program counter and executes it on tiles of its own, a set per thread: so the very bytes of the real library run.
 * Semantics are those of Intel's manual (volume 2, LDTILECFG ... TDPBF16PS). What the processor would refuse ends the
 * process with a line on stderr: SIGILL for #UD, SIGSEGV for #GP, so that a mistake shows.
 *
 * Where the processor has the instructions, no signal comes and nothing of this runs.
 *
 * It also stands in for the system that gives the tile registers to a process, whatever the processor:
 *
 *   EMULATED_PERMISSION=0    arch_prctl(ARCH_REQ_XCOMP_PERM) gives them; another number is the errno of its refusal
 *   EMULATED_XCR0=0          the system saves no tile registers, as Linux before 5.16 */
#define _GNU_SOURCE
#include <immintrin.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

enum { TILES = 8, ROWS = 16, BYTES = 64 };

static __thread struct {
    int configured;
    uint8_t config[64];
    int rows[TILES], bytes[TILES];
    uint8_t data[TILES][ROWS][BYTES];
} tiles;

/* Of all threads: how often configured and released, tiles loaded and stored, products and their rows, for each of which
 * the unit takes a cycle; threads that hold a configuration. */
static int64_t configured, released, loads, stores, products, product_rows, holding;

__attribute__((visibility("default"))) void amx_counts(int64_t *to) {
    const int64_t now[] = {configured, released, loads, stores, products, product_rows, holding};
    memcpy(to, now, sizeof now);
}

static void add(int64_t *counter, int64_t number) { __atomic_fetch_add(counter, number, __ATOMIC_RELAXED); }
static void count(int64_t *counter) { add(counter, 1); }

/* ---- what the processor refuses */

static void stop(int number, const char *why) {
    char line[200];
    const int n = snprintf(line, sizeof line, "emulated tile instruction: %s: %s\n", number == SIGILL ? "#UD" : "#GP", why);
    if (write(2, line, n) < 0) _exit(1);
    signal(number, SIG_DFL);
    sigset_t one;
    sigemptyset(&one);
    sigaddset(&one, number);
    sigprocmask(SIG_UNBLOCK, &one, NULL);
    raise(number);
    _exit(1);
}

static void undefined_if(int bad, const char *why) {
    if (bad) stop(SIGILL, why);
}

static void protection_if(int bad, const char *why) {
    if (bad) stop(SIGSEGV, why);
}

/* ---- the instructions */

static void release(void) {
    add(&holding, -tiles.configured);
    memset(&tiles, 0, sizeof tiles);
}

static void load_config(const uint8_t *from) {
    uint8_t config[64];
    memcpy(config, from, 64);
    if (config[0] == 0) {
        release();
        return;
    }
    protection_if(config[0] != 1, "palette other than 0 and 1");
    for (int i = 2; i < 16; i++) protection_if(config[i], "reserved bytes of the configuration are not zero");
    int rows[16], bytes[16];
    for (int i = 0; i < 16; i++) {
        bytes[i] = config[16 + 2 * i] | config[17 + 2 * i] << 8;
        rows[i] = config[48 + i];
        protection_if(i >= TILES && (rows[i] || bytes[i]), "configures a tile beyond the eighth");
        protection_if(rows[i] > ROWS || bytes[i] > BYTES, "a tile of more than 16 rows or 64 bytes");
        protection_if(!rows[i] != !bytes[i], "a tile with rows of no bytes, or bytes and no rows");
    }
    release();
    tiles.configured = 1;
    count(&holding);
    memcpy(tiles.config, config, 64);
    memcpy(tiles.rows, rows, sizeof tiles.rows);
    memcpy(tiles.bytes, bytes, sizeof tiles.bytes);
}

static void check_tile(int t) {
    undefined_if(!tiles.configured, "no configuration is loaded");
    undefined_if(!tiles.rows[t] || !tiles.bytes[t], "a tile that the configuration leaves out");
}

/* Rows, or parts of them, beyond the configured shape become zero with every write. */
static void load(int t, const uint8_t *from, int64_t stride) {
    check_tile(t);
    memset(tiles.data[t], 0, sizeof tiles.data[t]);
    for (int r = 0; r < tiles.rows[t]; r++) memcpy(tiles.data[t][r], from + r * stride, tiles.bytes[t]);
}

static void store(int t, uint8_t *to, int64_t stride) {
    check_tile(t);
    for (int r = 0; r < tiles.rows[t]; r++) memcpy(to + r * stride, tiles.data[t][r], tiles.bytes[t]);
}

static void check_product(int c, int a, int b) {
    check_tile(c);
    check_tile(a);
    check_tile(b);
    undefined_if(c == a || c == b || a == b, "a product of a tile and itself");
    undefined_if(tiles.bytes[c] % 4 || tiles.bytes[a] % 4 || tiles.bytes[b] % 4, "rows that are not whole words");
    undefined_if(tiles.rows[a] != tiles.rows[c] || tiles.bytes[b] != tiles.bytes[c] || tiles.bytes[a] / 4 != tiles.rows[b],
                 "tiles whose shapes do not fit");
}

/* Sums of the even and of the odd elements, each from zero, multiply and add rounded once; then both together, then to
 * the destination. Denormals are zero on the way in and on the way out, and all rounding is to nearest: what the
 * control register says now, and what it said before comes back with the return from the signal. */
__attribute__((target("avx2,fma"))) static void product_bf16(int c, int a, int b) {
    check_product(c, a, b);
    add(&product_rows, tiles.rows[c]);
    const int pairs = tiles.bytes[a] / 4;
    _mm_setcsr(0x1f80 | 0x8040);
    for (int m = 0; m < tiles.rows[c]; m++) {
        __m256 sum[2][2] = {{_mm256_setzero_ps(), _mm256_setzero_ps()}, {_mm256_setzero_ps(), _mm256_setzero_ps()}};
        const uint32_t *row = (const uint32_t *)tiles.data[a][m];
        for (int k = 0; k < pairs; k++) {
            const __m256 even = _mm256_castsi256_ps(_mm256_set1_epi32(row[k] << 16));
            const __m256 odd = _mm256_castsi256_ps(_mm256_set1_epi32(row[k] & 0xffff0000u));
            for (int h = 0; h < 2; h++) {
                const __m256i y = _mm256_loadu_si256((const __m256i *)(tiles.data[b][k] + 32 * h));
                const __m256 y_even = _mm256_castsi256_ps(_mm256_slli_epi32(y, 16));
                const __m256 y_odd = _mm256_castsi256_ps(_mm256_and_si256(y, _mm256_set1_epi32((int)0xffff0000u)));
                sum[h][0] = _mm256_fmadd_ps(even, y_even, sum[h][0]);
                sum[h][1] = _mm256_fmadd_ps(odd, y_odd, sum[h][1]);
            }
        }
        for (int h = 0; h < 2; h++) {
            float *to = (float *)(tiles.data[c][m] + 32 * h);
            _mm256_storeu_ps(to, _mm256_add_ps(_mm256_loadu_ps(to), _mm256_add_ps(sum[h][0], sum[h][1])));
        }
        memset(tiles.data[c][m] + tiles.bytes[c], 0, BYTES - tiles.bytes[c]);
    }
    memset(tiles.data[c][tiles.rows[c]], 0, (ROWS - tiles.rows[c]) * BYTES);
}

/* ---- decoding */

/* The register that the encoding calls `number`. */
static int64_t value(const ucontext_t *context, int number) {
    static const int where[16] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI,
                                  REG_R8,  REG_R9,  REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15};
    return context->uc_mcontext.gregs[where[number]];
}

/* The memory operand at `modrm`: address, and index * scale, which tile loads and stores take as the distance of rows. */
typedef struct {
    uint8_t *address;
    int64_t index;
    int length;
} operand;

static operand memory(const ucontext_t *context, const uint8_t *modrm, int x, int b) {
    const int mod = *modrm >> 6, rm = *modrm & 7;
    operand o = {0};
    const uint8_t *p = modrm + 1;
    int64_t base;
    if (rm == 4) {
        const int sib = *p++, index = (sib >> 3 & 7) | x << 3;
        if (index != 4) o.index = value(context, index) * (1 << (sib >> 6));
        if ((sib & 7) == 5 && mod == 0) {
            int32_t wide;
            memcpy(&wide, p, 4);
            p += 4;
            base = wide;
        } else {
            base = value(context, (sib & 7) | b << 3);
        }
    } else if (rm == 5 && mod == 0) { /* relative to the next instruction: no immediate follows */
        int32_t wide;
        memcpy(&wide, p, 4);
        p += 4;
        base = (int64_t)p + wide;
    } else {
        base = value(context, rm | b << 3);
    }
    if (mod == 1) {
        base += (int8_t)*p++;
    } else if (mod == 2) {
        int32_t wide;
        memcpy(&wide, p, 4);
        p += 4;
        base += wide;
    }
    o.address = (uint8_t *)base;
    o.length = p - modrm;
    return o;
}

/* Execute the instruction at `code`; return its length, or 0 if it is none of ours. */
static int execute(const ucontext_t *context, const uint8_t *code) {
    /* c4 RXBmmmmm WvvvvLpp opcode modrm: three-byte VEX, map 0f38, 128 bits, W0 */
    if (code[0] != 0xc4 || (code[1] & 0x1f) != 2 || code[2] & 0x84) return 0;
    const int x = !(code[1] & 0x40), b = !(code[1] & 0x20), v = ~code[2] >> 3 & 15, pp = code[2] & 3;
    const uint8_t *modrm = code + 4;
    const int mod = *modrm >> 6, reg = *modrm >> 3 & 7, rm = *modrm & 7;
    enum { NONE, P66, F3, F2 };
    if (code[3] == 0x49 && mod == 3) {
        if (pp == NONE && *modrm == 0xc0 && v == 0) {
            count(&released);
            release();
            return 5;
        }
        if (pp != F2 || rm != 0 || v != 0) return 0;
        check_tile(reg);
        memset(tiles.data[reg], 0, sizeof tiles.data[reg]);
        return 5;
    }
    if (code[3] == 0x49 && (pp == NONE || pp == P66) && reg == 0 && v == 0) {
        operand o = memory(context, modrm, x, b);
        o.address += o.index;
        if (pp == NONE) {
            count(&configured);
            load_config(o.address);
        } else {
            memcpy(o.address, tiles.config, 64);
        }
        return 4 + o.length;
    }
    if (code[3] == 0x4b && mod != 3 && pp != NONE && v == 0) {
        undefined_if(rm != 4, "a tile load or store without an index");
        const operand o = memory(context, modrm, x, b);
        if (pp == F3) {
            count(&stores);
            store(reg, o.address, o.index);
        } else {
            count(&loads);
            load(reg, o.address, o.index);
        }
        return 4 + o.length;
    }
    if (code[3] == 0x5c && mod == 3 && pp == F3) {
        count(&products);
        undefined_if(v > 7 || b, "a tile beyond the eighth");
        product_bf16(reg, rm, v);
        return 5;
    }
    return 0;
}

static void on_illegal(int number, siginfo_t *info, void *raw) {
    ucontext_t *context = raw;
    (void)info;
    const int length = execute(context, (const uint8_t *)context->uc_mcontext.gregs[REG_RIP]);
    if (length) {
        context->uc_mcontext.gregs[REG_RIP] += length;
    } else {
        signal(number, SIG_DFL); /* met again, it ends the process as it would have without us */
    }
}

/* ---- the system */

/* From now on arch_prctl(ARCH_REQ_XCOMP_PERM) returns 0, or fails with `number`: of several answers the last one counts. */
__attribute__((visibility("default"))) void amx_permission(int number) {
    enum { REQUEST = 0x1023 };
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_arch_prctl, 0, 3),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[0])),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, REQUEST, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | number),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    const struct sock_fprog program = {sizeof code / sizeof *code, code};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program)) {
        perror("emulator of tile instructions: seccomp");
        exit(1);
    }
}

/* What a test build of fastconv asks in the place of CPUID and XCR0, see csrc/dispatch.c. */
__attribute__((visibility("default"))) int fc_amx_emulated(uint64_t *state) {
    const char *xcr0 = getenv("EMULATED_XCR0");
    *state = xcr0 ? strtoull(xcr0, NULL, 0) : 3 << 17;
    return 1;
}

static __attribute__((constructor)) void install(void) {
    struct sigaction action = {.sa_sigaction = on_illegal, .sa_flags = SA_SIGINFO | SA_NODEFER};
    const char *permission = getenv("EMULATED_PERMISSION");
    sigemptyset(&action.sa_mask);
    if (sigaction(SIGILL, &action, NULL)) {
        perror("emulator of tile instructions");
        exit(1);
    }
    if (permission) amx_permission(atoi(permission));
}
