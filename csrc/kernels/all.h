/* Every kernel, and the one table that an instruction set exports. All else is static: the linker must never keep
 * one object's copy of a function for another CPU. */
#include "activation.h"
#include "gemm.h"
#include "eltwise.h"
#include "pack.h"
#include "shallow.h"
#include "depthwise.h"
#include "winograd.h"
#include "softmax.h"
#include "loss.h"
#include "pointwise.h"
#include "move.h"
#include "resample.h"
#include "reduce.h"
#include "random.h"
#include "optim.h"
#include "norm.h"
#include "pool.h"
#include "pool_max.h"
#include "pool_sum.h"
#include "peak.h"

#define FC_JOIN2(a, b) a##b
#define FC_JOIN(a, b) FC_JOIN2(a, b)
#define FC_STR2(a) #a
#define FC_STR(a) FC_STR2(a)

static const char *compiled_for(void) { return fc_compiled_for_macros(); }

const fc_kernels FC_JOIN(fc_kernels_, FC_ISA) = {
    .isa = FC_STR(FC_ISA),
    .vector_length = FC_VL,
    .mr = FC_MR,
    .nr = FC_NR,
    .compiled_for = compiled_for,
    .fma_peak = fc_fma_peak,
    .tile = fc_tile_run,
    .tile_blocks = fc_tile_blocks_run,
    .outer = fc_outer_run,
    .gather = fc_gather_run,
    .pack_panel = fc_pack_panel,
    .strip = fc_strip,
    .strip_tiles = fc_strip_tiles,
    .strip_panel = fc_strip_panel,
    .copy_padded = fc_copy_padded,
    .shallow = fc_shallow_forward,
    .sum_parts = fc_sum_parts,
    .epilogue_backward = fc_epilogue_backward_run,
    .depthwise = fc_depthwise_run,
    .depthwise_backward_kernel = fc_depthwise_backward_kernel_run,
    .winograd_2x2 = {2, 2, winograd_kernel_2x2, winograd_input_2x2, winograd_output_2x2},
    .winograd_2x4 = {2, 4, winograd_kernel_2x4, winograd_input_2x4, winograd_output_2x4},
    .winograd_4x4 = {4, 4, winograd_kernel_4x4, winograd_input_4x4, winograd_output_4x4},
    .winograd_gradient = fc_winograd_gradient_run,
    .winograd_dkernel = fc_winograd_dkernel,
    .repeat = fc_repeat,
    .fold = fc_fold,
    .activate = fc_activate,
    .activate_backward = fc_activate_backward,
    .add_n = fc_add_n,
    .reduce = fc_reduce_call,
    .resample = fc_resample_run,
    .move = fc_move_run,
    .cast = fc_cast,
    .unary = fc_unary_run,
    .binary = fc_binary_run,
    .where = fc_where,
    .softmax = fc_softmax,
    .softmax_backward = fc_softmax_backward,
    .softmax_loss = fc_softmax_loss_rows,
    .softmax_loss_backward = fc_softmax_loss_backward_rows,
    .loss = fc_loss_rows,
    .loss_backward = fc_loss_backward_rows,
    .loss_mean = fc_loss_mean,
    .dropout = fc_dropout,
    .dropout_backward = fc_dropout_backward,
    .sgd = fc_sgd,
    .adam = fc_adam,
    .rmsprop = fc_rmsprop,
    .pool_prepare = fc_pool_prepare,
    .max_pool = fc_max_pool,
    .max_pool_backward = fc_max_pool_backward,
    .sum_pool = fc_sum_pool,
    .sum_pool_backward = fc_sum_pool_backward,
    .norm_sums = fc_norm_sums,
    .norm_backward_sums = fc_norm_backward_sums,
    .norm_finish = fc_norm_finish,
    .norm_inference = fc_norm_inference,
    .norm_backward_finish = fc_norm_backward_finish,
    .norm_apply = fc_norm_apply,
    .norm_backward_apply = fc_norm_backward_apply,
};
