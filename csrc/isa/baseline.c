#include "../simd/baseline.h"
#include "../kernels/all.h"
