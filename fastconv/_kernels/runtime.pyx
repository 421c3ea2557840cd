"""Steps, the buffer pool and the threads: the one module that owns csrc.

A *step* is a chunk function with its argument struct; binding a step writes addresses into a copy of the struct. A
*segment* is a list of bound steps that one parallel region walks:

    thread 0   step 0: chunks 0 1 2 | barrier | step 1: chunk 0 | step 2: ...
    thread 1   step 0: chunks 3 4   |         | step 1: chunk 1 | step 2: ...

Each thread begins with a range of its own, so that of a step's results it tends to read what it wrote itself, and then
helps the others: which thread ran a chunk is chance; what a chunk computes is not.

Over 500 lines: the pool, the steps and the threads are one extension module, so that a process has one pool and one
count of busy threads.
"""
import os
from math import prod

import numpy as np

from cpython.buffer cimport (
    PyBUF_FORMAT, PyBUF_STRIDES, PyBUF_WRITABLE, PyBuffer_FillInfo, PyBuffer_Release, PyObject_GetBuffer,
)
from cython.parallel cimport parallel
from libc.stdint cimport int32_t, int64_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy, memset

from fastconv._kernels.table cimport chunk_fn

from fastconv.config import get_num_threads
from fastconv.errors import ConfigError
from fastconv.op import ITEM_SIZE

cdef extern from "fastconv.h" nogil:
    ctypedef struct fc_kernels:
        const char *isa
        int64_t vector_length, mr, nr
        const char *(*compiled_for)()
    int fc_available(const fc_kernels **tables)
    const fc_kernels *fc_find(const char *isa, int *status)
    enum:
        FC_MAX_TABLES, FC_OK, FC_NOT_BUILT, FC_NOT_ON_CPU, FC_REFUSED, FC_UNKNOWN_ISA

cdef extern from "sync.h" nogil:
    int fc_have_openmp()
    int fc_thread()
    int fc_team()
    int fc_nested()
    int64_t fc_claim(int64_t *counter)
    ctypedef struct fc_meeting:
        int32_t done, sleepers
    void fc_barrier(fc_meeting *meeting, int32_t own, int32_t target)
    uint64_t fc_flush_denormals()
    void fc_restore_denormals(uint64_t before)
    void *fc_aligned_alloc(size_t size)

cdef enum:
    LINE = 64
    MAX_THREADS = 256

# Estimated microseconds: below these, waking or waiting for other threads costs more than it saves.
EAGER_SERIAL = 20.0
STEP_SERIAL = 2.0


# ---- the instruction set

cdef const fc_kernels *active = NULL


def available():
    """Return the names of the instruction sets that this build holds and this CPU has, best first."""
    cdef const fc_kernels *tables[FC_MAX_TABLES]
    return tuple(tables[i].isa.decode() for i in range(fc_available(tables)))


def is_refused(str isa):
    """Tell whether build and CPU have an instruction set which the operating system keeps from this process."""
    cdef int status = FC_OK
    name = isa.encode()
    fc_find(name, &status)
    return status == FC_REFUSED


def select(str isa):
    """Use the kernels of one instruction set from now on; plans made before keep theirs.

    Raises
    ------
    ConfigError
        When the name is unknown, or the build or the CPU lacks it.
    """
    global active
    cdef int status = FC_OK
    name = isa.encode()
    cdef const fc_kernels *table = fc_find(name, &status)
    if status != FC_OK:
        why = {FC_NOT_BUILT: "is not part of this build", FC_NOT_ON_CPU: "is not supported by this CPU",
               FC_REFUSED: "is kept from this process by the operating system, or by a sandbox"}.get(
            status, "is not an instruction set that fastconv knows")
        raise ConfigError(f"FASTCONV_ISA={isa!r} {why}; available here: {', '.join(available())}")
    active = table


cdef const fc_kernels *_active() except NULL:
    if active == NULL:
        select(os.environ.get("FASTCONV_ISA") or available()[0])
    return active


def table():
    """Return the address of the active kernel table; plans are cached under it."""
    return <size_t>_active()


