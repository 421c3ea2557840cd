/* Winograd's transforms, each against the product of matrices that defines it: L d R^T. */
#include "check.h"

enum { N_MAX = 6, ROUNDINGS = 12 };
typedef double matrix_of[N_MAX][N_MAX];
typedef const double (*rows_of)[N_MAX];

/* F(2, 3), and its gradient of the kernel. */
static const matrix_of BT2 = {{1, 0, -1, 0}, {0, 1, 1, 0}, {0, -1, 1, 0}, {0, 1, 0, -1}};
static const matrix_of G2 = {{1}, {0.5, 0.5, 0.5}, {0.5, -0.5, 0.5}, {0, 0, 1}};
static const matrix_of AT2 = {{1, 1, 1, 0}, {0, 1, -1, -1}};
static const matrix_of A = {{1}, {1, 1}, {1, -1}, {0, -1}};
static const matrix_of GT = {{1, 0.5, 0.5, 0}, {0, 0.5, -0.5, 0}, {0, 0.5, 0.5, 1}};

/* F(4, 3), as Toom and Cook interpolate: row i of G and of A holds the powers of point i, row i of B^T the coefficients
 * of the polynomial that vanishes at all other points; G divides by its value at the point. */
static matrix_of BT4, G4, AT4;

static void make_f4(void) {
    const double points[5] = {0, 0.625, -0.625, 1.5, -1.5};
    memset(BT4, 0, sizeof BT4), memset(G4, 0, sizeof G4), memset(AT4, 0, sizeof AT4);
    for (int i = 0; i < 6; i++) { /* 5: the point at infinity, the polynomial that vanishes at all others */
        double *row = BT4[i], value = 1;
        row[0] = 1;
        for (int j = 0, degree = 0; j < 5; j++) {
            if (j == i) continue;
            for (int c = ++degree; c > 0; c--) row[c] = row[c - 1] - points[j] * row[c];
            row[0] *= -points[j];
            if (i < 5) value *= points[i] - points[j];
        }
        for (int c = 0; c < 3; c++) G4[i][c] = i < 5 ? pow(points[i], c) / value : c == 2;
        for (int r = 0; r < 4; r++) AT4[r][i] = i < 5 ? pow(points[i], r) : r == 3;
    }
}

/* Element (r, c) of L d R^T, and the sum of its terms' magnitudes. */
static double sandwich(rows_of l, matrix_of d, rows_of right, int r, int c, double *scale) {
    double sum = 0;
    *scale = 0;
    for (int i = 0; i < N_MAX; i++)
        for (int j = 0; j < N_MAX; j++)
            sum += l[r][i] * d[i][j] * right[c][j], *scale += fabs(l[r][i] * d[i][j] * right[c][j]);
    return sum;
}

static void test_kernel(const fc_winograd *f, rows_of down, rows_of along) {
    testing("winograd_kernel");
    const int edge = f->columns + 2, matrices = (f->rows + 2) * edge;
    FOR_EACH (n, NR, 3 * NR) {
        const int64_t tap = n + 5, matrix = n + 3;
        const float *packed = random_floats(9 * tap, -1, 1);
        output u = new_output(matrices * matrix);
        for (int64_t e = 0; e < n; e++) {
            matrix_of d = {{0}};
            double scale;
            for (int i = 0; i < 9; i++) d[i / 3][i % 3] = packed[i * tap + e];
            for (int i = 0; i < matrices; i++) {
                const double want = sandwich(down, d, along, i / edge, i % edge, &scale);
                put(u, i * matrix + e, want, fabs(want)); /* rounded once */
            }
        }
        f->kernel(packed, tap, n, u.got, matrix);
        expect(u, 1);
        release();
    }
}

enum { IMAGES = 2, H = 7, W = 6, FIRST = 2 };

/* Tiles of rows x columns outputs over H x W. */
typedef struct {
    int64_t rows, columns, h, w, count;
} grid;

