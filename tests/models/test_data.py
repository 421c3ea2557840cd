"""Batches from everything that may be handed to `fit`."""

import numpy as np
import pytest

from fastconv import config
from fastconv.errors import ArgumentError, DTypeError, ShapeError
from fastconv.models.data import Batch, Epochs, StreamData, adapt, class_weight_of, make_batch

X = np.arange(70, dtype=np.float32).reshape(10, 7)
Y = np.arange(10)


def collect(data):
    return [Batch(*(part and [array.copy() for array in part] for part in batch)) for batch in data.batches()]


def test_in_order_without_copies():
    batches = list(adapt(X, Y, batch_size=4).batches())
    assert [batch.size for batch in batches] == [4, 4, 2]
    assert np.shares_memory(batches[0].x[0], X)
    np.testing.assert_array_equal(np.concatenate([batch.y[0] for batch in batches]), Y)


def test_default_batch_size_is_32():
    assert adapt(np.zeros((33, 1))).steps == 2


@pytest.mark.parametrize(
    "x",
    [
        X,
        X.astype(np.uint8),
        X.astype(np.float16),
        X.astype(">f4"),
        np.asfortranarray(X),
        np.repeat(X, 2, axis=0)[::2],
        X[:, ::-1],
        X.tolist(),
        np.require(X, requirements="C").view(),
    ],
    ids=["float32", "uint8", "float16", "big-endian", "fortran", "strided", "reversed", "list", "view"],
)
def test_shuffled_batches_hold_every_sample_once(x):
    if isinstance(x, np.ndarray):
        x.flags.writeable = False
    data = adapt(x, Y, batch_size=4, shuffle=True)
    for _ in range(2):
        batches = collect(data)
        assert [batch.size for batch in batches] == [4, 4, 2]
        order = np.concatenate([batch.y[0] for batch in batches])
        np.testing.assert_array_equal(np.sort(order), Y)
        np.testing.assert_array_equal(np.concatenate([batch.x[0] for batch in batches]), np.asarray(x)[order])


def test_shuffle_repeats_by_seed_and_differs_between_epochs():
    def orders():
        config.set_random_seed(5)
        data = adapt(X, Y, batch_size=5, shuffle=True)
        return [np.concatenate([batch.y[0] for batch in collect(data)]).tolist() for _ in range(2)]

    first = orders()
    assert first == orders() and first[0] != first[1] and first[0] != Y.tolist()


def test_shuffle_of_whole_batches():
    config.set_random_seed(1)
    parts = [batch.y[0].tolist() for batch in collect(adapt(X, Y, batch_size=2, shuffle="batch"))]
    assert sorted(parts) == [[0, 1], [2, 3], [4, 5], [6, 7], [8, 9]] and parts != sorted(parts)


def test_shuffled_batches_use_the_same_memory():
    first, second, _ = [batch.x[0] for batch in adapt(X, Y, batch_size=4, shuffle=True).batches()]
    assert np.shares_memory(first, second)


@pytest.mark.parametrize("order", ["C", "F"])
def test_a_large_array_is_never_copied_or_cast_whole(tmp_path, order):
    import tracemalloc

    path = tmp_path / "x.npy"
    np.save(path, np.zeros((4096, 512), np.float16, order=order))  # 4 MiB
    x = np.load(path, mmap_mode="r")
    tracemalloc.start()
    try:
        for batch in adapt(x, np.zeros(4096), batch_size=32, shuffle=True).batches():
            assert batch.x[0].dtype == np.float16
        assert tracemalloc.get_traced_memory()[1] < 500_000
    finally:
        tracemalloc.stop()


def test_split_takes_the_last_samples():
    train, held_out = adapt(X, Y, sample_weight=Y * 2.0, batch_size=4, shuffle=True).split(0.25)
    assert train.num_samples == 7 and held_out.num_samples == 3
    np.testing.assert_array_equal(held_out.arrays.y[0], [7, 8, 9])
    np.testing.assert_array_equal(held_out.arrays.sample_weight[0], [14, 16, 18])
    with pytest.raises(ArgumentError, match="validation_split"):
        adapt(X[:1], Y[:1]).split(0.5)


def test_inputs_by_list_and_by_name():
    a, b = X, X[:, :2]
    for x in ([a, b], (a, b), {"b": b, "a": a}):
        batch = make_batch(x, Y, None, None, ["a", "b"], ["out"])
        assert [array.shape for array in batch.x] == [(10, 7), (10, 2)]
    with pytest.raises(ArgumentError, match=r"keys \['a', 'b'\]"):
        make_batch({"a": a}, None, None, None, ["a", "b"], None)
    with pytest.raises(ArgumentError, match="list of 2 arrays"):
        make_batch([a, b, a], None, None, None, ["a", "b"], None)


