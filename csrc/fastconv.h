/* fastconv.h: the kernel table.
 *
 * Every instruction set has one `fc_kernels`, filled with the same algorithms (csrc/kernels) compiled for it.
 * Kernels never allocate, never start threads, and touch only the memory their arguments name.
 *
 * Layouts: activations NHWC, kernels HWIO, all contiguous unless a stride is given. Strides count elements.
 *
 * Over 500 lines: the contract of every kernel in one place; each argument struct stands once, for C and for the walks.
 */
#ifndef FASTCONV_H
#define FASTCONV_H

#include <stdint.h>

/* Up to CLIP they are short, see activation.h; of those up to HARD_SIGMOID the derivative is a function of the value. */
typedef enum {
    FC_ACT_NONE,
    FC_ACT_RELU,
    FC_ACT_CLIP,         /* min(max(x, alpha), beta) */
    FC_ACT_LEAKY_RELU,   /* alpha x for x < 0 */
    FC_ACT_SIGMOID,
    FC_ACT_TANH,
    FC_ACT_ELU,          /* beta x, for x <= 0 beta alpha (exp(x) - 1) */
    FC_ACT_SOFTPLUS,     /* log(1 + exp(x)) */
    FC_ACT_HARD_SIGMOID, /* min(max(alpha x + beta, 0), 1) */
    FC_ACT_HARD_SWISH,   /* x times that */
    FC_ACT_SILU,         /* x sigmoid(x) */
    FC_ACT_GELU,         /* x times the normal distribution */
    FC_ACT_GELU_TANH,    /* and its approximation by tanh */
    FC_ACT_MISH,         /* x tanh(softplus(x)) */
    FC_ACT_SOFTSIGN      /* x / (1 + |x|) */
} fc_function;

typedef struct {
    fc_function function;
    float alpha, beta;
} fc_activation;

/* A block of rows (pixels) by one panel of NR columns (output channels), of a matrix product or a convolution:
 *
 *   y[m][n] (+)= sum over taps t, k < depth of a[t][m][k] * b[t][k][n]
 *
 * A convolution has one tap per kernel position and one pointer per tap and pixel; a matrix product has one tap.
 * Any number of rows: the kernel cuts them into register tiles of at most MR, as equal as can be. One or two rows take
 * several whole panels at once, 2 or 4 of which only the last may have fewer columns: more sums that do not wait for
 * each other.
 */
typedef struct {
    const float *const *a; /* [tap][row] pointers */
    int64_t a_tap;         /* pointers from one tap to the next */
    int64_t a_offset;      /* elements added to every pointer: where this block of the reduction starts */
    const float *b;        /* packed panels [panel][tap][k][NR] */
    int64_t b_panel;       /* elements from one panel to the next; not read for one */
    int64_t b_tap;         /* elements from one tap to the next */
    int64_t taps, depth;
    float *y;
    const int64_t *y_rows; /* offset of each row in y */
    int64_t rows, columns; /* what is stored; columns <= NR, in tiles of one row also up to 4 panels, of two rows 2 */
    const float *add;      /* added to the sums, laid out as y, or NULL: a residual, or y itself in a later block */
    const float *bias;     /* `columns` of them, or NULL; read only by the last block */
    int32_t last;          /* apply bias and activation */
    fc_activation activation;
    /* Fetched into the second-level cache meanwhile: the block of b that comes next (what is at this address only costs
     * time if it is not read), and the rows of a after each tile, up to so many whose pointers the table holds. */
    const float *next_b;
    int64_t known_rows;
    /* Only read by a tile of pairs: where the last block's results go, rounded to bfloat16, unless that is NULL (y has
     * the sums of the blocks before, and room for its own), and what is added to them, laid out alike, or NULL. */
    uint16_t *half;
    const uint16_t *half_add;
    const int64_t *half_rows; /* offset of each row */
} fc_tile;

/* The outer-product tile of a weight gradient, or of a product with a transposed left operand:
 *
 *   dw[m][n] (+)= sum over the pixels of a box of x[pixel][m] * dy[pixel][n]      m < rows <= MR, n < columns <= NR
 */
