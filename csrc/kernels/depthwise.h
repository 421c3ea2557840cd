/* Depthwise convolution, and grouped convolution with few channels per group: vectors run over channels.
 *
 * Forward and backward data, for the usual numbers and spacings of taps: a block of neighbouring outputs keeps its sums
 * in registers and takes in the columns of x one after the other, each loaded once for all the taps that meet it. Then
 * come the next channels of the same block, so that memory is read and written in long runs. Everything else goes
 * pixel by pixel. Taps that meet the padding are left out.
 *
 * The gradient of the kernel keeps the sums of a box of taps in registers and runs along a row of dy.
 *
 * In a grouped convolution a vector holds whole groups, as many channels of y as of x. What the k-th weights multiply
 * is the k-th channel of each group, spread over the lanes of its group by a permutation of the vector that was
 * loaded. */

#define FC_UNROLL_ALL _Pragma("GCC unroll 64")

/* Outputs of a block: enough sums to hide the latency of the multiply-add, in 32 registers or 16. */
enum { FC_BLOCK = FC_MR >= 8 ? 14 : 7 };

/* Taps of a row that are unrolled, at most. */
enum { FC_TAPS = 7 };

/* The next vector of channels; the last one overlaps its neighbour where the channels do not fill it. */
FC_INLINE int64_t depthwise_next(int64_t c, int64_t channels) {
    return c + 2 * FC_VL <= channels || c + FC_VL == channels ? c + FC_VL : channels - FC_VL;
}

/* The lanes that hold channel 0 of each lane's group; depth is a power of two. */
FC_INLINE vi depthwise_lanes(const fc_depthwise *t) {
    vi lanes;
    for (int i = 0; i < FC_VL; i++) lanes[i] = i;
    return lanes & -(int32_t)t->depth;
}

/* Fetch so many vectors into the second-level cache. The hardware sees a long run coming only if it is asked for in
 * order, which the walk over pixels and channels does not do; so the next row is asked for while this one is
 * computed. */
FC_INLINE void depthwise_fetch(const fc_item *p, int64_t vectors) {
    for (int64_t i = 0; i < vectors; i++) __builtin_prefetch(p + i * FC_VL, 0, 2);
}

/* Where a block starts: x and w at the first of the `taps` kernel rows that are inside the image, x in the column of
 * the first tap of the first output; of the columns from there, left <= q < right are in the image. `ahead` is what
 * the next row of outputs will be the first to read, or NULL. */
typedef struct {
    const fc_item *x, *ahead;
    const float *w;
    int64_t taps, left, right;
    fc_item *y;
    const fc_item *residual; /* or NULL */
} depthwise_block;

