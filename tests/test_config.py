import os
import threading

import numpy as np
import pytest

import fastconv
from fastconv import config
from fastconv.errors import ArgumentError, ConfigError


def test_num_threads_context():
    before = fastconv.get_num_threads()
    with fastconv.num_threads(3):
        assert fastconv.get_num_threads() == 3
        seen = []
        other = threading.Thread(target=lambda: seen.append(fastconv.get_num_threads()))
        other.start()
        other.join()
        assert seen == [before]
    assert fastconv.get_num_threads() == before


@pytest.mark.parametrize("bad", [0, -1, 1.5, "2", True, 1 << 31, 1 << 70])
def test_bad_threads(bad):
    with pytest.raises(ArgumentError, match="number of threads must be an integer from 1 to 65536"):
        fastconv.set_num_threads(bad)


def test_omp_num_threads(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "5")
    assert config.default_num_threads() == 5
    monkeypatch.delenv("OMP_NUM_THREADS")
    assert 1 <= config.default_num_threads() <= os.cpu_count()


def test_settings_may_be_entered_again():
    high = fastconv.precision("high")
    with high, fastconv.precision("medium"), high:
        assert fastconv.get_precision() == "high"
    with high, high:
        pass
    with pytest.raises(KeyError), high:
        raise KeyError
    assert fastconv.get_precision() == "highest"


def test_precision():
    assert fastconv.get_precision() == "highest"
    with fastconv.precision("high"):
        assert fastconv.get_precision() == "high"
    assert fastconv.get_precision() == "highest"
    with pytest.raises(ConfigError, match="'highest', 'high', 'medium', got 'float16'"):
        fastconv.set_precision("float16")


def test_seed_repeats():
    fastconv.utils.set_random_seed(7)
    first = [config.next_seed() for _ in range(3)], np.random.rand()
    fastconv.utils.set_random_seed(7)
    assert ([config.next_seed() for _ in range(3)], np.random.rand()) == first
    assert len(set(first[0])) == 3
    with pytest.raises(ArgumentError, match="seed must be an integer"):
        fastconv.utils.set_random_seed(-1)
