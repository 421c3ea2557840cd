/* Packing in pairs; a last row without a neighbour has zeros beside it. */

/* How many k of a panel are packed as floats before they are rounded. */
enum { FC_PACK_BLOCK = 64 };

static void fc_bfloat16_pack_panel(const float *b, int64_t k_stride, int64_t n_stride, int64_t depth, int64_t columns,
                          float *out) {
    float block[FC_PACK_BLOCK * FC_NR];
    for (int64_t start = 0; start < depth; start += FC_PACK_BLOCK) {
        const int64_t count = depth - start < FC_PACK_BLOCK ? depth - start : FC_PACK_BLOCK;
        fc_pack_panel(b + start * k_stride, k_stride, n_stride, count, columns, block);
        for (int64_t k = 0; k < count; k += 2, out += FC_NR)
            for (int v = 0; v < FC_NR; v += FC_VL) {
                const float *p = block + k * FC_NR + v;
                v_store(out + v, (vf)v_pairs(v_load(p), k + 1 < count ? v_load(p + FC_NR) : v_zero()));
            }
    }
}
