"""A file is replaced whole or not at all."""

import os
import stat

import pytest

from fastconv.storage import atomic_write


def test_old_file_stays_until_the_end(tmp_path):
    path = tmp_path / "f"
    path.write_bytes(b"old")
    with atomic_write(path) as file:
        file.write(b"new")
        file.flush()
        assert path.read_bytes() == b"old"
    assert path.read_bytes() == b"new" and os.listdir(tmp_path) == ["f"]


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, OSError])
def test_failure_leaves_no_trace(tmp_path, error):
    path = tmp_path / "f"
    path.write_bytes(b"old")
    with pytest.raises(error):
        with atomic_write(path) as file:
            file.write(b"new")
            raise error
    assert path.read_bytes() == b"old" and os.listdir(tmp_path) == ["f"]


def test_missing_folder(tmp_path):
    with pytest.raises(FileNotFoundError):
        with atomic_write(tmp_path / "no" / "f"):
            pass


def test_permissions_follow_the_umask_and_the_old_file(tmp_path):
    before = os.umask(0o027)
    try:
        with atomic_write(tmp_path / "new"):
            pass
    finally:
        os.umask(before)
    assert stat.S_IMODE(os.stat(tmp_path / "new").st_mode) == 0o640
    os.chmod(tmp_path / "new", 0o604)
    with atomic_write(tmp_path / "new"):
        pass
    assert stat.S_IMODE(os.stat(tmp_path / "new").st_mode) == 0o604


def test_link_stays_a_link(tmp_path):
    (tmp_path / "real").write_bytes(b"old")
    os.symlink("real", tmp_path / "link")
    with atomic_write(tmp_path / "link") as file:
        file.write(b"new")
    assert (tmp_path / "link").is_symlink() and (tmp_path / "real").read_bytes() == b"new"


def test_long_names(tmp_path):
    with atomic_write(tmp_path / ("n" * 250)) as file:
        file.write(b"x")
    assert len(os.listdir(tmp_path)) == 1
