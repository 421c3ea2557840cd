/* Any CPU: four floats a vector (SSE2 on x86-64, whatever the compiler makes of it elsewhere). */
#define FC_ISA baseline
#define FC_VL 4
#define FC_MR 4
#define FC_NRV 2
#include "vector.h"