def test_weights():
    labels = np.array([0, 1, 2, 1])
    np.testing.assert_array_equal(class_weight_of(labels, {0: 2.0, 1: 0.5}), [2.0, 0.5, 1.0, 0.5])
    np.testing.assert_array_equal(class_weight_of(np.eye(3)[labels], {2: 3.0}), [1.0, 1.0, 3.0, 1.0])
    batch = make_batch(np.zeros((4, 1)), labels[:, None], [1.0, 2.0, 3.0, 4.0], {1: 10.0}, None, None)
    np.testing.assert_array_equal(batch.sample_weight[0], [1.0, 20.0, 3.0, 40.0])
    two = make_batch(np.zeros((4, 1)), [labels, labels], np.ones(4), None, None, ["a", "b"])
    assert len(two.sample_weight) == 2


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (dict(x=X, y=Y[:9]), ShapeError, "x has 10 samples but y has 9"),
        (dict(x=X, y=Y, sample_weight=np.ones(3)), ShapeError, "sample_weight has 3"),
        (dict(x=X[:0], y=Y[:0]), ArgumentError, "no samples"),
        (dict(x=X, y=Y, batch_size=-1), ArgumentError, "batch_size must be an integer >= 1, got -1"),
        (dict(x=X, y=Y, batch_size=2.5), ArgumentError, "batch_size"),
        (dict(x=X.astype(str)), DTypeError, "x must hold"),
        (dict(x=X.astype(complex)), DTypeError, "complex"),
        (dict(x=[[1.0, 2.0], [3.0]]), DTypeError, "x must be an array of numbers"),
        (dict(x=3.0), ShapeError, "x must be an array"),
        (dict(x=None), ArgumentError, "x must be given"),
        (dict(x=X, y=Y, shuffle="yes"), ArgumentError, "shuffle"),
        (dict(x=iter([(X, Y)]), y=Y), ArgumentError, "y must not be given"),
        (dict(x=iter([(X, Y)]), batch_size=3), ArgumentError, "batch_size must not be given"),
        (dict(x=X, y=Y, class_weight=[1.0]), ArgumentError, "class_weight must be a dict"),
    ],
)
def test_bad_arguments(arguments, error, message):
    with pytest.raises(error, match=message):
        adapt(**arguments)


def stream(source):
    return StreamData(source, lambda x, y, w: make_batch(x, y, w, None, None, None))


def test_streams_and_what_they_yield():
    for item in (X, (X,), (X, Y), [X, Y], (X, Y, np.ones(10))):
        batch = stream([item]).peek()
        assert batch.size == 10
    with pytest.raises(ArgumentError, match="tuple of 4"):
        stream([(X, Y, Y, Y)]).peek()
    with pytest.raises(ArgumentError, match="yields no batches"):
        stream([]).peek()


def test_peek_reads_nothing_twice():
    read = []

    def generate():
        for i in range(3):
            read.append(i)
            yield X + i, Y

    data = stream(generate())
    data.peek()
    data.peek()
    assert read == [0]
    assert [batch.x[0][0, 0] for batch in data.batches()] == [0, 1, 2] and read == [0, 1, 2]


class Indexed:
    """As Keras's PyDataset: batches by number."""

    ended = 0

    def __len__(self):
        return 3

    def __getitem__(self, i):
        return X + i, Y

    def on_epoch_end(self):
        self.ended += 1


def test_indexed_batches():
    source = Indexed()
    data = stream(source)
    assert data.steps == 3
    for _ in range(2):
        assert [batch.x[0][0, 0] for batch in data.batches()] == [0, 1, 2]
    assert source.ended == 2


def first_values(epochs):
    return [int(batch.y[0][0]) for batch in epochs.epoch()]


def test_steps_per_epoch_goes_on_where_the_last_epoch_stopped():
    epochs = Epochs(adapt(X, Y, batch_size=2), 2)
    assert epochs.steps == 2
    assert first_values(epochs) == [0, 2]
    assert first_values(epochs) == [4, 6]
    with pytest.warns(UserWarning, match="ran out after 1 of 2 steps"):
        assert first_values(epochs) == [8]
    assert first_values(epochs) == [0, 2]


def test_whole_pass_restarts_without_warning():
    epochs = Epochs(adapt(X, Y, batch_size=2), 5)
    assert first_values(epochs) == [0, 2, 4, 6, 8] == first_values(epochs)


def test_a_generator_is_walked_over_once():
    endless = Epochs(stream((X, Y + i) for i in range(5)), 2)
    assert first_values(endless) == [0, 1]
    assert first_values(endless) == [2, 3]
    with pytest.warns(UserWarning, match="ran out"):
        assert first_values(endless) == [4]
    assert Epochs(stream(iter([(X, Y)]))).steps is None
