/* Winograd's minimal filtering F(2x2, 3x3) (Lavin and Gray, arXiv 1509.09308): a tile of 2 x 2 outputs from 4 x 4 inputs,
 *
 *   y = A^T [ (G g G^T) * (B^T d B) ] A          d: 4 x 4 inputs, g: 3 x 3 weights, *: element by element
 *
 *         1  0 -1  0           1    0    0
 *   B^T = 0  1  1  0     G =  1/2  1/2  1/2     A^T = 1  1  1  0
 *         0 -1  1  0          1/2 -1/2  1/2           0  1 -1 -1
 *         0  1  0 -1           0    0    1
 *
 * Summed over the channels, each of the 16 elements is a matrix product [tiles][C] x [C][O] (fc_tile): 16 multiplications
 * where the plain convolution takes 36. Here are the three transforms around the products, each a vector of channels at
 * a time. */

/* ---- weights */

static void fc_winograd_kernel(const float *packed, int64_t tap, int64_t n, float *out, int64_t matrix) {
    for (int64_t i = 0; i < n; i += FC_VL) {
        vf g[3][4]; /* G along the columns: g[row][.] */
        FC_UNROLL for (int r = 0; r < 3; r++) {
            const float *row = packed + 3 * r * tap + i;
            vf first = v_load(row), middle = 0.5f * v_load(row + tap), last = v_load(row + 2 * tap);
            vf half = 0.5f * (first + last);
            g[r][0] = first, g[r][1] = half + middle, g[r][2] = half - middle, g[r][3] = last;
        }
        FC_UNROLL for (int c = 0; c < 4; c++) {
            float *u = out + c * matrix + i;
            vf half = 0.5f * (g[0][c] + g[2][c]), middle = 0.5f * g[1][c];
            v_store(u, g[0][c]);
            v_store(u + 4 * matrix, half + middle);
            v_store(u + 8 * matrix, half - middle);
            v_store(u + 12 * matrix, g[2][c]);
        }
    }
}

/* ---- inputs */

/* How far ahead of its use an input is fetched: the stores between two loads keep the processor from looking so far. */
enum { FC_WINOGRAD_AHEAD = 128 };

/* Row r of B^T d B, where `a` and `b` are the rows of d that row r of B^T adds or subtracts. */
FC_INLINE void winograd_input_row(const float *const *a, const float *const *b, const int r, int64_t c, int64_t n,
                                  float *v, int64_t matrix) {
    vf t[4];
    FC_UNROLL for (int j = 0; j < 4; j++) {
        vf first = v_load_some(a[j] + c, n), second = v_load_some(b[j] + c, n);
        t[j] = r == 1 ? first + second : first - second;
    }
    v_store(v, t[0] - t[2]);
    v_store(v + matrix, t[1] + t[2]);
    v_store(v + 2 * matrix, t[2] - t[1]);
    v_store(v + 3 * matrix, t[1] - t[3]);
}

/* `ahead`: from this tile's last two columns of pixels to those of a tile that comes soon. */
FC_INLINE void winograd_input_vector(const float *const (*d)[4], int64_t ahead, int64_t c, int64_t n, float *v,
                                     int64_t matrix) {
    FC_UNROLL for (int r = 0; r < 4; r++) {
        __builtin_prefetch(d[r][2] + ahead + c);
        __builtin_prefetch(d[r][3] + ahead + c);
    }
    winograd_input_row(d[0], d[2], 0, c, n, v, matrix);
    winograd_input_row(d[1], d[2], 1, c, n, v + 4 * matrix, matrix);
    winograd_input_row(d[2], d[1], 2, c, n, v + 8 * matrix, matrix);
    winograd_input_row(d[1], d[3], 3, c, n, v + 12 * matrix, matrix);
}

/* d[r][c]: the pixel of x that row r, column c of a tile of size x size reads. */
FC_INLINE void winograd_pixels(const fc_winograd_input *t, int64_t tile, const int size, const float *d[size][size]) {
    const int64_t per_image = t->tiles_h * t->tiles_w, n = tile / per_image;
    const int64_t row = t->first_row + 2 * (tile % per_image / t->tiles_w);
    const int64_t column = t->first_column + 2 * (tile % t->tiles_w);
    for (int r = 0; r < size; r++) {
        for (int c = 0; c < size; c++) {
            const int64_t h = row + r, w = column + c;
            const int inside = h >= 0 && h < t->height && w >= 0 && w < t->width;
            d[r][c] = inside ? t->x + ((n * t->height + h) * t->width + w) * t->x_pixel : t->zero;
        }
    }
}