static grid grid_of(int64_t rows, int64_t columns) {
    grid g = {rows, columns, (H + rows - 1) / rows, (W + columns - 1) / columns, 0};
    g.count = IMAGES * g.h * g.w - FIRST - 1;
    return g;
}

enum { LINE = 16 }; /* floats that lie side by side in any layout */

/* The transform of tiles that read `reads` pixels more than they have outputs, down and along, into `more` by `more` matrices
 * beyond these; whole multiples of `unit` channels are written, those of a tile side by side or, `in_lines`, each line of all
 * tiles before the next. */
static void test_tiles(void (*transform)(const fc_winograd_input *), rows_of down, rows_of along, grid g, int reads, int more,
                       int64_t unit, int64_t channels, int in_lines) {
    const int width = g.columns + reads, pixels = (g.rows + reads) * width;
    const int edge = width + more, matrices = (g.rows + reads + more) * edge;
    const int64_t written = (channels + unit - 1) / unit * unit, lines = (written + LINE - 1) / LINE, pixel = channels + 2;
    const int64_t v_tile = in_lines ? LINE : lines * LINE, v_line = in_lines ? g.count * LINE + 4 : LINE;
    const int64_t v_matrix = lines * g.count * LINE + 4 * lines;
    output v = new_output(matrices * v_matrix);
    fc_winograd_input t = {
        .x = random_floats(IMAGES * H * W * pixel, -1, 1), .zero = random_floats(channels, 0, 0), .height = H,
        .width = W, .channels = channels, .x_pixel = pixel, .first_row = -1, .first_column = -1,
        .tiles = {.images = IMAGES, .rows = g.h, .columns = g.w, .first = FIRST, .count = g.count},
        .v = v.got, .v_tile = v_tile, .v_line = v_line, .v_matrix = v_matrix,
    };
    for (int64_t p = 0; p < g.count * written; p++) {
        const int64_t tile = FIRST + p / written, c = p % written, n = tile / (g.h * g.w);
        const int64_t at = p / written * v_tile + c / LINE * v_line + c % LINE;
        matrix_of d = {{0}};
        double scale;
        for (int64_t i = 0; i < pixels; i++) {
            const int64_t h = tile / g.w % g.h * g.rows - 1 + i / width, w = tile % g.w * g.columns - 1 + i % width;
            if (h < 0 || h >= H || w < 0 || w >= W || c >= channels) continue;
            d[i / width][i % width] = t.x[((n * H + h) * W + w) * pixel + c];
        }
        for (int i = 0; i < matrices; i++) {
            const double want = sandwich(down, d, along, i / edge, i % edge, &scale);
            put(v, i * v_matrix + at, want, scale);
        }
    }
    transform(&t);
    expect(v, ROUNDINGS);
    release();
}

/* `block`: see fc_winograd_product; 0: all in one sum. `right` tiles reach over the right edge, `bottom` over the bottom,
 * `both` over both. */
