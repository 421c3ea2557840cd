/* What AVX512_BF16 adds to the table of AVX-512. Of what the headers hold, this object needs a part. */
#pragma GCC diagnostic ignored "-Wunused-function"
#define FC_PAIRS
#include "../simd/avx512.h"
#include "../simd/bfloat16.h"
#include "../kernels/activation.h"
#include "../kernels/gemm.h"
#include "../kernels/band.h"
#include "../kernels/eltwise.h"
#include "../kernels/transpose.h"
#include "../kernels/pack.h"
#include "../kernels/shallow.h"
#include "../kernels/depthwise.h"
#include "../kernels/winograd.h"
#include "../kernels/pool.h"
#include "../kernels/pool_max.h"
#include "../kernels/pool_sum.h"
#include "../kernels/bfloat16.h"

const fc_bfloat16 fc_bfloat16_avx512 = {
    .tile = fc_tile_run,
    .band = fc_band_run,
    .pack_panel = fc_bfloat16_pack_panel,
    .round = fc_round,
    .widen = fc_widen,
    .outer = fc_outer_run,
    .strips = fc_bfloat16_strips,
    .copy_padded = fc_copy_padded,
    .shallow = fc_shallow_run,
    .winograd_2x2 = {2, 2, winograd_kernel_2x2, winograd_input_2x2, winograd_output_2x2},
    .winograd_2x4 = {2, 4, winograd_kernel_2x4, winograd_input_2x4, winograd_output_2x4},
    .winograd_4x4 = {4, 4, winograd_kernel_4x4, winograd_input_4x4, winograd_output_4x4},
    .depthwise = fc_depthwise_run,
    .max_pool = fc_max_pool,
    .sum_pool = fc_sum_pool,
};
