"""What CIFAR-10 and CIFAR-100 share: two layouts, each extracted or in its archive."""

from typing import NamedTuple

import numpy as np

from ..storage import cifar
from ..storage.bounded import read_bytes, read_members
from . import _locate

_FILE_LIMIT = 200_000_000  # CIFAR-100's "train", the largest file, has 155 MB
_ARCHIVE_LIMIT = 400_000_000


class Form(NamedTuple):
    """One official layout of a data set."""

    folder: str
    train: tuple[str, ...]
    test: str
    parse: object  # (data, name) -> images, labels


def python_form(folder, train, test, label_key, classes):
    """Return the layout of pickled dicts."""
    return Form(folder, train, test, lambda data, name: cifar.parse_python(data, name, label_key, classes))


def binary_form(folder, train, test, labels, classes):
    """Return the layout of records; `labels` is (how many per image, which one)."""
    return Form(folder, train, test, lambda data, name: cifar.parse_binary(data, name, *labels, classes))


def load(title, forms, archives, path, remote):
    """Find a data set in any of its forms and read it into Keras's tuples."""
    layouts = {}
    for form in forms:
        # Keras 3 extracts into a folder of its own, hence "-target".
        folders = (form.folder, f"{form.folder}-target/{form.folder}", f"cifar/{form.folder}", f"data/{form.folder}")
        layouts[_locate.Layout((*form.train, form.test), folders)] = form
    packed = [_locate.Layout((name,), ("", forms[0].folder, "cifar", "data")) for name in archives]
    source = _locate.locate(title, (*layouts, *packed), path, (remote,), "")
    if len(source.files) == 1:
        return _read_archive(source.files[0], forms)
    # A layout found at path= has other folders than the one it was made from: its files identify it.
    form = next(form for layout, form in layouts.items() if layout.files == source.layout.files)
    return _gather(form, [(str(file), lambda file=file: read_bytes(file, _FILE_LIMIT)) for file in source.files])


def _read_archive(path, forms):
    keys = {form: [f"{form.folder}/{name}" for name in (*form.train, form.test)] for form in forms}
    found = read_members(path, list(keys.values()), _FILE_LIMIT, _ARCHIVE_LIMIT)
    form = next(form for form in forms if set(keys[form]) == set(found))
    return _gather(form, [(f"{path}:{key}", lambda key=key: found.pop(key)) for key in keys[form]])


def _gather(form, sources):
    """Parse files one at a time, so that no more than one lies beside its arrays."""
    parts = [form.parse(read(), name) for name, read in sources]
    train, test = parts[:-1], parts[-1]
    if len(train) == 1:
        return train[0], test
    return (np.concatenate([images for images, _ in train]), np.concatenate([labels for _, labels in train])), test
