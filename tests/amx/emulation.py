"""What the emulator counts, where it is loaded: tests/amx/emulator.c."""

import ctypes

import pytest

NAMES = ("configured", "released", "loads", "stores", "products", "product_rows", "holding")


def counts():
    """Return the counters by name, of all threads, or None where the emulator is not loaded or the CPU needs none."""
    process = ctypes.CDLL(None)
    if not hasattr(process, "amx_counts"):
        return None
    numbers = (ctypes.c_int64 * len(NAMES))()
    process.amx_counts(numbers)
    return dict(zip(NAMES, numbers, strict=True))


@pytest.fixture(autouse=True)
def no_tiles_are_held():
    """No thread, workers among them, holds tile state after a test."""
    yield
    now = counts()
    assert now is None or now["holding"] == 0, now
