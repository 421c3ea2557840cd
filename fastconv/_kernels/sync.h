/* What Cython cannot say: atomics, a barrier, the floating-point mode. */
#ifndef FASTCONV_SYNC_H
#define FASTCONV_SYNC_H

#include <sched.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#ifdef __linux__
#include <linux/futex.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

#ifdef _OPENMP
#include <omp.h>
static inline int fc_have_openmp(void) { return 1; }
static inline int fc_thread(void) { return omp_get_thread_num(); }
static inline int fc_team(void) { return omp_get_num_threads(); }
static inline int fc_nested(void) { return omp_in_parallel(); }
#else
static inline int fc_have_openmp(void) { return 0; }
static inline int fc_thread(void) { return 0; }
static inline int fc_team(void) { return 1; }
static inline int fc_nested(void) { return 0; }
#endif

static inline int64_t fc_claim(int64_t *counter) { return __atomic_fetch_add(counter, 1, __ATOMIC_RELAXED); }

static inline void fc_pause(void) {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

/* Where threads meet. `done` counts chunks, from the first step on: a step may begin when all those before it are done, whether
 * or not every thread has come. One that the system keeps from its core holds up others only inside a chunk. */
typedef struct {
    int32_t done, sleepers;
} fc_meeting;

/* Counts wrap around. */
static inline int fc_is_short(int32_t done, int32_t target) { return (int32_t)((uint32_t)done - (uint32_t)target) < 0; }

static inline int fc_is_over(const fc_meeting *m, int32_t target) {
    return !fc_is_short(__atomic_load_n(&m->done, __ATOMIC_SEQ_CST), target);
}

/* Tell of `own` chunks that this thread did, and wait until `target` are done. Spin for the time of a chunk, then sleep: on a
 * busy machine whoever is waited for may need this very core. */
static inline void fc_barrier(fc_meeting *m, int32_t own, int32_t target) {
    if (own && __atomic_add_fetch(&m->done, own, __ATOMIC_SEQ_CST) == target) {
#ifdef __linux__
        if (__atomic_load_n(&m->sleepers, __ATOMIC_SEQ_CST))
            syscall(SYS_futex, &m->done, FUTEX_WAKE_PRIVATE, INT32_MAX, NULL, NULL, 0);
#endif
        return;
    }
    for (int spins = 0; spins < 4096; spins++) {
        if (fc_is_over(m, target)) return;
        fc_pause();
    }
#ifdef __linux__
    /* Who does the last chunk wakes if it sees a sleeper; if it looked too early, `done` has its final value here. */
    __atomic_add_fetch(&m->sleepers, 1, __ATOMIC_SEQ_CST);
    while (!fc_is_over(m, target)) {
        const int32_t seen = __atomic_load_n(&m->done, __ATOMIC_SEQ_CST);
        if (fc_is_short(seen, target)) syscall(SYS_futex, &m->done, FUTEX_WAIT_PRIVATE, seen, NULL, NULL, 0);
    }
    __atomic_sub_fetch(&m->sleepers, 1, __ATOMIC_SEQ_CST);
#else
    while (!fc_is_over(m, target)) sched_yield();
#endif
}

/* Denormals to zero, and back. */
static inline uint64_t fc_flush_denormals(void) {
#if defined(__x86_64__)
    uint32_t before = __builtin_ia32_stmxcsr();
    __builtin_ia32_ldmxcsr(before | 0x8040);
    return before;
#elif defined(__aarch64__)
    uint64_t before;
    __asm__ volatile("mrs %0, fpcr" : "=r"(before));
    __asm__ volatile("msr fpcr, %0" : : "r"(before | (1ull << 24)));
    return before;
#else
    return 0;
#endif
}

static inline void fc_restore_denormals(uint64_t before) {
#if defined(__x86_64__)
    __builtin_ia32_ldmxcsr((uint32_t)before);
#elif defined(__aarch64__)
    __asm__ volatile("msr fpcr, %0" : : "r"(before));
#else
    (void)before;
#endif
}

/* Blocks of megabytes ask for huge pages: a fresh one costs one page fault instead of 512, and walks over it miss the TLB
   less. */
static inline void *fc_aligned_alloc(size_t bytes) {
    const size_t huge = (size_t)1 << 21;
    void *p = 0;
    if (posix_memalign(&p, bytes >= 2 * huge ? huge : bytes >= (1u << 16) ? 4096 : 64, bytes)) return 0;
#ifdef MADV_HUGEPAGE
    if (bytes >= 2 * huge) madvise(p, bytes / huge * huge, MADV_HUGEPAGE);
#endif
    return p;
}

#endif
