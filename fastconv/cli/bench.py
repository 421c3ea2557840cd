"""`fastconv bench`: latency, memory and layers of an ONNX file, beside other engines.

Every engine has a process of its own; they take turns, as benchmarks/peers does it. Layers are timed in this process.
"""

import os
import platform
from pathlib import Path
from typing import NamedTuple

import numpy as np

from .. import config
from ..errors import ArgumentError, FastconvError, ShapeError
from ..graph import profile
from . import files, roof
from .peers import OURS, PEERS, turns

ROUNDS = 3  # turns of each engine, at least
WIDTH = 24  # of names of layers


class Measurement(NamedTuple):
    """What an engine did with one batch, on so many threads."""

    engine: str
    batch: int
    threads: int
    times: np.ndarray  # seconds of every run
    first: float  # seconds from file to first result
    rss: float  # MB that the process held afterwards

    def percentile(self, share):
        return 1e3 * float(np.percentile(self.times, share))

    @property
    def images_per_second(self):
        return self.batch / float(np.median(self.times))


class LayerTime(NamedTuple):
    """A node of the program: what it did, and how well."""

    name: str  # what the file calls it, "" for what has no name there
    operation: str
    shapes: str
    kernels: str
    seconds: float
    flops: int
    share: float  # of what this machine could do at best

    @property
    def gflops(self):
        return self.flops / self.seconds / 1e9


class Report(NamedTuple):
    """All that was found, for the text and for the page."""

    model: str
    facts: list  # (name, text)
    measurements: list
    layers: dict  # (batch, threads) -> list of LayerTime
    notes: list


def run(args):
    """Run the command."""
    _check(args)
    shapes = files.shapes_of(args.shape)
    session = files.open_session(args.file)
    peers, notes = choose(args.against)
    threads = args.threads or [config.get_num_threads()]
    inputs = inputs_of_batches(session, shapes, args.batch or [None], notes)
    report = Report(args.file, facts_of(args.file, session, inputs, threads), [], {}, notes)
    for name, text in report.facts:
        print(f"{name + ':':<12} {text}")
    for note in notes:
        print(note)
    for each in inputs:
        for count in threads:
            measured = measure(args.file, each, count, [OURS, *peers], args.runs, notes)
            report.measurements.extend(measured)
            print_measurements(measured)
            if args.profile or args.html:
                layers = layer_times(args.file, each, count)
                report.layers[_batch(each), count] = layers
                if args.profile:
                    print_layers(layers)
    if args.html:
        from .bench_page import page

        Path(args.html).write_text(page(report), encoding="utf-8")
        print(f"\nwrote {args.html}")


def inputs_of_batches(session, shapes, batches, notes):
    """Return the inputs of each batch that the file can have; append to `notes` which it cannot."""
    inputs, refused = [], None
    for batch in batches:
        try:
            inputs.append(files.inputs_of(session, shapes, batch))
        except ShapeError as error:
            refused = error
            notes.append(f"batch {batch} is left out: {error}")
    if not inputs:
        raise refused
    return inputs


def _check(args):
    if args.runs < 1:
        raise ArgumentError(f"--runs must be at least 1, got {args.runs}")
    for option, numbers in (("--batch", args.batch), ("--threads", args.threads)):
        wrong = [n for n in numbers or () if n < 1]
        if wrong:
            raise ArgumentError(f"{option} must be at least 1, got {wrong[0]}")
    if args.html and not os.path.isdir(os.path.dirname(os.path.abspath(args.html))):
        raise ArgumentError(f"--html: there is no folder for {args.html}: make it first")


def choose(text):
    """Return (the peers that are installed, a note for each that is not) of a list with commas."""
    words = [word.strip() for word in text.split(",") if word.strip()]
    unknown = [word for word in words if word not in PEERS]
    if unknown:
        raise ArgumentError(f"--against takes {', '.join(PEERS)}, got {unknown[0]!r}")
    peers = [peer for word in dict.fromkeys(words) for peer in PEERS[word]]
    absent = dict.fromkeys(peer.package for peer in peers if not peer.installed)
    notes = [f"{package} is not installed, so it is left out: pip install {package}" for package in absent]
    return [peer for peer in peers if peer.installed], notes


def _batch(inputs):
    return next((shape[0] for shape, _ in inputs.values() if shape), 1)


def facts_of(path, session, inputs, threads):
    """Return [(name, text)]: the file, the machine, the memory that is known before anything runs."""
    from ..io.onnx import load_model

    model, _ = load_model(path)
    weights = sum(int(np.prod(tensor.dims)) for tensor in model.graph.initializer)
    memory = []
    for each in inputs:
        plan = _program(session, each)[0].memory_plan()
        memory.append(
            f"batch {_batch(each)}: {plan.arena / 1e6:.1f} MB for activations, {plan.packed / 1e6:.1f} MB packed weights"
        )
    return [
        ("model", f"{path}, {os.path.getsize(path) / 1e6:.1f} MB, {weights:,} weights"),
        ("inputs", ", ".join(map(files.describe, session.get_inputs()))),
        *(("memory", text) for text in memory),
        ("machine", f"{_processor()}, {os.cpu_count()} CPUs"),
        *(("roof", roof.describe(count)) for count in threads),
    ]


def _processor():
    try:
        with open("/proc/cpuinfo") as lines:
            return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.machine()


