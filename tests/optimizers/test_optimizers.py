"""Optimizers against their formulas in float64, step by step, and against PyTorch where it is installed."""

import numpy as np
import pytest

from fastconv import optimizers
from fastconv.autograd import Tensor
from fastconv.errors import ArgumentError, ModelFormatError

START = np.array([1.0, -2.0, 3.0, 0.5, 1e-3])
RNG = np.random.default_rng(7)
GRADIENTS = RNG.normal(size=(6, 5))


def run(optimizer, dtype="float64", gradients=GRADIENTS, start=START):
    w = Tensor(start.astype(dtype), True, "w")
    for g in gradients:
        optimizer.apply([Tensor(g.astype(dtype))], [w])
    return w.numpy()


def sgd(lr=0.1, momentum=0.0, nesterov=False, decay=0.0):
    w, v = START.copy(), np.zeros(5)
    for g in GRADIENTS:
        w = w - lr * decay * w
        v = momentum * v - lr * g
        w = w + (momentum * v - lr * g if nesterov else v)
    return w


def adam(lr=0.01, b1=0.9, b2=0.999, eps=1e-7, amsgrad=False, decay=0.0):
    w, m, v, top = START.copy(), np.zeros(5), np.zeros(5), np.zeros(5)
    for t, g in enumerate(GRADIENTS, 1):
        w = w - lr * decay * w
        m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g * g
        top = np.maximum(top, v)
        w = w - lr * np.sqrt(1 - b2**t) / (1 - b1**t) * m / (np.sqrt(top if amsgrad else v) + eps)
    return w


def rmsprop(lr=0.01, rho=0.9, momentum=0.0, eps=1e-7, centered=False):
    w, s, mean, v = START.copy(), np.zeros(5), np.zeros(5), np.zeros(5)
    for g in GRADIENTS:
        s, mean = rho * s + (1 - rho) * g * g, rho * mean + (1 - rho) * g
        step = lr * g / np.sqrt(s - (mean**2 if centered else 0) + eps)
        v = momentum * v + step
        w = w - v
    return w


CASES = [
    (optimizers.SGD(0.1), sgd()),
    (optimizers.SGD(0.1, momentum=0.9), sgd(momentum=0.9)),
    (optimizers.SGD(0.1, momentum=0.9, nesterov=True), sgd(momentum=0.9, nesterov=True)),
    (optimizers.SGD(0.1, momentum=0.9, weight_decay=0.05), sgd(momentum=0.9, decay=0.05)),
    (optimizers.Adam(0.01), adam()),
    (optimizers.Adam(0.01, beta_1=0.5, beta_2=0.9, epsilon=1e-3), adam(b1=0.5, b2=0.9, eps=1e-3)),
    (optimizers.Adam(0.01, amsgrad=True), adam(amsgrad=True)),
    (optimizers.AdamW(0.01, weight_decay=0.1), adam(decay=0.1)),
    (optimizers.RMSprop(0.01), rmsprop()),
    (optimizers.RMSprop(0.01, rho=0.5, momentum=0.9), rmsprop(rho=0.5, momentum=0.9)),
    (optimizers.RMSprop(0.01, centered=True), rmsprop(centered=True)),
]


@pytest.mark.parametrize(("optimizer", "expected"), CASES, ids=lambda value: getattr(value, "name", ""))
def test_formula(optimizer, expected):
    config = optimizer.get_config()
    np.testing.assert_allclose(run(optimizer), expected, rtol=1e-12)
    assert optimizer.iterations == len(GRADIENTS)
    again = type(optimizer).from_config(config)
    np.testing.assert_allclose(run(again, "float32"), expected, rtol=3e-6, atol=1e-6)


def test_keras_defaults():
    assert optimizers.get("sgd").learning_rate == 0.01
    for name in ("adam", "Adam", "RMSprop", "rmsprop", "adamw"):
        assert optimizers.get(name).learning_rate == 0.001
    assert optimizers.get("adamw").weight_decay == 0.004
    assert optimizers.get(optimizers.Adam).epsilon == 1e-7
    with pytest.raises(ArgumentError, match="adamm.*sgd, adam, adamw, rmsprop"):
        optimizers.get("adamm")


def test_learning_rate_can_be_set_at_any_time():
    optimizer = optimizers.SGD(1.0)
    w = Tensor(np.zeros(1), True)
    for rate in (1.0, 0.5):
        optimizer.learning_rate = rate
        optimizer.apply([Tensor(np.ones(1))], [w])
    assert w.item() == -1.5
    with pytest.raises(ArgumentError, match="learning_rate"):
        optimizer.learning_rate = -1.0


def test_schedule_gets_the_number_of_the_step():
    optimizer = optimizers.SGD(lambda step: 1.0 / (step + 1))
    w = Tensor(np.zeros(1), True)
    for _ in range(3):
        optimizer.apply([Tensor(np.ones(1))], [w])
    assert w.item() == pytest.approx(-(1 + 1 / 2 + 1 / 3))
    assert optimizer.get_config()["learning_rate"] == 0.25


