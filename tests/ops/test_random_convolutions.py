"""Convolutions of sizes, steps, paddings and groups drawn at random, forward and backward, beside float64 references.

The cases of the registry are chosen for what somebody thought of; these are not.
"""

import numpy as np
import pytest

from fastconv import ops
from fastconv.autograd import tensor
from fastconv.config import precision
from fastconv.op import REGISTRY

SIZES = (1, 1, 2, 3, 5, 7, 8, 13, 16, 17)
CHANNELS = (1, 2, 3, 4, 5, 8, 12, 16, 20, 33, 48, 64)
LARGEST = 2e6  # multiplications that a reference has the time for
# The largest error, in root mean squares of the results, or of their terms where those cancel. "medium" rounds operands
# to 8 bits.
BOUNDS = {"highest": 5e-5, "high": 1e-4, "medium": 0.1}


def draw_call(rng, rank):
    """Return (shape of x, shape of the kernel, arguments), or None where they make no convolution."""
    size = rng.choice(SIZES, rank).tolist()
    kernel = (
        rng.choice((1, 1, 2, 3, 3, 5, 7), rank).tolist() if rng.random() < 0.5 else rank * [int(rng.choice((1, 3)))]
    )
    strides = rng.choice((1, 1, 2, 3), rank).tolist()
    dilation = rank * [1] if rng.random() < 0.7 else rng.choice((1, 2, 3), rank).tolist()
    groups = int(rng.choice((1, 1, 1, 2, 3, 8)))
    depth, columns = (int(n) for n in rng.choice(CHANNELS, 2))
    if rng.random() < 0.15:
        groups, depth, columns = int(rng.choice((3, 16, 17, 40))), 1, int(rng.choice((1, 2)))
    reach = [(k - 1) * d + 1 for k, d in zip(kernel, dilation, strict=True)]
    padding = [tuple(int(n) for n in rng.integers(0, k // 2 + 2 + 3 * (rng.random() < 0.2), 2)) for k in reach]
    x = (int(rng.choice((1, 2, 3, 5))), *size, groups * depth)
    fits = all(n + sum(pair) >= k for n, pair, k in zip(size, padding, reach, strict=True))
    if not fits or np.prod(x) * np.prod(kernel) * columns > LARGEST:
        return None
    arguments = {
        "strides": tuple(strides),
        "padding": tuple(padding),
        "dilation_rate": tuple(dilation),
        "groups": groups,
    }
    return x, (*kernel, depth, groups * columns), arguments


def check(name, rng, mode):
    rank = int(name[4])
    while (call := draw_call(rng, rank)) is None:
        pass
    x_shape, kernel_shape, arguments = call
    x, kernel = (rng.standard_normal(shape).astype("float32") for shape in (x_shape, kernel_shape))
    operands = {"x": x, "kernel": kernel}
    if rng.random() < 0.5:
        operands["bias"] = rng.standard_normal(kernel_shape[-1]).astype("float32")
    op, leaves = REGISTRY[name], {n: tensor(array, requires_grad=True) for n, array in operands.items()}
    shown = f"{name} of {x_shape} by {kernel_shape}, {arguments}, {mode}"
    with precision(mode):
        y = getattr(ops, name)(*leaves.values(), **arguments)
        dy = rng.standard_normal(y.shape).astype("float32")
        y.backward(tensor(dy))
    attrs = op.cases[0].attrs._replace(**arguments)
    wide = {n: array.astype("float64") for n, array in operands.items()}
    wanted = op.reference(wide, attrs)["y"]
    grads = op.reference_backward({**wide, "y": wanted, "dy": dy.astype("float64")}, attrs, frozenset(operands))
    pairs = {"y": (y.numpy(), wanted)} | {n: (leaf.grad.numpy(), grads[f"d{n}"]) for n, leaf in leaves.items()}
    for what, (got, reference) in pairs.items():
        assert got.shape == reference.shape, f"{what} of {shown}"
        terms = dy.size / kernel_shape[-1] if what == "bias" else 1
        scale = max(np.sqrt(np.mean(np.square(reference))), np.sqrt(terms))
        worst = np.abs(got - reference).max(initial=0) / scale
        assert worst < BOUNDS[mode], f"{what} of {shown}: off by {worst:.3g}"


@pytest.mark.parametrize("mode", BOUNDS)
@pytest.mark.parametrize("name", ["conv1d", "conv2d", "conv3d"])
def test_random_convolutions(name, mode):
    rng = np.random.default_rng([ord(letter) for letter in name + mode])
    for _ in range(150 if name == "conv2d" else 60):
        check(name, rng, mode)
