/* What the table is, and every family of kernels that the compiler is done with too soon to deserve an object. */
#include "part.h"

#include "../kernels/softmax.h"
#include "../kernels/loss.h"
#include "../kernels/pointwise.h"
#include "../kernels/transpose.h"
#include "../kernels/move.h"
#include "../kernels/resample.h"
#include "../kernels/reduce.h"
#include "../kernels/optim.h"
#include "../kernels/random.h"
#include "../kernels/norm.h"
#include "../kernels/peak.h"

#define FC_QUOTE_AS_IS(name) #name
#define FC_QUOTE(name) FC_QUOTE_AS_IS(name)

static const char *fc_compiled_for(void) { return fc_compiled_for_macros(); }

FC_PART(rest) = {
    .isa = FC_QUOTE(FC_ISA),
    .vector_length = FC_VL,
    .mr = FC_MR,
    .nr = FC_NR,
    .compiled_for = fc_compiled_for,
    .fma_peak = fc_fma_peak,
    .activate = fc_activate,
    .activate_backward = fc_activate_backward,
    .add_n = fc_add_n,
    .reduce = fc_reduce_run,
    .resample = fc_resample_run,
    .move = fc_move_run,
    .cast = fc_cast,
    .unary = fc_unary,
    .binary = fc_binary_run,
    .where = fc_where,
    .softmax = fc_softmax,
    .softmax_backward = fc_softmax_backward,
    .softmax_loss = fc_softmax_loss_run,
    .softmax_loss_backward = fc_softmax_loss_backward,
    .loss = fc_loss_run,
    .loss_backward = fc_loss_backward,
    .loss_mean = fc_loss_mean,
    .dropout = fc_dropout,
    .dropout_backward = fc_dropout_backward,
    .normal = fc_normal,
    .sgd = fc_sgd,
    .adam = fc_adam,
    .rmsprop = fc_rmsprop,
    .norm_sums = fc_norm_sums,
    .norm_backward_sums = fc_norm_backward_sums,
    .norm_finish = fc_norm_finish,
    .norm_inference = fc_norm_inference,
    .norm_backward_finish = fc_norm_backward_finish,
    .norm_apply = fc_norm_apply,
    .norm_backward_apply = fc_norm_backward_apply,
};
