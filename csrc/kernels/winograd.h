/* Winograd's minimal filtering F(HxW, 3x3) (Lavin and Gray, arXiv 1509.09308): a tile of H x W outputs from
 * (H + 2) x (W + 2) inputs,
 *
 *   y = A^T [ (G g G^T) * (B^T d B) ] A          d: inputs, g: 3 x 3 weights, *: element by element
 *
 * A, B and G left of the operand those of F(H, 3), right of it those of F(W, 3). Summed over the channels, each of the
 * (H + 2)(W + 2) elements is a matrix product [tiles][C] x [C][O] (winograd_product.h). Multiplications of a tile: 16
 * for 2 x 2, where the plain convolution takes 36; 24 for 2 x 4, where it takes 72; 36 for 4 x 4, where it takes 144. Here
 * are the three transforms around the products, each a vector of channels at a time: one dimension as a function of
 * M + 2 values, applied to the columns and then to the rows.
 *
 * F(2, 3): polynomials at the points 0, 1, -1, infinity.
 *
 *         1  0 -1  0           1    0    0
 *   B^T = 0  1  1  0     G =  1/2  1/2  1/2     A^T = 1  1  1  0
 *         0 -1  1  0          1/2 -1/2  1/2           0  1 -1 -1
 *         0  1  0 -1           0    0    1
 *
 * F(4, 3): at 0, a, -a, b, -b, infinity. With a = 5/8 and b = 3/2 every number in A and B is exact in float32, and the
 * error is the least that a search found (docs/adr/0007-winograd-4x4.md).
 *
 *         a2b2   0  -a2-b2   0     1   0         1/a2b2               0   0
 *           0  -ab2   -b2    a     1   0         1    a   a2    (/ 2a2(a2-b2))        1   1   1   1   1   0
 *   B^T =   0   ab2   -b2   -a     1   0    G =  1   -a   a2    (/ 2a2(a2-b2))  A^T = 0   a  -a   b  -b   0
 *           0  -a2b   -a2    b     1   0         1    b   b2    (/ 2b2(b2-a2))        0  a2  a2  b2  b2   0
 *           0   a2b   -a2   -b     1   0         1   -b   b2    (/ 2b2(b2-a2))        0  a3 -a3  b3 -b3   1
 *           0  a2b2    0  -a2-b2   0   1         0    0    1
 */

#define FC_A 0.625
#define FC_A2 (FC_A * FC_A)
#define FC_B 1.5
#define FC_B2 (FC_B * FC_B)

/* ---- weights: transformed in double precision, and rounded once */

typedef double vd __attribute__((vector_size(4 * FC_VL)));
typedef float vf_half __attribute__((vector_size(2 * FC_VL), aligned(4), may_alias));

/* u = G g. */
FC_INLINE void winograd_g(const vd g[3], vd u[6], const int M) {
    u[0] = g[0], u[M + 1] = g[2];
    if (M == 2) {
        const vd even = 0.5 * (g[0] + g[2]), odd = 0.5 * g[1];
        u[1] = even + odd, u[2] = even - odd;
    } else {
        const double p = 1 / (2 * FC_A2 * (FC_A2 - FC_B2)), q = 1 / (2 * FC_B2 * (FC_B2 - FC_A2));
        const vd a_even = p * g[0] + p * FC_A2 * g[2], a_odd = p * FC_A * g[1];
        const vd b_even = q * g[0] + q * FC_B2 * g[2], b_odd = q * FC_B * g[1];
        u[0] *= 1 / (FC_A2 * FC_B2);
        u[1] = a_even + a_odd, u[2] = a_even - a_odd, u[3] = b_even + b_odd, u[4] = b_even - b_odd;
    }
}

