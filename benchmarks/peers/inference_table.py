"""Networks of ONNX files: latency, start and memory of every engine, and how flat memory stays.

`inference`: engines take turns within a network, a batch and a number of threads. `start`: a new process for every
measurement, engines in turns: the time to import the engine, from the file (in the page cache) to the first result, and the
resident memory after 20 more runs. `flat`: the resident memory after 100 and after 1,000 runs whose batch changes.
"""

import os
import re
import statistics
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from engines import HERE, PEER_ISA

from fastconv import InferenceSession
from fastconv.cli.peers import OURS, PEERS, Peer
from fastconv.cli.peers.turns import rounds_of

RESULTS = HERE.parent / "results"
DIFFERENCE = 1e-3  # the most that engines may differ, of the largest output
ROUNDED = 5e-2  # the same where both may round to bfloat16
NCNN = Peer("ncnn", "ncnn", HERE / "inference_ncnn.py")
WORDS = {"fastconv": (OURS,), **PEERS, "ncnn": (NCNN,)}
# What --precision medium compares: engines that may round to bfloat16.
MEDIUM = {
    "fastconv": (OURS._replace(variant="medium"),),
    "openvino": (PEERS["openvino"][0]._replace(name="OpenVINO default", variant="default"),),
}
BATCHES = (1, 2, 3, 4, 5)  # of `flat`
RUNS = (100, 900)


def python_of(peer):
    """Return the Python that an engine runs in: ncnn's may be another one."""
    return os.environ.get("FASTCONV_NCNN_PYTHON") if peer is NCNN else None


def choose(args):
    """Return the engines that the command line asks for and that are installed."""
    words = MEDIUM if "medium" in args.precision else WORDS
    unknown = set(args.engines or ()) - set(words)
    if unknown:
        sys.exit(f"--engines: unknown {', '.join(sorted(unknown))}; there are {', '.join(words)}")
    chosen = [peer for word in args.engines or words for peer in words[word]]
    absent = [peer.name for peer in chosen if not (python_of(peer) or find_spec(peer.package))]
    if absent:
        print(f"not installed: {', '.join(absent)}")
    return [peer for peer in chosen if peer.name not in absent]


def files(args):
    """Return the ONNX files of the command line, those of folders too."""
    paths = [Path(path) for path in args.models]
    found = [file for path in paths for file in (sorted(path.glob("*.onnx")) if path.is_dir() else [path])]
    found = [path for path in found if re.search(args.match, path.stem)]
    if not found:
        sys.exit("--models: no .onnx files; `python benchmarks/onnx_models.py --out DIR` writes some")
    return [str(path.resolve()) for path in found]


def inputs_of(path, batch):
    """Return {name: (shape, dtype)} for a batch, or None if the file fixes another one. Other open dimensions are 224."""
    session, inputs = InferenceSession(path), {}
    for value in session.get_inputs():
        first, *rest = value.shape
        if isinstance(first, int) and first != batch:
            return None
        dtype = value.type.removeprefix("tensor(").removesuffix(")")
        dtype = {"float": "float32", "double": "float64"}.get(dtype, dtype)
        inputs[value.name] = (batch, *(size if isinstance(size, int) else 224 for size in rest)), dtype
    return inputs


def start(peer, threads, isa):
    environment = ({"FASTCONV_ISA": isa} if isa else {}) if peer.package == OURS.package else PEER_ISA.get(isa, {})
    return peer.start(threads, environment=environment, python=python_of(peer))


def prepared(peers, job, threads, isa, folder):
    """Start the engines and give them the job; return those that can do it, and check that they agree."""
    able, expected = [], None
    for i, peer in enumerate(peers):
        engine = start(peer, threads, isa)
        path = str(Path(folder) / f"{i}.npz")
        answer = engine.ask(job={**job, "outputs": path})
        if not answer["can"]:
            print(f"  {peer.name}: {answer['why']}")
            engine.close()
            continue
        with np.load(path) as arrays:
            outputs = list(arrays.values())
        expected = expected or outputs
        for ours, theirs in zip(expected, outputs, strict=True):
            difference = np.abs(ours.astype("f8") - theirs).max() / max(np.abs(ours).max(), 1e-30)
            if difference > (ROUNDED if peer.variant == "default" else DIFFERENCE):
                print(f"  {peer.name}: differs from {able[0].name} by {difference:.1g} of the largest output")
        able.append(engine)
    return able


