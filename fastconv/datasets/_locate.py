"""Where the files of a data set are: in `path`, in fastconv's home, in the usual caches, or downloaded."""

import os
from pathlib import Path
from typing import NamedTuple

from ..errors import FastconvError
from . import _download


class DatasetNotFoundError(FastconvError, FileNotFoundError):
    """The files of a data set are nowhere to be found, and could not or may not be downloaded."""


class Layout(NamedTuple):
    """One of the forms in which a data set comes."""

    files: tuple[str, ...]  # all of them are needed
    folders: tuple[str, ...]  # where they may lie below a place that is searched, "" for the place itself
    optional_suffix: str = ""  # a file may also lie there without it: "x.gz" unpacked to "x"


class Source(NamedTuple):
    """What a search came to: a layout, and its files in its order."""

    layout: Layout
    files: tuple[Path, ...]


def home():
    """Return the folder of fastconv's own files: the environment variable FASTCONV_HOME, or ~/.fastconv."""
    return Path(os.environ.get("FASTCONV_HOME") or os.path.expanduser("~/.fastconv"))


def offline():
    """Tell whether the environment variable FASTCONV_OFFLINE forbids downloads."""
    return os.environ.get("FASTCONV_OFFLINE", "").strip().lower() not in ("", "0", "false", "no", "off")


def places():
    """Return the folders that are searched when no path is given, in order."""
    user = Path(os.path.expanduser("~"))
    return [
        home() / "datasets",
        home(),
        user / ".fastconv" / "datasets",
        Path(os.environ.get("KERAS_HOME") or user / ".keras") / "datasets",
        Path(os.environ.get("TORCH_HOME") or user / ".cache" / "torch"),
        user / ".cache" / "torch" / "datasets",
        Path("data"),
    ]


def locate(title, layouts, path=None, downloads=(), folder=""):
    """Find the files of a data set.

    Parameters
    ----------
    title : str
        The data set's name in messages.
    layouts : sequence of Layout
        In order of preference.
    path : str or os.PathLike, optional
        A folder to look in, or one of the files. With it nothing else is searched, and nothing is downloaded.
    downloads : sequence of _download.Remote
        What to fetch if nothing is found; together they are the files of one of the layouts.
    folder : str
        Where below fastconv's home downloads go.

    Returns
    -------
    source : Source

    Raises
    ------
    DatasetNotFoundError
        It names the files, the places that were searched, and where to put them.
    """
    if path is not None:
        source = _find_at(Path(path), layouts)
        if source is None:
            where = f"path={os.fspath(path)!r}"
            raise DatasetNotFoundError(f"{title} is not at {where}, which has none of these:\n{_wanted(layouts)}")
        return source
    searched = list(dict.fromkeys(places()))
    for place in searched:
        if (source := _find_in(place, layouts)) is not None:
            return source
    target = home() / "datasets" / folder
    why = "FASTCONV_OFFLINE forbids the download" if offline() else ""
    if not why:
        try:
            for remote in downloads:
                _download.fetch(remote, target)
        except _download.DownloadError as error:
            why = f"the download failed ({error})"
        else:
            return _find_at(target, layouts)
    raise DatasetNotFoundError(
        f"{title} was not found, and {why}. Put one of these into {target}, or pass path= with where they are:\n"
        f"{_wanted(layouts)}\nSearched: {', '.join(map(str, searched))}"
    )


def _wanted(layouts):
    return "\n".join("  - " + ", ".join(layout.files) for layout in layouts)


def _exists(folder, name, suffix):
    for candidate in (name, name.removesuffix(suffix)):
        if (folder / candidate).is_file():
            return folder / candidate
    return None


def _find_in(place, layouts):
    for layout in layouts:
        for folder in layout.folders:
            files = [_exists(place / folder, name, layout.optional_suffix) for name in layout.files]
            if None not in files:
                return Source(layout, tuple(files))
    return None


def _find_at(path, layouts):
    """Find a layout in the folder or around the file that the user named."""
    if path.is_dir():
        # Named on purpose, so the files may also lie directly in it.
        return _find_in(path, [layout._replace(folders=("", *layout.folders)) for layout in layouts])
    if not path.is_file():
        return None
    for layout in layouts:
        names = {name for full in layout.files for name in (full, full.removesuffix(layout.optional_suffix))}
        if path.name in names:
            return _find_in(path.parent, [layout._replace(folders=("",))])
    for layout in layouts:  # a renamed archive
        if len(layout.files) == 1 and _kind(path) == _kind(Path(layout.files[0])):
            return Source(layout, (path,))
    return None


def _kind(path):
    return "tar" if path.suffix in (".gz", ".tgz", ".tar") else path.suffix
