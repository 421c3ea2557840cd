/* What Cython cannot say: atomics, a spinning barrier, the floating-point mode. */
#ifndef FASTCONV_SYNC_H
#define FASTCONV_SYNC_H

#include <sched.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

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

/* Counts up for ever: generation g is over when g * team threads have arrived. Spins, then gives the core away. */
static inline void fc_barrier(int64_t *arrived, int64_t *generation, int64_t team) {
    const int64_t target = ++*generation * team;
    if (__atomic_add_fetch(arrived, 1, __ATOMIC_ACQ_REL) == target) return;
    for (int spins = 0; __atomic_load_n(arrived, __ATOMIC_ACQUIRE) < target; spins++) {
        if (spins < 4096) fc_pause();
        else sched_yield();
    }
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

static inline void *fc_aligned_alloc(size_t bytes) {
    void *p = 0;
    return posix_memalign(&p, bytes >= (1u << 16) ? 4096 : 64, bytes) ? 0 : p;
}

#endif
