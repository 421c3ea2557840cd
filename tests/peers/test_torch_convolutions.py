"""Convolutions in one, two and three dimensions, and transposed ones, against PyTorch: results and gradients."""

import itertools

import numpy as np
import pytest

from fastconv import ops, tensor

torch = pytest.importorskip("torch", reason="PyTorch is not installed (pip install torch)")

CHANNELS, FILTERS, SIZES = 12, 18, (9, 8, 7)


def to_torch(array):
    """(N, ..., C) to (N, C, ...)."""
    return torch.tensor(np.moveaxis(array, -1, 1).copy(), requires_grad=True)


def from_torch(result):
    return np.moveaxis(result.detach().numpy(), 1, -1)


def close(got, expected, terms):
    assert got.shape == expected.shape
    allowed = (4 + 2 * np.sqrt(terms)) * np.finfo("f4").eps * np.abs(expected).max()
    assert np.abs(got - expected).max() <= allowed


def compare(name, x, kernel, kernel_axes, options, torch_options):
    """Compare one call; `kernel_axes` turns PyTorch's kernel into ours."""
    rng = np.random.default_rng(1)
    rank = x.ndim - 2
    bias = rng.standard_normal(FILTERS).astype("f4")
    reference = getattr(torch.nn.functional, f"conv_transpose{rank}d" if "transpose" in name else f"conv{rank}d")
    their_x, their_kernel = to_torch(x), torch.tensor(kernel, requires_grad=True)
    their_bias = torch.tensor(bias, requires_grad=True)
    expected = reference(their_x, their_kernel, their_bias, **torch_options)
    operands = [tensor(a, requires_grad=True) for a in (x, np.ascontiguousarray(kernel.transpose(*kernel_axes)), bias)]
    y = getattr(ops, name)(*operands, **options)
    dy = rng.standard_normal(y.shape).astype("f4")
    y.backward(tensor(dy))
    expected.backward(torch.tensor(np.moveaxis(dy, -1, 1).copy()))
    terms = max(np.prod(kernel.shape[1:]), np.prod(dy.shape[:-1]))
    close(y.numpy(), from_torch(expected), terms)
    close(operands[0].grad.numpy(), from_torch(their_x.grad), terms)
    close(operands[1].grad.numpy(), their_kernel.grad.numpy().transpose(*kernel_axes), terms)
    close(operands[2].grad.numpy(), their_bias.grad.numpy(), terms)


OPTIONS = [
    {},
    {"stride": 2, "padding": 1},
    {"padding": 2, "dilation": 2},
    {"stride": 3, "groups": 3},
    {"stride": 2, "groups": 6, "padding": 1},
]


@pytest.mark.parametrize(("rank", "options"), list(itertools.product((1, 2, 3), OPTIONS)))
def test_convolution(rank, options):
    rng = np.random.default_rng(rank)
    groups = options.get("groups", 1)
    x = rng.standard_normal((2, *SIZES[:rank], CHANNELS)).astype("f4")
    kernel = rng.standard_normal((FILTERS, CHANNELS // groups, *(3, 2, 3)[:rank])).astype("f4")
    ours = {"strides": options.get("stride", 1), "padding": options.get("padding", 0), "groups": groups}
    ours["dilation_rate"] = options.get("dilation", 1)
    compare(f"conv{rank}d", x, kernel, (*range(2, 2 + rank), 1, 0), ours, options)


@pytest.mark.parametrize(
    ("rank", "options"),
    list(itertools.product((1, 2, 3), [*OPTIONS, {"stride": 3, "output_padding": 2, "padding": 1}])),
)
def test_transposed_convolution(rank, options):
    rng = np.random.default_rng(rank)
    groups = options.get("groups", 1)
    x = rng.standard_normal((2, *(5, 4, 3)[:rank], CHANNELS)).astype("f4")
    kernel = rng.standard_normal((CHANNELS, FILTERS // groups, *(3, 2, 3)[:rank])).astype("f4")
    ours = {"strides": options.get("stride", 1), "padding": options.get("padding", 0), "groups": groups}
    ours |= {"dilation_rate": options.get("dilation", 1), "output_padding": options.get("output_padding", 0)}
    compare(f"conv{rank}d_transpose", x, kernel, (*range(2, 2 + rank), 1, 0), ours, options)