def test_clipping():
    g = [np.array([3.0, 4.0]), np.array([0.0, 12.0])]

    def steps(**kwargs):
        ws = [Tensor(np.zeros(2), True), Tensor(np.zeros(2), True)]
        optimizers.SGD(1.0, **kwargs).apply([Tensor(a) for a in g], ws)
        return [-w.numpy() for w in ws]

    np.testing.assert_allclose(steps(clipvalue=3.5), [[3.0, 3.5], [0.0, 3.5]])
    np.testing.assert_allclose(steps(clipnorm=6.0), [[3.0, 4.0], [0.0, 6.0]])
    np.testing.assert_allclose(steps(global_clipnorm=6.5), [[1.5, 2.0], [0.0, 6.0]])
    np.testing.assert_allclose(steps(global_clipnorm=100.0), g)
    with pytest.raises(ArgumentError, match="only one"):
        optimizers.SGD(clipnorm=1.0, clipvalue=1.0)


def test_gradient_none_leaves_the_variable_alone():
    a, b = Tensor(np.ones(2), True), Tensor(np.ones(2), True)
    optimizers.Adam(0.5).apply([None, Tensor(np.ones(2))], [a, b])
    assert (a.numpy() == 1).all() and (b.numpy() < 1).all()


def test_state_continues_a_run():
    optimizer = optimizers.Adam(0.01, amsgrad=True)
    w = Tensor(START.copy(), True, "w")
    for g in GRADIENTS[:3]:
        optimizer.apply([Tensor(g)], [w])
    state = optimizer.state()
    assert sorted(state) == ["0/greatest_v", "0/m", "0/v", "iterations"]

    again, w2 = optimizers.Adam(0.01, amsgrad=True), Tensor(w.numpy().copy(), True, "w")
    again.load_state(state, [w2])
    for g in GRADIENTS[3:]:
        optimizer.apply([Tensor(g)], [w])
        again.apply([Tensor(g)], [w2])
    assert again.iterations == 6
    np.testing.assert_array_equal(w.numpy(), w2.numpy())


def test_state_is_numbered_by_the_variables_given():
    a, b = Tensor(np.ones(2), True), Tensor(np.ones(3), True)
    optimizer = optimizers.SGD(0.1, momentum=0.9)
    optimizer.apply([Tensor(np.ones(3))], [b])
    assert sorted(optimizer.state([a, b])) == ["1/velocity", "iterations"]


@pytest.mark.parametrize(
    "change",
    [
        {"iterations": None},
        {"iterations": np.array(-1)},
        {"0/m": np.zeros(4)},
        {"0/m": np.zeros(5, "float32")},
        {"7/m": np.zeros(5)},
        {"0/other": np.zeros(5)},
        {"\u00b2/m": np.zeros(5)},  # a digit that int() does not take
        {"9" * 5000 + "/m": np.zeros(5)},
        {"0/m": None},
    ],
)
def test_foreign_state_is_refused_and_changes_nothing(change):
    optimizer = optimizers.Adam()
    run(optimizer)
    state = {key: value for key, value in {**optimizer.state(), **change}.items() if value is not None}
    fresh, w = optimizers.Adam(), Tensor(START.copy(), True)
    with pytest.raises(ModelFormatError):
        fresh.load_state(state, [w])
    assert fresh.iterations == 0 and not fresh.variables


def test_serialize_round_trip():
    for optimizer in (optimizers.SGD(0.3, 0.5, True), optimizers.AdamW(0.2), optimizers.RMSprop(centered=True)):
        again = optimizers.deserialize(optimizers.serialize(optimizer))
        assert type(again) is type(optimizer) and again.get_config() == optimizer.get_config()
    with pytest.raises(ArgumentError):
        optimizers.deserialize({"class_name": "os.system", "config": {}})


@pytest.mark.parametrize(
    "bad", [{"beta_1": 1.0}, {"learning_rate": "fast"}, {"epsilon": -1.0}, {"beta_2": float("nan")}]
)
def test_bad_arguments(bad):
    with pytest.raises(ArgumentError, match=next(iter(bad))):
        optimizers.Adam(**bad)


@pytest.mark.parametrize(
    ("make", "bad"),
    [
        (optimizers.SGD, {"momentum": 1.5}),
        (optimizers.SGD, {"momentum": -0.1}),
        (optimizers.RMSprop, {"rho": -0.1}),
        (optimizers.RMSprop, {"rho": 1.5}),
        (optimizers.Adam, {"beta_1": -0.1}),
        (optimizers.Adam, {"beta_2": 1.5}),
    ],
)
def test_rates_of_decay_are_from_0_to_1(make, bad):
    with pytest.raises(ArgumentError, match=f"{next(iter(bad))} must be"):
        make(**bad)
    assert optimizers.SGD(momentum=1.0).momentum == 1.0


def test_get_takes_objects_and_configurations():
    optimizer = optimizers.SGD(0.3, 0.5)
    assert optimizers.get(optimizer) is optimizer
    assert optimizers.get(optimizers.serialize(optimizer)).get_config() == optimizer.get_config()


def test_against_torch():
    torch = pytest.importorskip("torch")
    pairs = [
        (optimizers.SGD(0.1, momentum=0.9, nesterov=True), lambda p: torch.optim.SGD(p, 0.1, 0.9, nesterov=True)),
        (
            optimizers.AdamW(0.01, weight_decay=0.1, epsilon=0.0),
            lambda p: torch.optim.AdamW(p, 0.01, eps=0.0, weight_decay=0.1),
        ),
    ]
    for ours, make in pairs:
        w = torch.tensor(START, requires_grad=True)
        theirs = make([w])
        for g in GRADIENTS:
            w.grad = torch.tensor(g)
            theirs.step()
        np.testing.assert_allclose(run(ours), w.detach().numpy(), rtol=1e-10)
