"""fastconv, as its programs run it: steps bound to memory, packed weights kept while the weights stay the same."""

import numpy as np
from layers import from_job

from fastconv import config
from fastconv._kernels import runtime
from fastconv.autograd.eager import backward_results, infer, lower, spec_of
from fastconv.op import Spec
from fastconv.ops import _pooling
from fastconv.ops._convolution import Attrs as ConvAttrs
from fastconv.ops.avg_pool2d import OP as AVERAGE
from fastconv.ops.batch_norm import TRAIN
from fastconv.ops.batch_norm import TrainAttrs as NormAttrs
from fastconv.ops.conv2d import OP as CONV
from fastconv.ops.matmul import OP as MATMUL
from fastconv.ops.matmul import Attrs as MatmulAttrs
from fastconv.ops.max_pool2d import OP as MAX

_threads = 1


def start(threads):
    global _threads
    _threads = threads
    config.set_num_threads(threads)


def prepare(variant, job):
    """Return a function that runs the job once, or None where there is nothing to run.

    `variant` "denormal" makes x and the weights so small that most are denormal; "direct", a process in which
    FASTCONV_WINOGRAD=0, runs dense layers only, all others being the same; "high" and "medium" are precisions, and in
    the latter x and y are bfloat16 where a program would store them so.
    """
    if job is None:
        return None
    layer, direction = from_job(job)
    if variant == "direct" and layer.group != "dense":
        return None
    config.set_precision(variant if variant in config.PRECISIONS else "highest")
    op, inputs, attrs = _operation(layer)
    if variant == "denormal":
        inputs = {name: array * np.float32(1e-39) for name, array in inputs.items()}
    memory = {name: _aligned(array) for name, array in inputs.items()}
    stored = _stored(op, memory, attrs) if variant == "medium" and direction == "forward" else ()
    forward = _bind(op, memory, attrs, None, hoist=direction == "forward", stored=stored)
    if direction == "forward":
        return forward
    needs = {"x", "kernel", "bias", "gamma", "beta", "a", "b"} & inputs.keys()
    if not layer.needs_dx:
        needs -= {"x"}
    forward()
    rng = np.random.default_rng(1)
    for name in op.outputs:  # a backward wants a gradient of every output; nothing comes back to moving statistics
        scale = np.float32(name == "y")
        memory["d" + name] = _aligned(scale * rng.standard_normal(memory[name].shape, np.float32))
    backward = _bind(op, memory, attrs, frozenset(needs), hoist=False)

    def both():
        forward()
        backward()

    return both


def _stored(op, memory, attrs):
    """Return the operands that a program stores as bfloat16, those among `memory` made so."""
    specs = {name: spec_of(array) for name, array in memory.items()}
    names = {name for group in (op.bfloat16(specs, attrs) if op.bfloat16 else ()) for name in group}
    for name in names & memory.keys():
        memory[name] = _aligned((memory[name].view(np.uint32) >> 16).astype(np.uint16))
    return names


def _aligned(array):
    copy = runtime.empty(array.shape, array.dtype.name)
    copy[...] = array
    return copy


def _operation(layer):
    rng = np.random.default_rng(0)

    def draw(*shape):
        return rng.standard_normal(shape, np.float32)

    if layer.kind == "matmul":
        m, k = layer.x
        return MATMUL, {"a": draw(m, k), "b": draw(k, layer.outputs)}, MatmulAttrs()
    x = draw(*layer.x)
    channels, p = layer.x[3], layer.padding
    sides = ((p, p), (p, p))
    if layer.kind == "conv":
        kernel = draw(layer.kernel, layer.kernel, channels // layer.groups, layer.outputs)
        attrs = ConvAttrs(2 * (layer.stride,), sides, groups=layer.groups)
        return CONV, {"x": x, "kernel": kernel, "bias": draw(layer.outputs)}, attrs
    if layer.kind == "batch_norm":
        ones, zeros = np.ones(channels, np.float32), np.zeros(channels, np.float32)
        inputs = {"x": x, "gamma": ones, "beta": zeros, "moving_mean": zeros, "moving_variance": ones}
        return TRAIN, inputs, NormAttrs()
    op = MAX if layer.kind == "max_pool" else AVERAGE
    return op, {"x": x}, _pooling.attributes(layer.kernel, layer.stride, sides)


def _bind(op, memory, attrs, needs, hoist, stored=()):
    """Lower an op, allocate its results in `memory`, and return a function that runs its steps; `stored` are bfloat16."""
    specs = {name: Spec(array.shape) if name in stored else spec_of(array) for name, array in memory.items()}
    results = infer(op, specs, attrs) if needs is None else backward_results(specs, needs)
    for name in stored:
        known = specs if name in specs else results
        if name in known:
            specs[name] = known[name]._replace(dtype="bfloat16")
    plan = lower(op, specs, attrs, needs)
    memory |= {
        name: runtime.empty(spec.shape, "uint16" if name in stored else spec.dtype) for name, spec in results.items()
    }
    arrays = dict(memory)
    for name, nbytes in (*plan.packed.items(), *plan.workspace.items()):
        arrays[name] = runtime.empty((nbytes,), "uint8")
    buffers = {name: (array.__array_interface__["data"][0], array.nbytes) for name, array in arrays.items()}

    def segment(phases):
        return runtime.Segment([(step, buffers, i == 0) for phase in phases for i, step in enumerate(phase)])

    if hoist:
        if plan.prologue:
            segment(plan.prologue).run(1)
        steps = segment(plan.phases)
    else:
        steps = segment((*plan.prologue, *plan.phases))
    threads = 1 if steps.cost < runtime.EAGER_SERIAL else _threads

    def run(alive=arrays):
        steps.run(threads)

    return run
