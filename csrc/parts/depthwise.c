/* Convolutions of each channel, or of few, apart. */
#include "part.h"

#include "../kernels/depthwise.h"

FC_PART(depthwise) = {
    .depthwise = fc_depthwise_run,
    .depthwise_backward_kernel = fc_depthwise_backward_kernel,
    .repeat = fc_repeat,
    .fold = fc_fold,
};
