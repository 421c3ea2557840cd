"""Names of layers: ``Conv2D`` -> ``conv2d``, ``conv2d_1``, ..."""

import threading

from ..named import snake_case

_counts = {}
_lock = threading.Lock()


def auto_name(class_name):
    """Return a name not handed out before, from the name of a class."""
    stem = snake_case(class_name)
    with _lock:
        count = _counts[stem] = _counts.get(stem, -1) + 1
    return f"{stem}_{count}" if count else stem


def number_by_class(layers):
    """Return {path: layer} that depends on classes and order alone: ``conv2d, conv2d_1``, whatever the names are."""
    paths, counts = {}, {}
    for layer in layers:
        stem = snake_case(type(layer).__name__)
        count = counts[stem] = counts.get(stem, -1) + 1
        paths[f"{stem}_{count}" if count else stem] = layer
    return paths
