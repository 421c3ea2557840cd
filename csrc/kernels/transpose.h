/* FC_VL vectors, rows for columns. */

/* Lane i of the result is lane lanes[i] of a, or lane lanes[i] - FC_VL of b. */
FC_INLINE vf v_pick(vf a, vf b, vi lanes) {
#ifdef __clang__
    vf result;
    for (int i = 0; i < FC_VL; i++) result[i] = lanes[i] < FC_VL ? a[lanes[i]] : b[lanes[i] - FC_VL];
    return result;
#else
    return __builtin_shuffle(a, b, lanes);
#endif
}

/* The lanes of the first half of a, b, a, b, ...; or of the second half. */
FC_INLINE vf v_zip(vf a, vf b, int half) {
    vi lanes;
    for (int i = 0; i < FC_VL; i++) lanes[i] = half * FC_VL / 2 + i / 2 + i % 2 * FC_VL;
    return v_pick(a, b, lanes);
}

/* v[i] lane j becomes v[j] lane i, by zipping the halves of the list log2 times. */
FC_INLINE void v_transpose(vf *v) {
    vf w[FC_VL];
    FC_UNROLL for (int round = 1; round < FC_VL; round *= 2) {
        FC_UNROLL for (int i = 0; i < FC_VL / 2; i++) {
            w[2 * i] = v_zip(v[i], v[i + FC_VL / 2], 0);
            w[2 * i + 1] = v_zip(v[i], v[i + FC_VL / 2], 1);
        }
        FC_UNROLL for (int i = 0; i < FC_VL; i++) v[i] = w[i];
    }
}