static void test_product(int64_t tiles, int64_t columns, int64_t depth, int64_t block, int64_t right, int64_t bottom,
                         int64_t both) {
    const int64_t side = 3, matrices = 6, panels = (columns + NR - 1) / NR, lines = (depth + LINE - 1) / LINE;
    fc_winograd_product t = {
        .v_line = tiles * LINE + 4, .u_matrix = panels * depth * NR + 7, .m_matrix = tiles * NR + 3, .matrices = matrices,
        .panels = panels, .tiles = tiles, .depth = depth, .columns = columns, .block = block ? block : depth,
        .side = side, .right = right, .inside = tiles - bottom - both, .bottom = tiles - both,
    };
    t.v_matrix = lines * t.v_line + 5, t.m_panel = matrices * t.m_matrix;
    t.v = random_floats(matrices * t.v_matrix, -1, 1), t.u = t.next = random_floats(matrices * t.u_matrix, -1, 1);
    output m = new_output(panels * t.m_panel);
    for (int64_t matrix = 0; matrix < matrices; matrix++)
        for (int64_t tile = 0; tile < tiles; tile++) {
            const int is_right = tile < right || tile >= t.bottom, is_bottom = tile >= t.inside;
            const int zero = (is_right && matrix % side == side - 1) || (is_bottom && matrix >= matrices - side);
            for (int64_t n = 0; n < (zero ? panels * NR : (columns + VL - 1) / VL * VL); n++) { /* whole vectors, or panels */
                const float *v = t.v + matrix * t.v_matrix + tile * LINE;
                const float *u = t.u + matrix * t.u_matrix + n / NR * depth * NR + n % NR;
                double sum = 0, scale = 0;
                for (int64_t i = 0; !zero && i < depth; i++) {
                    const double term = (double)v[i / LINE * t.v_line + i % LINE] * u[i * NR];
                    sum += term, scale += fabs(term);
                }
                put(m, n / NR * t.m_panel + matrix * t.m_matrix + tile * NR + n % NR, sum, scale);
            }
        }
    t.m = m.got;
    k->winograd_product(&t);
    expect(m, block ? block + depth / block + 1 : depth); /* blocks: fewer roundings than the depth */
    release();
}

/* Tiles by class, and in each by image, row, column: the same by a search through all of them. */
static void test_tile_order(int64_t images, int64_t rows, int64_t columns, int over_bottom, int over_right) {
    testing("winograd_input");
    const fc_winograd_tiles t = {images, rows, columns, over_bottom, over_right, 0, images * rows * columns};
    int64_t number = 0, got[3], want[3];
    for (int kind = 0; kind < 4; kind++)
        for (int64_t n = 0; n < images; n++)
            for (int64_t i = 0; i < rows; i++)
                for (int64_t j = 0; j < columns; j++) {
                    const int bottom = over_bottom && i == rows - 1, right = over_right && j == columns - 1;
                    if (kind != (bottom ? right ? 3 : 2 : right ? 0 : 1)) continue;
                    const fc_winograd_tile at = fc_winograd_tile_at(&t, number++);
                    got[0] = at.image, got[1] = at.row, got[2] = at.column;
                    want[0] = n, want[1] = i, want[2] = j;
                    expect_equal(got, want, sizeof got);
                }
}

static void test_dkernel(int64_t n, int64_t count) {
    testing("winograd_dkernel");
    const int64_t matrix = n + 3, part = 16 * matrix + 5, tap = n + 2;
    float *parts = random_floats(count * part, -1, 1);
    output dkernel = new_output(9 * tap);
    for (int64_t e = 0; e < n; e++) {
        matrix_of d = {{0}};
        double scale;
        for (int64_t p = 0; p < count; p++)
            for (int i = 0; i < 16; i++) d[i / 4][i % 4] += parts[p * part + i * matrix + e];
        for (int i = 0; i < 9; i++) {
            const double want = sandwich(GT, d, GT, i / 3, i % 3, &scale);
            put(dkernel, i * tap + e, want, scale + count);
        }
    }
    int finite = k->winograd_dkernel(parts, count, part, matrix, n, dkernel.got, tap), want_finite = 1;
    expect(dkernel, ROUNDINGS);
    expect_equal(&finite, &want_finite, sizeof finite);
    parts[(count - 1) * part + 6 * matrix + n - 1] = NAN;
    finite = k->winograd_dkernel(parts, count, part, matrix, n, dkernel.got, tap), want_finite = 0;
    expect_equal(&finite, &want_finite, sizeof finite);
    release();
}

