"""What the registry cannot know of dropout: its random numbers."""

import numpy as np
import pytest

from fastconv import ops
from fastconv.errors import ArgumentError, DTypeError
from fastconv.ops._random import philox, random_words


def state(key, counter):
    return np.array([key, counter], np.uint64)


@pytest.mark.parametrize(
    ("key", "block", "words"),
    [
        (0, 0, (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),  # the authors' known answer
    ],
)
def test_philox_known_answer(key, block, words):
    assert tuple(philox(key, np.array([block], np.uint64))[0]) == words


def test_words_are_uniform():
    words = random_words(state(7, 0), 1 << 16).astype(np.float64) / 2**32
    assert abs(words.mean() - 0.5) < 5 * np.sqrt(1 / 12 / words.size)
    assert abs(np.corrcoef(words[:-1], words[1:])[0, 1]) < 5 / np.sqrt(words.size)


def test_successive_calls_never_share_random_words():
    x = np.ones(100, np.float32)
    first, moved = ops.dropout(x, state(3, 0), 0.5)
    second, _ = ops.dropout(x, moved.numpy(), 0.5)
    both, _ = ops.dropout(np.ones(192, np.float32), state(3, 0), 0.5)
    assert moved.numpy().tolist() == [3, 128]
    assert (both.numpy()[:100] == first.numpy()).all() and (both.numpy()[128:] == second.numpy()[:64]).all()


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.8])
def test_share_of_zeros_and_mean(rate):
    y = ops.dropout(np.ones(1 << 16, np.float32), state(11, 4), rate)[0].numpy()
    deviation = np.sqrt(rate * (1 - rate) / y.size)
    assert abs((y == 0).mean() - rate) < 5 * deviation
    assert abs(y.mean() - 1) < 5 * deviation / (1 - rate)


def test_dropped_elements_are_zero_even_where_x_is_not_finite():
    x = np.full(64, np.nan, np.float32)
    y = ops.dropout(x, state(1, 0), 0.5)[0].numpy()
    assert (y == 0).any() and np.isnan(y).any() and ((y == 0) | np.isnan(y)).all()


def test_bad_arguments_are_named():
    x = np.ones(3, np.float32)
    with pytest.raises(ArgumentError, match="rate"):
        ops.dropout(x, state(0, 0), 1.0)
    with pytest.raises(DTypeError, match="state"):
        ops.dropout(x, np.zeros(2, np.int64), 0.5)