typedef struct {
    const float *x, *dy;
    int64_t images, height, width;      /* the box, which may be empty */
    int64_t x_image, x_row, x_pixel;    /* strides of x */
    int64_t dy_image, dy_row, dy_pixel; /* strides of dy */
    const int64_t *offsets; /* of the m in a pixel of x, and dy has NR columns then; NULL: neighbours */
    float *dw;
    int64_t dw_row;
    int64_t rows, columns;
    int32_t accumulate;      /* add to what dw holds */
    const float *ahead;      /* rows of NR floats that later tiles will read, to be fetched meanwhile: where, how far */
    int64_t ahead_row, ahead_rows; /* apart, and how many */
    float *strip;            /* where the NR columns of each pixel of dy are left side by side; NULL: nowhere */
    /* Only read by a tile of pairs, whose x and dy are words of two pixels and which leaves no strip: whether the first word of
     * each row of the box counts with its second pixel alone, the last one with its first. */
    int32_t head, tail;
} fc_outer;

/* The pointer table of a convolution, for `count` output pixels from `first` on (flattened over image, row, column):
 * tap (th, tw) of output (i, j) reads row i * step_h + tap_h[th], column j * step_w + tap_w[tw] of x,
 * or `zero` where that is outside height x width.
 */
typedef struct {
    const float *x, *zero;
    int64_t x_image, x_row, x_pixel; /* strides of x */
    int64_t height, width;
    int64_t step_h, step_w;
    int64_t taps_h, taps_w;
    const int64_t *tap_h, *tap_w;
    int64_t out_height, out_width;
    int64_t y_image, y_row, y_pixel; /* strides of y */
    int64_t first, count;
    const float **a; /* -> [tap][a_tap] */
    int64_t a_tap;
    int64_t *y_rows; /* -> [count] offsets in y */
} fc_gather;

/* A convolution of few input channels by one panel: `depth` elements of x, at fixed offsets from the first that an output
 * reads, by a packed panel.
 *
 *   y[i][j][n] = activation(sum over k < depth of x[i * x_row + j * x_pixel + offsets[k]] * b[k][n]
 *                           + residual[i][j][n] + bias[n])
 *
 * Of bfloat16 (fc_bfloat16.shallow) a k is `length` neighbours, b[k] as many rows in words of two.
 */
typedef struct {
    const float *x;
    int64_t x_row, x_pixel; /* from what an output reads to what its neighbour below, to its right, reads */
    const int64_t *offsets;
    int64_t depth, length; /* length: only read by a kernel of pairs */
    const float *b;        /* packed panel [k][NR] */
    float *y;
    int64_t y_row, y_pixel;
    int64_t height, width, columns; /* what is stored */
    const float *residual;          /* laid out as y, or NULL; may be y */
    const float *bias;              /* `columns` of them, or NULL */
    fc_activation activation;       /* a short one, where there is a scale */
    const float *scale, *shift;     /* `columns` of both, or NULL: y * scale + shift is stored */
    float *unpooled; /* [2][width][NR], or NULL; with these two rows of results y[i][j] is the largest of 2 x 2 */
    uint16_t *half;  /* y as bfloat16, or NULL; of pairs alone, without residual, pooling and long activations */
} fc_shallow;

/* The tiles of some images, and a block of them: `count` from number `first` on.
 *
 * Of a tile that reaches over the right edge of its image nobody wants the last column of outputs, which alone is made of the
 * products of the last column, and of one over the bottom nobody the last row. They are numbered such that those without a
 * product lie at the ends of any block: first those over the right edge, then those over none, then those over the bottom,
 * then those over both; in each class by image, row, column.
 */
typedef struct {
    int64_t images, rows, columns;  /* rows and columns of tiles of an image */
    int64_t over_bottom, over_right; /* 1: the last row, column of tiles reaches over the edge, and is a class of its own */
    int64_t first, count;
} fc_winograd_tiles;

/* Where a tile is, and the class of tiles that it is in: `height` x `width` of an image, from row `top`, column `left` on. */
typedef struct {
    int64_t image, row, column;
    int64_t kind, top, left, height, width;
} fc_winograd_tile;

/* Set where the tiles of a class are: 0 over the right edge, 1 over none, 2 over the bottom, 3 over both. Return their
 * number. */
static inline int64_t fc_winograd_class(const fc_winograd_tiles *t, int64_t kind, fc_winograd_tile *at) {
    const int64_t rows = t->rows - t->over_bottom, columns = t->columns - t->over_right;
    const int bottom = kind >= 2, right = kind == 0 || kind == 3;
    at->kind = kind, at->top = bottom ? rows : 0, at->left = right ? columns : 0;
    at->height = bottom ? t->over_bottom : rows, at->width = right ? t->over_right : columns;
    return t->images * at->height * at->width;
}

