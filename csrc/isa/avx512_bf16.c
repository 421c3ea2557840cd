/* What AVX512_BF16 adds to the table of AVX-512. Of what the headers hold, this object needs a part. */
#pragma GCC diagnostic ignored "-Wunused-function"
#define FC_PAIRS
#include "../simd/avx512.h"
#include "../simd/bfloat16.h"
#include "../kernels/activation.h"
#include "../kernels/gemm.h"
#include "../kernels/eltwise.h"
#include "../kernels/pack.h"
#include "../kernels/bfloat16.h"

const fc_bfloat16 fc_bfloat16_avx512 = {
    .tile = fc_tile_run,
    .pack_panel = fc_pack_pairs,
    .round = fc_round,
    .widen = fc_widen,
};
