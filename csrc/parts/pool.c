/* Pooling. */
#include "part.h"

#include "../kernels/pool.h"
#include "../kernels/pool_max.h"
#include "../kernels/pool_sum.h"

FC_PART(pool) = {
    .pool_prepare = fc_pool_prepare,
    .max_pool = fc_max_pool,
    .max_pool_backward = fc_max_pool_backward,
    .sum_pool = fc_sum_pool,
    .sum_pool_backward = fc_sum_pool_backward,
};