static inline fc_winograd_tile fc_winograd_tile_at(const fc_winograd_tiles *t, int64_t tile) {
    fc_winograd_tile at;
    int64_t kind = 0;
    for (int64_t size; tile >= (size = fc_winograd_class(t, kind, &at)) && kind < 3; kind++) tile -= size;
    at.image = tile / (at.height * at.width);
    at.row = at.top + tile / at.width % at.height, at.column = at.left + tile % at.width;
    return at;
}

/* Winograd's transform of the inputs of a block of tiles: tile (i, j) of F(HxW, 3x3) reads H + 2 x W + 2 pixels from row
 * first_row + H i, column first_column + W j of x on; `zero` (of `channels`) is what it sees outside. v: (H + 2)(W + 2)
 * matrices, v_tile floats from tile to tile and v_line from sixteen channels to the next, of which whole vectors of channels
 * are written. The transform of the gradients of the outputs, for H = W = 2, reads 2 x 2 pixels and writes whole panels, side
 * by side.
 */
typedef struct {
    const float *x, *zero;
    int64_t height, width, channels, x_pixel;
    int64_t first_row, first_column;
    fc_winograd_tiles tiles;
    float *v;
    int64_t v_tile, v_line, v_matrix;
} fc_winograd_input;

/* All products between Winograd's transforms, m[panel][matrix] = v[matrix] * u[matrix][panel]:
 *
 *   m[tile][n] = sum over k < depth of v[tile][k] * u[k][n]
 *
 * v lies as [matrix][k / 16][tile][k % 16], u as panels [k][NR] side by side, m as [panel][matrix][tile][NR].
 */
typedef struct {
    const float *v, *u, *next; /* next: weights that are read after all these, to be fetched meanwhile; any address */
    float *m;
    int64_t v_line, v_matrix, u_matrix, m_matrix, m_panel;
    int64_t matrices, panels, tiles, depth;
    int64_t side;                  /* matrices are rows of so many */
    int64_t right, inside, bottom; /* where classes of fc_winograd_tiles end; what nobody wants of a tile is zero */
    int64_t columns; /* of all panels; in the last one the vectors beyond are not written */
    int64_t block;   /* each so many channels, a multiple of 16, are summed from zero, then added to those before: many
                        short sums are more exact than a long one; `depth` or more: all in one sum */
} fc_winograd_product;

/* Winograd's transform of one panel of products back to outputs, and the epilogue: m holds (H + 2)(W + 2) matrices
 * [tile][NR]. */
typedef struct {
    const float *m;
    int64_t m_matrix;
    fc_winograd_tiles tiles;
    float *y; /* the panel's first column */
    int64_t y_pixel, out_height, out_width, columns;
    const float *residual; /* laid out as y, or NULL; may be y */
    const float *bias;     /* `columns` of them, or NULL */
    fc_activation activation;
    const float *scale, *shift; /* `columns` of both, or NULL: y * scale + shift is stored, the activation is short */
    int32_t pool; /* the largest of 2 x 2 outputs is stored, y has half the rows, columns; short activation, no residual */
    float share;      /* W = 4: of the largest output of a tile; pixels with less than that in every channel are suspect */
    uint8_t *suspect; /* -> [count]: bit v: of vector v something is suspect or, as summed here, not finite: not stored */
} fc_winograd_output;

/* The transforms of F(HxW, 3x3). */
typedef struct {
    int64_t rows, columns; /* H, W */
    /* n floats of each of nine packed taps, `tap` apart, into (H + 2)(W + 2), `matrix` apart */
    void (*kernel)(const float *packed, int64_t tap, int64_t n, float *out, int64_t matrix);
    void (*input)(const fc_winograd_input *);
    void (*output)(const fc_winograd_output *);
} fc_winograd;

/* A window that moves over an image: tap (h, k) of output (i, j) reads row first_h + i * step_h + h * spread_h, column
 * first_w + j * step_w + k * spread_w of x; taps that read outside height x width are left out.
 */
typedef struct {
    const float *x;
    int64_t height, width, x_row, x_pixel;
    int64_t first_h, first_w, step_h, step_w;
    int64_t spread_h, spread_w, taps_h, taps_w;   /* spreads are positive */
    float *y;
    int64_t rows, columns, y_row, y_pixel;        /* the outputs */
} fc_window;

/* A depthwise convolution of some rows of an image, or a grouped one of `depth` channels per group, both of x and of y,
 * that divide the vector length as the vector length divides `channels`:
 *
 *   y[i][j][c] = activation(bias[c] + sum over taps, d < depth of x[...][...][c / depth * depth + d] * w[h][k][d][c]
 *                           + residual[i][j][c])
 *
 * For the gradients y is the gradient of the output, and dw[h][k][d][c] += sum over outputs of x * y, dbias[c] += sum of y.
 */
