/* AArch64 NEON: 32 registers of four floats; 24 accumulators + 2 of B + up to 6 of A, whose elements a multiply-add by
 * element takes as they are. 16 accumulators would just hide the latency of four pipes and leave the loads no slack;
 * 8 rows of three vectors would waste a part of the last panel for most numbers of channels.
 *
 * GCC must not schedule before it allocates registers (csrc/flags.toml): it moves all loads of A ahead, and sums get
 * spilled. */
#include <arm_neon.h>
#include <stdint.h>

#define FC_ISA neon
#define FC_NEON
#define FC_VL 4
#define FC_MR 12
#define FC_NRV 2

#include "vector.h"
