"""Steps over flat arrays: activations, sums of arrays.

A chunk is a fixed number of elements; it only says who computes, an element's value does not depend on it.
"""
from libc.stdint cimport int64_t

from fastconv._kernels.chunks cimport ceil_div
from fastconv._kernels.table cimport FC_ACT_NONE, fc_activation

from fastconv._kernels import runtime
from fastconv._kernels.runtime import Step

cdef extern from "fastconv.h" nogil:
    enum:
        FC_ACT_RELU, FC_ACT_CLIP, FC_ACT_LEAKY_RELU, FC_ACT_SIGMOID, FC_ACT_TANH, FC_ACT_ELU, FC_ACT_SOFTPLUS
        FC_ACT_HARD_SIGMOID, FC_ACT_HARD_SWISH, FC_ACT_SILU, FC_ACT_GELU, FC_ACT_GELU_TANH, FC_ACT_MISH, FC_ACT_SOFTSIGN
    ctypedef struct fc_kernels:
        void (*activate)(const float *x, float *y, int64_t n, fc_activation) noexcept nogil
        void (*activate_backward)(const float *v, const float *dy, float *dx, int64_t n, fc_activation) noexcept nogil
        void (*add_n)(const float *const *x, int64_t count, float *y, int64_t start, int64_t n) noexcept nogil

cdef enum:
    CHUNK = 16384       # elements: 64 KiB, about 10 us at memory speed
    SLOW_CHUNK = 4096   # of functions that are slow: they take an exponential

# By the name of the operation, for every family that fuses one: its number, and whether it is slow.
FUNCTIONS = {
    None: (FC_ACT_NONE, False),
    "relu": (FC_ACT_RELU, False),
    "relu6": (FC_ACT_CLIP, False),
    "clip": (FC_ACT_CLIP, False),
    "leaky_relu": (FC_ACT_LEAKY_RELU, False),
    "sigmoid": (FC_ACT_SIGMOID, True),
    "tanh": (FC_ACT_TANH, True),
    "elu": (FC_ACT_ELU, True),
    "softplus": (FC_ACT_SOFTPLUS, True),
    "hard_sigmoid": (FC_ACT_HARD_SIGMOID, False),
    "hard_swish": (FC_ACT_HARD_SWISH, False),
    "silu": (FC_ACT_SILU, True),
    "gelu": (FC_ACT_GELU, True),
    "gelu_tanh": (FC_ACT_GELU_TANH, True),
    "mish": (FC_ACT_MISH, True),
    "softsign": (FC_ACT_SOFTSIGN, False),
}


def activation_of(epilogue):
    """Return the fc_activation of an `Epilogue`; None is none."""
    name, alpha, beta = epilogue[:3] if epilogue else (None, 0.0, 0.0)
    if name == "relu6":
        alpha, beta = 0.0, 6.0
    return {"function": FUNCTIONS[name][0], "alpha": alpha, "beta": beta}


cdef const fc_kernels *table():
    return <const fc_kernels *><size_t>runtime.table()


cdef struct ActivateArgs:
    const float *x
    const float *dy
    float *y
    const fc_kernels *k
    int64_t size, chunk_size
    fc_activation activation


cdef void activate_chunk(const void *raw, int64_t chunk, char *scratch) noexcept nogil:
    cdef const ActivateArgs *args = <const ActivateArgs *>raw
    cdef int64_t start = chunk * args.chunk_size
    args.k.activate(args.x + start, args.y + start, min(args.size - start, args.chunk_size), args.activation)


cdef void activate_backward_chunk(const void *raw, int64_t chunk, char *scratch) noexcept nogil:
    cdef const ActivateArgs *args = <const ActivateArgs *>raw
    cdef int64_t start = chunk * args.chunk_size
    args.k.activate_backward(args.x + start, args.dy + start, args.y + start,
                             min(args.size - start, args.chunk_size), args.activation)


def activate(epilogue, str x, str y, int64_t size):
    """Return the step y = activation(x); y may be x."""
    cdef bint slow = FUNCTIONS[epilogue.activation][1]
    cdef ActivateArgs args
    args.x, args.dy, args.y, args.k = NULL, NULL, NULL, table()
    args.size, args.chunk_size = size, SLOW_CHUNK if slow else CHUNK
    args.activation = activation_of(epilogue)
    return Step(epilogue.activation, <size_t>&activate_chunk, (<char *>&args)[:sizeof(args)],
                ((<char *>&args.x - <char *>&args, x, False), (<char *>&args.y - <char *>&args, y, True)),
                ceil_div(size, args.chunk_size), cost=size * (1.2e-3 if slow else 4e-4))


def activate_backward(epilogue, str v, str dy, str dx, int64_t size):
    """Return the step dx = dy * activation'(x); `v` is y where that tells the derivative, else x; dx may be either."""
    cdef ActivateArgs args
    args.x, args.dy, args.y, args.k = NULL, NULL, NULL, table()
    args.size, args.chunk_size = size, CHUNK
    args.activation = activation_of(epilogue)
    return Step(epilogue.activation + "_backward", <size_t>&activate_backward_chunk, (<char *>&args)[:sizeof(args)],
                ((<char *>&args.x - <char *>&args, v, False), (<char *>&args.dy - <char *>&args, dy, False),
                 (<char *>&args.y - <char *>&args, dx, True)),
                ceil_div(size, CHUNK), cost=size * 5e-4)


cdef struct AddArgs:
    float *y
    const fc_kernels *k
    int64_t size, count
    # `count` pointers follow


cdef void add_chunk(const void *raw, int64_t chunk, char *scratch) noexcept nogil:
    cdef const AddArgs *args = <const AddArgs *>raw
    cdef int64_t start = chunk * CHUNK
    args.k.add_n(<const float *const *>(args + 1), args.count, args.y, start, min(args.size - start, CHUNK))


def add_n(xs, str y, int64_t size):
    """Return the step y = xs[0] + xs[1] + ..., from left to right; y may be any of them."""
    cdef AddArgs args
    cdef int64_t count = len(xs)
    args.y, args.k, args.size, args.count = NULL, table(), size, count
    operands = [(sizeof(AddArgs) + sizeof(void *) * i, x, False) for i, x in enumerate(xs)]
    return Step("add_n", <size_t>&add_chunk, (<char *>&args)[:sizeof(args)] + bytes(sizeof(void *) * count),
                (*operands, (<char *>&args.y - <char *>&args, y, True)), ceil_div(size, CHUNK),
                cost=size * (count + 1) * 2e-4)
