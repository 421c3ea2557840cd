"""Recording and running back."""

import gc
import threading
import weakref

import numpy as np
import pytest

import fastconv.ops as ops
from fastconv.autograd import (
    Tensor,
    apply,
    enable_grad,
    executor,
    gradcheck,
    gradients,
    is_grad_enabled,
    no_grad,
    tensor,
    using,
)
from fastconv.autograd.executor import EAGER
from fastconv.errors import DTypeError, GradientError, ShapeError, UnsupportedOpError
from fastconv.op import Spec


def leaf(*values):
    return tensor(np.array(values, np.float64), requires_grad=True)


def test_backward_of_a_diamond():
    x = leaf(1.0, 2.0)
    y = x * x
    z = (y + y * x + x).sum()  # x^2 + x^3 + x
    z.backward()
    np.testing.assert_allclose(x.grad.numpy(), [2 + 3 + 1, 4 + 12 + 1])


def test_gradients_accumulate():
    x = leaf(1.0, 2.0)
    for _ in range(3):
        (x * x).backward([1.0, 10.0])
    np.testing.assert_allclose(x.grad.numpy(), [6.0, 120.0])
    x.grad = None
    x.sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), [1, 1])


def test_dy_is_checked():
    x = leaf(1.0, 2.0)
    with pytest.raises(GradientError, match="needs dy"):
        (x * 2).backward()
    with pytest.raises(ShapeError, match=r"\(2,\)"):
        (x * 2).backward([1.0])
    with pytest.raises(DTypeError):
        (x * 2).backward(tensor([1.0, 1.0]))
    y = tensor([[3.0]], requires_grad=True)
    (y * 2).backward()
    assert y.grad.numpy().tolist() == [[2]]


def test_nothing_recorded():
    x = leaf(1.0)
    for y in (tensor([1.0]), x.detach() * 2, no_grad(lambda: x * 2)()):
        with pytest.raises(GradientError, match="requires_grad"):
            y.backward()
    assert (x * 2).node is not None
    assert (x.detach() * 2).node is None


def test_second_backward_through_a_freed_tape():
    x = leaf(1.0, 2.0)
    y = (x * x).sum()
    y.backward()
    with pytest.raises(GradientError, match="retain_graph=True"):
        y.backward()
    y = (x * x).sum()
    y.backward(retain_graph=True)
    y.backward()
    np.testing.assert_allclose(x.grad.numpy(), [6, 12])


def test_a_kept_tensor_was_changed():
    x, w = leaf(1.0, 2.0), leaf(3.0, 4.0)
    y = (x * w).sum()
    w.assign([0, 0])
    with pytest.raises(GradientError, match=r"'b' of 'multiply'.*assign"):
        y.backward()
    y = (x * w).sum()
    w.detach()[0:1].assign([5])  # through a view
    with pytest.raises(GradientError, match="multiply"):
        y.backward()
    y = (x + w).sum()  # keeps nothing
    w.assign([1, 1])
    y.backward()
    y = ops.exp(x)
    y.detach().assign([0, 0])  # a kept output
    with pytest.raises(GradientError, match="exp"):
        y.sum().backward()


def test_only_what_is_needed_is_kept():
    x = leaf(1.0, 2.0)
    y = x + 1
    data = weakref.ref(y.data)
    z = (y + 1).sum()
    del y
    gc.collect()
    assert data() is None, "add keeps nothing, yet its input lives on"
    z.backward()


def test_a_tape_is_no_reference_cycle():
    gc.collect()
    gc.disable()
    try:
        x = leaf(1.0, 2.0)
        y = ops.exp(x) * x
        tensors = weakref.ref(y), weakref.ref(y.node)
        del y
        assert all(ref() is None for ref in tensors)
    finally:
        gc.enable()


def test_deep_networks_do_not_recurse():
    x = leaf(1.0)
    y = x
    for _ in range(20000):
        y = y + x
    y.backward()
    assert x.grad.item() == 20001
    del y


def test_gradients_leave_grad_alone():
    x, w, other = leaf(1.0, 2.0), leaf(3.0, 4.0), leaf(1.0)
    y = x * w
    z = y.sum()
    dx, dy, nothing, dw, dz = gradients(z, [x, y, other, w, z])
    assert nothing is None
    assert x.grad is w.grad is None
    np.testing.assert_allclose(dx.numpy(), [3, 4])
    np.testing.assert_allclose(dy.numpy(), [1, 1])
    np.testing.assert_allclose(dw.numpy(), [1, 2])
    assert dz.item() == 1
    assert isinstance(dx, Tensor)
    assert gradients(x, [x], [1.0, 2.0])[0].numpy().tolist() == [1, 2]