typedef struct {
    fc_window window;
    const float *w, *bias, *residual; /* the residual is laid out as y, but is not y; bias, residual, dbias may be NULL */
    float *means;                     /* of y over the pixels of each row: [row][c], rows means_row apart; or NULL */
    float *dw, *dbias;
    int64_t w_row, w_tap;  /* strides of w and dw; may be negative */
    int64_t w_depth, means_row;
    int64_t channels, depth; /* depth: 1, or at least 4 */
    fc_activation activation;
} fc_depthwise;

/* The backward pass through a fused bias and activation, over contiguous rows; dz and dbias may be NULL. */
typedef struct {
    const float *dy, *y;
    float *dz, *dbias;
    int64_t rows, columns;
    fc_activation activation;
} fc_epilogue_backward;

/* Softmax and cross-entropy of `rows` samples: labels (class numbers) or targets (probabilities), one of them NULL. */
typedef struct {
    const float *x;        /* forward: logits; backward: probabilities */
    const int32_t *labels; /* one that is no class gives NaN */
    const float *targets;
    const float *weight;   /* per sample, or NULL */
    const float *dy;       /* backward: gradient of the probabilities */
    const float *dloss;    /* backward: gradient of the mean loss, one number */
    float *y;              /* forward: probabilities (may be x); backward: gradient of the logits (may be x or dy) */
    int64_t rows, columns;
    double samples;        /* what the mean divides by */
    float smoothing;
} fc_softmax_loss;

typedef enum { FC_LOSS_SQUARED, FC_LOSS_BINARY, FC_LOSS_BINARY_LOGITS } fc_loss_kind;

/* A loss that is a sum over the elements of `rows` samples. */
typedef struct {
    const float *x, *targets;
    const float *weight; /* per row, or NULL */
    const float *dloss;  /* backward: gradient of the mean loss, one number */
    float *dx;           /* backward; may be x or targets */
    int64_t rows, columns;
    double factor;       /* backward: dx = dloss * factor * weight * slope */
    float smoothing;
    fc_loss_kind kind;
} fc_loss;

/* An optimizer's update of the elements start..end: see optim.h for hyper and slots. */
typedef struct {
    const float *w, *g;
    const float *slots[3]; /* NULL: not used */
    float *new_w;
    float *new_slots[3];
    const double *hyper;
    int64_t start, end;
    int flag; /* SGD: Nesterov */
} fc_update;

enum { FC_POOL_STRIDE = 4 }; /* the longest step along a row for which windows share vectors */

/* A pooling window over one image, NHWC. A window may reach into the padding, never lie wholly in it. */
typedef struct {
    int64_t height, width, channels, out_height, out_width;
    int64_t pool_h, pool_w, stride_h, stride_w, pad_top, pad_left;
    int average;    /* sum_pool divides by the positions that lie inside the image */
    int wide_index; /* max_pool's index is int32, else uint8 */
    /* The rest is for pool_prepare to fill in. */
    float share; /* 1 / positions of a whole window for an average, else 1 */
    /* Few channels. Forward: how many windows share a vector, 0 where vectors run over the channels; the windows
     * [full0, full1) of a row that lie inside it; by lane, where in the row the first tap of its window lies. Backward:
     * how many windows' pixels make a group; the columns [dx0, dx1) that groups make; how many windows before the last
     * one may cover a pixel as well; by vector of the group and lane, which lane of dy that last window is, and the
     * distance of the pixel from its start. */
    int64_t narrow, full0, full1, group, dx0, dx1, reach;
    int32_t first[16], source[FC_POOL_STRIDE][16], phase[FC_POOL_STRIDE][16];
} fc_pool;

/* The channel-wise part of batch normalisation; a pointer may be NULL where a variant does without. */
typedef struct {
    const double *partial; /* parts x quantities x columns: what norm_sums or norm_backward_sums left */
    const float *gamma, *beta, *moving_mean, *moving_variance, *dnew_moving_mean, *dnew_moving_variance;
    float *mean, *inv_std, *new_moving_mean, *new_moving_variance, *dgamma, *dbeta;
    float *scale, *shift;          /* per channel, as the forward pass used them: finish, inference write, backward reads */
    float *coefficients;           /* lines of `width`, as norm_apply or norm_backward_apply reads them */
    int64_t parts, columns, width; /* floats in a line of `partial` and of `coefficients`: multiples of `channels` */
    int64_t channels, count;       /* elements per channel */
    double momentum, epsilon;
} fc_norm;

