"""Process-wide settings: threads, precision, default float type, the random seed."""

import os
import threading

import numpy as np

from .errors import ArgumentError, ConfigError

PRECISIONS = ("highest", "high", "medium")
MAX_THREADS = 1 << 16  # far more than there are cores; what kernels count threads with is 32 bits wide
FLOAT_TYPES = ("float32", "float64")

_lock = threading.Lock()


class _Overrides(threading.local):
    """What the context managers set, for one Python thread only; None: nothing."""

    num_threads = precision = None  # of the class: an attribute that is not there takes ten times as long to ask for


_local = _Overrides()
_settings = {"num_threads": None, "floatx": "float32"}
_seeds = None  # a SeedSequence once one is asked for: importing numpy.random takes a third as long as fastconv


# ---- threads


def _cgroup_quota():
    """Return the CPU quota of this control group in whole cores, or None."""
    try:
        with open("/sys/fs/cgroup/cpu.max") as file:
            quota, period = file.read().split()
        return None if quota == "max" else max(1, int(quota) // int(period))
    except (OSError, ValueError):
        return None


def _physical_cores(cpus):
    """Count distinct cores among logical `cpus`; hyper-threads share one."""
    cores = set()
    for cpu in cpus:
        try:
            with open(f"/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list") as file:
                cores.add(file.read().strip())
        except OSError:
            return len(cpus)
    return len(cores)


def default_num_threads():
    """Return OMP_NUM_THREADS if set, else min(physical cores, affinity, cgroup quota)."""
    asked = os.environ.get("OMP_NUM_THREADS", "").split(",")[0]
    if asked.isdigit() and int(asked) > 0:
        return min(int(asked), MAX_THREADS)
    cpus = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else range(os.cpu_count() or 1)
    return min(n for n in (_physical_cores(cpus), _cgroup_quota()) if n is not None)


def _check_threads(n):
    if isinstance(n, bool) or not isinstance(n, (int, np.integer)) or not 1 <= n <= MAX_THREADS:
        raise ArgumentError(f"the number of threads must be an integer from 1 to {MAX_THREADS}, got {n!r}")
    return int(n)


def set_num_threads(n):
    """Set how many threads one kernel or program may use, for the whole process."""
    _settings["num_threads"] = _check_threads(n)


def get_num_threads():
    """Return how many threads one kernel or program may use."""
    threads = _local.num_threads or _settings["num_threads"]
    if threads is None:
        threads = _settings["num_threads"] = default_num_threads()
    return threads


# ---- precision and float type


def _check_choice(value, choices, what):
    if value not in choices:
        raise ConfigError(f"{what} must be one of {', '.join(map(repr, choices))}, got {value!r}")
    return value


# A program that was not written with modes in mind can be run in another one, as by FASTCONV_ISA on another instruction set.
_settings["precision"] = _check_choice(
    os.environ.get("FASTCONV_PRECISION") or "highest", PRECISIONS, "FASTCONV_PRECISION"
)


def set_precision(mode):
    """Set the precision mode for the whole process: ``"highest"`` (default), ``"high"`` or ``"medium"``.

    A mode is a floor: where nothing is faster, a better one runs. The environment variable FASTCONV_PRECISION gives the one
    to start with. docs/precision.md says what each promises.
    """
    _settings["precision"] = _check_choice(mode, PRECISIONS, "precision")


def get_precision():
    """Return the precision mode in force."""
    return _local.precision or _settings["precision"]


def set_floatx(dtype):
    """Set the default float type of new layers: ``"float32"``, or ``"float64"``, which runs on the NumPy references."""
    _settings["floatx"] = _check_choice(dtype, FLOAT_TYPES, "floatx")


def floatx():
    """Return the default float type of new layers."""
    return _settings["floatx"]


class _Override:
    """A setting of this Python thread inside a ``with`` block. It may be entered again, also inside itself."""

    def __init__(self, name, value):
        self._name, self._value = name, value
        self._before = []

    def __enter__(self):
        self._before.append(getattr(_local, self._name))
        setattr(_local, self._name, self._value)

    def __exit__(self, *error):
        setattr(_local, self._name, self._before.pop())


def num_threads(n):
    """Context manager: use `n` threads inside the ``with`` block, on this Python thread."""
    return _Override("num_threads", _check_threads(n))


def precision(mode):
    """Context manager: use a precision mode inside the ``with`` block, on this Python thread.

    Kernels run in the mode in force when they run: a gradient in that of `backward`, not in that of the forward pass.

    Examples
    --------
    >>> with fastconv.precision("high"):
    ...     fastconv.get_precision()
    'high'
    """
    return _Override("precision", _check_choice(mode, PRECISIONS, "precision"))


# ---- randomness


def set_random_seed(seed):
    """Seed everything random in fastconv (initial weights, shuffling, dropout), NumPy and Python's `random`.

    Parameters
    ----------
    seed : int
        0 <= seed < 2**32.
    """
    import random

    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)) or not 0 <= seed < 2**32:
        raise ArgumentError(f"seed must be an integer from 0 to 2**32 - 1, got {seed!r}")
    global _seeds
    with _lock:
        _seeds = np.random.SeedSequence(int(seed))
    random.seed(int(seed))
    np.random.seed(int(seed))


def next_seed():
    """Return a fresh 64-bit seed, the next of the sequence that `set_random_seed` starts."""
    global _seeds
    with _lock:
        if _seeds is None:
            _seeds = np.random.SeedSequence()
        return int(_seeds.spawn(1)[0].generate_state(1, np.uint64)[0])
