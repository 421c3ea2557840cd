/* What every part begins with. A part of the kernel table is an object of its own, so that compilers work side by side and
 * only on what changed: a constant table with the fields of its kernels, all others zero. dispatch.c puts the parts of an
 * instruction set together. All else is static: the linker must never keep one object's copy of a function for another CPU.
 *
 * The build compiles the parts once per instruction set, with FC_SIMD as "simd/<isa>.h". */
#include FC_SIMD

/* What families share: a part need not use all of it. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-function"
#include "../kernels/activation.h"
#include "../kernels/eltwise.h"
#pragma GCC diagnostic pop

#define FC_JOIN(part, isa) fc_##part##_##isa
#define FC_PART_OF(part, isa) FC_JOIN(part, isa)
#define FC_PART(part) const fc_kernels FC_PART_OF(part, FC_ISA)