def test_every_gradient_owns_its_memory():
    a, b = leaf(1.0, 2.0), leaf(3.0, 4.0)
    dy = np.ones(2)
    (a + b).backward(dy)
    a.grad.assign([7, 7])
    assert b.grad.numpy().tolist() == [1, 1]
    assert dy.tolist() == [1, 1]
    c = leaf(1.0, 2.0)
    c.backward(dy)
    c.grad.assign([7, 7])
    assert dy.tolist() == [1, 1]


def test_modes():
    assert is_grad_enabled()
    with no_grad():
        assert not is_grad_enabled()
        with enable_grad():
            assert is_grad_enabled()
        assert not is_grad_enabled()

    @no_grad()
    def off():
        return is_grad_enabled()

    @no_grad
    def also_off():
        return is_grad_enabled()

    assert not off()
    assert not also_off()
    seen = []
    with no_grad():
        thread = threading.Thread(target=lambda: seen.append(is_grad_enabled()))
        thread.start()
        thread.join()
    assert seen == [True], "no_grad holds for one Python thread"
    with pytest.raises(ZeroDivisionError), no_grad():
        raise ZeroDivisionError
    assert is_grad_enabled()


def test_views_carry_gradients():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((3, 4))
    assert gradcheck(lambda t: t.reshape(2, 6).T[1:5:2, ::-1] * 3, [x])
    assert gradcheck(lambda t: t[[0, 0, 2], [1, 1, 3]] * t[0, :3], [x])
    assert gradcheck(lambda t: ops.flatten(t[None, 1:]) ** 2, [x])
    assert gradcheck(lambda t: sum(row.sum() * i for i, row in enumerate(t)), [x])


def test_broadcasting_sums_gradients():
    x, row, number = (tensor(np.ones(shape), requires_grad=True) for shape in [(3, 4), (4,), ()])
    (x * row + number).sum().backward()
    assert row.grad.numpy().tolist() == [3] * 4
    assert number.grad.item() == 12
    assert x.grad.shape == (3, 4)


class Counting:
    """An executor whose data are wrapped arrays: the tape may not touch them."""

    class Data:
        def __init__(self, array):
            self.array, self.shape, self.dtype = array, array.shape, array.dtype

    def __init__(self):
        self.calls = []

    def data(self, tensor):
        return tensor.data if isinstance(tensor.data, self.Data) else self.Data(tensor.data)

    def forward(self, op, operands, attrs):
        self.calls.append(op.name)
        arrays = {name: self.data(t).array for name, t in operands.items()}
        return {name: self.Data(np.asarray(a)) for name, a in op.reference(arrays, attrs).items()}

    def backward(self, op, operands, attrs, needs, specs):
        self.calls.append(f"d{op.name}")
        arrays = {name: np.full(spec.shape, np.nan) for name, spec in specs.items()}
        arrays |= {name: data.array for name, data in operands.items()}
        return {name: self.Data(np.asarray(a)) for name, a in op.reference_backward(arrays, attrs, needs).items()}

    def full(self, spec, value):
        return self.Data(np.full(spec.shape, value, spec.dtype))


def test_the_tape_touches_data_only_through_its_executor():
    x = leaf(1.0, 2.0)
    counting = Counting()
    with using(counting):
        assert executor() is counting
        (dx,) = gradients((x * x * x).sum(), [x])
    assert executor() is EAGER
    np.testing.assert_allclose(dx.data.array, [3, 12])
    assert counting.calls == ["multiply", "multiply", "sum", "dsum", "dmultiply", "dmultiply", "add_n"]


def test_a_tape_stays_with_its_executor():
    x = leaf(1.0, 2.0)
    outside = x * 2
    with using(Counting()):
        y = (outside * outside.detach()).sum()
        with pytest.raises(GradientError, match="outside"):
            y.backward()
    with pytest.raises(UnsupportedOpError, match="has none"):
        y * 2


def test_apply_takes_arrays_and_none():
    op = ops.getitem(np.arange(3.0), 1)
    assert op.item() == 1
    from fastconv.ops.elementwise import OPS, Attrs

    y = apply(OPS["add"], (np.ones(2, np.float32), tensor([1.0, 2.0])), Attrs())
    assert y.numpy().tolist() == [2, 3]
    assert y.spec == Spec((2,), "float32")


def test_gradients_share_no_memory():
    x, c = tensor([1.0, 2.0], requires_grad=True), tensor([1.0, 1.0])
    h = ops.add(x, c)
    gh, gx = gradients(ops.relu(h), [h, x], dy=np.ones(2, np.float32))
    assert not np.shares_memory(gh.data, gx.data)
    gh.assign([0, 0])
    assert gx.numpy().tolist() == [1, 1]
