/* Batch normalisation over arrays seen as lines of `columns` floats, one column per channel.
 *
 * Few or odd channels are folded: several pixels make one line, so that a line fills whole vectors and a column holds
 * channel `column % channels`. The last line may be short (size % columns floats).
 *
 * Sums run in float32 over NORM_RUN lines at most, then go on in float64. Squares are taken of the distance from the
 * mean of the run's own NORM_LEAD first lines. That is at most sqrt(S / NORM_LEAD) from the run's mean, where S is the
 * sum of squares about it (Cauchy-Schwarz), so the sum formed is at most 1 + NORM_RUN / NORM_LEAD times S, however far
 * the mean is from zero and whatever outliers there are.
 */

enum { NORM_RUN = 64, NORM_LEAD = 8, NORM_UNROLL = 4, NORM_BACKWARD_UNROLL = 4, NORM_BLOCK = 64 };

/* Sums go down the lines of a run, a block of columns at a time. What they read is fetched a block ahead: from a column of a
 * line to that in the next block, after the last block to the first of the next run. */
FC_INLINE int64_t norm_ahead(int64_t column, int64_t block, int64_t columns) {
    return column + 2 * block <= columns ? block : NORM_RUN * columns - column;
}
FC_INLINE vf norm_load(const float *p, int64_t n) {
    if (n == FC_VL) return v_load(p);
    return (vf)v_load_n(p, n);
}
FC_INLINE void norm_store(float *p, vf v, int64_t n) {
    if (n == FC_VL) v_store(p, v);
    else v_store_n(p, v, n);
}

/* ---- forward sums: of x and of x * x */

FC_INLINE void norm_run(const float *x, int64_t lines, int64_t columns, double *restrict sum, double *restrict squares,
                        int vectors, int64_t n, int64_t ahead) {
    vf shift[NORM_UNROLL], s[NORM_UNROLL], q[NORM_UNROLL];
    int64_t leading = lines < NORM_LEAD ? lines : NORM_LEAD;
    for (int v = 0; v < vectors; v++) {
        vf lead = v_zero();
        for (int64_t i = 0; i < leading; i++) lead += norm_load(x + i * columns + v * FC_VL, n);
        lead = lead * (1.0f / (float)leading);
        shift[v] = v_select(lead - lead == 0, lead, v_zero()); /* inf - inf would turn an infinite mean into NaN */
        s[v] = q[v] = v_zero();
    }
    for (int64_t i = 0; i < lines; i++) {
        for (int v = 0; v < vectors; v++) {
            __builtin_prefetch(x + i * columns + v * FC_VL + ahead, 0, 2);
            vf d = norm_load(x + i * columns + v * FC_VL, n) - shift[v];
            s[v] += d;
            q[v] += d * d;
        }
    }
    float base[NORM_UNROLL * FC_VL] = {0}, total[NORM_UNROLL * FC_VL] = {0}, square[NORM_UNROLL * FC_VL] = {0};
    for (int v = 0; v < vectors; v++) {
        v_store(base + v * FC_VL, shift[v]);
        v_store(total + v * FC_VL, s[v]);
        v_store(square + v * FC_VL, q[v]);
    }
    double count = (double)lines;
    for (int64_t i = 0; i < (vectors - 1) * FC_VL + n; i++) {
        double back = base[i], t = total[i];
        sum[i] += t + count * back;
        squares[i] += square[i] + back * (t + t + count * back);
    }
}

static void norm_lines(const float *x, int64_t lines, int64_t width, int64_t columns, double *sums) {
    int64_t c = 0;
    for (; c + NORM_UNROLL * FC_VL <= width; c += NORM_UNROLL * FC_VL)
        norm_run(x + c, lines, columns, sums + c, sums + columns + c, NORM_UNROLL, FC_VL,
                 norm_ahead(c, NORM_UNROLL * FC_VL, columns));
    for (; c + FC_VL <= width; c += FC_VL)
        norm_run(x + c, lines, columns, sums + c, sums + columns + c, 1, FC_VL, norm_ahead(c, FC_VL, columns));
    if (c < width) norm_run(x + c, lines, columns, sums + c, sums + columns + c, 1, width - c, 0);
}

