"""The emulator of tile instructions against a model in NumPy; where the CPU has them, the model against the CPU."""

import ctypes
import signal
import subprocess
import sys

import numpy as np
import pytest

from .model import model


def configuration(shapes, palette=1):
    """Return the 64 bytes that give tiles so many (rows, bytes)."""
    config = np.zeros(64, np.uint8)
    config[0] = palette
    for tile, (rows, nbytes) in shapes.items():
        config[16 + 2 * tile], config[48 + tile] = nbytes, rows
    return config


def bfloat16(rng, shape, low, high):
    """Random bfloat16 bits with exponents from 2**low to 2**high, and their values."""
    values = rng.standard_normal(shape) * 2.0 ** rng.uniform(low, high, shape)
    bits = (values.astype("f4").view("u4") >> 16).astype("u2")
    return bits, (bits.astype("u4") << 16).view("f4")


def address(array):
    return ctypes.c_void_p(array.ctypes.data)


def multiply(function, tiles, m, n, k, a, b, c):
    config = configuration(tiles(m, n, k))
    result = c.copy()
    # Rows farther apart than they are long: strides count.
    wide_a, wide_b = np.zeros((m, 80), "u2"), np.zeros((k, 96), "u2")
    wide_a[:, : 2 * k], wide_b[:, : 2 * n] = a.reshape(m, -1), b.reshape(k, -1)
    stride = ctypes.c_int64
    function(
        address(config), address(result), stride(4 * n), address(wide_a), stride(160), address(wide_b), stride(192)
    )
    return result


def shapes(c, a, b):
    return lambda m, n, k: {c: (m, 4 * n), a: (m, 4 * k), b: (k, 4 * n)}


@pytest.mark.parametrize("exponents", [(-2, 2), (-30, 30), (-75, -50), (-130, -60), (50, 70)])
@pytest.mark.parametrize(("m", "n", "k"), [(16, 16, 16), (1, 16, 16), (7, 5, 3), (16, 1, 2)])
def test_product(tiles, m, n, k, exponents):
    rng = np.random.default_rng(m * n * k)
    a_bits, a = bfloat16(rng, (m, k, 2), *exponents)
    b_bits, b = bfloat16(rng, (k, n, 2), *exponents)
    c = (rng.standard_normal((m, n)) * 2.0 ** (2 * exponents[0])).astype("f4")
    with np.errstate(all="ignore"):
        want, from_zero = model(a, b, c), model(a, b, np.zeros_like(c))
    np.testing.assert_array_equal(multiply(tiles.multiply, shapes(0, 1, 2), m, n, k, a_bits, b_bits, c), want)
    got = multiply(tiles.multiply_others, shapes(5, 7, 6), m, n, k, a_bits, b_bits, c)
    np.testing.assert_array_equal(got, from_zero)


def test_odd_values(tiles):
    rng = np.random.default_rng(0)
    a_bits, a = bfloat16(rng, (16, 16, 2), -2, 2)
    b_bits, b = bfloat16(rng, (16, 16, 2), -2, 2)
    for bits, where in (
        (0x7F80, (0, 0, 0)),
        (0xFF80, (3, 15, 1)),
        (0x7FC0, (9, 4, 1)),
        (0x0001, (12, 0, 1)),
        (0x7F7F, (5, 0, 0)),
    ):
        a_bits[where] = bits
    a = (a_bits.astype("u4") << 16).view("f4")
    c = np.zeros((16, 16), "f4")
    with np.errstate(all="ignore"):
        np.testing.assert_array_equal(
            multiply(tiles.multiply, shapes(0, 1, 2), 16, 16, 16, a_bits, b_bits, c), model(a, b, c)
        )


def test_configuration_is_kept_and_released(tiles):
    config, seen = configuration({0: (16, 64), 3: (5, 12)}), np.full(64, 9, np.uint8)
    tiles.configure(address(config))
    tiles.read_config(address(seen))
    np.testing.assert_array_equal(seen, config)
    tiles.release()
    tiles.read_config(address(seen))
    assert not seen.any()


REFUSED = {
    "zero()": signal.SIGILL,  # nothing configured
    "configure(pointer(config)); zero()": signal.SIGILL,  # tile 3 is not
    "configure(pointer(config)); itself()": signal.SIGILL,
    "config[0] = 2; configure(pointer(config))": signal.SIGSEGV,
    "config[5] = 1; configure(pointer(config))": signal.SIGSEGV,
    "config[48] = 17; configure(pointer(config))": signal.SIGSEGV,
    "config[48] = 0; configure(pointer(config))": signal.SIGSEGV,
    "config[56] = config[32] = 4; configure(pointer(config))": signal.SIGSEGV,  # a ninth tile
    "unknown()": signal.SIGILL,  # none of the emulator's
}


@pytest.mark.parametrize("code", REFUSED)
def test_what_the_processor_refuses(libraries, code):
    program = f"""
import ctypes, mmap
emulator, tiles = ctypes.CDLL({str(libraries["emulator"])!r}), ctypes.CDLL({str(libraries["instructions"])!r})
ctypes.CDLL(None).syscall(158, 0x1023, 18)
pointer, configure, zero, itself = ctypes.byref, tiles.configure, tiles.zero, tiles.itself
def unknown():
    page = mmap.mmap(-1, 4096, prot=7)
    page.write(bytes([0x0f, 0x0b]))
    ctypes.CFUNCTYPE(None)(ctypes.addressof(ctypes.c_char.from_buffer(page)))()
config = (ctypes.c_uint8 * 64)(1)
config[16] = config[18] = 64
config[48] = config[49] = 16
{code}
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == -REFUSED[code], done.stderr
