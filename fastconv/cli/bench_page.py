"""The report of `fastconv bench` as one HTML page: no script, nothing from elsewhere, light or dark as the reader's system."""

from html import escape
from pathlib import Path

from .peers import OURS

STYLE = """
:root { color-scheme: light dark; --ink: #1d2327; --soft: #5c666d; --line: #d9dee2; --paper: #ffffff; --band: #f5f7f8;
  --ours: #0b7285; --other: #a5b4be; --roof: #e8590c; }
@media (prefers-color-scheme: dark) { :root { --ink: #e4e8eb; --soft: #9aa5ad; --line: #38424a; --paper: #161b1f;
  --band: #1d2429; --ours: #3bc9db; --other: #5f6f7a; --roof: #ff922b; } }
body { margin: 0 auto; max-width: 80rem; padding: 2rem 1.25rem 4rem; background: var(--paper); color: var(--ink);
  font: 15px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.6rem; margin: 0 0 1rem; overflow-wrap: anywhere; } h2 { font-size: 1.15rem; margin: 2.2rem 0 .6rem; }
h3 { font-size: 1rem; margin: 1.2rem 0 .4rem; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .2rem 1rem; margin: 0; } dt { color: var(--soft); }
dd { margin: 0; overflow-wrap: anywhere; }
p, li { max-width: 46rem; color: var(--soft); }
.wide { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .6rem; border-bottom: 1px solid var(--line); text-align: right; white-space: nowrap; }
td.l:last-child, .names td:first-child { white-space: normal; min-width: 7.5rem; overflow-wrap: anywhere; }
.names th, .names td { padding: .3rem .4rem; font-size: 14px; }
th { font-weight: 600; color: var(--soft); } th.l, td.l { text-align: left; }
tbody tr:nth-child(even) { background: var(--band); } tr.ours td { font-weight: 600; }
svg { display: block; } rect.ours { fill: var(--ours); } rect.other { fill: var(--other); } rect.roof { fill: var(--roof); }
rect.back { fill: var(--line); }
details summary { cursor: pointer; margin: .6rem 0; }
"""
BAR = 110  # pixels of the longest


def page(report):
    """Return the page of a `bench.Report`."""
    name = Path(report.model).name
    pairs = list(dict.fromkeys((m.batch, m.threads) for m in report.measurements))
    parts = [
        f"<h1>{escape(name)}</h1>",
        "<dl>" + "".join(f"<dt>{escape(k)}</dt><dd>{escape(v)}</dd>" for k, v in report.facts) + "</dl>",
        _notes(report.notes),
    ]
    for batch, threads in pairs:
        chosen = [m for m in report.measurements if (m.batch, m.threads) == (batch, threads)]
        parts.append(f"<h2>Batch {batch}, {_threads(threads)}</h2>")
        parts.append(_measurements(chosen))
        layers = report.layers.get((batch, threads))
        if layers:
            parts += ["<h3>Where fastconv's time goes</h3>", _operations(layers), _layers(layers)]
    parts.append(
        "<p>Every engine had a process of its own; they took turns. “First” is the time from the file to the first "
        "result, the engine already imported; RSS is the resident memory of the whole process. The roof of a layer is the "
        "longer of its arithmetic at the rate of multiply-adds in registers and its bytes at the rate of a copy of that "
        "size, both measured in this run. A convolution by Winograd’s algorithm multiplies less than is counted, so it may "
        "stand above the roof.</p>"
    )
    return (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n<title>{escape(name)}: fastconv bench</title>\n'
        f"<style>{STYLE}</style>\n</head>\n<body>\n" + "\n".join(filter(None, parts)) + "\n</body>\n</html>\n"
    )


def _threads(count):
    return f"{count} thread{'s' * (count > 1)}"


def _notes(notes):
    return "<ul>" + "".join(f"<li>{escape(note)}</li>" for note in dict.fromkeys(notes)) + "</ul>" if notes else ""