FC_INLINE void winograd_kernel(const float *packed, int64_t tap, int64_t n, float *out, int64_t matrix, const int H,
                               const int W) {
    for (int64_t i = 0; i < n; i += FC_VL) {
        vd rows[2][3][6]; /* of the two halves of a vector, which are stored together: matrices may share a set of a cache */
        FC_UNROLL for (int h = 0; h < 2; h++)
            FC_UNROLL for (int r = 0; r < 3; r++) {
            vd g[3];
            FC_UNROLL for (int c = 0; c < 3; c++)
                g[c] = __builtin_convertvector(*(const vf_half *)(packed + (3 * r + c) * tap + i + h * FC_VL / 2), vd);
            winograd_g(g, rows[h][r], W);
        }
        FC_UNROLL for (int c = 0; c < W + 2; c++) {
            vd u[2][6];
            FC_UNROLL for (int h = 0; h < 2; h++) {
                vd g[3] = {rows[h][0][c], rows[h][1][c], rows[h][2][c]};
                winograd_g(g, u[h], H);
            }
            FC_UNROLL for (int r = 0; r < H + 2; r++)
                FC_UNROLL for (int h = 0; h < 2; h++)
                *(vf_half *)(out + (r * (W + 2) + c) * matrix + i + h * FC_VL / 2) = __builtin_convertvector(u[h][r], vf_half);
        }
    }
}

/* ---- where a tile is */

/* Of few channels, divisions for every tile would take as long as its transform. */
FC_INLINE void winograd_next_tile(const fc_winograd_tiles *t, fc_winograd_tile *at) {
    if (++at->column < at->left + at->width) return;
    at->column = at->left;
    if (++at->row < at->top + at->height) return;
    at->row = at->top;
    if (++at->image < t->images) return;
    for (int64_t kind = at->kind + 1; kind <= 3; kind++)
        if (fc_winograd_class(t, kind, at)) break;
    at->image = 0, at->row = at->top, at->column = at->left;
}

/* ---- inputs */

/* How far ahead of its use an input is fetched, in floats of a row: the stores between two loads keep the processor from
 * looking so far. */
enum { FC_WINOGRAD_AHEAD = 256 };

/* v = B^T d. */
FC_INLINE void winograd_b(const vf d[6], vf v[6], const int M) {
    if (M == 2) {
        v[0] = d[0] - d[2], v[1] = d[1] + d[2], v[2] = d[2] - d[1], v[3] = d[1] - d[3];
    } else {
        const float a = FC_A, a2 = FC_A2, b = FC_B, b2 = FC_B2, product = FC_A2 * FC_B2, sum = FC_A2 + FC_B2;
        const vf a_even = d[4] - b2 * d[2], a_odd = d[3] - b2 * d[1];
        const vf b_even = d[4] - a2 * d[2], b_odd = d[3] - a2 * d[1];
        v[0] = product * d[0] + d[4] - sum * d[2], v[5] = product * d[1] + d[5] - sum * d[3];
        v[1] = a_even + a * a_odd, v[2] = a_even - a * a_odd, v[3] = b_even + b * b_odd, v[4] = b_even - b * b_odd;
    }
}

/* `count` rows of B^T d B from `row` on: what they read stays in registers, not so all 36. */
FC_INLINE void winograd_input_rows(const fc_item *const *d, int64_t c, int64_t n, float *v, int64_t matrix, const int row,
                                   const int count, const int H, const int W) {
    vf t[2][6];
    FC_UNROLL for (int j = 0; j < W + 2; j++) {
        vf column[6], image[6];
        FC_UNROLL for (int i = 0; i < H + 2; i++) column[i] = v_read_some(d[i * (W + 2) + j] + c, n);
        winograd_b(column, image, H);
        FC_UNROLL for (int r = 0; r < count; r++) t[r][j] = image[row + r];
    }
    FC_UNROLL for (int r = 0; r < count; r++) {
        vf image[6];
        winograd_b(t[r], image, W);
        FC_UNROLL for (int j = 0; j < W + 2; j++) v_store(v + ((row + r) * (W + 2) + j) * matrix, image[j]);
    }
}