static void fc_norm_sums(const float *x, int64_t size, int64_t columns, double *sums) {
    int64_t lines = size / columns, rest = size % columns;
    memset(sums, 0, 2 * columns * sizeof(double));
    for (int64_t i = 0; i < lines; i += NORM_RUN)
        norm_lines(x + i * columns, lines - i < NORM_RUN ? lines - i : NORM_RUN, columns, columns, sums);
    if (rest) norm_lines(x + lines * columns, 1, rest, columns, sums);
}

/* ---- what follows the normalisation: a residual sum and ReLU, in the same pass */

/* The pass is compiled for each kind, where K is one of these. */
typedef enum { NORM_PLAIN, NORM_CLIP, NORM_CLIP_BY_Y, NORM_CLIP_SUM_BY_Y } norm_kind;

FC_INLINE vf norm_forward_vector(vf x, vf mean, vf scale, vf shift) { return (x - mean) * scale + shift; }

/* Comparisons with a limit of NaN are false; a NaN of z stays. */
FC_INLINE vf norm_clip(vf z, float limit) { return v_select(z > limit, v_set(limit), v_relu(z)); }

/* The gradient before the clip: dy where 0 < z < limit, else 0; NaN where z is. z may be clipped already. */
FC_INLINE vf norm_clip_backward(vf z, vf dy, float limit) {
    return v_select((z > 0) & ~(z >= limit), dy, v_select(z != z, z, v_zero()));
}

/* ---- backward sums: of dz, of dz * (x - mean), and of x - mean (what rounding took from the mean), dz the gradient
 * before the clip */

FC_INLINE void norm_backward_run(const fc_norm_pass *p, int64_t at, int64_t column, int64_t lines,
                                 double *restrict sums, int vectors, int64_t n, const norm_kind kind,
                                 int64_t ahead) {
    const float *mean = p->coefficients + column, *scale = mean + p->columns, *shift = scale + p->columns;
    vf m[NORM_BACKWARD_UNROLL], s[NORM_BACKWARD_UNROLL], q[NORM_BACKWARD_UNROLL], r[NORM_BACKWARD_UNROLL];
    for (int v = 0; v < vectors; v++) {
        m[v] = norm_load(mean + v * FC_VL, n);
        s[v] = q[v] = r[v] = v_zero();
    }
    for (int64_t i = 0; i < lines; i++, at += p->columns) {
        for (int v = 0; v < vectors; v++) {
            int64_t here = at + column + v * FC_VL;
            __builtin_prefetch(p->x + here + ahead, 0, 2);
            __builtin_prefetch(p->dy + here + ahead, 0, 2);
            vf x = norm_load(p->x + here, n), g = norm_load(p->dy + here, n);
            if (kind >= NORM_CLIP_BY_Y) __builtin_prefetch(p->y + here + ahead, 0, 2);
            if (kind == NORM_CLIP_SUM_BY_Y) {
                __builtin_prefetch(p->dy_rest + here + ahead, 0, 2);
                g += norm_load(p->dy_rest + here, n);
            }
            if (kind == NORM_CLIP) {
                vf z = norm_forward_vector(x, m[v], norm_load(scale + v * FC_VL, n), norm_load(shift + v * FC_VL, n));
                g = norm_clip_backward(z, g, p->limit);
            }
            if (kind >= NORM_CLIP_BY_Y) {
                g = norm_clip_backward(norm_load(p->y + here, n), g, p->limit);
                if (p->out) norm_store(p->out + here, g, n);
            }
            vf d = x - m[v];
            s[v] += g;
            q[v] += g * d;
            r[v] += d;
        }
    }
    float total[3][NORM_BACKWARD_UNROLL * FC_VL] = {{0}};
    for (int v = 0; v < vectors; v++) {
        v_store(total[0] + v * FC_VL, s[v]);
        v_store(total[1] + v * FC_VL, q[v]);
        v_store(total[2] + v * FC_VL, r[v]);
    }
    for (int quantity = 0; quantity < 3; quantity++)
        for (int64_t i = 0; i < (vectors - 1) * FC_VL + n; i++)
            sums[quantity * p->columns + column + i] += total[quantity][i];
}