def _program(session, inputs):
    """Return (the program for inputs of these shapes, the arrays)."""
    feed = turns.draw(inputs)
    return session.program(feed), feed


def measure(path, inputs, threads, peers, runs, notes):
    """Return the measurements of all engines that can run the file; append to `notes` why others cannot."""
    job, able, answers = {"model": os.path.abspath(path), "inputs": [inputs]}, [], {}
    engines = [peer.start(threads, quiet=True) for peer in peers]
    try:
        for engine in engines:
            answers[engine.name] = answer = engine.ask(job=job)
            if answer["can"]:
                able.append(engine)
            else:
                notes.append(f"{engine.name}, batch {_batch(inputs)}: {answer['why'].splitlines()[0]}")
                print(notes[-1])
        times = turns.rounds_of(able, ROUNDS, runs)
        return [
            Measurement(
                engine.name,
                _batch(inputs),
                threads,
                np.asarray(times[engine.name]),
                answers[engine.name]["first"],
                engine.ask(repeat=1)["rss"],
            )
            for engine in able
        ]
    except turns.EngineError as error:
        raise FastconvError(str(error)) from error
    finally:
        for engine in engines:
            engine.close()


def layer_times(path, inputs, threads, rounds=10):
    """Return a `LayerTime` for every node of the program, in order: the phases of a node are added."""
    with config.num_threads(threads):
        program, feed = _program(files.open_session(path), inputs)
        rows = profile(program, feed, rounds)
    seconds, kernels, labels = {}, {}, {}
    for row in rows:
        labels[row.node] = row.name or ""
        seconds[row.node] = seconds.get(row.node, 0.0) + row.seconds
        kernels.setdefault(row.node, {}).update(dict.fromkeys(row.steps))
    peak, copies = roof.fma_peak(threads), {}
    layers = []
    for position, time in seconds.items():
        node = program.graph.nodes[position]
        flops = node.op.flops(node.specs, node.attrs)
        nbytes = sum(value.spec.nbytes for value in (*node.inputs.values(), *node.outputs.values()))
        size = max(nbytes, 1).bit_length()
        if size not in copies:
            copies[size] = roof.copy_bandwidth(max(nbytes, 1), threads)
        best = max(flops / peak, nbytes / copies[size]) / 1e9
        names = " + ".join(kernels[position]) or "host"
        layers.append(LayerTime(labels[position], _title(node), _shapes(node), names, time, flops, best / time))
    return layers


def _title(node):
    epilogue = getattr(node.attrs, "epilogue", None)
    activation = getattr(epilogue, "activation", None)
    parts = [node.title, *(["sum"] if "residual" in node.inputs else []), *([activation] if activation else [])]
    return " + ".join(parts)


def _shapes(node):
    """Return "1x56x56x64, 3x3 -> 1x56x56x64", say: what comes in, the window, what goes out."""
    x, y = next(iter(node.inputs.values()), None), next(iter(node.outputs.values()))
    kernel = node.inputs.get("kernel")
    window = "" if kernel is None or kernel.ndim < 3 else ", " + "x".join(map(str, kernel.shape[: kernel.ndim - 2]))
    return f"{_text(x)}{window} -> {_text(y)}" if x is not None else _text(y)


def _text(value):
    return "x".join(map(str, value.shape)) or "scalar"


# ---- text


def print_measurements(measured):
    """Print a table of one batch and number of threads, fastconv first."""
    if not measured:
        return
    batch, threads = measured[0].batch, measured[0].threads
    print(f"\nbatch {batch}, {threads} thread{'s' * (threads > 1)}, ms")
    print(
        f"{'engine':<20} {'p50':>9} {'p90':>9} {'p99':>9} {'min':>9} {'images/s':>9} {'first':>9} {'RSS MB':>7} {'x ours':>7}"
    )
    ours = next((m.percentile(50) for m in measured if m.engine == OURS.name), None)
    for m in measured:
        numbers = " ".join(f"{m.percentile(share):9.3f}" for share in (50, 90, 99, 0))
        ratio = f"{m.percentile(50) / ours:7.2f}" if ours else ""
        print(f"{m.engine:<20} {numbers} {m.images_per_second:9.1f} {1e3 * m.first:9.1f} {m.rss:7.0f} {ratio}")


def print_layers(layers):
    """Print a line for every layer that takes a thousandth of the time or more, and the total."""
    total = sum(layer.seconds for layer in layers)
    print(
        f"\n{'layer':<{WIDTH}} {'operation':<22} {'us':>9} {'of all':>7} {'GFLOP/s':>8} {'of roof':>8}  shapes; kernels"
    )
    for layer in layers:
        if layer.seconds >= total / 1000:
            rate = f"{layer.gflops:8.1f}" if layer.flops else f"{'':8}"
            # The end of a long name tells more than its beginning.
            name = layer.name if len(layer.name) <= WIDTH else f"…{layer.name[1 - WIDTH :]}"
            print(
                f"{name:<{WIDTH}} {layer.operation:<22} {1e6 * layer.seconds:9.1f} {layer.seconds / total:7.1%} {rate} "
                f"{layer.share:8.0%}  {layer.shapes}; {layer.kernels}"
            )
    print(f"{'all, phase by phase':<{WIDTH + 23}} {1e6 * total:9.1f}")
    if any(layer.share > 1 for layer in layers):
        print("Convolutions by Winograd's algorithm multiply less than is counted: they may stand above the roof")