def isa():
    """Return the name of the instruction set in use."""
    return _active().isa.decode()


def tile():
    """Return (vector length, MR, NR) of the instruction set in use."""
    cdef const fc_kernels *k = _active()
    return k.vector_length, k.mr, k.nr


def compiled_for():
    """Return what the compiler's macros said in the object of the active table: proof of what really runs."""
    return _active().compiled_for().decode()


def has_openmp():
    """Tell whether this build has OpenMP."""
    return bool(fc_have_openmp())


# ---- the pool

cdef class Block:
    """A 64-byte-aligned buffer, given back to the pool when it dies. Arrays are views of it."""

    cdef void *address
    cdef size_t nbytes, capacity

    def __cinit__(self):
        self.address = NULL

    def __getbuffer__(self, Py_buffer *view, int flags):
        PyBuffer_FillInfo(view, self, self.address, <Py_ssize_t>self.nbytes, 0, flags | PyBUF_WRITABLE)

    def __dealloc__(self):
        if self.address != NULL:
            give_back(self.address, self.capacity)


cdef enum:
    CLASSES = 256

# Of each size class a list of free blocks, linked by their first words; the GIL guards them.
cdef void *_free[CLASSES]
cdef size_t _pooled = 0
cdef size_t POOL_LIMIT = <size_t>1 << 31
_fill = None


