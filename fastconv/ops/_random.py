"""Random words by counter: a function of a state, (key, counter), and of an element's place alone."""

import numpy as np

from ..errors import DTypeError
from ._checks import check_shape

GROUP = 64  # 32-bit words that are drawn together: 16 blocks of 4


def check_state(op, state):
    """Raise unless `state` is two uint64."""
    check_shape(op, "state", state.shape, (2,))
    if state.dtype != "uint64":
        raise DTypeError(f"{op} needs state of uint64 (key, counter), got {state.dtype}")


def philox(key, blocks):
    """Return the four words of each block of Philox 4x32-10 as a uint64 array (len(blocks), 4).

    Parameters
    ----------
    key : int
        64 bits.
    blocks : ndarray of uint64
        The low 64 bits of the counter; the high ones are 0.

    Notes
    -----
    Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011.
    """
    low = np.uint64(0xFFFFFFFF)
    half = np.uint64(32)
    c = [blocks & low, blocks >> half, np.zeros_like(blocks), np.zeros_like(blocks)]
    k0, k1 = key & 0xFFFFFFFF, key >> 32
    for _ in range(10):
        a, b = c[0] * np.uint64(0xD2511F53), c[2] * np.uint64(0xCD9E8D57)
        c = [(b >> half) ^ c[1] ^ np.uint64(k0), b & low, (a >> half) ^ c[3] ^ np.uint64(k1), a & low]
        k0, k1 = (k0 + 0x9E3779B9) & 0xFFFFFFFF, (k1 + 0xBB67AE85) & 0xFFFFFFFF
    return np.stack(c, 1)


def random_words(state, size):
    """Return `size` 32-bit words for (key, counter): element e of a group of 64 takes word e // 16 of block e % 16."""
    groups = -(-size // GROUP)
    blocks = (state[1] // np.uint64(4)) + np.arange(16 * groups, dtype=np.uint64)
    return philox(int(state[0]), blocks).reshape(groups, 16, 4).transpose(0, 2, 1).ravel()[:size]


def words_used(size):
    """Return how far a call over `size` elements moves the counter: whole groups, so that calls never overlap."""
    return -(-size // GROUP) * GROUP
