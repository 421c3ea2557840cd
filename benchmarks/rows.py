"""One row of the benchmark: a kernel, the fair NumPy baseline and the plain reference, timed in turns.

Every timed call follows an untimed one of the same code, so that each finds its data as warm as its own work leaves it.
"""

import math
import os
import statistics
import time

import numpy as np

from fastconv._kernels import runtime
from fastconv.autograd.eager import backward_results, infer, lower, spec_of
from fastconv.cli import roof

THREADS = int(os.environ["FASTCONV_BENCH_THREADS"])  # set by conftest.py
BAR = 3  # every convolution is to be this many times as fast as the fair baseline
MAX_ROUNDS = 100
REPORT = []  # what `Row.measure` found, in order


def aligned(array):
    """Return a copy of an array at a multiple of 64 bytes, as programs hold them."""
    copy = runtime.empty(array.shape, array.dtype.name)
    copy[...] = array
    return copy


class Call:
    """One direction of one operation bound to memory, as a program binds it; calling it runs it.

    The packing of weights is part of every call, as in a training step.
    """

    def __init__(self, op, arrays, attrs, needs=None):
        specs = {name: spec_of(array) for name, array in arrays.items()}
        results = infer(op, specs, attrs) if needs is None else backward_results(specs, needs)
        plan = lower(op, specs, attrs, needs)
        memory = dict(arrays)
        self.results = {name: runtime.empty(spec.shape, spec.dtype) for name, spec in results.items()}
        memory |= self.results
        for name, nbytes in (*plan.packed.items(), *plan.workspace.items()):
            memory[name] = runtime.empty((nbytes,), "uint8")
        buffers = {name: (array.__array_interface__["data"][0], array.nbytes) for name, array in memory.items()}
        phases = (*plan.prologue, *plan.phases)
        self._memory = memory
        self._segment = runtime.Segment([(step, buffers, i == 0) for phase in phases for i, step in enumerate(phase)])
        self._threads = 1 if self._segment.cost < runtime.EAGER_SERIAL else THREADS

    def __call__(self):
        self._segment.run(self._threads)


class Operation:
    """An operation with its inputs drawn and its forward pass done."""

    def __init__(self, op, inputs, attrs):
        inputs = {name: aligned(array) for name, array in inputs.items()}
        self.op, self.inputs, self.attrs = op, inputs, attrs
        self.forward = Call(op, inputs, attrs)
        self.forward()
        rng = np.random.default_rng(1)
        outputs = {name: self.forward.results[name] for name in op.outputs}
        gradients = {
            "d" + name: aligned(np.asarray(rng.standard_normal(array.shape, np.float32)))
            for name, array in outputs.items()
        }
        self.arrays = {**inputs, **self.forward.results, **gradients}

    def backward(self, *needs, **gradients):
        """Return the `Call` that computes the gradients of the inputs in `needs`."""
        self.arrays |= {name: aligned(array) for name, array in gradients.items()}
        return Call(self.op, self.arrays, self.attrs, frozenset(needs))

    def reference(self, *needs):
        """Return a function that runs the plain reference, forward or backward."""
        if needs:
            return lambda: self.op.reference_backward(self.arrays, self.attrs, frozenset(needs))
        return lambda: self.op.reference(self.inputs, self.attrs)


def _seconds(function):
    begin = time.perf_counter()
    function()
    return time.perf_counter() - begin


def _check(name, got, expected):
    """Fail unless two results agree: a row must not time a kernel that computes something else."""
    scale = float(np.abs(expected).max()) or 1.0
    np.testing.assert_allclose(got, expected, rtol=0, atol=1e-3 * scale, err_msg=name)


