"""Eager calls keep what they pack of a parameter, and only of one."""

import gc
import threading
import weakref

import numpy as np
import pytest

import fastconv
from fastconv import ops
from fastconv._kernels import runtime

RNG = np.random.default_rng(0)


def values(*shape):
    return RNG.standard_normal(shape).astype(np.float32)


def parameter(*shape):
    return fastconv.tensor(values(*shape), requires_grad=True)


CALLS = {
    "conv2d": (ops.conv2d, (2, 6, 6, 3), (3, 3, 3, 5)),
    "winograd": (lambda x, w: ops.conv2d(x, w, padding="same"), (1, 8, 8, 16), (3, 3, 16, 16)),
    "conv2d_transpose": (ops.conv2d_transpose, (2, 4, 4, 3), (3, 3, 5, 3)),
    "dense": (ops.dense, (4, 20), (20, 7)),
}


@pytest.fixture(params=CALLS)
def case(request):
    call, x, w = CALLS[request.param]
    return call, values(*x), parameter(*w)


def same(case):
    """Tell whether the call with the parameter gives the bits of a call that keeps nothing."""
    call, x, w = case
    return np.array_equal(call(x, w).numpy(), call(x, w.numpy().copy()).numpy())


def data_in_place(w):
    w.data -= values(*w.shape)


def touched(w):
    w.data[...] = values(*w.shape)
    w.touch()


def rebound(w):
    w.data = values(*w.shape)


def through_a_view(w):
    with fastconv.no_grad():
        w.reshape((-1,)).assign(values(w.size))


WRITES = [lambda w: w.assign(values(*w.shape)), data_in_place, touched, rebound, through_a_view]


def test_every_write_is_seen(case):
    for write in WRITES:
        assert same(case) and same(case)
        write(case[2])
        assert same(case)


def test_packed_once(case):
    call, x, w = case
    call(x, w)
    (kept,) = w.packings
    call(x[:1], w)
    assert w.packings == (kept,), "the batch is no part of the layout"
    w.assign(w.numpy() * 2)
    call(x, w)
    assert len(w.packings) == 1 and w.packings[0] is not kept


def test_kept_buffers_are_used():
    x, w = values(4, 20), parameter(20, 7)
    ops.dense(x, w)
    for buffer in w.packings[0].buffers.values():
        buffer[...] = 0
    assert not ops.dense(x, w).numpy().any()


def test_only_parameters_keep():
    x, array = values(4, 20), values(20, 7)
    shared = fastconv.as_tensor(array)
    before = ops.dense(x, shared).numpy()
    array += 1
    assert shared.packings == ()
    assert not np.array_equal(ops.dense(x, shared).numpy(), before), "nobody counts what is written to an array"
    w = parameter(20, 7)
    made = w * 2
    ops.dense(x, made)
    assert made.packings == (), "a result is read once as a rule"


def test_layouts_of_one_parameter():
    x, w = values(1, 8, 8, 16), parameter(3, 3, 16, 16)
    for strides in (1, 2, 1):
        want = ops.conv2d(x, w.numpy().copy(), strides=strides, padding="same").numpy()
        assert np.array_equal(ops.conv2d(x, w, strides=strides, padding="same").numpy(), want)
    before = runtime.isa()
    try:
        for isa in runtime.available():
            runtime.select(isa)
            assert same((CALLS["winograd"][0], x, w))
    finally:
        runtime.select(before)


def test_memory_goes_with_the_parameter():
    w = parameter(20, 7)
    ops.dense(values(4, 20), w)
    (buffer,) = w.packings[0].buffers.values()
    died = weakref.ref(buffer)
    del buffer, w
    gc.collect()
    assert died() is None


def test_a_failed_call_keeps_nothing(monkeypatch):
    def fail(*args):
        raise MemoryError

    w = parameter(20, 7)
    monkeypatch.setattr(runtime, "execute", fail)
    with pytest.raises(MemoryError):
        ops.dense(values(4, 20), w)
    assert w.packings == ()


def test_two_threads_and_a_writer():
    x, w = np.ones((2, 6, 6, 3), np.float32), parameter(3, 3, 3, 5)
    w.assign(np.ones(w.shape, np.float32))
    one = ops.conv2d(x, w).numpy().copy()
    wrong, stop = [], threading.Event()

    def read():
        while not stop.is_set():
            y = ops.conv2d(x, w).numpy()
            scale = y.flat[0] / one.flat[0]
            # All ones, or all twos, or something in between while they are being written; never the memory of another.
            if not 0.9 < scale < 2.1 or not np.all(np.isfinite(y)):
                wrong.append(scale)

    threads = [threading.Thread(target=read) for _ in range(2)]
    for thread in threads:
        thread.start()
    for i in range(300):
        w.assign(np.full(w.shape, 1 + i % 2, np.float32))
        wanted = one * (1 + i % 2)
        np.testing.assert_allclose(ops.conv2d(x, w).numpy(), wanted, rtol=1e-5)
    stop.set()
    for thread in threads:
        thread.join()
    assert not wrong