/* `ahead`: from this tile's last columns of pixels to those of a tile that comes soon. */
FC_INLINE void winograd_input_vector(const fc_item *const *d, int64_t ahead, int64_t c, int64_t n, float *v,
                                     int64_t matrix, const int H, const int W) {
    FC_UNROLL for (int r = 0; r < H + 2; r++)
        FC_UNROLL for (int j = 2; j < W + 2; j++) __builtin_prefetch(d[r * (W + 2) + j] + ahead + c);
    winograd_input_rows(d, c, n, v, matrix, 0, 1, H, W);
    FC_UNROLL for (int r = 1; r < H + 1; r += 2) winograd_input_rows(d, c, n, v, matrix, r, 2, H, W);
    winograd_input_rows(d, c, n, v, matrix, H + 1, 1, H, W);
}

/* d[r][c]: the pixel of x that row r, column c of the rows x columns reads of a tile of H x W outputs is. */
FC_INLINE void winograd_pixels(const fc_winograd_input *t, fc_winograd_tile at, const int H, const int W, const int rows,
                               const int columns, const fc_item **d) {
    const int64_t n = at.image, row = t->first_row + H * at.row, column = t->first_column + W * at.column;
    const fc_item *x = (const fc_item *)t->x, *zero = (const fc_item *)t->zero;
    if (row >= 0 && row + rows <= t->height && column >= 0 && column + columns <= t->width) {
        const fc_item *first = x + ((n * t->height + row) * t->width + column) * t->x_pixel;
        for (int r = 0; r < rows; r++, first += t->width * t->x_pixel)
            for (int c = 0; c < columns; c++) d[r * columns + c] = first + c * t->x_pixel;
        return;
    }
    for (int r = 0; r < rows; r++) {
        for (int c = 0; c < columns; c++) {
            const int64_t h = row + r, w = column + c;
            const int inside = h >= 0 && h < t->height && w >= 0 && w < t->width;
            d[r * columns + c] = inside ? x + ((n * t->height + h) * t->width + w) * t->x_pixel : zero;
        }
    }
}

FC_INLINE void winograd_input(const fc_winograd_input *t, const int H, const int W) {
    const int64_t whole = t->channels / FC_VL * FC_VL;
    const int64_t ahead = W * t->x_pixel * ((FC_WINOGRAD_AHEAD - 1) / (W * t->channels) + 1);
    fc_winograd_tile at = fc_winograd_tile_at(&t->tiles, t->tiles.first);
    for (int64_t i = 0; i < t->tiles.count; i++, winograd_next_tile(&t->tiles, &at)) {
        const fc_item *d[36];
        winograd_pixels(t, at, H, W, H + 2, W + 2, d);
        float *v = t->v + i * t->v_tile;
        int64_t c = 0;
        for (; c < whole; c += FC_VL)
            winograd_input_vector(d, ahead, c, FC_VL, v + c / FC_LINE * t->v_line + c % FC_LINE, t->v_matrix, H, W);
        if (c < t->channels)
            winograd_input_vector(d, ahead, c, t->channels - c, v + c / FC_LINE * t->v_line + c % FC_LINE, t->v_matrix, H, W);
    }
}

/* ---- outputs */

/* y = A^T m. */
FC_INLINE void winograd_a(const vf m[6], vf y[4], const int M) {
    const vf p = m[1] + m[2], r = m[1] - m[2];
    if (M == 2) {
        y[0] = m[0] + p, y[1] = r - m[3];
    } else {
        const float a = FC_A, a2 = FC_A2, a3 = FC_A * FC_A2, b = FC_B, b2 = FC_B2, b3 = FC_B * FC_B2;
        const vf q = m[3] + m[4], s = m[3] - m[4];
        y[0] = m[0] + p + q, y[1] = a * r + b * s, y[2] = a2 * p + b2 * q, y[3] = a3 * r + b3 * s + m[5];
    }
}