static void test_output(const fc_winograd *f, rows_of down, rows_of along, int64_t columns, int variant) {
    testing("winograd_output");
    const grid g = grid_of(f->rows, f->columns);
    const int side = f->columns, edge = side + 2, matrices = (f->rows + 2) * edge;
    const int64_t m_matrix = g.count * NR + 8, pixel = columns + 3;
    float *m = random_floats(matrices * m_matrix, -1, 1);
    output y = new_output(IMAGES * H * W * pixel);
    uint8_t *suspect = fresh(g.count), *want_suspect = memset(fresh(g.count), 0, g.count);
    fc_winograd_output t = {
        .m = m, .m_matrix = m_matrix,
        .tiles = {.images = IMAGES, .rows = g.h, .columns = g.w, .first = FIRST, .count = g.count},
        .y = y.got, .y_pixel = pixel, .out_height = H, .out_width = W, .columns = columns,
        .residual = variant & 2 ? random_floats(IMAGES * H * W * pixel, -1, 1) : NULL,
        .bias = variant & 1 ? random_floats(columns, -1, 1) : NULL,
        .activation = {variant % ACTIVATIONS, 0.25f, 1.5f},
        .suspect = suspect,
    };
    for (int64_t i = 0; i < g.count; i++)
        for (int64_t c = 0; c < columns; c++) {
            const int64_t tile = FIRST + i, n = tile / (g.h * g.w);
            matrix_of d = {{0}};
            double scale;
            for (int e = 0; e < matrices; e++) d[e / edge][e % edge] = m[e * m_matrix + i * NR + c];
            for (int e = 0; e < f->rows * side; e++) {
                const int64_t h = tile / g.w % g.h * f->rows + e / side, w = tile % g.w * side + e % side;
                if (h >= H || w >= W) continue;
                double value = sandwich(down, d, along, e / side, e % side, &scale);
                if (t.residual) value += t.residual[((n * H + h) * W + w) * pixel + c], scale += 1;
                if (t.bias) value += t.bias[c], scale += 1;
                value = activation(value, t.activation);
                put(y, ((n * H + h) * W + w) * pixel + c, value, scale + fabs(value));
            }
        }
    f->output(&t);
    expect(y, ROUNDINGS + ACTIVATION_ROUNDINGS);
    expect_equal(suspect, want_suspect, g.count);

    m[5 * m_matrix] = INFINITY; /* in the first tile and the last something is not finite */
    m[10 * m_matrix + (g.count - 1) * NR + columns - 1] = NAN;
    want_suspect[0] |= 1, want_suspect[g.count - 1] |= 1 << (columns - 1) / VL;
    f->output(&t);
    expect_equal(suspect, want_suspect, g.count);
    expect(y, ROUNDINGS + ACTIVATION_ROUNDINGS); /* what was there before stays */
    release();
}

/* Scale, shift and maxima of 2 x 2, behind a short activation; what is odd at the edges is not among what is pooled. */
static void test_output_block(const fc_winograd *f, rows_of down, rows_of along, int64_t columns, int pool) {
    testing("winograd_output");
    const int rows = f->rows, side = f->columns, edge = side + 2, matrices = (rows + 2) * edge, window = 1 + pool;
    const int64_t tiles_h = 2, tiles_w = 3, count = 5, first = 4, m_matrix = count * NR, pixel = columns + 1;
    const int64_t height = rows * tiles_h - (pool ? rows - 2 : 1), width = side * tiles_w - (pool ? side - 2 : 1);
    output y = new_output(2 * height * width * pixel);
    uint8_t *suspect = fresh(count);
    fc_winograd_output t = {
        .m = random_floats(matrices * m_matrix, -1, 1), .m_matrix = m_matrix,
        .tiles = {.images = 2, .rows = tiles_h, .columns = tiles_w, .first = first, .count = count},
        .y = y.got, .y_pixel = pixel, .columns = columns, .pool = pool,
        .out_height = height, .out_width = width,
        .bias = random_floats(columns, -1, 1), .scale = random_floats(columns, -1, 1),
        .shift = random_floats(columns, -1, 1), .activation = {FC_ACT_RELU, 0, 0}, .suspect = suspect,
    };
    for (int64_t tile = 0; tile < count; tile++)
        for (int64_t c = 0; c < columns; c++) {
            const int64_t n = (first + tile) / (tiles_h * tiles_w);
            const int64_t row = (first + tile) / tiles_w % tiles_h * rows, column = (first + tile) % tiles_w * side;
            matrix_of d = {{0}};
            double scale, sum;
            for (int e = 0; e < matrices; e++) d[e / edge][e % edge] = t.m[e * m_matrix + tile * NR + c];
            for (int64_t h = row; h < row + rows && h < height; h += window)
                for (int64_t w = column; w < column + side && w < width; w += window) {
                    double largest = -INFINITY;
                    for (int e = 0; e < window * window; e++) {
                        sum = sandwich(down, d, along, h - row + e / window, w - column + e % window, &scale);
                        largest = fmax(largest, activation(sum + t.bias[c], t.activation) * t.scale[c] + t.shift[c]);
                    }
                    const int64_t i = (n * (height / window) + h / window) * (width / window) + w / window;
                    put(y, i * pixel + c, largest, scale + 3);
                }
        }
    f->output(&t);
    expect(y, ROUNDINGS + ACTIVATION_ROUNDINGS);
    release();
}

