"""Errors of every precision mode beside PyTorch's and NumPy's, on the same inputs: a table and a picture.

    python benchmarks/precision.py [--out benchmarks/results]

Layers are convolutions on 16x16 maps to 64 channels, padding "same", K = channels or 9 x channels; an error is the root
mean square of (y - y64) / sum |x||w|, the measures and the formulas those of tests/precision. PyTorch is left out where it
is not installed, the picture where matplotlib is not.
"""

import argparse
import itertools
import pathlib
import sys

import numpy as np

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.append(str(ROOT))  # behind what is installed: the measures are those of the tests

import fastconv as fc  # noqa: E402
from fastconv._kernels import runtime  # noqa: E402
from fastconv.config import PRECISIONS  # noqa: E402
from tests.precision import inputs, problems, sums  # noqa: E402

LAYERS = {
    f"{side}x{side}": [problems.Convolution(1, 16, n, 64, side) for n in channels]
    for side, channels in ((3, (1, 3, 16, 32, 64, 128, 256, 512)), (1, (9, 32, 128, 512, 1024, 2048, 4608)))
}
KINDS = inputs.normal, inputs.relu_like, inputs.wide_range


def by_numpy(layer, x, kernel):
    """im2col, and a float32 matrix product by NumPy's BLAS."""
    columns = layer.windows(x).reshape(-1, layer.kernel**2 * layer.channels)
    return (columns @ kernel.reshape(-1, layer.outputs)).reshape(layer.y_shape)


def by_torch(layer, x, kernel, autocast=False):
    """PyTorch's conv2d, channels last; with `autocast`, as its users run bfloat16."""
    import torch

    x = torch.from_numpy(x).permute(0, 3, 1, 2)
    kernel = torch.from_numpy(kernel).permute(3, 2, 0, 1).contiguous(memory_format=torch.channels_last)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        y = torch.nn.functional.conv2d(x, kernel, padding="same")
    return y.permute(0, 2, 3, 1).float().numpy()


def by_fastconv(layer, x, kernel, mode, isa):
    runtime.select(isa)
    with fc.precision(mode):
        return fc.ops.conv2d(x, kernel, **layer.options).numpy()


def engines():
    """Return {name: function of layer, x, kernel}."""
    found = {
        f"{mode}, {isa}": lambda *call, mode=mode, isa=isa: by_fastconv(*call, mode, isa)
        for isa in runtime.available()
        for mode in PRECISIONS
    }
    found["NumPy float32"] = by_numpy
    try:
        import torch  # noqa: F401
    except ImportError:
        return found
    found["PyTorch float32"] = by_torch
    found["PyTorch bf16 autocast"] = lambda *call: by_torch(*call, autocast=True)
    return found


def measure():
    """Return {title: {engine: {K: Error}}}; the engine "in sequence" is one float32 multiply-add after another."""
    before, table, found = runtime.isa(), {}, engines()
    for (title, layers), kind in itertools.product(LAYERS.items(), KINDS):
        rows = table[f"{title}, {kind.__name__.replace('_', ' ')}"] = {name: {} for name in ("in sequence", *found)}
        for layer in layers:
            rng = np.random.default_rng(0)
            x = kind(rng, layer.x_shape)
            length = layer.kernel**2 * layer.channels
            kernel = (rng.standard_normal(layer.kernel_shape) / np.sqrt(length)).astype("f4")
            a, b = layer.windows(x).reshape(1, -1, length), kernel.reshape(1, length, -1)
            exact, size = sums.exact(a, b), sums.magnitude(a, b)
            rows["in sequence"][length] = sums.Error(sums.in_sequence(a, b), exact, size, length)
            for name, run in found.items():
                y = run(layer, x, kernel).reshape(exact.shape)
                rows[name][length] = sums.Error(y, exact, size, length)
    runtime.select(before)
    return table


def lines(table):
    """Yield the page."""
    import platform

    yield "# Errors against float64\n"
    yield "`python benchmarks/precision.py`: convolutions, root mean square of (y - y64) / sum |x||w|."
    yield f"{platform.machine()}, fastconv {fc.__version__}, NumPy {np.__version__}.\n"
    for title, rows in table.items():
        lengths = list(next(iter(rows.values())))
        yield f"\n## {title}\n"
        yield "| K | " + " | ".join(map(str, lengths)) + " |"
        yield "|---|" + "---:|" * len(lengths)
        for name, errors in rows.items():
            yield f"| {name} | " + " | ".join(f"{errors[k].rms:.1e}" for k in lengths) + " |"


def draw(table, path):
    """Write the picture: a row of panels for each size of kernel, a panel for each kind of inputs."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    best = runtime.available()[0]
    styles = {  # wide lines under narrow ones: modes share algorithms
        f"medium, {best}": ('"medium"', "#e0a080", "-", 5),
        f"high, {best}": ('"high"', "#2a9d5c", "-", 3),
        f"highest, {best}": ('"highest"', "#1b3c78", "-", 1.4),
        "in sequence": ("float32 in sequence", "0.3", "--", 1),
        "NumPy float32": ("NumPy float32", "#1b6ca8", ":", 1.6),
        "PyTorch float32": ("PyTorch float32", "#8e5bb5", ":", 1.6),
        "PyTorch bf16 autocast": ("PyTorch bf16 autocast", "#c8552b", ":", 1.6),
    }
    figure, panels = pyplot.subplots(len(LAYERS), len(KINDS), figsize=(4.4 * len(KINDS), 7.6), sharex=True, sharey=True)
    for panel, (title, rows) in zip(panels.flat, table.items(), strict=True):
        for name, (label, colour, line, width) in styles.items():
            if name in rows:
                lengths, values = zip(*((k, e.rms) for k, e in rows[name].items()), strict=True)
                panel.plot(lengths, values, line, color=colour, label=label, linewidth=width, marker="o", markersize=3)
        panel.axhline(1e-5, color="#2a9d5c", linewidth=0.6)
        panel.text(9, 1.15e-5, 'promise of "high"', color="#2a9d5c", fontsize=8)
        panel.set(xscale="log", yscale="log", title=f"{title} inputs")
        panel.grid(alpha=0.25)
    for panel in panels[-1]:
        panel.set_xlabel("K, products in a sum")
    for panel in panels[:, 0]:
        panel.set_ylabel("rms of (y − y64) / Σ|x||w|")
    figure.legend(*panels.flat[0].get_legend_handles_labels(), loc="lower center", ncols=7, fontsize=8, frameon=False)
    figure.tight_layout(rect=(0, 0.04, 1, 1))
    figure.savefig(path, dpi=110)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=pathlib.Path, default=ROOT / "benchmarks/results")
    folder = parser.parse_args().out
    folder.mkdir(parents=True, exist_ok=True)
    table = measure()
    page = "\n".join(lines(table)) + "\n"
    (folder / "precision.md").write_text(page)
    print(page)
    try:
        draw(table, folder / "precision.png")
    except ImportError:
        print("no picture: matplotlib is not installed (pip install 'fastconv[plot]')")


if __name__ == "__main__":
    main()