def _bar(share, kind, label, longest=BAR):
    """Return a bar of a share of the longest one, 1 being all of it."""
    width = max(min(share, 1.0), 0.0) * longest
    return (
        f'<svg width="{longest}" height="12" role="img" aria-label="{escape(label)}"><rect class="back" y="5" width="{longest}" '
        f'height="2"/><rect class="{kind}" width="{width:.1f}" height="12" rx="2"/></svg>'
    )


def _table(titles, rows):
    """Return a table; a title that begins with "<" stands to the left. A row is (class, cells)."""
    left = [title.startswith("<") for title in titles]
    head = "".join(
        f"<th{' class=l' * is_left}>{escape(t.lstrip('<'))}</th>" for t, is_left in zip(titles, left, strict=True)
    )
    body = ""
    for kind, cells in rows:
        tds = "".join(f"<td{' class=l' * is_left}>{cell}</td>" for cell, is_left in zip(cells, left, strict=True))
        body += f'<tr class="{kind}">{tds}</tr>\n'
    return f'<div class="wide"><table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}</tbody>\n</table></div>'


def _measurements(measured):
    slowest = max(m.percentile(50) for m in measured)
    ours = next((m.percentile(50) for m in measured if m.engine == OURS.name), None)
    titles = ["<engine", "p50 ms", "<", "p90", "p99", "min", "images/s", "first ms", "RSS MB", "× fastconv", "runs"]
    rows = []
    for m in measured:
        kind = "ours" if m.engine == OURS.name else "other"
        median = m.percentile(50)
        cells = [
            escape(m.engine),
            f"{median:.3f}",
            _bar(median / slowest, kind, f"{median:.3f} ms"),
            *(f"{m.percentile(share):.3f}" for share in (90, 99, 0)),
            f"{m.images_per_second:,.1f}",
            f"{1e3 * m.first:.1f}",
            f"{m.rss:.0f}",
            f"{median / ours:.2f}" if ours else "",
            str(len(m.times)),
        ]
        rows.append((kind, cells))
    return _table(titles, rows)


def _operations(layers):
    """Return a table of the time by operation."""
    total, sums = sum(layer.seconds for layer in layers), {}
    for layer in layers:
        count, seconds, flops = sums.get(layer.operation, (0, 0.0, 0))
        sums[layer.operation] = count + 1, seconds + layer.seconds, flops + layer.flops
    rows = []
    for name, (count, seconds, flops) in sorted(sums.items(), key=lambda item: -item[1][1]):
        share = seconds / total
        rate = f"{flops / seconds / 1e9:.1f}" if flops else ""
        rows.append(
            (
                "",
                [
                    escape(name),
                    str(count),
                    f"{1e3 * seconds:.3f}",
                    _bar(share, "ours", f"{share:.1%}"),
                    f"{share:.1%}",
                    rate,
                ],
            )
        )
    return _table(["<operation", "layers", "ms", "<", "of all", "GFLOP/s"], rows)


def _layers(layers):
    total = sum(layer.seconds for layer in layers)
    longest = max(layer.seconds for layer in layers)
    rows = []
    for layer in layers:
        cells = [
            escape(layer.name),
            escape(layer.operation),
            escape(layer.shapes.replace("->", "→")),
            f"{1e6 * layer.seconds:.1f}",
            _bar(layer.seconds / longest, "ours", f"{layer.seconds / total:.1%} of all", BAR // 2),
            f"{layer.seconds / total:.1%}",
            f"{layer.gflops:.1f}" if layer.flops else "",
            f"{layer.share:.0%}",
            _bar(layer.share, "roof", f"{layer.share:.0%} of the roof", BAR // 2),
            escape(layer.kernels),
        ]
        rows.append(("", cells))
    titles = ["<layer", "<operation", "<shapes", "µs", "<", "of all", "GFLOP/s", "of roof", "<", "<kernels"]
    table = _table(titles, rows)
    return f'<details open class="names"><summary>{len(layers)} layers, in order</summary>{table}</details>'
