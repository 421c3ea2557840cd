"""Fetching a file: several mirrors, a checksum, a progress bar, and a rename when all is well."""

import hashlib
import os
from pathlib import Path
from typing import NamedTuple

from ..storage.atomic import atomic_write

_CHUNK = 1 << 17
_TIMEOUT = 30  # seconds without a byte


class DownloadError(Exception):
    """No mirror gave the file; the message says what each of them did."""


class Remote(NamedTuple):
    """A file to be had from any of several mirrors."""

    name: str
    sha256: str
    nbytes: int  # the most it may have; also the progress bar's end if the server does not say
    mirrors: tuple[str, ...]  # addresses of folders, each with its last "/"


def fetch(remote, folder):
    """Download a file into a folder, unless it is there already, whole.

    Parameters
    ----------
    remote : Remote
    folder : Path
        Made if it is missing.

    Returns
    -------
    path : Path

    Raises
    ------
    DownloadError
        Every mirror failed, or sent other bytes than the checksum's.
    OSError
        The file cannot be written here.
    """
    path = Path(folder) / remote.name
    if path.is_file() and _sha256(path) == remote.sha256:
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    failures = []
    for mirror in remote.mirrors:
        try:
            _fetch_from(mirror + remote.name, remote, path)
            return path
        except DownloadError as error:
            failures.append(f"{mirror}{remote.name}: {error}")
    raise DownloadError("; ".join(failures))


def _fetch_from(url, remote, path):
    from tqdm import tqdm

    state, size = hashlib.sha256(), 0
    # Our own OSErrors (a full disk) must not pass for the network's, which are OSErrors too: only reading is wrapped.
    with _open(url) as response, atomic_write(path) as file:
        total = int(response.headers.get("Content-Length") or 0) or remote.nbytes
        with tqdm(total=total, unit="B", unit_scale=True, unit_divisor=1024, desc=remote.name, leave=False) as bar:
            while part := _read(response):
                size += len(part)
                if size > remote.nbytes:
                    raise DownloadError(f"more than the {remote.nbytes} bytes expected")
                state.update(part)
                file.write(part)
                bar.update(len(part))
        if state.hexdigest() != remote.sha256:
            raise DownloadError("the SHA-256 of what came is not the official file's")


def _open(url):
    import http.client
    import urllib.request

    request = urllib.request.Request(url, headers={"User-Agent": "fastconv"})
    try:
        return urllib.request.urlopen(request, timeout=_TIMEOUT)
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise DownloadError(str(error) or type(error).__name__) from error


def _read(response):
    import http.client

    try:
        return response.read(_CHUNK)
    except (OSError, http.client.HTTPException) as error:
        raise DownloadError(f"broken off: {error}") from error


def _sha256(path):
    with open(os.fspath(path), "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