def run(args):
    """Measure, print rows as they come, and write the table."""
    peers = choose(args)
    lines = {"inference": _latency, "start": _start, "flat": _flat}[args.what](args, peers)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{args.what}-{args.isa or 'best'}.md").write_text("\n".join([f"# {args.what}\n", *lines, ""]))


class Table:
    """Rows that are printed as they come."""

    def __init__(self, *titles):
        self.lines = []
        self.add(*titles)
        self._put("|---" * len(titles) + "|")

    def _put(self, line):
        self.lines.append(line)
        print(line, flush=True)

    def add(self, *cells):
        self._put(f"| {' | '.join(cells)} |")


def _latency(args, peers):
    names = [peer.name for peer in peers]
    table = Table("network", "batch", "threads", *(f"{name} ms" for name in names), "best peer", "× best")
    ratios = []
    for path in files(args):
        for batch in args.batch:
            inputs = inputs_of(path, batch)
            for threads in args.threads if inputs else ():
                with tempfile.TemporaryDirectory() as folder:
                    able = prepared(peers, {"model": path, "inputs": [inputs]}, threads, args.isa, folder)
                times = rounds_of(able, args.rounds)
                for engine in able:
                    engine.close()
                medians = {name: 1e3 * statistics.median(each) for name, each in times.items()}
                cells = [f"{medians[name]:.3f}" if name in medians else "" for name in names]
                table.add(Path(path).stem, str(batch), str(threads), *cells, *_against(medians, ratios))
    if ratios:
        print(f"geometric mean {statistics.geometric_mean(ratios):.2f}, least {min(ratios):.2f}")
    return table.lines


def _against(medians, ratios):
    """Return (name of the best peer, its time over ours) as cells."""
    others = {name: each for name, each in medians.items() if name != OURS.name}
    if OURS.name not in medians or not others:
        return "", ""
    best = min(others, key=others.get)
    ratios.append(others[best] / medians[OURS.name])
    return best, f"{ratios[-1]:.2f}"


def _start(args, peers):
    table = Table(
        "network", "threads", "engine", "import ms", "file to first result ms", "RSS after 20 runs MB", "× ours"
    )
    for path in files(args):
        job = {"model": path, "inputs": [inputs_of(path, 1)]}
        for threads in args.threads if job["inputs"][0] else ():
            seen = {peer.name: [] for peer in peers}
            for _ in range(args.rounds):
                for peer in peers:
                    with start(peer, threads, args.isa) as engine:
                        answer = engine.ask(job=job)
                        if answer["can"]:
                            rss = engine.ask(repeat=20)["rss"]
                            seen[peer.name].append((1e3 * answer["import"], 1e3 * answer["first"], rss))
            medians = {
                name: [statistics.median(each) for each in zip(*rows, strict=True)]
                for name, rows in seen.items()
                if rows
            }
            ours = medians.get(OURS.name)
            for name, (load, first, rss) in medians.items():
                against = f"{first / ours[1]:.2f}, {rss / ours[2]:.2f}" if ours else ""
                table.add(Path(path).stem, str(threads), name, f"{load:.0f}", f"{first:.1f}", f"{rss:.0f}", against)
    return table.lines


def _flat(args, peers):
    table = Table(
        "network", "threads", "engine", *(f"RSS after {sum(RUNS[: i + 1])} runs MB" for i in range(len(RUNS)))
    )
    for path in files(args):
        inputs = [inputs_of(path, batch) for batch in BATCHES]
        if None in inputs:
            print(f"  {Path(path).stem} has a fixed batch")
            continue
        for threads in args.threads:
            for peer in peers:
                with start(peer, threads, args.isa) as engine:
                    if engine.ask(job={"model": path, "inputs": inputs})["can"]:
                        rss = [engine.ask(repeat=runs)["rss"] for runs in RUNS]
                        table.add(Path(path).stem, str(threads), peer.name, *(f"{each:.1f}" for each in rss))
    return table.lines
