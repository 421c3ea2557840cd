"""Replace a file whole or not at all."""

import contextlib
import errno
import os
import secrets
import stat


@contextlib.contextmanager
def atomic_write(path):
    """Context manager: a binary file to write into, which takes the place of `path` when the block ends well.

    The bytes go to a new file beside `path`, are flushed to the disk (`fsync`), and a rename puts them in place, so a
    reader or a crash sees the old file or the new one, never a mixture. If the block or the disk fails, the new file is
    removed and the old one stays as it was.

    Parameters
    ----------
    path : str or os.PathLike
        The file to write. A symbolic link is followed: the file it points to is replaced, the link stays.

    Yields
    ------
    file : binary file object

    Raises
    ------
    OSError
        Whatever the system says: no space left, no permission, no such folder.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "notes"
    >>> with atomic_write(path) as file:
    ...     _ = file.write(b"whole")
    >>> path.read_bytes()
    b'whole'
    """
    target = os.path.realpath(os.fspath(path))
    folder, name = os.path.split(target)
    if not os.path.isdir(folder):
        raise FileNotFoundError(errno.ENOENT, "There is no such folder to write into, make it first", folder)
    # A rename is atomic only within one file system, hence beside. Cut: names are at most 255 bytes long.
    temporary = os.path.join(folder, f".{name[:40]}.{secrets.token_hex(6)}.tmp")
    # os.open, not tempfile, whose files are closed to everyone else: the umask should decide, as for any new file.
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o666)
    except OSError as error:
        raise _about(error, temporary, target) from None
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(OSError):  # an old file's permissions are kept where the system lets us
            os.chmod(temporary, stat.S_IMODE(os.stat(target).st_mode))
        os.replace(temporary, target)
    except BaseException as error:  # Ctrl-C too leaves nothing behind
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        if isinstance(error, OSError):
            raise _about(error, temporary, target) from None
        raise
    _sync_folder(folder)


def _about(error, temporary, target):
    """Return an error of the system as one about the file that the user named, not about the one beside it."""
    if error.errno is None or error.filename not in (None, temporary):
        return error
    return OSError(error.errno, error.strerror, target)  # of the class that belongs to the number


def _sync_folder(folder):
    """Make the rename itself survive a power cut, where folders can be synced."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
