"""The table of layers: every engine's time, fastconv's share of the roof, and the ratio to the best peer."""

import math
import re
import statistics
from pathlib import Path

import engines
from layers import LAYERS

from fastconv.cli import roof
from fastconv.cli.peers.turns import take_turns

RESULTS = Path(__file__).parents[1] / "results"
OURS = "fastconv"
DIRECT = "fastconv direct"  # without Winograd's algorithm, where that is what fastconv uses


def choose(args):
    """Return the layers that the command line asks for."""
    return [x for x in LAYERS if x.group in (args.groups or x.group) and re.search(args.match, x.name)]


def run(args):
    """Measure, print rows as they come, and write the table and the picture."""
    started = engines.start(args.engines, args.threads, args.isa, precisions=args.precision)
    names = [engine.name for engine in started]
    lines = [
        f"| layer | direction | {' | '.join(f'{name} µs' for name in names)} | rate | of the roof | × PyTorch | direct × | "
        f"{''.join(f'{precision} × | ' for precision in args.precision)}× best |",
        "|---|---|" + "---:|" * (len(names) + 5 + len(args.precision)),
    ]
    print("\n".join(lines), flush=True)
    rows = []
    for direction in args.directions:
        for layer in choose(args):
            times = take_turns(started, layer.as_job(direction), args.rounds)
            medians = {name: statistics.median(each) for name, each in times.items()}
            rows.append(Row(layer, direction, medians, args.threads))
            lines.append(rows[-1].markdown(names, args.precision))
            print(lines[-1], flush=True)
    for engine in started:
        engine.close()
    summary = summarize(rows, args.precision)
    print(summary)
    title = f"{args.isa or 'best instruction set'}, {args.threads} thread(s); {roof.describe(args.threads)}"
    RESULTS.mkdir(exist_ok=True)
    stem = RESULTS / "-".join(["layers", args.isa or "best", str(args.threads), *args.precision])
    stem.with_suffix(".md").write_text("\n".join([f"# Layers\n\n{title}\n", *lines, "", summary, ""]))
    draw(rows, names, title, stem)


class Row:
    """A layer in one direction: the seconds of every engine, and what the machine could do at best."""

    def __init__(self, layer, direction, times, threads):
        self.layer, self.direction, self.times = layer, direction, times
        flops, nbytes = layer.flops(direction), layer.nbytes(direction)
        bound = nbytes if not flops or layer.group == "depthwise" else 0
        self.amount, self.unit = (bound, "GB/s") if bound else (flops, "GFLOP/s")
        # The copy is as large as what one pass touches.
        touched = layer.nbytes("forward")
        self.roof = roof.copy_bandwidth(touched, threads) if bound else roof.fma_peak(threads)

    def rate(self, name):
        return self.amount / self.times[name] / 1e9

    def ratio(self, peer, ours=OURS):
        """The time of the fastest engine whose name begins with `peer` over that of `ours`, in bfloat16 where `ours` may be."""
        medium = ours.endswith(" medium")
        peers = [
            t
            for name, t in self.times.items()
            if name.startswith(peer) and not name.startswith(OURS) and name.endswith(" bfloat16") == medium
        ]
        return min(peers) / self.times[ours] if peers and ours in self.times else math.nan

    def markdown(self, names, precisions=()):
        cells = " | ".join(f"{1e6 * self.times[name]:.1f}" if name in self.times else "" for name in names)
        ours = f"{self.rate(OURS):.1f} {self.unit} | {self.rate(OURS) / self.roof:.0%}" if OURS in self.times else " | "
        others = (self.ratio("torch", name) for name in (DIRECT, *(f"{OURS} {word}" for word in precisions)))
        ratios = (self.ratio("torch"), *others, self.ratio(""))
        against = " | ".join("" if math.isnan(ratio) else f"{ratio:.2f}" for ratio in ratios)
        return f"| {self.layer.name} | {self.direction} | {cells} | {ours} | {against} |"


def summarize(rows, precisions=()):
    """Return a line per class of layers and direction: the geometric mean and the least of the ratios to PyTorch."""
    found = {}
    for row in rows:
        for ours, words in ((OURS, ""), *((f"{OURS} {word}", f" ({word})") for word in ("direct", *precisions))):
            ratio = row.ratio("torch", ours)
            if not math.isnan(ratio):
                found.setdefault((row.layer.group + words, row.direction), []).append(ratio)
    return "\n".join(
        f"- {group}, {direction}, against PyTorch: geometric mean {statistics.geometric_mean(each):.2f}, "
        f"least {min(each):.2f}"
        for (group, direction), each in found.items()
    )


def draw(rows, names, title, stem):
    """Draw the rates as bars against the roof: a panel for arithmetic, one for bandwidth, for each direction."""
    try:
        import matplotlib
    except ImportError:
        print("matplotlib is not installed: no picture")
        return
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    for direction in dict.fromkeys(row.direction for row in rows):
        panels = [
            (unit, [r for r in rows if r.direction == direction and r.unit == unit]) for unit in ("GFLOP/s", "GB/s")
        ]
        panels = [(unit, chosen) for unit, chosen in panels if chosen]
        heights = [len(chosen) for _, chosen in panels]
        figure, axes = plt.subplots(
            len(panels),
            figsize=(10, 1.5 + 0.13 * (len(names) + 2) * sum(heights)),
            height_ratios=heights,
            squeeze=False,
            layout="constrained",
        )
        for (unit, chosen), axis in zip(panels, axes[:, 0], strict=True):
            _bars(axis, chosen, names, unit)
        figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=4, fontsize=8)
        figure.suptitle(f"{'forward' if direction == 'forward' else 'forward and backward'}; {title}", fontsize=9)
        figure.savefig(f"{stem}-{direction}.png", dpi=110)
        plt.close(figure)


def _bars(axis, rows, names, unit):
    width = 0.85 / len(names)
    for i, name in enumerate(names):
        has = [j for j, row in enumerate(rows) if name in row.times]
        places = [j + (i - (len(names) - 1) / 2) * width for j in has]
        axis.barh(places, [rows[j].rate(name) for j in has], width, label=name, color=f"C{i}")
    for j, row in enumerate(rows):
        axis.plot([row.roof, row.roof], [j - 0.45, j + 0.45], color="black", lw=1.5, label="" if j else "roof")
    axis.set_yticks(range(len(rows)), [row.layer.name for row in rows], fontsize=8)
    axis.invert_yaxis()
    axis.set_xlabel(unit)
    axis.spines[["top", "right"]].set_visible(False)
