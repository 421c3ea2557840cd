/* Products of matrices, what packs their operands, and what runs back from the results. */
#include "part.h"

#include "../kernels/gemm.h"
#include "../kernels/transpose.h"
#include "../kernels/pack.h"

FC_PART(gemm) = {
    .tile = fc_tile_run,
    .outer = fc_outer_run,
    .gather = fc_gather_run,
    .pack_panel = fc_pack_panel,
    .strip = fc_strip,
    .strip_tiles = fc_strip_tiles,
    .strip_panel = fc_strip_panel,
    .sum_parts = fc_sum_parts,
    .epilogue_backward = fc_epilogue_backward_run,
};