static void fc_winograd_input_run(const fc_winograd_input *t) {
    const int64_t whole = t->channels / FC_VL * FC_VL;
    const int64_t ahead = 2 * t->x_pixel * ((FC_WINOGRAD_AHEAD + t->channels - 1) / t->channels);
    for (int64_t i = 0; i < t->count; i++) {
        const float *d[4][4];
        winograd_pixels(t, t->first + i, 4, d);
        const float *const (*pixels)[4] = (const float *const (*)[4])d;
        float *v = t->v + i * t->v_tile;
        for (int64_t c = 0; c < whole; c += FC_VL)
            winograd_input_vector(pixels, ahead, c, FC_VL, v + c, t->v_matrix);
        if (whole < t->channels)
            winograd_input_vector(pixels, ahead, whole, t->channels - whole, v + whole, t->v_matrix);
    }
}

/* ---- outputs */

/* One panel of a block of tiles. A value that is not finite in the input or the weights, or an overflow on the way,
 * makes at least one output of its tile infinite or NaN, perhaps others than the convolution would: `suspect[tile]`
 * tells the caller to compute those another way. Nothing is stored of them: y may hold the residual. */
static void fc_winograd_output_run(const fc_winograd_output *t) {
    const int64_t per_image = t->tiles_h * t->tiles_w;
    for (int64_t i = 0; i < t->count; i++) {
        const int64_t tile = t->first + i, n = tile / per_image;
        const int64_t row = 2 * (tile % per_image / t->tiles_w), column = 2 * (tile % t->tiles_w);
        const int rows = t->out_height - row >= 2 ? 2 : 1, columns = t->out_width - column >= 2 ? 2 : 1;
        const int64_t pixel = t->y_pixel, y_row = t->out_width * pixel;
        const int64_t at = t->pool ? tile * pixel : ((n * t->out_height + row) * t->out_width + column) * pixel;
        vf out[FC_NRV][2][2], check = v_zero();
        FC_UNROLL for (int v = 0; v < FC_NRV; v++) {
            if (v * FC_VL >= t->columns) continue;
            const float *m = t->m + i * FC_NR + v * FC_VL;
            vf s[2][4]; /* A^T along the columns of the tile */
            FC_UNROLL for (int j = 0; j < 4; j++) {
                const float *p = m + j * t->m_matrix;
                vf first = v_load(p + 4 * t->m_matrix), second = v_load(p + 8 * t->m_matrix);
                s[0][j] = v_load(p) + first + second;
                s[1][j] = first - second - v_load(p + 12 * t->m_matrix);
            }
            FC_UNROLL for (int r = 0; r < 2; r++) {
                out[v][r][0] = s[r][0] + s[r][1] + s[r][2], out[v][r][1] = s[r][1] - s[r][2] - s[r][3];
                FC_UNROLL for (int c = 0; c < 2; c++) check += 0.0f * out[v][r][c];
            }
        }
        t->suspect[i] = v_bits(check != 0) != 0;
        if (t->suspect[i]) continue;
        FC_UNROLL for (int v = 0; v < FC_NRV; v++) {
            const int64_t left = t->columns - v * FC_VL;
            if (left <= 0) continue;
            const vf bias = t->bias ? v_load_some(t->bias + v * FC_VL, left) : v_zero();
            const vf scale = t->scale ? v_load_some(t->scale + v * FC_VL, left) : v_zero();
            const vf shift = t->scale ? v_load_some(t->shift + v * FC_VL, left) : v_zero();
            FC_UNROLL for (int r = 0; r < 2; r++) {
                FC_UNROLL for (int c = 0; c < 2; c++) {
                    if (r >= rows || c >= columns) continue;
                    const int64_t to = at + r * y_row + c * pixel + v * FC_VL;
                    vf z = out[v][r][c];
                    if (t->residual) z += v_load_some(t->residual + to, left);
                    z = v_finish(z + bias, &t->activation);
                    if (t->scale) z = z * scale + shift;
                    if (!t->pool) v_store_some(t->y + to, z, left);
                    out[v][r][c] = z;
                }
            }
            if (t->pool) {
                vf best = v_larger(out[v][0][1], out[v][0][0]);
                best = v_larger(out[v][1][1], v_larger(out[v][1][0], best));
                v_store_some(t->y + at + v * FC_VL, best, left);
            }
        }
        for (int r = 0; r < rows; r++)
            fc_activate_rows(t->y + at + r * y_row, NULL, pixel, columns, t->columns, t->activation);
    }
}

