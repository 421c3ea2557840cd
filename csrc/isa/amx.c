#include "../simd/avx512.h"
#include "../kernels/activation.h"
#include "../kernels/amx.h"
