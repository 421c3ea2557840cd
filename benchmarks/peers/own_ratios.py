"""fastconv against itself: two threads against one, and denormal numbers against normal ones."""

import statistics

from engines import HERE
from layer_table import choose

from fastconv.cli.peers.turns import Engine, take_turns

# What is compared: (engine's name, variant, threads), the one in the numerator of the ratio first.
PAIRS = {
    "scaling": (("one thread", "", 1), ("two threads", "", 2)),
    "denormals": (("normal", "", 1), ("denormal", "denormal", 1)),
}


def run(args):
    """Print a table of the ratios of the chosen layers."""
    environment = {"FASTCONV_ISA": args.isa} if args.isa else {}
    pair = PAIRS[args.what]
    started = [
        Engine(name, HERE / "engine_fastconv.py", variant, threads, environment) for name, variant, threads in pair
    ]
    first, second = (engine.name for engine in started)
    print(f"| layer | direction | {first} µs | {second} µs | ratio |\n|---|---|---:|---:|---:|", flush=True)
    ratios = []
    for direction in args.directions:
        for layer in choose(args):
            times = take_turns(started, layer.as_job(direction), args.rounds)
            medians = [statistics.median(times[name]) for name in (first, second)]
            ratios.append(medians[0] / medians[1])
            numbers = f"{1e6 * medians[0]:.1f} | {1e6 * medians[1]:.1f} | {ratios[-1]:.2f}"
            print(f"| {layer.name} | {direction} | {numbers} |", flush=True)
    for engine in started:
        engine.close()
    print(f"geometric mean {statistics.geometric_mean(ratios):.2f}, least {min(ratios):.2f}")