FC_INLINE void norm_backward_lines(const fc_norm_pass *p, int64_t at, int64_t lines, int64_t width, double *sums,
                                   const norm_kind kind) {
    enum { STEP = NORM_BACKWARD_UNROLL * FC_VL };
    int64_t c = 0;
    for (; c + STEP <= width; c += STEP)
        norm_backward_run(p, at, c, lines, sums, NORM_BACKWARD_UNROLL, FC_VL, kind, norm_ahead(c, STEP, p->columns));
    for (; c + FC_VL <= width; c += FC_VL)
        norm_backward_run(p, at, c, lines, sums, 1, FC_VL, kind, norm_ahead(c, FC_VL, p->columns));
    if (c < width) norm_backward_run(p, at, c, lines, sums, 1, width - c, kind, 0);
}

FC_INLINE void norm_backward_sums_as(const fc_norm_pass *p, double *sums, const norm_kind kind) {
    int64_t lines = p->size / p->columns, rest = p->size % p->columns;
    for (int64_t i = 0; i < lines; i += NORM_RUN)
        norm_backward_lines(p, i * p->columns, lines - i < NORM_RUN ? lines - i : NORM_RUN, p->columns, sums, kind);
    if (rest) norm_backward_lines(p, lines * p->columns, 1, rest, sums, kind);
}

static void fc_norm_backward_sums(const fc_norm_pass *p, double *sums) {
    memset(sums, 0, 3 * p->columns * sizeof(double));
    if (!p->clip) norm_backward_sums_as(p, sums, NORM_PLAIN);
    else if (p->y && p->dy_rest) norm_backward_sums_as(p, sums, NORM_CLIP_SUM_BY_Y);
    else if (p->y) norm_backward_sums_as(p, sums, NORM_CLIP_BY_Y);
    else norm_backward_sums_as(p, sums, NORM_CLIP);
}

/* ---- per channel: partial sums to statistics and coefficients */

/* The ordered sum of quantity `which` of `quantities` over all partial sums, for channels [c0, c0 + n). */
static void norm_total(const fc_norm *p, int which, int quantities, int64_t c0, int64_t n, double *total) {
    memset(total, 0, n * sizeof(double));
    for (int64_t part = 0; part < p->parts; part++) {
        const double *line = p->partial + (part * quantities + which) * p->columns + c0;
        for (int64_t fold = 0; fold < p->columns; fold += p->channels)
            for (int64_t i = 0; i < n; i++) total[i] += line[fold + i];
    }
}

static void norm_coefficient(const fc_norm *p, int which, int64_t c, float value) {
    for (int64_t at = c; at < p->width; at += p->channels) p->coefficients[which * p->width + at] = value;
}

/* A correction for a mean that was rounded; where something is infinite there is nothing to correct. */
FC_INLINE double norm_correction(double rest, double factor) { return isfinite(rest * factor) ? rest * factor : 0; }

/* coefficients: mean, scale, shift, so that y = (x - mean) * scale + shift. */
FC_INLINE void norm_coefficients(const fc_norm *p, int64_t c, double mean, double inv_std) {
    float near = (float)mean;
    double scale = p->gamma ? p->gamma[c] * inv_std : inv_std;
    float shift = (float)((p->beta ? p->beta[c] : 0.0) - norm_correction(mean - near, scale));
    norm_coefficient(p, 0, c, near);
    norm_coefficient(p, 1, c, (float)scale);
    norm_coefficient(p, 2, c, shift);
    if (p->scale) p->scale[c] = (float)scale;
    if (p->shift) p->shift[c] = shift;
}

