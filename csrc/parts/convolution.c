/* Convolutions by other means than products of matrices. */
#include "part.h"

#include "../kernels/shallow.h"
#include "../kernels/winograd.h"
#include "../kernels/winograd_product.h"

FC_PART(convolution) = {
    .copy_padded = fc_copy_padded,
    .shallow = fc_shallow_run,
    .winograd_2x2 = {2, 2, winograd_kernel_2x2, winograd_input_2x2, winograd_output_2x2},
    .winograd_2x4 = {2, 4, winograd_kernel_2x4, winograd_input_2x4, winograd_output_2x4},
    .winograd_4x4 = {4, 4, winograd_kernel_4x4, winograd_input_4x4, winograd_output_4x4},
    .winograd_product = fc_winograd_product_run,
    .winograd_gradient = fc_winograd_gradient,
    .winograd_dkernel = fc_winograd_dkernel,
};