/* P outputs of a row. */
FC_INLINE void depthwise_slide(const fc_depthwise *t, const depthwise_block *b, const int P, const int KW,
                               const int STEP, const int GROUPED) {
    const fc_window *g = &t->window;
    const int64_t x_pixel = g->x_pixel, x_row = g->x_row * g->spread_h, y_pixel = g->y_pixel;
    const int64_t left = b->left, right = b->right;
    const fc_item *ahead = b->ahead;
    fc_item *y = b->y;
    const vi lanes = GROUPED ? depthwise_lanes(t) : (vi){0};
    const int64_t depth = GROUPED ? t->depth : 1;
    const int is_small = fc_is_small(&t->activation);
    for (int64_t c = 0; c < t->channels; c = depthwise_next(c, t->channels)) {
        vf sum[FC_BLOCK];
        FC_UNROLL for (int p = 0; p < P; p++) sum[p] = t->bias ? v_load(t->bias + c) : v_zero();
        for (int64_t i = 0, tap = 0, d = 0; i < b->taps * depth; i++) {
            const fc_item *column = b->x + tap * x_row + c;
            const float *w = b->w + tap * t->w_row + d * t->w_depth + c;
            const vi lane = lanes + (int32_t)d;
            vf weight[FC_TAPS];
            FC_UNROLL for (int k = 0; k < KW; k++) weight[k] = v_load(w + k * t->w_tap);
            FC_UNROLL_ALL for (int q = 0; q < (P - 1) * STEP + KW; q++, column += x_pixel) {
                if (q < left || q >= right) continue;
                vf value = v_read(column);
                if (GROUPED) value = v_permute(value, lane);
                FC_UNROLL for (int k = 0; k < KW; k++) {
                    const int p = (q - k) / STEP;
                    if (q >= k && p < P && p * STEP == q - k) sum[p] += value * weight[k];
                }
            }
            if (++d == depth) {
                d = 0;
                tap++;
            }
        }
        if (ahead) {
            for (int64_t h = 0; h < g->step_h; h++)
                depthwise_fetch(ahead + h * g->x_row + c * (P * STEP), P * STEP);
            depthwise_fetch(y + g->y_row + c * P, P);
        }
        if (b->residual)
            FC_UNROLL for (int p = 0; p < P; p++) sum[p] += v_read(b->residual + p * y_pixel + c);
        if (t->activation.function == FC_ACT_RELU) {
            FC_UNROLL for (int p = 0; p < P; p++) sum[p] = v_relu(sum[p]);
        } else if (t->activation.function == FC_ACT_CLIP) {
            FC_UNROLL for (int p = 0; p < P; p++) sum[p] = v_clip(sum[p], t->activation.alpha, t->activation.beta);
        }
        if (!is_small)
            FC_UNROLL for (int p = 0; p < P; p++) sum[p] = v_hold(sum[p]);
        FC_UNROLL for (int p = 0; p < P; p++) v_write_held(y + p * y_pixel + c, sum[p]);
    }
}

typedef void (*depthwise_fn)(const fc_depthwise *, const depthwise_block *);

/* f(taps in a row, step), also for backward data of strided convolutions, where the taps are spread over phases. */
#define FC_EACH_SLIDE(f) f(1, 1) f(2, 1) f(3, 1) f(4, 1) f(5, 1) f(7, 1) f(3, 2) f(5, 2) f(7, 2)
#define FC_SLIDE_OF(p, kw, step) \
    static void depthwise_slide_##p##_##kw##_##step(const fc_depthwise *t, const depthwise_block *b) { \
        depthwise_slide(t, b, p == 14 ? FC_BLOCK : p, kw, step, 0); \
    } \
    static void grouped_slide_##p##_##kw##_##step(const fc_depthwise *t, const depthwise_block *b) { \
        depthwise_slide(t, b, p == 14 ? FC_BLOCK : p, kw, step, 1); \
    }
#define FC_SLIDE(kw, step) FC_SLIDE_OF(14, kw, step) FC_SLIDE_OF(7, kw, step) FC_SLIDE_OF(4, kw, step)
FC_EACH_SLIDE(FC_SLIDE)