static void fc_norm_finish(const fc_norm *p, int64_t c0) {
    int64_t n = p->channels - c0 < NORM_BLOCK ? p->channels - c0 : NORM_BLOCK;
    double sum[NORM_BLOCK], squares[NORM_BLOCK], keep = p->momentum, count = (double)p->count;
    norm_total(p, 0, 2, c0, n, sum);
    norm_total(p, 1, 2, c0, n, squares);
    for (int64_t i = 0; i < n; i++) {
        int64_t c = c0 + i;
        double mean = sum[i] / count, variance = squares[i] / count - mean * mean;
        if (variance < 0) variance = 0; /* rounding; NaN stays */
        double inv_std = 1 / sqrt(variance + p->epsilon);
        p->new_moving_mean[c] = (float)(p->moving_mean[c] * keep + mean * (1 - keep));
        p->new_moving_variance[c] = (float)(p->moving_variance[c] * keep + variance * (1 - keep));
        p->mean[c] = (float)mean;
        p->inv_std[c] = (float)inv_std;
        norm_coefficients(p, c, mean, inv_std);
    }
}

/* In inference y = x * scale + shift, one multiply-add, as convolutions do it in their last step: the mean of the
 * coefficients is 0. The shift is made of the rounded scale, so that the rounding counts for x - mean and not for x; the
 * product is exact in double. Where it is not finite, the mean is taken from x: infinities may cancel there. */
static void fc_norm_inference(const fc_norm *p, int64_t c0) {
    int64_t end = p->channels - c0 < NORM_BLOCK ? p->channels : c0 + NORM_BLOCK;
    for (int64_t c = c0; c < end; c++) {
        const float scale = (float)((p->gamma ? p->gamma[c] : 1.0) / sqrt(p->moving_variance[c] + p->epsilon));
        const float mean = p->moving_mean ? p->moving_mean[c] : 0.0f, beta = p->beta ? p->beta[c] : 0.0f;
        const float shift = (float)(beta - (double)mean * scale);
        const int apart = !isfinite(shift);
        if (p->coefficients) {
            norm_coefficient(p, 0, c, apart ? mean : 0.0f);
            norm_coefficient(p, 1, c, scale);
            norm_coefficient(p, 2, c, apart ? beta : shift);
        }
        if (p->scale) p->scale[c] = scale;
        if (p->shift) p->shift[c] = shift;
    }
}

/* coefficients: mean, a, b, d, so that dx = a dz + b (x - mean) + d; and scale and shift, where dz needs them. */
static void fc_norm_backward_finish(const fc_norm *p, int64_t c0) {
    int64_t n = p->channels - c0 < NORM_BLOCK ? p->channels - c0 : NORM_BLOCK;
    double dy[NORM_BLOCK], product[NORM_BLOCK], rest[NORM_BLOCK], count = (double)p->count;
    norm_total(p, 0, 3, c0, n, dy);
    norm_total(p, 1, 3, c0, n, product);
    norm_total(p, 2, 3, c0, n, rest);
    for (int64_t i = 0; i < n; i++) {
        int64_t c = c0 + i;
        /* In inference the mean is given and exact; in training p->mean is the rounded one. */
        double left = p->inv_std ? rest[i] / count : 0.0;
        double inv_std = p->inv_std ? p->inv_std[c] : 1 / sqrt(p->moving_variance[c] + p->epsilon);
        double dgamma = (product[i] - norm_correction(left, dy[i])) * inv_std;
        if (p->dgamma) p->dgamma[c] = (float)dgamma;
        if (p->dbeta) p->dbeta[c] = (float)dy[i];
        if (!p->coefficients) continue;
        double a = p->gamma ? p->gamma[c] * inv_std : inv_std, share = (1 - p->momentum) / count;
        double b = 2 * share * p->dnew_moving_variance[c] - a * inv_std * dgamma / count;
        double d = share * p->dnew_moving_mean[c] - a * dy[i] / count - norm_correction(left, b);
        norm_coefficient(p, 0, c, p->mean[c]);
        norm_coefficient(p, 1, c, (float)a);
        norm_coefficient(p, 2, c, (float)b);
        norm_coefficient(p, 3, c, isfinite(a) ? (float)d : NAN); /* infinity from every element less the mean of them */
        if (p->scale) {
            norm_coefficient(p, 4, c, p->scale[c]);
            norm_coefficient(p, 5, c, p->shift[c]);
        }
    }
}

