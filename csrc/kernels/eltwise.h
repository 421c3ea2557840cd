/* Pointwise kernels over flat arrays. The output may be one of the inputs. A tail runs through the same vector code
 * as the rest, so an element's value never depends on where it stands. */

/* A whole vector, or the n < FC_VL elements that are left. */
FC_INLINE vf v_load_some(const float *p, int64_t n) {
    if (n < FC_VL) return v_load_n(p, n);
    return v_load(p);
}
FC_INLINE void v_store_some(float *p, vf v, int64_t n) {
    if (n < FC_VL) v_store_n(p, v, n);
    else v_store(p, v);
}

/* What activations are stored as: float32, or bfloat16 in kernels that are compiled once more for that (bfloat16.h). */
#ifndef FC_PAIRS
typedef float fc_item;
FC_INLINE vf v_read(const fc_item *p) { return v_load(p); }
FC_INLINE vf v_read_n(const fc_item *p, int64_t n) { return v_load_n(p, n); }
FC_INLINE void v_write(fc_item *p, vf v) { v_store(p, v); }
FC_INLINE void v_write_n(fc_item *p, vf v, int64_t n) { v_store_n(p, v, n); }
FC_INLINE void v_write_held(fc_item *p, vf v) { v_store(p, v); }
FC_INLINE vf v_hold(vf v) { return v; }
FC_INLINE int fc_is_small(const fc_activation *a) { return a != NULL; }
#endif
FC_INLINE vf v_read_some(const fc_item *p, int64_t n) {
    if (n < FC_VL) return v_read_n(p, n);
    return v_read(p);
}
FC_INLINE void v_write_some(fc_item *p, vf v, int64_t n) {
    if (n < FC_VL) v_write_n(p, v, n);
    else v_write(p, v);
}

/* y[i] = ((x0[i] + x1[i]) + x2[i]) + ... for start <= i < start + n. */
static void fc_add_n(const float *const *x, int64_t count, float *y, int64_t start, int64_t n) {
    int64_t i = start;
    const int64_t end = start + n;
    for (; i + FC_VL <= end; i += FC_VL) {
        vf sum = v_load(x[0] + i);
        for (int64_t j = 1; j < count; j++) sum += v_load(x[j] + i);
        v_store(y + i, sum);
    }
    if (i < end) {
        vf sum = v_load_n(x[0] + i, end - i);
        for (int64_t j = 1; j < count; j++) sum += v_load_n(x[j] + i, end - i);
        v_store_n(y + i, sum, end - i);
    }
}
