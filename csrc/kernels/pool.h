/* What max, average and sum pooling share, NHWC: see fc_pool.
 *
 * A forward call makes one row of y, a backward call one row of dx. The backward gathers: each pixel of dx asks the
 * windows that cover it, so overlapping windows need no scatter and no zeroing, and rows are independent.
 *
 * Vectors run over the channels. Where those are too few to fill one (`narrow`), a vector holds several windows side
 * by side, and shuffles bring each lane what its window reads; windows that reach over the left or right edge go one
 * by one.
 */

/* Vectors that a block of channels holds at once: independent chains, and fewer loops around them. */
enum { FC_POOL_UNROLL = 4 };

FC_INLINE vf pool_load(const fc_item *p, int64_t n) {
    if (n == FC_VL) return v_read(p);
    return (vf)v_read_n(p, n);
}
FC_INLINE void pool_store(fc_item *p, vf v, int64_t n) {
    if (n == FC_VL) v_write(p, v);
    else v_write_n(p, v, n);
}

/* Of n elements, none to many, the first vector. */
FC_INLINE vf pool_load_first(const fc_item *p, int64_t n) {
    if (n >= FC_VL) return v_read(p);
    return n > 0 ? (vf)v_read_n(p, n) : v_zero();
}
FC_INLINE void pool_store_first(fc_item *p, vf v, int64_t n) {
    if (n >= FC_VL) v_write(p, v);
    else if (n > 0) v_write_n(p, v, n);
}

FC_INLINE vi pool_load_index(const void *index, int64_t offset, int64_t n, int wide) {
    vi at = {0};
    if (!wide) {
        const uint8_t *bytes = (const uint8_t *)index + offset;
        return n == FC_VL ? v_load_bytes(bytes) : v_load_bytes_n(bytes, n);
    }
    memcpy(&at, (const int32_t *)index + offset, 4 * n);
    return at;
}

FC_INLINE void pool_store_index(void *index, int64_t offset, vi at, int64_t n, int wide) {
    if (wide) memcpy((int32_t *)index + offset, &at, 4 * n);
    else if (n == FC_VL) v_store_bytes((uint8_t *)index + offset, at);
    else v_store_bytes_n((uint8_t *)index + offset, at, n);
}

/* The positions [first, last) of a window that starts at `start` which lie inside [0, size). */
FC_INLINE void pool_inside(int64_t start, int64_t window, int64_t size, int64_t *first, int64_t *last) {
    *first = start < 0 ? -start : 0;
    *last = start + window > size ? size - start : window;
}

FC_INLINE int64_t pool_least(int64_t a, int64_t b) { return a < b ? a : b; }

/* ---- narrow: several windows in a vector */

static void fc_pool_prepare(fc_pool *p) {
    const int64_t c = p->channels, room = p->width + p->pad_left - p->pool_w;
    p->share = p->average ? 1.0f / (float)(p->pool_h * p->pool_w) : 1.0f;
    p->narrow = 0;
    if (2 * c > FC_VL || p->wide_index || p->stride_w > FC_POOL_STRIDE) return;
    p->full0 = pool_least((p->pad_left + p->stride_w - 1) / p->stride_w, p->out_width);
    p->full1 = room < 0 ? 0 : pool_least(room / p->stride_w + 1, p->out_width);
    if (p->full1 < p->full0) p->full1 = p->full0;
    /* Forward, what the windows of a vector read must fit two. */
    int64_t fit = (2 * FC_VL - (p->pool_w - p->stride_w) * c) / (p->stride_w * c);
    if (fit > 0) p->narrow = pool_least(FC_VL / c, fit);
    p->group = FC_VL / c;
    p->reach = (p->pool_w - 1) / p->stride_w;
    p->dx0 = pool_least((p->full0 + p->reach) * p->stride_w - p->pad_left, p->width);
    p->dx1 = pool_least(p->full1 * p->stride_w - p->pad_left, p->width);
    if (p->dx1 < p->dx0) p->dx1 = p->dx0;
    for (int64_t lane = 0; lane < FC_VL; lane++) {
        p->first[lane] = lane < p->narrow * c ? (int32_t)(lane / c * p->stride_w * c + lane % c) : 0;
        for (int64_t part = 0; part < p->stride_w; part++) {
            const int64_t pixel = (part * FC_VL + lane) / c, channel = (part * FC_VL + lane) % c;
            p->source[part][lane] = (int32_t)pool_least(pixel / p->stride_w * c + channel, FC_VL - 1);
            p->phase[part][lane] = (int32_t)(pixel % p->stride_w);
        }
    }
}

FC_INLINE vi pool_table(const int32_t *table) {
    vi v;
    memcpy(&v, table, sizeof v);
    return v;
}

/* ---- which windows cover a pixel */

typedef struct {
    int64_t position_h, position_w; /* with the padding before them */
    int64_t oh0, oh1, ow0, ow1;     /* the windows that cover the pixel, last ones included */
} pool_cover;

/* The cover of the pixels of row ih, before column iw. */
FC_INLINE pool_cover pool_cover_before(const fc_pool *p, int64_t ih, int64_t iw) {
    pool_cover at = {.position_h = ih + p->pad_top, .position_w = iw + p->pad_left - 1, .ow0 = 0, .ow1 = -1};
    at.oh0 = at.position_h < p->pool_h ? 0 : (at.position_h - p->pool_h) / p->stride_h + 1;
    at.oh1 = pool_least(at.position_h / p->stride_h, p->out_height - 1);
    return at;
}

FC_INLINE void pool_cover_next(const fc_pool *p, pool_cover *at) {
    at->position_w++;
    while (at->ow1 + 1 < p->out_width && (at->ow1 + 1) * p->stride_w <= at->position_w) at->ow1++;
    while (at->ow0 * p->stride_w + p->pool_w <= at->position_w) at->ow0++;
}

/* Windows that do not overlap: each pixel has one at most, and each window is read once per row. */
FC_INLINE int pool_apart(const fc_pool *p) { return p->pool_h <= p->stride_h && p->pool_w <= p->stride_w; }

/* Zero the row where windows leave pixels out; tells whether any window covers some of it. */
FC_INLINE int pool_clear(const fc_pool *p, const pool_cover *at, fc_item *dx) {
    int64_t end = (p->out_width - 1) * p->stride_w - p->pad_left + p->pool_w;
    if (at->oh0 > at->oh1 || p->pool_w < p->stride_w || end < p->width)
        memset(dx, 0, p->width * p->channels * sizeof(fc_item));
    return at->oh0 <= at->oh1;
}