class Row:
    """What the fixture `row` gives to a benchmark."""

    def __init__(self, benchmark, config):
        self._benchmark = benchmark
        self._seconds = float(config.getoption("benchmark_max_time"))
        self._min_rounds = int(config.getoption("benchmark_min_rounds"))

    def measure(self, kind, name, direction, call, baselines, reference=None, flops=0, nbytes=0):
        """Time a call against its baseline and its reference, and record the row.

        Parameters
        ----------
        kind, name, direction : str
            "convolution", "3x3 32x32x32 -> 32", "forward".
        call : Call
        baselines : dict of str -> callable
            Ways to compute the same with NumPy; the fastest in a first trial is the baseline.
        reference : callable, optional
        flops, nbytes : int
            The arithmetic, or where bandwidth is the limit the bytes that have to be read and written.
        """
        call()
        trials = {}
        for way, function in baselines.items():
            expected = function()
            for key in call.results.keys() & expected.keys() or call.results:
                _check(f"{name} {direction}: {key}, {way}", call.results[key], expected[key])
            trials[way] = _seconds(function)
        way = min(trials, key=trials.get)
        baseline = baselines[way]
        rounds = math.ceil(self._seconds / (2 * (trials[way] + _seconds(call))))
        rounds = min(max(rounds, self._min_rounds), MAX_ROUNDS)
        fair, ours, plain = [], [], []

        def other_engine():
            # Threads of the one pool still spin for a while after their work; they must not take the other's cores.
            time.sleep(0.01 if THREADS > 1 else 0)
            baseline()
            fair.append(_seconds(baseline))
            time.sleep(0.01 if THREADS > 1 else 0)
            call()

        def timed():
            begin = time.perf_counter()
            call()
            ours.append(time.perf_counter() - begin)

        self._benchmark.pedantic(timed, setup=other_engine, rounds=rounds)
        if reference is not None:
            plain.append(_seconds(reference))
            while len(plain) < 3 and sum(plain) < self._seconds / 4:
                plain.append(_seconds(reference))
        self._record(kind, name, direction, way, min(ours), min(fair), min(plain, default=None), flops, nbytes, ours)

    def _record(self, kind, name, direction, way, ours, fair, plain, flops, nbytes, times):
        limit = roof.fma_peak(THREADS) if flops else roof.copy_bandwidth(nbytes, THREADS)
        rate = (flops or nbytes) / ours / 1e9
        info = {
            "kind": kind,
            "name": name,
            "direction": direction,
            "isa": runtime.isa(),
            "threads": THREADS,
            "best_us": ours * 1e6,
            "median_us": statistics.median(times) * 1e6,
            "rate": rate,
            "unit": "GFLOP/s" if flops else "GB/s",
            "share_of_peak": rate / limit,
            "baseline_us": fair * 1e6,
            "baseline": way,
            "times_baseline": fair / ours,
            "most_times_baseline": limit * fair / (flops or nbytes) * 1e9,  # at the whole peak
            "times_reference": None if plain is None else plain / ours,
        }
        self._benchmark.extra_info.update(info)
        REPORT.append(info)


# ---- the report


def table():
    """Return the rows measured so far as Markdown."""
    lines = [
        "| row | direction | best µs | rate | of the peak | × fair NumPy | (at the peak) | × reference |",
        "|---|---|---:|---:|---:|---:|---:|---:|",
    ]
    for r in REPORT:
        reference = "" if r["times_reference"] is None else f"{r['times_reference']:.1f}"
        lines.append(
            f"| {r['name']} | {r['direction']} | {r['best_us']:.1f} | {r['rate']:.1f} {r['unit']} | "
            f"{r['share_of_peak']:.0%} | {r['times_baseline']:.1f} | {r['most_times_baseline']:.1f} | {reference} |"
        )
    return "\n".join(lines)


def below_the_bar():
    """Return lines about the convolutions that miss the bar."""
    rows = [r for r in REPORT if r["kind"] == "convolution"]
    missed = [r for r in rows if r["times_baseline"] < BAR]
    if not missed:
        return f"All {len(rows)} rows of convolution are at least {BAR} times as fast as the fair NumPy baseline.\n"
    beyond = [r for r in missed if r["most_times_baseline"] < BAR]
    lines = [f"{len(missed)} of {len(rows)} rows of convolution are below {BAR} times the fair NumPy baseline."]
    if beyond:
        lines.append(f"In {len(beyond)} of them NumPy's BLAS runs at more than 1/{BAR} of the peak itself: marked *.")
    lines.append("")
    for r in missed:
        mark = " *" if r in beyond else ""
        lines.append(f"- {r['name']}, {r['direction']}: {r['times_baseline']:.2f}{mark}")
    return "\n".join(lines) + "\n"
