/* The roof of this instruction set: multiply-adds in registers alone. */

/* As many independent sums as sixteen registers allow: they hide the latency, also where there are two instructions. */
enum { PEAK_SUMS = FC_MR * FC_NRV < 14 ? 14 : FC_MR * FC_NRV };

/* Every round multiplies and adds in each element of PEAK_SUMS vectors. All converge to 2, which the result, their
 * mean, proves; *operations is what was done. */
static double fc_fma_peak(int64_t rounds, int64_t *operations) {
    vf sum[PEAK_SUMS];
    _Pragma("GCC unroll 32") for (int i = 0; i < PEAK_SUMS; i++) sum[i] = v_set((float)i);
    const vf scale = v_set(0.5f), shift = v_set(1.0f);
    for (int64_t round = 0; round < rounds; round++)
        _Pragma("GCC unroll 32") for (int i = 0; i < PEAK_SUMS; i++) sum[i] = sum[i] * scale + shift;
    double total = 0;
    for (int i = 0; i < PEAK_SUMS; i++) total += v_sum(sum[i]);
    *operations = rounds * 2 * PEAK_SUMS * FC_VL;
    return total / (PEAK_SUMS * FC_VL);
}
