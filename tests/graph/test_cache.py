"""ProgramCache: one makes what many want, few are kept, copies are empty, a fork does not hang."""

import os
import pickle
import threading
import time

import pytest

from fastconv.graph import ProgramCache
from fastconv.graph.locks import LOCKS


def test_threads_that_want_one_entry_make_it_once():
    cache, made, got = ProgramCache(4), [], []
    start = threading.Barrier(6)

    def make():
        made.append(object())
        time.sleep(0.02)  # the others come meanwhile
        return made[-1]

    def work():
        start.wait()
        got.append(cache.get("key", make))

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 1 and got == made * 6


def test_the_least_recently_used_goes():
    forgot = []
    cache = ProgramCache(2, lambda: forgot.append(len(cache)))
    for key in "aba":
        cache.get(key, lambda key=key: key * 2)
    assert not forgot
    assert cache.get("c", lambda: "cc") == "cc"
    assert forgot == [2] and cache.get("a") == "aa" and cache.get("b") is None and len(cache) == 2


def test_an_error_leaves_no_entry_and_no_lock():
    cache = ProgramCache(2)
    with pytest.raises(ZeroDivisionError):
        cache.get("key", lambda: 1 / 0)
    thread = threading.Thread(target=cache.get, args=("key", lambda: 5))
    thread.start()
    thread.join(10)
    assert cache.get("key") == 5


def test_an_entry_may_need_another():
    cache = ProgramCache(4)
    assert cache.get("outer", lambda: cache.get("inner", lambda: 2) + 1) == 3 and len(cache) == 2


def test_copies_start_with_nothing():
    cache = ProgramCache(3)
    cache.get("key", lambda: 1)
    copy = pickle.loads(pickle.dumps(cache))
    assert len(copy) == 0
    for key in range(5):
        copy.get(key, lambda: 1)
    assert len(copy) == 3


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_a_child_does_not_wait_for_a_thread_of_its_parent():
    with LOCKS.making:
        child = os.fork()
        if child == 0:
            thread = threading.Thread(target=ProgramCache(2).get, args=("key", lambda: 1), daemon=True)
            thread.start()
            thread.join(10)
            os._exit(thread.is_alive())
    assert os.waitpid(child, 0)[1] == 0
