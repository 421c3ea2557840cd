"""Downloads, from a server in this process."""

import hashlib
import http.server
import os
import threading

import pytest

from fastconv.datasets import DatasetNotFoundError, _download, cifar10, mnist

from .layouts import assert_same, make_cifar, make_mnist, write_tar


@pytest.fixture
def server(tmp_path_factory):
    """A folder and the address at which it is served; `log` has the requests."""
    folder, log = tmp_path_factory.mktemp("server"), []

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args):
            super().__init__(*args, directory=str(folder))

        def log_message(self, pattern, *args):
            log.append(str(args[0]))

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as served:
        thread = threading.Thread(target=served.serve_forever, daemon=True)
        thread.start()
        yield folder, f"http://127.0.0.1:{served.server_port}/", log
        served.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def online(monkeypatch):
    monkeypatch.delenv("FASTCONV_OFFLINE", raising=False)


def remote(path, mirrors, nbytes=1 << 30):
    return _download.Remote(path.name, hashlib.sha256(path.read_bytes()).hexdigest(), nbytes, mirrors)


def test_cifar_is_fetched_once(server, nowhere, monkeypatch):
    folder, address, log = server
    files, expected = make_cifar()
    write_tar(folder / "cifar-10-python.tar.gz", files)
    mirrors = (address + "missing/", address)
    monkeypatch.setattr(cifar10, "_REMOTE", remote(folder / "cifar-10-python.tar.gz", mirrors))
    assert_same(cifar10.load_data(), expected)
    assert any("missing" in line for line in log)  # the second mirror was needed
    before = len(log)
    assert_same(cifar10.load_data(), expected)
    assert len(log) == before
    assert os.listdir(nowhere / ".fastconv/datasets") == ["cifar-10-python.tar.gz"]


def test_mnist_goes_to_its_folder(server, tmp_path, monkeypatch):
    folder, address, _ = server
    expected = make_mnist(folder)
    monkeypatch.setattr(mnist, "_REMOTES", [remote(folder / name, (address,)) for name in mnist._idx.NAMES])
    monkeypatch.setenv("FASTCONV_HOME", str(tmp_path / "home"))
    assert_same(mnist.load_data(), expected)
    assert sorted(os.listdir(tmp_path / "home/datasets/mnist")) == sorted(mnist._idx.NAMES)


def test_wrong_bytes_are_not_kept(server, nowhere, monkeypatch):
    folder, address, _ = server
    path = folder / "cifar-10-python.tar.gz"
    path.write_bytes(b"official")
    wanted = remote(path, (address, address + "missing/"))
    path.write_bytes(b"changed!")
    monkeypatch.setattr(cifar10, "_REMOTE", wanted)
    with pytest.raises(DatasetNotFoundError) as caught:
        cifar10.load_data()
    for part in ("SHA-256", "404", address, str(nowhere / ".fastconv/datasets")):
        assert part in str(caught.value)
    assert os.listdir(nowhere / ".fastconv/datasets") == []


def test_endless_answers_are_cut(server, tmp_path):
    folder, address, _ = server
    (folder / "f").write_bytes(bytes(1 << 20))
    with pytest.raises(_download.DownloadError, match="more than the 1000"):
        _download.fetch(remote(folder / "f", (address,), nbytes=1000), tmp_path)
    assert os.listdir(tmp_path) == []


def test_damaged_old_file_is_replaced(server, tmp_path):
    folder, address, _ = server
    (folder / "f").write_bytes(b"official")
    (tmp_path / "f").write_bytes(b"half")
    assert _download.fetch(remote(folder / "f", (address,)), tmp_path).read_bytes() == b"official"


def test_broken_connection_and_no_server(tmp_path, monkeypatch):
    wanted = _download.Remote("f", "0" * 64, 10, ("http://127.0.0.1:9/", "nonsense:/"))
    with pytest.raises(_download.DownloadError, match="127.0.0.1:9"):
        _download.fetch(wanted, tmp_path)
    assert os.listdir(tmp_path) == []


def test_full_disk_is_an_oserror(server, tmp_path, monkeypatch):
    folder, address, _ = server
    (folder / "f").write_bytes(b"official")

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        _download.fetch(remote(folder / "f", (address,)), tmp_path)
    assert os.listdir(tmp_path) == []
