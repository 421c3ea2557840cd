"""fastconv beside the engines its users come from, layer by layer.

    python benchmarks/peers layers [--threads 1] [--isa avx512] [--groups dense,first] [--rounds 5]

Every engine has a process of its own; they take turns; medians and ratios are given.
"""

import argparse
import math
import re
import sys
from importlib.util import find_spec
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent), str(HERE.parents[1])]

from layers import LAYERS  # noqa: E402
from turns import Engine, take_turns  # noqa: E402

# What keeps the peers on the instruction set that fastconv is held to.
PEER_ISA = {"avx2": {"ONEDNN_MAX_CPU_ISA": "AVX2", "MKL_ENABLE_INSTRUCTIONS": "AVX2", "ATEN_CPU_CAPABILITY": "avx2"}}


def engines(threads, isa):
    """Start the engines of the layer table that are installed."""
    ours = {"FASTCONV_ISA": isa} if isa else {}
    started = [Engine("fastconv", "engine_fastconv", "", threads, ours)]
    if find_spec("torch"):
        theirs = PEER_ISA.get(isa, {})
        started += [Engine(f"torch {v}", "engine_torch", v, threads, theirs) for v in ("NCHW", "channels_last")]
    return started


def layer_table(args):
    chosen = [
        layer
        for layer in LAYERS
        if layer.group in (args.groups or layer.group) and re.search(args.match, layer.name)
    ]
    started = engines(args.threads, args.isa)
    print(f"| layer | direction | {' | '.join(e.name + ' us' for e in started)} | GFLOP/s or GB/s | ratio |")
    print("|---|---|" + "---:|" * (len(started) + 2))
    ratios = {}
    for direction in args.directions:
        for layer in chosen:
            times = take_turns(started, layer.as_job(direction), args.rounds)
            ours = times["fastconv"]
            peers = [t for name, t in times.items() if name != "fastconv"]
            ratio = min(peers) / ours if peers else float("nan")
            ratios.setdefault((layer.group, direction), []).append(ratio)
            rate = (layer.flops(direction) or layer.nbytes(direction)) / ours / 1e9
            cells = " | ".join(f"{1e6 * times[e.name]:.1f}" if e.name in times else "" for e in started)
            print(f"| {layer.name} | {direction} | {cells} | {rate:.1f} | {ratio:.2f} |", flush=True)
    for (group, direction), found in ratios.items():
        mean = math.exp(sum(map(math.log, found)) / len(found))
        print(f"{group} {direction}: geometric mean {mean:.2f}, least {min(found):.2f}")
    for engine in started:
        engine.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("layers",))
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--isa", help="hold every engine to this instruction set")
    parser.add_argument("--groups", type=lambda text: text.split(","))
    parser.add_argument("--match", default="", help="only layers whose name matches this regular expression")
    parser.add_argument("--directions", type=lambda text: text.split(","), default=["forward", "both"])
    parser.add_argument("--rounds", type=int, default=5)
    layer_table(parser.parse_args())


if __name__ == "__main__":
    main()