/* The transforms of one dimension. */
typedef struct {
    rows_of bt, g, at;
} one;

static void test_size(const fc_winograd *f, one down, one along) {
    int variant = 0;
    test_kernel(f, down.g, along.g);
    testing("winograd_input");
    FOR_EACH (channels, 1, VL - 1, VL, VL + 1, 3 * VL + 2)
        for (int in_lines = 0; in_lines < 2; in_lines++)
            test_tiles(f->input, down.bt, along.bt, grid_of(f->rows, f->columns), 2, 0, VL, channels, in_lines);
    FOR_EACH (columns, 1, VL - 1, VL, VL + 1, NR - 1, NR)
        for (int i = 0; i <= ACTIVATIONS; i++) test_output(f, down.at, along.at, columns, variant++);
    FOR_EACH (columns, 1, VL - 1, VL, VL + 1, NR - 1, NR)
        for (int pool = 0; pool < 2; pool++) test_output_block(f, down.at, along.at, columns, pool);
}

void test_winograd(void) {
    make_f4();
    const one f2 = {BT2, G2, AT2}, f4 = {(rows_of)BT4, (rows_of)G4, (rows_of)AT4};
    test_size(&k->winograd_2x2, f2, f2);
    test_size(&k->winograd_2x4, f2, f4);
    test_size(&k->winograd_4x4, f4, f4);
    for (int over = 0; over < 4; over++) { /* where the tiles of an input lie */
        test_tile_order(2, 3, 4, over / 2, over % 2);
        test_tile_order(3, 1, 1, over / 2, over % 2);
    }
    testing("winograd_product");
    for (int64_t tiles = 1; tiles <= 2 * MR + 1; tiles++)
        FOR_EACH (columns, 1, VL, NR, NR + VL, 2 * NR + VL + 1)
            FOR_EACH (depth, 1, 15, 16, 61, 128) {
                test_product(tiles, columns, depth, 0, 0, 0, 0);
                if (depth > 32) test_product(tiles, columns, depth, 16 * (1 + tiles % 2), 0, 0, 0);
                if (depth == 61) test_product(tiles, columns, depth, 0, tiles / 3, tiles / 4, tiles % 2);
                if (depth == 15) test_product(tiles, columns, depth, 0, tiles, 0, 0); /* none is left for a column */
            }
    FOR_EACH (channels, 1, VL - 1, VL, VL + 1, 3 * VL + 2) {
        testing("winograd_gradient");
        test_tiles(k->winograd_gradient, A, A, grid_of(2, 2), 0, 2, NR, channels, 0);
        test_dkernel(channels, 1);
        test_dkernel(channels, 3);
    }
}
