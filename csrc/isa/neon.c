#include "../simd/neon.h"
#include "../kernels/all.h"