/* A pass of batch normalisation over `size` floats, lines of `columns`. With `clip` a residual sum or the normalised x
 * goes through ReLU, cut off at `limit` (NaN: nowhere): y = clip((x - mean) * scale + shift + residual). */
typedef struct {
    const float *x;
    const float *residual;     /* forward, or NULL */
    const float *dy;           /* backward */
    const float *dy_rest;      /* norm_backward_sums with y: to be added to dy; or NULL */
    const float *y;            /* backward: what tells where the clip let through; NULL: worked out from x again */
    const float *coefficients; /* lines: mean, scale, shift; of norm_backward_apply mean, a, b, d, scale, shift */
    float *out;                /* y, dx, or the gradient before the clip (of norm_backward_sums with y; or NULL) */
    int64_t size, columns;
    int32_t clip;
    float limit;
} fc_norm_pass;

typedef enum {
    FC_EXP, FC_LOG, FC_SQRT, FC_SQUARE, FC_ABS, FC_NEGATIVE, FC_RECIPROCAL, FC_FLOOR, FC_CEIL, FC_ROUND, FC_SIGN, FC_ERF,
    FC_SIN, FC_COS, FC_TAN, FC_ASIN, FC_ACOS, FC_ATAN, FC_SINH, FC_COSH, FC_ASINH, FC_ACOSH, FC_ATANH
} fc_unary_kind;

/* FC_PRELU: a where a >= 0, else a * b. */
typedef enum {
    FC_ADD, FC_SUBTRACT, FC_MULTIPLY, FC_DIVIDE, FC_MAXIMUM, FC_MINIMUM, FC_POWER, FC_PRELU
} fc_binary_kind;

/* y[r][i] = f(a[r][i], b[r][i]); a step of 0 repeats an element along a row, a row stride of 0 a row. */
typedef struct {
    const float *a, *b;
    float *y;
    int64_t rows, columns, a_row, b_row, y_row, a_step, b_step;
    fc_binary_kind kind;
} fc_binary;

/* y[r * y_row + c * y_column] = x[r * x_row + c * x_column], elements of `item` bytes: 1, 2, 4 or 8; strides of x may be 0
 * or negative. */
typedef struct {
    const void *x;
    void *y;
    int64_t rows, columns, x_row, x_column, y_row, y_column, item;
} fc_move;

/* y[j][i] = sum over t < taps of weights[j][t] * x[index[j][t]][i], i < width; rows of x and y are `inner` apart. Without
 * weights there is one tap, and elements are copied. */
typedef struct {
    const float *x;
    float *y;
    const int32_t *index;
    const float *weights;
    int64_t outputs, taps, inner, width;
} fc_resample;

typedef enum { FC_REDUCE_SUM, FC_REDUCE_MAX, FC_REDUCE_MIN, FC_REDUCE_PROD } fc_reduction;

/* y[c] = the sum (...) over r < rows of x[r * x_row + c]; with no columns, *y is that of `rows` elements side by side.
 * `accumulate`: and of what y holds. */
typedef struct {
    const float *x;
    float *y;
    int64_t rows, columns, x_row;
    int32_t accumulate;
    fc_reduction kind;
} fc_reduce;

typedef enum { FC_FLOAT32, FC_INT32, FC_INT64, FC_UINT8, FC_BOOL } fc_type;

/* Strips of a line of pixels in words of two, [tile][word], out_tile and out_word apart: word i has pixels first + i * every
 * and `step` further; what is outside the line counts as zero. Tile t has the next rows + (t < larger) of all `columns`
 * channels, or those that are left, and zeros up to out_word, a multiple of the vector length. */
typedef struct {
    const float *x;
    int64_t x_pixel, size; /* of the line */
    int64_t first, every, step, words;
    int64_t columns, tiles, rows, larger;
    float *out;
    int64_t out_tile, out_word;
    float *sums; /* [columns], or NULL: to these all pixels of the words are added, before they are rounded */
} fc_pair_strip;

/* A band of pixels that lie evenly, all stored as bfloat16, by one panel:
 *
 *   y[m][n] = activation(sum over k < depth of a[m][k] * b[k][n] + add[m][n] + bias[n])
 */
typedef struct {
    const float *a;
    int64_t a_row;
    const float *b; /* packed panel [k][NR]; what follows it is fetched into the second-level cache meanwhile */
    int64_t depth;
    uint16_t *y;
    int64_t y_row;
    int64_t rows, columns; /* columns <= NR */
    const uint16_t *add;   /* laid out as y, or NULL; may be y */
    const float *bias;     /* `columns` of them, or NULL */
    fc_activation activation; /* a short one */
} fc_band;

