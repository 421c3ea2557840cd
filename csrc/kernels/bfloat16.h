/* Packing in pairs; a last row, or pixel, without a neighbour has zeros beside it. */

/* How many k of a panel are packed as floats before they are rounded. */
enum { FC_PACK_BLOCK = 64 };
/* Where the columns lie side by side: how many k ahead of their use rows of b are fetched, which may be pages apart. */
enum { FC_PACK_AHEAD = 16 };

static void fc_bfloat16_pack_panel(const float *b, int64_t k_stride, int64_t n_stride, int64_t depth, int64_t columns,
                          float *out) {
    if (n_stride == 1 && columns == FC_NR) {
        for (int64_t k = 0; k < depth; k += 2, b += 2 * k_stride, out += FC_NR)
            for (int v = 0; v < FC_NR; v += FC_VL) {
                __builtin_prefetch(b + FC_PACK_AHEAD * k_stride + v, 0, 3);
                __builtin_prefetch(b + (FC_PACK_AHEAD + 1) * k_stride + v, 0, 3);
                v_store(out + v, (vf)v_pairs(v_load(b + v), k + 1 < depth ? v_load(b + k_stride + v) : v_zero()));
            }
        return;
    }
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

/* How many words ahead of their use pixels are fetched. */
enum { FC_STRIP_AHEAD = 4 };

static void fc_bfloat16_strips(const fc_pair_strip *t) {
    const int64_t ahead = FC_STRIP_AHEAD * t->every * t->x_pixel;
    float *out = t->out;
    for (int64_t i = 0; i < t->words; i++, out += t->out_word) {
        const int64_t p = t->first + i * t->every, q = p + t->step;
        /* What is outside the line reads no channel, of a pixel inside. */
        const int in_p = p >= 0 && p < t->size, in_q = q >= 0 && q < t->size;
        const float *x0 = t->x + (in_p ? p : 0) * t->x_pixel, *x1 = t->x + (in_q ? q : 0) * t->x_pixel;
        float *to = out, *sums = t->sums;
        for (int64_t tile = 0, columns = t->columns; tile < t->tiles; tile++, to += t->out_tile) {
            const int64_t rows = t->rows + (tile < t->larger), n = columns < rows ? columns : rows;
            for (int64_t c = 0; c < t->out_word; c += FC_VL) {
                const int64_t left = fc_clamp(n - c, 0, FC_VL);
                __builtin_prefetch(x0 + ahead + c, 0, 3);
                __builtin_prefetch(x1 + ahead + c, 0, 3);
                const vf first = v_load_n(x0 + c, in_p ? left : 0), second = v_load_n(x1 + c, in_q ? left : 0);
                v_store(to + c, (vf)v_pairs(first, second));
                if (sums) v_store_n(sums + c, v_load_n(sums + c, left) + first + second, left);
            }
            x0 += n, x1 += n, columns -= n;
            if (sums) sums += n;
        }
    }
}