/* ---- one pass over the elements
 *
 * Whether an element falls into a whole vector or into the last, partial one depends on the batch, so both must round
 * alike: all loads come first, and the same expression follows. */

/* n floats of a line from column c on, which stand at `at`. */
FC_INLINE void norm_apply_vector(const fc_norm_pass *p, int64_t at, int64_t c, int64_t n, int add, int clip) {
    const float *mean = p->coefficients, *scale = mean + p->columns, *shift = scale + p->columns;
    vf x = norm_load(p->x + at + c, n), m = norm_load(mean + c, n), a = norm_load(scale + c, n);
    vf b = norm_load(shift + c, n), more = add ? norm_load(p->residual + at + c, n) : v_zero();
    vf z = norm_forward_vector(x, m, a, b);
    if (add) z += more;
    norm_store(p->out + at + c, clip ? norm_clip(z, p->limit) : z, n);
}

FC_INLINE void norm_apply_as(const fc_norm_pass *p, int add, int clip) {
    for (int64_t at = 0; at < p->size; at += p->columns) {
        int64_t c = 0, width = p->size - at < p->columns ? p->size - at : p->columns;
        for (; c + FC_VL <= width; c += FC_VL) norm_apply_vector(p, at, c, FC_VL, add, clip);
        if (c < width) norm_apply_vector(p, at, c, width - c, add, clip);
    }
}

static void fc_norm_apply(const fc_norm_pass *p) {
    if (p->residual && p->clip) norm_apply_as(p, 1, 1);
    else if (p->residual) norm_apply_as(p, 1, 0);
    else if (p->clip) norm_apply_as(p, 0, 1);
    else norm_apply_as(p, 0, 0);
}

FC_INLINE void norm_backward_vector(const fc_norm_pass *p, int64_t at, int64_t c, int64_t n, int clip) {
    const float *mean = p->coefficients + c, *a = mean + p->columns, *b = a + p->columns, *d = b + p->columns;
    const float *scale = d + p->columns, *shift = scale + p->columns;
    vf x = norm_load(p->x + at + c, n), dz = norm_load(p->dy + at + c, n), m = norm_load(mean, n);
    vf va = norm_load(a, n), vb = norm_load(b, n), vd = norm_load(d, n);
    if (clip) dz = norm_clip_backward(norm_forward_vector(x, m, norm_load(scale, n), norm_load(shift, n)), dz, p->limit);
    norm_store(p->out + at + c, dz * va + ((x - m) * vb + vd), n);
}

FC_INLINE void norm_backward_apply_as(const fc_norm_pass *p, int clip) {
    for (int64_t at = 0; at < p->size; at += p->columns) {
        int64_t c = 0, width = p->size - at < p->columns ? p->size - at : p->columns;
        for (; c + FC_VL <= width; c += FC_VL) norm_backward_vector(p, at, c, FC_VL, clip);
        if (c < width) norm_backward_vector(p, at, c, width - c, clip);
    }
}

static void fc_norm_backward_apply(const fc_norm_pass *p) {
    if (p->clip) norm_backward_apply_as(p, 1);
    else norm_backward_apply_as(p, 0);
}