/* One panel of a block of tiles. A value that is not finite in the input or the weights, or an overflow on the way,
 * makes at least one output of its tile infinite or NaN, perhaps others than the convolution would: bit v of
 * suspect[tile] tells the caller to compute those of the panel's vector v another way. Nothing is stored of them: y may
 * hold the residual.
 *
 * With four outputs to a side an output is made of inputs that it does not see, too, and in float32 they leave their
 * rounding errors behind. So an output pixel that is small beside the tile's others, in every channel, is suspect. */
FC_INLINE int winograd_is_uneven(const vf out[4][4], int64_t rows, int64_t columns, float share, const int H, const int W) {
    vf largest = v_zero();
    FC_UNROLL for (int r = 0; r < H; r++)
        FC_UNROLL for (int c = 0; c < W; c++) largest = v_greater(v_abs(out[r][c]), largest);
    if (!v_bits(largest > 0)) return 0;
    largest *= share;
    int uneven = 0;
    FC_UNROLL for (int r = 0; r < H; r++)
        FC_UNROLL for (int c = 0; c < W; c++)
            uneven |= (r < rows) & (c < columns) & !v_bits(v_abs(out[r][c]) > largest);
    return uneven;
}

FC_INLINE void winograd_output(const fc_winograd_output *t, const int H, const int W) {
    const int window = t->pool ? 2 : 1;
    const int64_t pixel = t->y_pixel, height = t->out_height / window, width = t->out_width / window, y_row = width * pixel;
    fc_winograd_tile where = fc_winograd_tile_at(&t->tiles, t->tiles.first);
    for (int64_t i = 0; i < t->tiles.count; i++, winograd_next_tile(&t->tiles, &where)) {
        const int64_t row = H * where.row, column = W * where.column;
        const int64_t rows = fc_clamp(t->out_height - row, 1, H), columns = fc_clamp(t->out_width - column, 1, W);
        const int64_t at = ((where.image * height + row / window) * width + column / window) * pixel;
        t->suspect[i] = 0;
        for (int v = 0; v < FC_NRV && v * FC_VL < t->columns; v++) {
            const float *m = t->m + i * FC_NR + v * FC_VL;
            const int64_t left = t->columns - v * FC_VL;
            vf half[4][6], out[4][4], check = v_zero();
            FC_UNROLL for (int j = 0; j < W + 2; j++) {
                vf product[6], y[4];
                FC_UNROLL for (int r = 0; r < H + 2; r++) product[r] = v_load(m + (r * (W + 2) + j) * t->m_matrix);
                winograd_a(product, y, H);
                FC_UNROLL for (int r = 0; r < H; r++) half[r][j] = y[r];
            }
            FC_UNROLL for (int r = 0; r < H; r++) {
                winograd_a(half[r], out[r], W);
                FC_UNROLL for (int c = 0; c < W; c++) check += 0.0f * out[r][c];
            }
            if (v_bits(check != 0) || (W == 4 && winograd_is_uneven(out, rows, columns, t->share, H, W))) {
                t->suspect[i] |= 1 << v;
                continue;
            }
            const vf bias = t->bias ? v_load_some(t->bias + v * FC_VL, left) : v_zero();
            const vf scale = t->scale ? v_load_some(t->scale + v * FC_VL, left) : v_zero();
            const vf shift = t->scale ? v_load_some(t->shift + v * FC_VL, left) : v_zero();
            fc_item *y = (fc_item *)t->y + at + v * FC_VL;
            const fc_item *residual = t->residual ? (const fc_item *)t->residual + at + v * FC_VL : NULL;
            FC_UNROLL for (int r = 0; r < H; r++) {
                FC_UNROLL for (int c = 0; c < W; c++) {
                    if (r >= rows || c >= columns) continue;
                    const int64_t to = r * y_row + c * pixel;
                    vf z = out[r][c];
                    if (residual) z += v_read_some(residual + to, left);
                    z = v_finish(z + bias, &t->activation);
                    if (t->scale) z = z * scale + shift;
                    if (!t->pool) v_write_some(y + to, z, left);
                    out[r][c] = z;
                }
            }
            if (t->pool)
                FC_UNROLL for (int r = 0; r < H; r += 2)
                    FC_UNROLL for (int c = 0; c < W; c += 2) {
                    if (r >= rows || c >= columns) continue;
                    vf best = v_larger(out[r][c + 1], out[r][c]);
                    best = v_larger(out[r + 1][c + 1], v_larger(out[r + 1][c], best));
                    v_write_some(y + r / 2 * y_row + c / 2 * pixel, best, left);
                }
            /* Of bfloat16 there are none: they would be rounded twice. */
            if (t->activation.function <= FC_ACT_CLIP || sizeof *y != sizeof(float)) continue;
            for (int64_t r = 0; r < rows; r++)
                fc_activate_rows((float *)y + r * y_row, NULL, pixel, columns, left < FC_VL ? left : FC_VL, t->activation);
        }
    }
}

