"""Where a training step of fastconv spends its time: by operation and direction, and by kernel."""

import re

import training_fastconv
from networks import NETWORKS

from fastconv import graph


def run(args):
    """Print the two tables of every network asked for."""
    training_fastconv.start(args.threads)
    for network in NETWORKS:
        if re.search(args.match, network.name):
            rows = graph.profile(*training_fastconv.program(network, args.optimizer), rounds=args.rounds)
            total = sum(row.seconds for row in rows)
            print(f"\n{network.name} b{network.batch}, {args.threads} thread(s): {1e3 * total:.1f} ms, phase by phase")
            _table("operation", rows, total, lambda row: row.operation)
            _table("kernels of a phase", rows, total, lambda row: " + ".join(dict.fromkeys(row.steps)) or "host")


def _table(title, rows, total, key):
    sums = {}
    for row in rows:
        count, seconds = sums.get(key(row), (0, 0.0))
        sums[key(row)] = count + 1, seconds + row.seconds
    print(f"\n| {title} | phases | ms | share |\n|---|---:|---:|---:|")
    for name, (count, seconds) in sorted(sums.items(), key=lambda item: -item[1][1]):
        if seconds > 0.002 * total:
            print(f"| {name} | {count} | {1e3 * seconds:.2f} | {seconds / total:.1%} |")
