"""The table of training steps: whole networks, forward, backward and the optimizer's update."""

import re
import statistics
from pathlib import Path

import engines
from networks import NETWORKS

from fastconv.cli.peers.turns import take_turns

RESULTS = Path(__file__).parents[1] / "results"


def run(args):
    """Measure, print rows as they come, and write the table."""
    title = f"Training steps with {args.optimizer}, {args.isa or 'best instruction set'}, {args.threads} thread(s)"
    lines = ["| network | engine | ms per step | peak memory MB | × fastconv |", "|---|---|---:|---:|---:|"]
    print(title, *lines, sep="\n", flush=True)
    for network in NETWORKS:
        if not re.search(args.match, network.name):
            continue
        # New processes for every network, so that a peak of memory is its own.
        started = engines.start(args.engines, args.threads, args.isa, "training", args.precision)
        times = take_turns(started, {"network": network.name, "optimizer": args.optimizer}, args.rounds)
        medians = {name: statistics.median(each) for name, each in times.items()}
        for engine in started:
            engine.close()
            ours = medians.get("fastconv", float("nan"))
            seconds = medians[engine.name]
            lines.append(
                f"| {network.name} b{network.batch} | {engine.name} | {1e3 * seconds:.1f} | {engine.peak:.0f} "
                f"| {seconds / ours:.2f} |"
            )
            print(lines[-1], flush=True)
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / ("-".join(["training", args.isa or "best", str(args.threads), *args.precision]) + ".md")
    path.write_text("\n".join([f"# {title}\n", *lines, ""]))
