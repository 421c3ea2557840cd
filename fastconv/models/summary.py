"""The table that `Model.summary` prints."""

import re
import sys
import textwrap

from ..errors import ArgumentError, FastconvError
from ..layers.input import InputLayer
from ..layers.node import LayerTensor, flatten, is_shape
from ..op import ITEM_SIZE

DEFAULT_WIDTH = 80

# Corners and lines: top, below the header, between rows, bottom; vertical in the header and in rows.
_BOX = ("┏━┳┓", "┡━╇┩", "├─┼┤", "└─┴┘", "┃", "│")
_ASCII = ("+-++", "+=++", "+-++", "+-++", "|", "|")


def print_summary(
    model, line_length=None, positions=None, print_fn=None, expand_nested=False, show_trainable=False, layer_range=None
):
    """Print the table; see `Model.summary`."""
    box = _BOX
    if print_fn is None:
        print_fn = print
        try:
            "".join(_BOX).encode(getattr(sys.stdout, "encoding", None) or "utf-8")
        except (UnicodeEncodeError, LookupError):
            box = _ASCII
    print_fn("\n".join(_lines(model, line_length, positions, expand_nested, show_trainable, layer_range, box)))


def _lines(model, line_length, positions, expand_nested, show_trainable, layer_range, box):
    connected = _shows_connections(model)
    titles = ["Layer (type)", "Output Shape", "Param #"]
    shares = [0.45, 0.80, 1.0]
    if connected:
        titles.append("Connected to")
        shares = [0.31, 0.54, 0.66, 1.0]
    if show_trainable:
        titles.append("Trainable")
        shares = [*(share * 0.87 for share in shares), 1.0]
    shares = positions or shares
    if len(shares) != len(titles):
        raise ArgumentError(f"summary: positions needs {len(titles)} values for the columns {', '.join(titles)}")
    length = int(line_length or (DEFAULT_WIDTH if len(titles) == 3 else 100))
    stops = [int(share * length) if share <= 1 else int(share) for share in shares]
    widths = [max(stop - start - 3, 5) for start, stop in zip([0, *stops], stops, strict=False)]

    yield f'Model: "{model.name}"'
    yield _rule(box[0], widths)
    yield from _row(titles, widths, box[4])
    yield _rule(box[1], widths)
    rows = list(_rows(model, connected, expand_nested, show_trainable, layer_range))
    for i, row in enumerate(rows):
        yield from _row(row, widths, box[5])
        if i < len(rows) - 1:
            yield _rule(box[2], widths)
    yield _rule(box[3], widths)
    failure = getattr(model, "_failure", None)
    if failure is not None:
        yield from textwrap.wrap(f"Not built: {failure[1]}", length, initial_indent=" ", subsequent_indent=" ")
    yield from _totals(model)


def _rule(corners, widths):
    left, line, cross, right = corners
    return left + cross.join(line * (width + 2) for width in widths) + right


def _row(cells, widths, bar):
    # The number of parameters stands to the right, as numbers do.
    columns = [_wrap(cell, width) for cell, width in zip(cells, widths, strict=True)]
    for k in range(max(map(len, columns))):
        parts = [column[k] if k < len(column) else "" for column in columns]
        texts = [
            part.rjust(width) if i == 2 else part.ljust(width)
            for i, (part, width) in enumerate(zip(parts, widths, strict=True))
        ]
        yield f"{bar} " + f" {bar} ".join(texts) + f" {bar}"


def _wrap(text, width):
    return [line for part in text.split("\n") for line in textwrap.wrap(part, width) or [""]]


def _shows_connections(model):
    """Tell whether the model is more than layers one after another."""
    graph = model._layer_graph
    if graph is None:
        return False
    nodes = graph.nodes
    used = [id(tensor) for node in nodes for tensor in node.inputs_flat]
    return (
        len(graph.inputs_flat) > 1
        or len(graph.outputs_flat) > 1
        or any(len(node.inputs_flat) > 1 for node in nodes)
        or len(used) != len(set(used))
    )


def _rows(model, connected, expand_nested, show_trainable, layer_range, prefix=""):
    layers = _selected(getattr(model, "operations", None) or model.layers, layer_range)
    failure = getattr(model, "_failure", None)
    for i, layer in enumerate(layers):
        if failure is not None and i > len(failure[0]):
            return
        params = f"{layer.count_params():,}" if layer.built else "0 (unbuilt)"
        row = [f"{prefix}{layer.name} ({layer._class_name or type(layer).__name__})", _shape_text(model, layer), params]
        if failure is not None:
            shape, count = failure[0][i] if i < len(failure[0]) else ("failed", 0)
            row[1:] = [str(shape), f"{count:,} (unbuilt)"]
        if connected:
            row.append(_connections(model, layer))
        if show_trainable:
            row.append("Y" if layer.trainable else "N")
        yield row
        if expand_nested and hasattr(layer, "layers"):
            yield from _rows(layer, connected, True, show_trainable, None, prefix + "    ")


def _selected(layers, layer_range):
    if layer_range is None:
        return layers
    ends = []
    for pattern in layer_range:
        found = [i for i, layer in enumerate(layers) if re.fullmatch(pattern, layer.name)]
        if not found:
            raise ArgumentError(f"summary: layer_range names no layer: {pattern!r}")
        ends.append((found[0], found[-1]))
    return layers[ends[0][0] : ends[1][1] + 1]


def _shape_text(model, layer):
    try:
        graph = model._layer_graph
        if graph is not None:
            # A layer that other graphs share has other nodes as well.
            node = next((n for n in graph.nodes if n.layer is layer), None)
            shapes = [t.shape for t in node.outputs_flat] if node else layer.output_shape
        else:
            shapes = layer.output_shape
    except (FastconvError, AttributeError):
        return "?"
    return _format(shapes)


def _format(shapes):
    if is_shape(shapes):
        return str(tuple(shapes))
    parts = shapes.values() if isinstance(shapes, dict) else shapes
    return ", ".join(_format(shape) for shape in parts)


def _connections(model, layer):
    if isinstance(layer, InputLayer):
        return "-"
    texts = []
    for node in model._layer_graph.nodes:
        if node.layer is layer:
            texts += [
                f"{t.producer.layer.name}[{t.producer.layer._nodes.index(t.producer)}][{t.index}]"
                for t in flatten((node.args, node.kwargs))
                if isinstance(t, LayerTensor)
            ]
    return ",\n".join(texts) or "-"


def _totals(model):
    trainable, frozen = model.trainable_weights, model.non_trainable_weights
    optimizer = [] if model.optimizer is None else [t for slots in model.optimizer._slots for t in slots.values()]
    yield f" Total params: {_amount([*trainable, *frozen, *optimizer])}"
    yield f" Trainable params: {_amount(trainable)}"
    yield f" Non-trainable params: {_amount(frozen)}"
    if optimizer:
        yield f" Optimizer params: {_amount(optimizer)}"


def _amount(weights):
    count = sum(weight.size for weight in weights)
    return f"{count:,} ({format_bytes(sum(weight.size * ITEM_SIZE[weight.dtype] for weight in weights))})"


def format_bytes(nbytes):
    """Return a number of bytes as "3.91 KB"."""
    units = ("B", "KB", "MB", "GB", "TB")
    power = 0
    while nbytes >= 1024 and power < len(units) - 1:
        nbytes /= 1024
        power += 1
    return f"{nbytes:.2f} {units[power]}"
