/* AArch64 NEON: 32 registers of four floats. */
#define FC_ISA neon
#define FC_VL 4
#define FC_MR 8
#define FC_NRV 2
#include "vector.h"