/* The function for a row of so many outputs, or NULL; *block is how many it makes at once. */
static depthwise_fn depthwise_find(const fc_depthwise *t, int64_t *block) {
    const fc_window *g = &t->window;
    if (t->channels < FC_VL || g->columns < 4 || g->spread_w != 1) return NULL;
    /* Blocks of a row overlap where they do not fill it: take those that waste least, the longer ones if in doubt. */
    static const int64_t sizes[] = {FC_BLOCK, 7, 4};
    int best = 2;
    for (int i = 1; i >= 0; i--) {
        const int64_t now = (g->columns + sizes[best] - 1) / sizes[best] * (sizes[best] + 1);
        const int64_t other = (g->columns + sizes[i] - 1) / sizes[i] * (sizes[i] + 1);
        if (sizes[i] <= g->columns && other <= now) best = i;
    }
    *block = sizes[best];
#define FC_CASE(kw, step) \
    if (g->taps_w == kw && g->step_w == step) { \
        static const depthwise_fn slides[2][3] = { \
            {depthwise_slide_14_##kw##_##step, depthwise_slide_7_##kw##_##step, depthwise_slide_4_##kw##_##step}, \
            {grouped_slide_14_##kw##_##step, grouped_slide_7_##kw##_##step, grouped_slide_4_##kw##_##step}}; \
        return slides[t->depth > 1][best]; \
    }
    FC_EACH_SLIDE(FC_CASE)
#undef FC_CASE
    return NULL;
}

/* One output, V vectors of channels, of which the last has n elements. All is loaded before it is used: a partial load
 * branches, and between branches the compiler fuses no multiply with its add. */
FC_INLINE void depthwise_pixel(const fc_depthwise *t, const fc_item *x, const float *w, int64_t taps_h, int64_t taps_w,
                               fc_item *y, const fc_item *residual, int64_t c, int64_t n, const int V) {
    const fc_window *g = &t->window;
    const vi lanes = depthwise_lanes(t);
    vf sum[4];
    FC_UNROLL for (int v = 0; v < V; v++) sum[v] = t->bias ? v_load_some(t->bias + c + v * FC_VL, n) : v_zero();
    for (int64_t h = 0; h < taps_h; h++) {
        for (int64_t i = 0; i < taps_w * t->depth; i++) {
            const int64_t k = i / t->depth, d = i % t->depth;
            vf value[4], weight[4];
            const fc_item *from = x + h * g->spread_h * g->x_row + k * g->spread_w * g->x_pixel + c;
            FC_UNROLL for (int v = 0; v < V; v++) {
                value[v] = v_read_some(from + v * FC_VL, n);
                if (t->depth > 1) value[v] = v_permute(value[v], lanes + (int32_t)d);
                weight[v] = v_load_some(w + h * t->w_row + k * t->w_tap + d * t->w_depth + c + v * FC_VL, n);
            }
            FC_UNROLL for (int v = 0; v < V; v++) sum[v] += value[v] * weight[v];
        }
    }
    if (residual)
        FC_UNROLL for (int v = 0; v < V; v++) sum[v] += v_read_some(residual + c + v * FC_VL, n);
    FC_UNROLL for (int v = 0; v < V; v++)
        v_write_some(y + c + v * FC_VL, v_finish(sum[v], &t->activation), n);
}

static void depthwise_pixels(const fc_depthwise *t, const fc_item *x, const float *w, int64_t taps_h, fc_item *y,
                             const fc_item *residual) {
    const fc_window *g = &t->window;
    for (int64_t j = 0; j < g->columns; j++, y += g->y_pixel, residual += residual ? g->y_pixel : 0) {
        int64_t low, high, c = 0;
        const int64_t column = j * g->step_w + g->first_w;
        fc_inside(column, g->spread_w, g->width, g->taps_w, &low, &high);
        const fc_item *from = x + (column + low * g->spread_w) * g->x_pixel;
        const float *weights = w + low * t->w_tap;
        for (; c + 4 * FC_VL <= t->channels; c += 4 * FC_VL)
            depthwise_pixel(t, from, weights, taps_h, high - low, y, residual, c, FC_VL, 4);
        for (; c < t->channels; c += FC_VL)
            depthwise_pixel(t, from, weights, taps_h, high - low, y, residual, c, t->channels - c, 1);
    }
}

/* The mean of each channel over a row that was just stored. Sums that wait for themselves come in fours. */
static void depthwise_mean(const fc_depthwise *t, const fc_item *y, float *means) {
    const int64_t columns = t->window.columns, pixel = t->window.y_pixel;
    const float share = 1.0f / (float)columns;
    int64_t c = 0;
    for (; c + 4 * FC_VL <= t->channels; c += 4 * FC_VL) {
        vf sum[4] = {v_zero(), v_zero(), v_zero(), v_zero()};
        for (int64_t j = 0; j < columns; j++)
            FC_UNROLL for (int v = 0; v < 4; v++) sum[v] += v_read(y + j * pixel + c + v * FC_VL);
        FC_UNROLL for (int v = 0; v < 4; v++) v_store(means + c + v * FC_VL, sum[v] * share);
    }
    for (; c < t->channels; c += FC_VL) {
        vf sum[4] = {v_zero(), v_zero(), v_zero(), v_zero()};
        int64_t j = 0;
        for (; j + 4 <= columns; j += 4)
            FC_UNROLL for (int v = 0; v < 4; v++) sum[v] += v_read_some(y + (j + v) * pixel + c, t->channels - c);
        for (; j < columns; j++) sum[0] += v_read_some(y + j * pixel + c, t->channels - c);
        v_store_some(means + c, ((sum[0] + sum[1]) + (sum[2] + sum[3])) * share, t->channels - c);
    }
}

static void fc_depthwise_run(const fc_depthwise *t) {
    const fc_window *g = &t->window;
    const fc_item *const image = (const fc_item *)g->x, *const add = (const fc_item *)t->residual;
    int64_t block = 0;
    const depthwise_fn slide = depthwise_find(t, &block);
    for (int64_t i = 0; i < g->rows; i++) {
        int64_t low, high;
        const int64_t row = i * g->step_h + g->first_h;
        fc_inside(row, g->spread_h, g->height, g->taps_h, &low, &high);
        const fc_item *x = image + (row + low * g->spread_h) * g->x_row;
        const float *w = t->w + low * t->w_row;
        fc_item *y = (fc_item *)g->y + i * g->y_row;
        const fc_item *residual = add ? add + i * g->y_row : NULL;
        if (!slide) depthwise_pixels(t, x, w, high - low, y, residual);
        for (int64_t j = 0; slide && j < g->columns; j += block) {
            const int64_t from = j + block <= g->columns ? j : g->columns - block;
            const int64_t column = from * g->step_w + g->first_w;
            depthwise_block b = {.w = w, .taps = high - low, .y = y + from * g->y_pixel};
            b.x = x + column * g->x_pixel;
            b.residual = residual ? residual + from * g->y_pixel : NULL;
            fc_inside(column, 1, g->width, (block - 1) * g->step_w + g->taps_w, &b.left, &b.right);
            if (t->channels == g->x_pixel)
                b.ahead = image + (row + (g->taps_h - 1) * g->spread_h + 1) * g->x_row +
                          (column + g->taps_w - 1) * g->x_pixel;
            slide(t, &b);
        }
        /* Not of bfloat16, which would be rounded twice. */
        if (sizeof(fc_item) == sizeof(float))
            fc_activate_rows((float *)y, NULL, g->y_pixel, g->columns, t->channels, t->activation);
        if (t->means) depthwise_mean(t, y, t->means + i * t->means_row);
    }
}

/* ---- the gradients of kernel and bias */

/* A run of outputs from..end of a row, and the first tap of a box: x at this tap of output 0, which reads `column`. Of
 * the outputs low..high all taps of the box are inside the image. `ahead` as in depthwise_block. */
typedef struct {
    const float *x, *dy, *ahead;
    float *dw;
    int64_t column, from, end, low, high;
    int64_t d; /* the first channel of a group */
} depthwise_run;

/* n channels from c on, n <= FC_VL, of a box of KH x KW taps, or of the weights KH to a tap from r->d on. */
FC_INLINE void depthwise_outer(const fc_depthwise *t, const depthwise_run *r, int64_t c, int64_t n, const int KH,
                               const int KW, const int GROUPED) {
    const fc_window *g = &t->window;
    const vi lanes = GROUPED ? depthwise_lanes(t) + (int32_t)r->d : (vi){0};
    const int64_t w_row = GROUPED ? t->w_depth : t->w_row;
    const int64_t x_row = GROUPED ? 0 : g->spread_h * g->x_row, x_tap = g->spread_w * g->x_pixel;
    const int64_t x_step = g->step_w * g->x_pixel;
    float *dw = r->dw + c;
    vf sum[5][FC_TAPS];
    FC_UNROLL for (int h = 0; h < KH; h++)
        FC_UNROLL for (int k = 0; k < KW; k++) sum[h][k] = v_load_some(dw + h * w_row + k * t->w_tap, n);
    if (r->ahead) {
        const int64_t length = r->end - r->from;
        for (int64_t h = 0; h < g->step_h; h++)
            depthwise_fetch((const fc_item *)(r->ahead + h * g->x_row + c * length * g->step_w), length * g->step_w);
        depthwise_fetch((const fc_item *)(r->dy + r->from * g->y_pixel + g->y_row + c * length), length);
    }
    const float *x = r->x + r->from * x_step + c, *dy = r->dy + r->from * g->y_pixel + c;
    for (int64_t j = r->from; j < r->end; j++, x += x_step, dy += g->y_pixel) {
        const vf d = v_load_some(dy, n);
        if (j >= r->low && j < r->high) {
            vf value[5][FC_TAPS];
            FC_UNROLL for (int h = 0; h < KH; h++)
                FC_UNROLL for (int k = 0; k < KW; k++) value[h][k] = v_load_some(x + h * x_row + k * x_tap, n);
            if (GROUPED)
                FC_UNROLL for (int h = 0; h < KH; h++)
                    FC_UNROLL for (int k = 0; k < KW; k++) value[h][k] = v_permute(value[h][k], lanes + h);
            FC_UNROLL for (int h = 0; h < KH; h++)
                FC_UNROLL for (int k = 0; k < KW; k++) sum[h][k] += value[h][k] * d;
            continue;
        }
        FC_UNROLL for (int k = 0; k < KW; k++) {
            const int64_t at = j * g->step_w + r->column + k * g->spread_w;
            if (at < 0 || at >= g->width) continue;
            vf value[5];
            FC_UNROLL for (int h = 0; h < KH; h++) value[h] = v_load_some(x + h * x_row + k * x_tap, n);
            if (GROUPED)
                FC_UNROLL for (int h = 0; h < KH; h++) value[h] = v_permute(value[h], lanes + h);
            FC_UNROLL for (int h = 0; h < KH; h++) sum[h][k] += value[h] * d;
        }
    }
    FC_UNROLL for (int h = 0; h < KH; h++)
        FC_UNROLL for (int k = 0; k < KW; k++) v_store_some(dw + h * w_row + k * t->w_tap, sum[h][k], n);
}

FC_INLINE void depthwise_box(const fc_depthwise *t, const depthwise_run *r, const int KH, const int KW,
                             const int GROUPED) {
    int64_t c = 0;
    for (; c + FC_VL <= t->channels; c += FC_VL) depthwise_outer(t, r, c, FC_VL, KH, KW, GROUPED);
    const int64_t left = t->channels - c;
    if (!GROUPED && left > 0 && left < FC_VL) depthwise_outer(t, r, c, left, KH, KW, 0);
}

/* Rows of a box: as many sums as hide the latency of the multiply-add, and as there are registers for. */
#define FC_BOX_ROWS(kw) (kw <= 2 ? 4 : kw == 3 ? 3 : kw == 4 ? 2 : kw == 5 ? (FC_MR >= 8 ? 5 : 2) : 1)
#define FC_GROUP_BOX(kw) (kw <= (FC_MR >= 8 ? 3 : 2) ? 4 : 2) /* channels of a group in a box: divides depth */
#define FC_EACH_BOX(f) f(1) f(2) f(3) f(4) f(5) f(7)

/* So many rows of taps. */
#define FC_BOX(kw) \
    static void depthwise_box_##kw(const fc_depthwise *t, depthwise_run r, int64_t rows) { \
        for (int64_t now; rows > 0; rows -= now) { \
            now = rows >= FC_BOX_ROWS(kw) ? FC_BOX_ROWS(kw) : 1; \
            if (now > 1) { \
                depthwise_box(t, &r, FC_BOX_ROWS(kw), kw, 0); \
            } else { \
                depthwise_box(t, &r, 1, kw, 0); \
            } \
            r.x += now * t->window.spread_h * t->window.x_row; \
            r.dw += now * t->w_row; \
            r.ahead = NULL; \
        } \
    } \
    static void grouped_box_##kw(const fc_depthwise *t, depthwise_run r, int64_t rows) { \
        const int64_t depth = t->depth; \
        float *const dw = r.dw; \
        for (int64_t h = 0; h < rows; h++, r.x += t->window.spread_h * t->window.x_row) { \
            for (r.d = 0; r.d < depth; r.d += FC_GROUP_BOX(kw), r.ahead = NULL) { \
                r.dw = dw + h * t->w_row + r.d * t->w_depth; \
                depthwise_box(t, &r, FC_GROUP_BOX(kw), kw, 1); \
            } \
        } \
    }
FC_EACH_BOX(FC_BOX)

/* Outputs of a run: few enough for the first-level cache to keep their lines while the boxes of taps pass. */
enum { FC_RUN = 28 };

static void fc_depthwise_backward_kernel(const fc_depthwise *t) {
    const fc_window *g = &t->window;
    const int64_t runs = (g->columns + FC_RUN - 1) / FC_RUN;
    for (int64_t i = 0; i < g->rows; i++) {
        int64_t low, high;
        const int64_t row = i * g->step_h + g->first_h;
        fc_inside(row, g->spread_h, g->height, g->taps_h, &low, &high);
        for (int64_t run = 0; run < runs; run++) {
            depthwise_run r = {.from = run * g->columns / runs, .end = (run + 1) * g->columns / runs};
            r.dy = g->y + i * g->y_row;
            if (t->channels == g->x_pixel)
                r.ahead = g->x + (row + (g->taps_h - 1) * g->spread_h + 1) * g->x_row +
                          (r.from * g->step_w + g->first_w + (g->taps_w - 1) * g->spread_w) * g->x_pixel;
            for (int64_t k = 0, now; k < g->taps_w; k += now, r.ahead = NULL) {
                const int64_t left = g->taps_w - k;
                int64_t first, last;
                now = left >= 7 ? 7 : left == 6 ? 3 : left;
                r.column = g->first_w + k * g->spread_w;
                r.x = g->x + (row + low * g->spread_h) * g->x_row + r.column * g->x_pixel;
                r.dw = t->dw + low * t->w_row + k * t->w_tap;
                fc_inside(r.column, g->step_w, g->width, g->columns, &r.low, &last);
                fc_inside(r.column + (now - 1) * g->spread_w, g->step_w, g->width, g->columns, &first, &r.high);
                switch (now) {
#define FC_CASE(kw) \
    case kw: (t->depth > 1 ? grouped_box_##kw : depthwise_box_##kw)(t, r, high - low); break;
                    FC_EACH_BOX(FC_CASE)
#undef FC_CASE
                }
            }
            if (!t->dbias) continue;
            for (int64_t c = 0; c < t->channels; c += FC_VL) {
                const int64_t n = t->channels - c;
                vf sum = v_load_some(t->dbias + c, n);
                for (int64_t j = r.from; j < r.end; j++) sum += v_load_some(r.dy + j * g->y_pixel + c, n);
                v_store_some(t->dbias + c, sum, n);
            }
        }
    }
}

/* ---- more than one output per channel: each of n elements `count` times, and back, sums of `count` neighbours */

static void fc_repeat(const float *x, float *y, int64_t n, int64_t count) {
    for (int64_t i = 0; i < n; i++)
        for (int64_t m = 0; m < count; m++) y[i * count + m] = x[i];
}
static void fc_fold(const float *x, float *y, int64_t n, int64_t count) {
    for (int64_t i = 0; i < n; i++) {
        float sum = x[i * count];
        for (int64_t m = 1; m < count; m++) sum += x[i * count + m];
        y[i] = sum;
    }
}
