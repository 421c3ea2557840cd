"""A convolution in numbers: what the passes of every algorithm are told of it."""

from math import prod
from typing import NamedTuple

from .. import _convolution as common
from .._pairs import is_stored
from .algorithm import choose, choose_gradient


class Call(NamedTuple):
    """A convolution of x (images, ..., channels) to y (images, ..., outputs)."""

    images: int
    channels: int
    outputs: int
    geometry: common.Geometry
    attrs: common.Attrs
    stored: bool = False  # x is bfloat16 already
    transposed: bool = False  # dx is what is wanted, y and the kernel are its operands

    @property
    def algorithm(self):
        """The algorithm by which y and the gradient of x are made."""
        return self._chosen(choose(self.channels, self.outputs, self.geometry, self.attrs))

    @property
    def gradient_algorithm(self):
        """The algorithm by which the gradient of the kernel is made."""
        return self._chosen(choose_gradient(self.images, self.channels, self.outputs, self.geometry, self.attrs))

    def _chosen(self, algorithm):
        # With bias and activation, these kernels go one way only.
        return "direct" if self.transposed and algorithm in ("depthwise", "grouped") else algorithm

    @property
    def depth(self):
        """Input channels per group."""
        return self.channels // self.attrs.groups

    @property
    def columns(self):
        """Output channels per group."""
        return self.outputs // self.attrs.groups

    @property
    def taps(self):
        """The number of taps of the kernel."""
        return prod(self.geometry.kernel)

    @property
    def window(self):
        """How the kernel moves, as keyword arguments of kernels that walk all of it."""
        return {
            "images": self.images,
            "x_size": self.geometry.size,
            "out_size": self.geometry.out,
            "kernel_size": self.geometry.kernel,
            "padding": self.geometry.padding,
            "strides": self.attrs.strides,
            "dilations": self.attrs.dilation_rate,
        }

    def kernel_strides(self, transposed=False):
        """Return how `gemm.pack` finds the elements of the kernel, or of its groups' transposed matrices."""
        b_k, b_n = (1, self.outputs) if transposed else (self.outputs, 1)
        return {"b_group": self.columns, "b_tap": self.depth * self.outputs, "b_k": b_k, "b_n": b_n}


def call_of(specs, attrs):
    """Return the `Call` of operands by name."""
    x, kernel = specs["x"].shape, specs["kernel"].shape
    return Call(x[0], x[-1], kernel[-1], common.geometry(x, kernel, attrs), attrs, is_stored(specs, "x"))