cdef int size_class(size_t nbytes, size_t *capacity) noexcept:
    """Round up to one of four sizes per power of two, so that near sizes share blocks; return its number."""
    cdef size_t step = 64, steps
    cdef int doubled = 0
    while step * 8 < nbytes:
        step *= 2
        doubled += 1
    steps = max(1, (nbytes + step - 1) // step)
    capacity[0] = steps * step
    return 4 * doubled + <int>steps


cdef void give_back(void *address, size_t capacity) noexcept:
    global _pooled
    cdef int number = size_class(capacity, &capacity)
    if _pooled + capacity > POOL_LIMIT:
        free(address)
        return
    (<void **>address)[0] = _free[number]
    _free[number] = address
    _pooled += capacity


cdef Block take(size_t nbytes):
    global _pooled
    cdef Block block = Block.__new__(Block)
    cdef size_t capacity
    cdef int number = size_class(nbytes, &capacity)
    block.address = _free[number]
    if block.address != NULL:
        _free[number] = (<void **>block.address)[0]
        _pooled -= capacity
    else:
        block.address = fc_aligned_alloc(capacity)
        if block.address == NULL:
            raise MemoryError(f"cannot allocate {capacity} bytes")
    block.nbytes, block.capacity = nbytes, capacity
    return block


_dtypes = {name: np.dtype(name) for name in ITEM_SIZE}      # looking one up by its name is slow

# More than any address space: sizes up to here cannot wrap around.
MAX_BYTES = 1 << 56


def empty(shape, str dtype="float32"):
    """Return an uninitialised C-contiguous array of `shape` in a block of the pool."""
    return empty_at(shape, dtype)[0]


def empty_at(shape, str dtype):
    """Return (array, its address) of what `empty` returns."""
    cdef Block block
    nbytes = ITEM_SIZE[dtype] * prod(shape)
    if nbytes > MAX_BYTES:
        raise MemoryError(f"an array of shape {tuple(shape)} and dtype {dtype} would take {nbytes:,} bytes")
    block = take(nbytes)
    array = np.ndarray(shape, _dtypes[dtype], block)
    if _fill is not None:
        array.view(np.uint8).fill(_fill) if array.ndim else array.fill(np.nan)
    return array, <size_t>block.address


def address_of(array, tuple shape, str code=None):
    """Return the address of an array if it is contiguous, aligned and of this shape and type, else 0.

    `code` is what `memoryview.format` says of the type; None: any.
    """
    cdef Py_buffer view
    cdef Py_ssize_t axis, stride
    cdef size_t address = 0
    PyObject_GetBuffer(array, &view, PyBUF_STRIDES | PyBUF_FORMAT)
    try:
        fits = code is None or view.format.decode() == code
        if fits and view.ndim == len(shape) and <size_t>view.buf % view.itemsize == 0:
            stride = view.itemsize
            for axis in range(view.ndim - 1, -1, -1):
                if view.shape[axis] != shape[axis] or (view.strides[axis] != stride and view.shape[axis] != 1):
                    return 0
                stride *= view.shape[axis]
            address = <size_t>view.buf
    finally:
        PyBuffer_Release(&view)
    return address


def fill_new_blocks(byte):
    """Fill every array from `empty` with a byte (0xff makes NaNs), or with None do not: for tests."""
    global _fill
    _fill = byte


def release_pool():
    """Give the memory of all free blocks back to the system."""
    global _pooled
    cdef void *block
    for number in range(CLASSES):
        while _free[number] != NULL:
            block = _free[number]
            _free[number] = (<void **>block)[0]
            free(block)
    _pooled = 0


# ---- steps

class Step:
    """One kernel's work.

    Parameters
    ----------
    name : str
        The kernel, for humans and tests.
    function : int
        Address of a `chunk_fn`.
    arguments : bytes
        The argument struct, pointers empty.
    operands : tuple of (int, str, bool)
        Where in the struct a pointer goes, which buffer, and whether the step writes it.
    chunks : int
        How many calls of the function make the whole; a function of the shapes alone.
    scratch : int
        Bytes of private memory that a thread needs.
    cost : float
        Estimated microseconds on one core.
    """

    __slots__ = ("name", "function", "arguments", "operands", "chunks", "scratch", "cost")

    def __init__(self, name, function, arguments, operands, chunks, scratch=0, cost=1e9):
        self.name, self.function, self.arguments = name, function, arguments
        self.operands = tuple(operand for operand in operands if operand[1])
        self.chunks, self.scratch, self.cost = chunks, scratch, cost

    def __repr__(self):
        reads = ", ".join(name for _, name, written in self.operands if not written)
        writes = ", ".join(name for _, name, written in self.operands if written)
        return f"{self.name}({reads} -> {writes}; {self.chunks} chunks)"


_zeroed = None


class zeroed:
    """Context manager for the mutation test: the step `name` writes zeros instead of its results."""

    def __init__(self, name):
        self.name = name
        self.hits = 0

    def __enter__(self):
        global _zeroed
        _zeroed = self
        return self

    def __exit__(self, *error):
        global _zeroed
        _zeroed = None


cdef struct ZeroArgs:
    void *memory
    int64_t nbytes


cdef void zero_chunk(const void *raw, int64_t chunk, char *scratch) noexcept nogil:
    cdef const ZeroArgs *args = <const ZeroArgs *>raw + chunk
    memset(args.memory, 0, args.nbytes)


def zero(str buffer, int64_t nbytes):
    """Return the step that fills a buffer with zero bytes."""
    cdef ZeroArgs args
    args.memory, args.nbytes = NULL, nbytes
    return Step("zero", <size_t>&zero_chunk, (<char *>&args)[:sizeof(args)], ((0, buffer, True),), 1,
                cost=nbytes / 2e4)


cdef struct CopyArgs:
    const char *source
    char *target
    int64_t nbytes


cdef void copy_chunk(const void *raw, int64_t chunk, char *scratch) noexcept nogil:
    cdef const CopyArgs *args = <const CopyArgs *>raw
    cdef int64_t start = chunk * 65536
    memcpy(args.target + start, args.source + start, min(args.nbytes - start, 65536))


def copy(str source, str target, int64_t nbytes):
    """Return the step that copies one buffer to another."""
    cdef CopyArgs args
    args.source, args.target, args.nbytes = NULL, NULL, nbytes
    return Step("copy", <size_t>&copy_chunk, (<char *>&args)[:sizeof(args)],
                ((0, source, False), (8, target, True)), (nbytes + 65535) // 65536, cost=nbytes / 1e4)


# ---- running

cdef enum:
    RANGES = 8          # of a step's chunks: as many counters fill a cache line


cdef struct BoundStep:
    chunk_fn function
    char *args
    int64_t chunks
    bint barrier        # wait until all steps before this one are done
    bint serial         # one thread does it all


cdef struct Walk:
    const BoundStep *steps
    int64_t count
    int64_t *counters   # one cache line per step, zeroed: of each range, how many chunks are claimed
    fc_meeting *meeting
    char *scratch
    int64_t scratch_size


cdef void walk_serial(const Walk *walk) noexcept nogil:
    cdef int64_t s, chunk
    cdef const BoundStep *step
    cdef uint64_t mode = fc_flush_denormals()
    for s in range(walk.count):
        step = &walk.steps[s]
        for chunk in range(step.chunks):
            step.function(step.args, chunk, walk.scratch)
    fc_restore_denormals(mode)


cdef void walk_thread(const Walk *walk) noexcept nogil:
    cdef int64_t s, chunk, end, r, thread = fc_thread()
    cdef int64_t ranges = min(fc_team(), RANGES)
    cdef uint32_t own = 0, target = 0   # chunks: this thread's since the last barrier, and everybody's
    cdef int64_t *claimed
    cdef char *scratch = walk.scratch + thread * walk.scratch_size
    cdef const BoundStep *step
    cdef uint64_t mode = fc_flush_denormals()
    for s in range(walk.count):
        step = &walk.steps[s]
        if step.barrier:
            fc_barrier(walk.meeting, own, target)
            own = 0
        target += <uint32_t>step.chunks
        claimed = &walk.counters[s * RANGES]
        if step.serial:
            # Whoever comes first takes the whole step.
            if fc_claim(claimed) == 0:
                for chunk in range(step.chunks):
                    step.function(step.args, chunk, scratch)
                own += <uint32_t>step.chunks
            continue
        for r in range(thread, thread + ranges):
            end = (r % ranges + 1) * step.chunks // ranges
            while True:
                chunk = r % ranges * step.chunks // ranges + fc_claim(&claimed[r % ranges])
                if chunk >= end:
                    break
                step.function(step.args, chunk, scratch)
                own += 1
    fc_restore_denormals(mode)


_pool_started = False
_forked = False
cdef int64_t _busy = 0      # threads that other calls are using now; the GIL guards it


def _after_fork():
    # OpenMP's workers do not survive a fork; waiting for them would hang.
    global _forked, _busy
    _forked, _busy = _pool_started, 0


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


cdef struct Relocation:
    int64_t slot
    char *where         # the pointer in an argument struct
    size_t offset


cdef class Segment:
    """A list of steps bound to addresses: made once, run often, by one caller at a time.

    Parameters
    ----------
    bound : list of (Step, dict, bool)
        A step, {buffer name: (address, nbytes)}, and whether it waits for those before it. A buffer may also be
        (offset, nbytes, slot): its memory is given later, and may be given again, by `relocate`.
    """

    cdef BoundStep *steps
    cdef int64_t *counters
    cdef Relocation *relocations        # sorted by slot
    cdef int64_t count, scratch_size, widest, moving
    cdef list arguments
    cdef object scratch
    cdef readonly double cost
    cdef readonly tuple names

    def __cinit__(self, bound):
        self.count = len(bound)
        self.steps = <BoundStep *>calloc(self.count + 1, sizeof(BoundStep))
        self.counters = <int64_t *>calloc(8 * (self.count + 1), 8)
        self.relocations = NULL
        if self.steps == NULL or self.counters == NULL:
            raise MemoryError("cannot allocate the steps of a program")

    def __init__(self, bound):
        cdef int64_t i
        cdef list moving = []
        self.arguments, self.cost, self.scratch_size, self.widest = [], 0.0, LINE, 1
        for i, (step, buffers, barrier) in enumerate(bound):
            self._bind(&self.steps[i], step, buffers, moving)
            self.steps[i].barrier = barrier and i > 0
            self.cost += step.cost
            self.widest = max(self.widest, step.chunks)
            self.scratch_size = max(self.scratch_size, (step.scratch + LINE - 1) // LINE * LINE)
        self.names = tuple(step.name for step, _, _ in bound)
        self.scratch = None
        self.moving = len(moving)
        self.relocations = <Relocation *>calloc(self.moving + 1, sizeof(Relocation))
        if self.relocations == NULL:
            raise MemoryError("cannot allocate the steps of a program")
        for i, (number, where, offset) in enumerate(sorted(moving)):
            self.relocations[i].slot, self.relocations[i].offset = number, offset
            self.relocations[i].where = <char *><size_t>where

    cdef _bind(self, BoundStep *slot, step, buffers, list moving):
        cdef size_t address
        cdef bytearray arguments
        slot.function, slot.chunks = <chunk_fn><size_t>step.function, step.chunks
        slot.serial = step.cost < STEP_SERIAL or step.chunks == 1
        operands = [(offset, buffers[name]) for offset, name, _ in step.operands]
        if _zeroed is not None and _zeroed.name == step.name:
            _zeroed.hits += 1
            ranges = [buffers[name] for _, name, written in step.operands if written]
            operands = [(i * sizeof(ZeroArgs), place) for i, place in enumerate(ranges)]
            arguments = bytearray(np.array([place[:2] for place in ranges], np.int64).tobytes())
            slot.function, slot.chunks = &zero_chunk, len(ranges)
        else:
            arguments = bytearray(step.arguments)
        for offset, place in operands:
            address = place[0]
            memcpy(<char *>arguments + <int64_t>offset, &address, sizeof(address))
            if len(place) == 3:
                moving.append((place[2], <size_t><char *>arguments + <size_t>offset, address))
        self.arguments.append(arguments)
        slot.args = arguments

    def __dealloc__(self):
        free(self.steps)
        free(self.counters)
        free(self.relocations)

    def uses(self, int64_t slot):
        """Tell whether any operand is in a slot."""
        return any([self.relocations[i].slot == slot for i in range(self.moving)])

    def relocate(self, int64_t slot, size_t address):
        """Let every operand of a slot point into the memory at `address`. Not to be called during `run`."""
        cdef int64_t low = 0, high = self.moving, middle
        cdef size_t place
        while low < high:
            middle = (low + high) // 2
            if self.relocations[middle].slot < slot:
                low = middle + 1
            else:
                high = middle
        while low < self.moving and self.relocations[low].slot == slot:
            place = address + self.relocations[low].offset
            memcpy(self.relocations[low].where, &place, sizeof(place))
            low += 1

    def run(self, int threads):
        """Run every step on at most `threads` threads. Not to be called by two threads at once."""
        global _pool_started, _busy
        cdef Walk walk
        cdef int team = min(threads, self.widest, MAX_THREADS)   # more than there are chunks would only wait
        cdef fc_meeting meeting
        if not fc_have_openmp() or _forked or fc_nested():
            team = 1
        elif team > 1:
            team = max(1, team - _busy)   # concurrent calls share one budget
        if self.scratch is None or (<Block>self.scratch).nbytes < <size_t>(team * self.scratch_size):
            self.scratch = take(team * self.scratch_size)
        walk.steps, walk.count, walk.counters = self.steps, self.count, self.counters
        walk.scratch, walk.scratch_size = <char *>(<Block>self.scratch).address, self.scratch_size
        meeting.done = meeting.sleepers = 0
        walk.meeting = &meeting
        _busy += team
        try:
            if team == 1:
                with nogil:
                    walk_serial(&walk)
            else:
                _pool_started = True
                memset(self.counters, 0, self.count * LINE)
                with nogil, parallel(num_threads=team):
                    walk_thread(&walk)
        finally:
            _busy -= team


def execute(phases, buffers, threads=None):
    """Run the phases of one plan now.

    Parameters
    ----------
    phases : sequence of sequences of Step
    buffers : dict of str -> (address, nbytes)
    threads : int, optional
        Default: the setting; one where the whole plan is short.
    """
    bound = [(step, buffers, i == 0) for phase in phases for i, step in enumerate(phase)]
    segment = Segment(bound)
    segment.run(1 if segment.cost < EAGER_SERIAL else threads or get_num_threads())