#define FC_WINOGRAD(H, W) \
    static void winograd_kernel_##H##x##W(const float *packed, int64_t tap, int64_t n, float *out, int64_t matrix) { \
        winograd_kernel(packed, tap, n, out, matrix, H, W); \
    } \
    static void winograd_input_##H##x##W(const fc_winograd_input *t) { winograd_input(t, H, W); } \
    static void winograd_output_##H##x##W(const fc_winograd_output *t) { winograd_output(t, H, W); }
FC_WINOGRAD(2, 2)
FC_WINOGRAD(2, 4)
FC_WINOGRAD(4, 4)

/* ---- the kernel's gradient by F(2x2, 3x3): dg = G^T [ sum over tiles of (B^T d B) * (A dy A^T) ] G */

/* One row of A dy A^T from one of A dy. */
FC_INLINE void winograd_gradient_row(vf first, vf second, float *z, int64_t matrix) {
    v_store(z, first);
    v_store(z + matrix, first + second);
    v_store(z + 2 * matrix, first - second);
    v_store(z + 3 * matrix, -second);
}

FC_INLINE void winograd_gradient_vector(const fc_item *const *d, int64_t ahead, int64_t c, int64_t n, float *z,
                                        int64_t matrix) {
    FC_UNROLL for (int i = 0; i < 4; i++) __builtin_prefetch(d[i] + ahead + c);
    vf a = v_read_some(d[0] + c, n), b = v_read_some(d[1] + c, n);
    vf e = v_read_some(d[2] + c, n), f = v_read_some(d[3] + c, n);
    winograd_gradient_row(a, b, z, matrix);
    winograd_gradient_row(a + e, b + f, z + 4 * matrix, matrix);
    winograd_gradient_row(a - e, b - f, z + 8 * matrix, matrix);
    winograd_gradient_row(-e, -f, z + 12 * matrix, matrix);
}

static void fc_winograd_gradient(const fc_winograd_input *t) {
    const int64_t whole = t->channels / FC_VL * FC_VL, padded = (t->channels + FC_NR - 1) / FC_NR * FC_NR;
    const int64_t ahead = 2 * t->x_pixel * ((FC_WINOGRAD_AHEAD - 1) / (2 * t->channels) + 1);
    fc_winograd_tile at = fc_winograd_tile_at(&t->tiles, t->tiles.first);
    for (int64_t i = 0; i < t->tiles.count; i++, winograd_next_tile(&t->tiles, &at)) {
        const fc_item *d[4];
        winograd_pixels(t, at, 2, 2, 2, 2, d);
        float *z = t->v + i * t->v_tile;
        for (int64_t c = 0; c < whole; c += FC_VL) winograd_gradient_vector(d, ahead, c, FC_VL, z + c, t->v_matrix);
        for (int64_t c = whole; c < padded; c += FC_VL) {
            const int64_t left = t->channels - c;
            winograd_gradient_vector(d, ahead, c, left > 0 ? left : 0, z + c, t->v_matrix);
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