/* ---- the kernel's gradient: dg = G^T [ sum over tiles of (B^T d B) * (A dy A^T) ] G */

/* One row of A dy A^T from one of A dy. */
FC_INLINE void winograd_gradient_row(vf first, vf second, float *z, int64_t matrix) {
    v_store(z, first);
    v_store(z + matrix, first + second);
    v_store(z + 2 * matrix, first - second);
    v_store(z + 3 * matrix, -second);
}

FC_INLINE void winograd_gradient_vector(const float *const (*d)[2], int64_t c, int64_t n, float *z, int64_t matrix) {
    vf a = v_load_some(d[0][0] + c, n), b = v_load_some(d[0][1] + c, n);
    vf e = v_load_some(d[1][0] + c, n), f = v_load_some(d[1][1] + c, n);
    winograd_gradient_row(a, b, z, matrix);
    winograd_gradient_row(a + e, b + f, z + 4 * matrix, matrix);
    winograd_gradient_row(a - e, b - f, z + 8 * matrix, matrix);
    winograd_gradient_row(-e, -f, z + 12 * matrix, matrix);
}

static void fc_winograd_gradient_run(const fc_winograd_input *t) {
    const int64_t whole = t->channels / FC_VL * FC_VL, padded = (t->channels + FC_NR - 1) / FC_NR * FC_NR;
    for (int64_t i = 0; i < t->count; i++) {
        const float *d[2][2];
        winograd_pixels(t, t->first + i, 2, d);
        const float *const (*pixels)[2] = (const float *const (*)[2])d;
        float *z = t->v + i * t->v_tile;
        for (int64_t c = 0; c < whole; c += FC_VL) winograd_gradient_vector(pixels, c, FC_VL, z + c, t->v_matrix);
        for (int64_t c = whole; c < padded; c += FC_VL) {
            const int64_t left = t->channels - c;
            winograd_gradient_vector(pixels, c, left > 0 ? left : 0, z + c, t->v_matrix);
        }
    }
}

static int fc_winograd_dkernel(const float *parts, int64_t count, int64_t part, int64_t matrix, int64_t n,
                               float *dkernel, int64_t tap) {
    vf check = v_zero();
    for (int64_t i = 0; i < n; i += FC_VL) {
        const int64_t left = n - i;
        vf s[3][4]; /* G^T along the columns */
        FC_UNROLL for (int c = 0; c < 4; c++) {
            vf u[4];
            FC_UNROLL for (int r = 0; r < 4; r++) {
                const float *p = parts + (4 * r + c) * matrix + i;
                u[r] = v_load_some(p, left);
                for (int64_t m = 1; m < count; m++) u[r] += v_load_some(p + m * part, left);
            }
            vf sum = 0.5f * (u[1] + u[2]);
            s[0][c] = u[0] + sum, s[1][c] = 0.5f * (u[1] - u[2]), s[2][c] = sum + u[3];
        }
        FC_UNROLL for (int r = 0; r < 3; r++) {
            vf sum = 0.5f * (s[r][1] + s[r][2]);
            vf w[3] = {s[r][0] + sum, 0.5f * (s[r][1] - s[r][2]), sum + s[r][3]};
            FC_UNROLL for (int c = 0; c < 3; c++) {
                check += 0.0f * w[c];
                v_store_some(dkernel + (3 * r + c) * tap + i, w[c], left);
            }
        }
    }
    return v_sum(check) == 0;
}