/* What a processor with bfloat16 products adds: two operands of a reduction that are neighbours lie in one word of 32 bits,
 * which takes the place of a float wherever data are moved; sums stay float32. x is rounded to nearest, ties to even;
 * finite numbers beyond the largest bfloat16 are cut to it. */
typedef struct {
    /* kernels/gemm.h; a, a_offset, b, b_tap, b_panel and depth count words, the rest is as in fc_kernels */
    void (*tile)(const fc_tile *);
    /* kernels/band.h; a, a_row, b and depth count words */
    void (*band)(const fc_band *);
    /* kernels/bfloat16.h; of the packed words k has the rows 2 k and 2 k + 1 of b, or zeros where an odd depth ends */
    void (*pack_panel)(const float *b, int64_t k_stride, int64_t n_stride, int64_t depth, int64_t columns, float *out);
    /* rows of `columns` elements, x_row and y_row apart */
    void (*round)(const float *x, int64_t x_row, uint16_t *y, int64_t y_row, int64_t rows, int64_t columns);
    void (*widen)(const uint16_t *x, float *y, int64_t n);
    /* kernels/gemm.h: as in fc_kernels, in words of two pixels */
    void (*outer)(const fc_outer *);
    void (*strips)(const fc_pair_strip *);
    /* kernels/shallow.h: as in fc_kernels, but the copy is rounded, and x, and all that counts its elements, is of bfloat16 */
    void (*copy_padded)(const float *x, int64_t x_row, int64_t height, int64_t first_row, int64_t rows, int64_t start,
                        uint16_t *out, int64_t out_row);
    void (*shallow)(const fc_shallow *);
    /* As in fc_kernels, but x, y and residual, also those of structs, are bfloat16, rounded once; activations up to CLIP. */
    void (*depthwise)(const fc_depthwise *);
    void (*max_pool)(const fc_pool *, const uint16_t *x, uint16_t *y, void *index, int64_t oh, int64_t c0, int64_t c1);
    void (*sum_pool)(const fc_pool *, const uint16_t *x, uint16_t *y, int64_t oh, int64_t c0, int64_t c1);
    fc_winograd winograd_2x2, winograd_2x4, winograd_4x4;
} fc_bfloat16;

/* ---- the tile unit (kernels/amx.h): products of float32 as sums of products of bfloat16 terms
 *
 * What the unit multiplies are tiles of sixteen rows of sixteen words, a word two neighbours of the reduction; 32 of its
 * elements are a block. A term of a tile of the left operand lies wherever its rows are the same distance apart; the
 * right one is packed, [panel of 32 columns][tap][block][term][half a panel][word of the block][column][2].
 */
enum { FC_AMX_ROWS = 16, FC_AMX_COLUMNS = 32, FC_AMX_DEPTH = 32, FC_AMX_TILE = 512 /* elements */ };

/* The sums of rows of pixels by one panel: c[row][32] (+)= sum over taps, blocks of a * b. */
typedef struct {
    const char *const *a;    /* [tap][tile of rows]: the first row of the first block, first term */
    const int64_t *a_row;    /* laid out as a: bytes from row to row */
    int64_t a_tap;           /* pointers from one tap to the next */
    int64_t a_offset;        /* bytes added to every pointer */
    int64_t a_block, a_term; /* bytes from one block to the next, from one term to the next */
    const char *b;
    int64_t b_tap;           /* bytes */
    int64_t taps, blocks, terms;
    int64_t words;           /* of a row of a block that are read, the rest of b is left out: FC_AMX_DEPTH / 2, or fewer */
    int64_t rows;
    float *c;
    int32_t accumulate;
} fc_amx_tile;

/* What becomes of the sums: y = activation(c + add + bias), but for rows with a sum that is not finite or so small that
 * the unit may have flushed what counts: those stay as they are, and their numbers are listed. */
typedef struct {
    const float *c;
    int64_t rows, columns;
    float *y;
    const int64_t *y_rows; /* offset of each row in y */
    const float *add;      /* laid out as y, or NULL; may be y */
    const float *bias;     /* `columns` of them, or NULL */
    fc_activation activation;
    int32_t *suspect;      /* -> [rows] */
} fc_amx_finish;

