"""Layers whose errors are measured: how to run each through the public interface, and the same as a matrix product.

Of many outputs some are drawn, `SAMPLE` if there are as many.
"""

from typing import NamedTuple

import numpy as np

from fastconv import ops, tensor

SAMPLE = 4096  # enough that the ratio of two errors holds still within a few percent


class Product(NamedTuple):
    """A result's exact formula: `pick(y)` (groups, rows, columns) is `a` (groups, rows, K) times `b` (groups, K, columns)."""

    a: np.ndarray
    b: np.ndarray
    pick: object


class Convolution(NamedTuple):
    """A conv2d layer: images, height and width, channels, outputs, kernel size, and options."""

    images: int
    size: int
    channels: int
    outputs: int
    kernel: int
    strides: int = 1
    dilation_rate: int = 1
    groups: int = 1

    @property
    def reach(self):
        """Rows that a kernel covers."""
        return (self.kernel - 1) * self.dilation_rate + 1

    @property
    def out(self):
        """Height and width of the outputs, padding "same"."""
        return -(-self.size // self.strides)

    @property
    def padding(self):
        """Rows of zeros (before, after)."""
        total = max((self.out - 1) * self.strides + self.reach - self.size, 0)
        return total // 2, total - total // 2

    @property
    def x_shape(self):
        return self.images, self.size, self.size, self.channels

    @property
    def y_shape(self):
        return self.images, self.out, self.out, self.outputs

    @property
    def kernel_shape(self):
        return self.kernel, self.kernel, self.channels // self.groups, self.outputs

    @property
    def options(self):
        return {
            "strides": self.strides, "padding": "same", "dilation_rate": self.dilation_rate, "groups": self.groups
        }  # fmt: skip

    def _places(self):
        """Yield, for each tap, which rows and columns of padded x it reads: one slice for both."""
        for tap in range(self.kernel):
            first = tap * self.dilation_rate
            yield slice(first, first + (self.out - 1) * self.strides + 1, self.strides)

    def windows(self, x):
        """Return what each output sees of x: (pixels of y, taps, channels)."""
        padded = np.pad(x, ((0, 0), self.padding, self.padding, (0, 0)))
        taps = [padded[:, rows, columns] for rows in self._places() for columns in self._places()]
        return np.stack(taps, 3).reshape(-1, self.kernel**2, x.shape[3])

    def readers(self, dy):
        """Return the elements of dy that each pixel of x has a share in: (pixels of x, taps, outputs), zeros where none."""
        before, after = self.padding
        edge = self.size + before + after
        seen = np.zeros((self.images, edge, edge, self.kernel**2, self.outputs), dy.dtype)
        for i, rows in enumerate(self._places()):
            for j, columns in enumerate(self._places()):
                seen[:, rows, columns, i * self.kernel + j] = dy
        inside = slice(before, before + self.size)
        return seen[:, inside, inside].reshape(-1, self.kernel**2, self.outputs)


def _sample(rng, rows, columns, groups=1):
    """Return which rows and which columns of every group are looked at."""
    columns = np.sort(rng.permutation(columns)[: max(64, SAMPLE // (rows * groups))])
    return np.sort(rng.permutation(rows)[: max(1, SAMPLE // (len(columns) * groups))]), columns


def _grouped(array, groups):
    """Return (..., groups * n) as (groups, ..., n)."""
    return np.moveaxis(array.reshape(*array.shape[:-1], groups, -1), -2, 0)


def forward(layer, draw, rng):
    """Return (function that runs it, Product) of y = conv2d(x, kernel); `draw` fills x."""
    x, kernel = draw(layer.x_shape), _normal(rng, layer.kernel_shape, layer.kernel**2 * layer.channels // layer.groups)
    rows, columns = _sample(rng, layer.images * layer.out**2, layer.outputs // layer.groups, layer.groups)
    a = _grouped(layer.windows(x)[rows], layer.groups).reshape(layer.groups, len(rows), -1)
    b = _grouped(kernel, layer.groups).reshape(layer.groups, a.shape[2], -1)[:, :, columns]

    def run():
        return ops.conv2d(x, kernel, **layer.options).numpy()

    def pick(y):
        return _grouped(y.reshape(-1, layer.outputs)[rows], layer.groups)[:, :, columns]

    return run, Product(a, b, pick)


def _gradients(layer, x, kernel, dy, wanted):
    x, kernel = tensor(x, requires_grad=wanted == "x"), tensor(kernel, requires_grad=wanted == "kernel")
    ops.conv2d(x, kernel, **layer.options).backward(dy)
    return (x if wanted == "x" else kernel).grad.numpy()


def backward_data(layer, draw, rng):
    """Return (function that runs it, Product) of the gradient of x; `draw` fills dy."""
    dy, kernel = draw(layer.y_shape), _normal(rng, layer.kernel_shape, layer.kernel**2 * layer.outputs // layer.groups)
    rows, columns = _sample(rng, layer.images * layer.size**2, layer.channels // layer.groups, layer.groups)
    # Sequential sums go through the taps as kernels do, or the ratio of errors is that of two orders: depthwise in dy's order.
    step = -1 if layer.groups == layer.channels > 1 else 1
    a = _grouped(layer.readers(dy)[rows, ::step], layer.groups).reshape(layer.groups, len(rows), -1)
    b = np.swapaxes(_grouped(kernel[::step, ::step], layer.groups), -1, -2).reshape(layer.groups, a.shape[2], -1)[
        :, :, columns
    ]

    def run():
        return _gradients(layer, np.zeros(layer.x_shape, np.float32), kernel, dy, "x")

    def pick(dx):
        return _grouped(dx.reshape(-1, layer.channels)[rows], layer.groups)[:, :, columns]

    return run, Product(a, b, pick)


def backward_kernel(layer, draw, rng):
    """Return (function that runs it, Product) of the gradient of the kernel; `draw` fills x."""
    pixels = layer.images * layer.out**2
    x, dy = draw(layer.x_shape), _normal(rng, layer.y_shape, pixels)
    taps = layer.kernel**2 * layer.channels // layer.groups
    rows, columns = _sample(rng, taps, layer.outputs // layer.groups, layer.groups)
    a = _grouped(layer.windows(x), layer.groups).reshape(layer.groups, pixels, -1)[:, :, rows]
    b = _grouped(dy.reshape(-1, layer.outputs), layer.groups)[:, :, columns]

    def run():
        return _gradients(layer, x, np.zeros(layer.kernel_shape, np.float32), dy, "kernel")

    def pick(dkernel):
        return _grouped(dkernel, layer.groups).reshape(layer.groups, -1, layer.outputs // layer.groups)[:, rows][
            :, :, columns
        ]

    return run, Product(np.swapaxes(a, 1, 2), b, pick)


class Matrices(NamedTuple):
    """A product of (rows, depth) by (depth, columns)."""

    rows: int
    depth: int
    columns: int


def dense(layer, draw, rng):
    """Return (function that runs it, Product) of y = dense(x, kernel)."""
    return _matrices(layer, draw, rng, ops.dense)


def matmul(layer, draw, rng):
    """Return (function that runs it, Product) of y = x @ kernel."""
    return _matrices(layer, draw, rng, ops.matmul)


def _matrices(layer, draw, rng, operation):
    x, kernel = draw((layer.rows, layer.depth)), _normal(rng, (layer.depth, layer.columns), layer.depth)
    rows, columns = _sample(rng, layer.rows, layer.columns)
    return (
        lambda: operation(x, kernel).numpy(),
        Product(x[None, rows], kernel[None][:, :, columns], lambda y: y[None, rows][:, :, columns]),
    )


def dense_gradient(layer, draw, rng):
    """Return (function that runs it, Product) of the gradient of a dense layer's kernel; `draw` fills x."""
    x, dy = draw((layer.depth, layer.rows)), _normal(rng, (layer.depth, layer.columns), layer.depth)
    rows, columns = _sample(rng, layer.rows, layer.columns)

    def run():
        kernel = tensor(np.zeros((layer.rows, layer.columns), np.float32), requires_grad=True)
        ops.dense(x, kernel).backward(dy)
        return kernel.grad.numpy()

    return run, Product(x.T[None, rows], dy[None][:, :, columns], lambda y: y[None, rows][:, :, columns])


def _normal(rng, shape, length):
    """Weights, or gradients: normal numbers of which a sum over `length` products keeps the size of the other operand."""
    return (rng.standard_normal(shape) / np.sqrt(length)).astype("f4")