typedef struct {
    const char *(*compiled_for)(void);
    /* Terms of x[row * x_row + c], c < columns, zeros up to a whole block; distances in elements. */
    void (*split)(const float *x, int64_t x_row, int64_t rows, int64_t columns, int64_t terms, uint16_t *out, int64_t out_row,
                  int64_t out_block, int64_t out_term);
    /* The same of x[k * x_k + row], at most sixteen rows, k < depth. */
    void (*split_transposed)(const float *x, int64_t x_k, int64_t rows, int64_t depth, int64_t terms, uint16_t *out,
                             int64_t out_row, int64_t out_block, int64_t out_term);
    /* A tap of a packed panel [k][NR] of float32 -> [block][term][half][word][column][2] */
    void (*pack)(const float *panel, int64_t depth, int64_t terms, uint16_t *out);
    void (*tile)(const fc_amx_tile *);
    int64_t (*finish)(const fc_amx_finish *); /* returns how many are suspect */
} fc_amx;

typedef struct {
    const char *isa;                 /* "baseline", "avx2", "avx512", "amx", "neon" */
    int64_t vector_length;           /* floats in a vector */
    int64_t mr, nr;                  /* the tile */
    const fc_bfloat16 *bfloat16;     /* NULL where the build or the CPU has none; filled in by dispatch.c */
    const fc_amx *amx;               /* NULL but in the table "amx", which is that of avx512 with it; filled in by dispatch.c */
    const char *(*compiled_for)(void); /* what the compiler's macros said: a proof of which object runs */

    /* kernels/gemm.h */
    void (*tile)(const fc_tile *);
    void (*outer)(const fc_outer *);
    void (*gather)(const fc_gather *);

    /* kernels/pack.h */
    /* b[k * k_stride + n * n_stride] -> out[k][NR], zero beyond `columns` */
    void (*pack_panel)(const float *b, int64_t k_stride, int64_t n_stride, int64_t depth, int64_t columns, float *out);
    /* x[p * x_pixel + c] -> out[p * out_pixel + c], c < columns; out_pixel is a multiple of the vector length */
    void (*strip)(const float *x, int64_t x_pixel, int64_t pixels, int64_t columns, float *out, int64_t out_pixel);
    /* Strips of x, [tile][pixel] and out_tile apart: tile t has the next rows + (t < larger) channels of each pixel, at
     * most MR, and zeros up to a multiple of the vector length. */
    void (*strip_tiles)(const float *x, int64_t x_pixel, int64_t pixels, int64_t tiles, int64_t rows, int64_t larger,
                        float *out, int64_t out_tile);
    /* A strip [pixel][NR] of dy, zeros beyond `columns`; and, unless it is NULL, dbias[c] += the sum over the pixels. */
    void (*strip_panel)(const float *dy, int64_t dy_pixel, int64_t pixels, int64_t columns, float *out, float *dbias);
    /* out[i] = parts[0][i] + parts[1][i] + ..., the parts `stride` apart */
    void (*sum_parts)(const float *parts, int64_t count, int64_t stride, int64_t size, float *out);
    void (*epilogue_backward)(const fc_epilogue_backward *);

    /* kernels/shallow.h */
    /* Rows first_row ... of an image of `height` rows of x_row floats, of each the floats from `start` on: contiguous rows
     * of out_row floats, zeros where there is no image. */
    void (*copy_padded)(const float *x, int64_t x_row, int64_t height, int64_t first_row, int64_t rows, int64_t start,
                        float *out, int64_t out_row);
    void (*shallow)(const fc_shallow *);

    /* kernels/winograd.h */
    fc_winograd winograd_2x2, winograd_2x4, winograd_4x4;
    void (*winograd_product)(const fc_winograd_product *); /* kernels/winograd_product.h */
    void (*winograd_gradient)(const fc_winograd_input *);
    /* n floats of nine taps of the kernel's gradient, `tap` apart, from the sum over `count` parts, `part` apart, of 16
     * matrices, `matrix` apart; returns whether all are finite */
    int (*winograd_dkernel)(const float *parts, int64_t count, int64_t part, int64_t matrix, int64_t n, float *dkernel,
                            int64_t tap);

    /* kernels/activation.h; v is y where the derivative is a function of it, else x */
    void (*activate)(const float *x, float *y, int64_t n, fc_activation);
    void (*activate_backward)(const float *v, const float *dy, float *dx, int64_t n, fc_activation);

    /* kernels/eltwise.h */
    void (*add_n)(const float *const *x, int64_t count, float *y, int64_t start, int64_t n);

    /* kernels/move.h */
    void (*move)(const fc_move *);
    void (*cast)(fc_type source, fc_type target, const void *x, void *y, int64_t n);

    /* kernels/resample.h */
    void (*resample)(const fc_resample *);

    /* kernels/reduce.h */
    void (*reduce)(const fc_reduce *);

    /* kernels/pointwise.h */
    void (*unary)(fc_unary_kind kind, const float *x, float *y, int64_t n);
    void (*binary)(const fc_binary *);
    void (*where)(const uint8_t *condition, int64_t step, const float *a, int64_t a_step, const float *b, int64_t b_step,
                  float *y, int64_t n);

    /* kernels/pool_max.h, pool_sum.h: x and dy begin at their image, y, index (or NULL) and dx at the row that is written */
    void (*pool_prepare)(fc_pool *); /* when the rest is filled in; c0 to c1 are all channels if windows are narrow */
    void (*max_pool)(const fc_pool *, const float *x, float *y, void *index, int64_t oh, int64_t c0, int64_t c1);
    void (*max_pool_backward)(const fc_pool *, const float *dy, const void *index, float *dx, int64_t ih);
    void (*sum_pool)(const fc_pool *, const float *x, float *y, int64_t oh, int64_t c0, int64_t c1);
    void (*sum_pool_backward)(const fc_pool *, const float *dy, float *dx, int64_t ih);

    /* kernels/norm.h: sums write 2 or 3 lines of `columns`; the *_finish and inference ones do channels c0 to c0 + 63 */
    void (*norm_sums)(const float *x, int64_t size, int64_t columns, double *sums);
    void (*norm_backward_sums)(const fc_norm_pass *, double *sums);
    void (*norm_finish)(const fc_norm *, int64_t c0);
    void (*norm_inference)(const fc_norm *, int64_t c0);
    void (*norm_backward_finish)(const fc_norm *, int64_t c0);
    void (*norm_apply)(const fc_norm_pass *);
    void (*norm_backward_apply)(const fc_norm_pass *);

    /* kernels/depthwise.h */
    void (*depthwise)(const fc_depthwise *);
    void (*depthwise_backward_kernel)(const fc_depthwise *);
    /* y[i * count + m] = x[i]; and y[i] = sum over m < count of x[i * count + m] */
    void (*repeat)(const float *x, float *y, int64_t n, int64_t count);
    void (*fold)(const float *x, float *y, int64_t n, int64_t count);

    /* kernels/softmax.h */
    void (*softmax)(const float *x, float *y, int64_t rows, int64_t columns, int log_result);
    void (*softmax_backward)(const float *y, const float *dy, float *dx, int64_t rows, int64_t columns, int log_result);
    double (*softmax_loss)(const fc_softmax_loss *); /* returns the sum of the weighted losses */
    void (*softmax_loss_backward)(const fc_softmax_loss *);

    /* kernels/loss.h */
    double (*loss)(const fc_loss *); /* returns the sum of the weighted losses */
    void (*loss_backward)(const fc_loss *);
    void (*loss_mean)(const double *partial, int64_t count, double samples, float *loss);

    /* kernels/random.h */
    void (*dropout)(const float *x, float *y, uint8_t *mask, int64_t n, uint64_t key, uint64_t block,
                    uint32_t threshold, float scale);
    void (*dropout_backward)(const float *dy, const uint8_t *mask, float *dx, int64_t n, float scale);
    void (*normal)(float *y, int64_t n, uint64_t key, uint64_t block);

    /* kernels/optim.h */
    void (*sgd)(const fc_update *);
    void (*adam)(const fc_update *);
    void (*rmsprop)(const fc_update *);

    /* kernels/peak.h: what benchmarks compare with; returns 2 */
    double (*fma_peak)(int64_t rounds, int64_t *operations);
} fc_kernels;

/* Of fc_kernels every instruction set exports parts, fc_<part>_<isa> (csrc/parts), which dispatch.c puts together. */
extern const fc_bfloat16 fc_bfloat16_avx512;
extern const fc_amx fc_amx_bf16;

/* The tables of this build that this CPU can run, best first; returns how many. */
enum { FC_MAX_TABLES = 5 };
int fc_available(const fc_kernels **tables);

/* The table called `isa`: *status is FC_OK, FC_NOT_BUILT, FC_NOT_ON_CPU, FC_REFUSED (the system keeps the
 * CPU's tile registers from this process) or FC_UNKNOWN_ISA. */
enum { FC_OK, FC_NOT_BUILT, FC_NOT_ON_CPU, FC_REFUSED, FC_UNKNOWN_ISA };
const fc_kernels *fc_find(const char *isa, int *status);

#endif
