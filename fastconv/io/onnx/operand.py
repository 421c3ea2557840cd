"""What flows through an ONNX network while it is walked: a known array, or a tensor stored in some order of axes.

ONNX says NCHW, the kernels want NHWC. A transposition here moves no data, it only notes a permutation: convolution, ReLU,
addition and pooling hand the same NHWC tensor on, each calling it NCHW, and data move only where the order of elements in
memory matters (a Reshape, the network's edge).
"""

import math

import numpy as np

from ... import ops
from ...autograd import Tensor


class Operand:
    """A value of an ONNX network.

    Attributes
    ----------
    constant : ndarray or None
        Its value, where that is known before the network runs.
    stored : Tensor or None
        Otherwise: the data, whose axes are in another order, perhaps.
    axes : tuple of int
        Axis i of the value is axis ``axes[i]`` of `stored`.
    key : str or None
        Of a constant that depends on the file alone: its name. Weights made of it are made once.
    """

    __slots__ = ("constant", "stored", "axes", "key")

    def __init__(self, data, axes=None, key=None):
        known = not isinstance(data, Tensor)
        self.constant = np.asarray(data) if known else None
        self.stored = None if known else data
        self.axes = tuple(range(np.ndim(data) if known else data.ndim)) if axes is None else tuple(axes)
        self.key = key

    @property
    def shape(self):
        """Shape, as ONNX sees it."""
        shape = self.stored.shape if self.constant is None else self.constant.shape
        return tuple(shape[axis] for axis in self.axes)

    @property
    def ndim(self):
        """Number of axes."""
        return len(self.axes)

    @property
    def size(self):
        """Number of elements."""
        return int(np.prod(self.shape, dtype=object))

    @property
    def dtype(self):
        """The NumPy dtype."""
        return self.constant.dtype if self.constant is not None else np.dtype(self.stored.dtype)

    @property
    def order(self):
        """The order of ONNX's axes in memory: axis j of `stored` is axis ``order[j]`` of the value."""
        return invert(self.axes)

    def transposed(self, order):
        """Return the value with its axes in another order, without moving data: axis j is axis ``order[j]`` of this one."""
        if self.constant is not None:
            return Operand(self.constant.transpose(order), key=None)
        return Operand(self.stored, [self.axes[axis] for axis in order])

    def tensor(self, order=None):
        """Return the value as a Tensor whose axes are ONNX's in the order `order` (default: as they are).

        Data move where they are not stored so already.
        """
        order = tuple(range(self.ndim)) if order is None else tuple(order)
        if self.constant is not None:
            return Tensor(np.ascontiguousarray(self.constant.transpose(order)).reshape([self.shape[i] for i in order]))
        axes, shape = tuple(self.axes[axis] for axis in order), self.stored.shape
        if axes == tuple(range(self.ndim)):
            return self.stored
        moved = [axis for axis in axes if shape[axis] != 1]
        if moved == sorted(moved):  # axes of size 1 move no data
            return self.stored.reshape(tuple(shape[axis] for axis in axes))
        return ops.transpose(self.stored, axes)

    def reshaped(self, shape):
        """Return the value in another shape.

        Data move only where axes that become one are not stored side by side: those are brought together, the others stay
        in their order. So channels stay last when they are split, and shuffled, or spatial axes are merged.
        """
        shape = tuple(shape)
        if self.constant is not None:
            return Operand(self.constant.reshape(shape))
        if 0 in self.shape or math.prod(self.shape) != math.prod(shape):
            return Operand(self.tensor().reshape(shape))
        groups = _common_factors(self.shape, shape)
        group_of = {axis: group for group in groups for axis in group[0]}
        ordered = list(dict.fromkeys(group_of[axis] for axis in self.order))  # as they are stored
        data = self.tensor([axis for old, _ in ordered for axis in old])
        order = [axis for _, new in ordered for axis in new]
        order += [axis for old, new in groups if not old for axis in new]
        return Operand(data.reshape(tuple(shape[axis] for axis in order)), invert(order))

    def __getitem__(self, index):
        """Return the part of the value that an index selects: an int, a slice or an array of integers for each axis.

        Each array picks along its own axis."""
        index = tuple(index)
        if self.constant is not None:
            return Operand(self.constant[index])
        y, basic = self, list(index)
        for axis, part in enumerate(index):
            if isinstance(part, np.ndarray):  # picked as if it had one axis
                y = Operand(ops.take(y.stored, part.reshape(-1).tolist(), y.axes[axis]), y.axes)
                basic[axis] = slice(None)
        if any(part != slice(None) for part in basic):
            kept = [axis for axis in y.order if isinstance(basic[axis], slice)]
            data = ops.getitem(y.stored, tuple(basic[axis] for axis in y.order))
            y = Operand(data, [kept.index(axis) for axis in sorted(kept)])
        sizes, shape = iter(y.shape), []
        for part in index:
            if not isinstance(part, int):
                n = next(sizes)
                shape += part.shape if isinstance(part, np.ndarray) else [n]
        return y if tuple(shape) == y.shape else y.reshaped(shape)

    def channels_last(self):
        """Return the Tensor (N, ..., C) of a value (N, C, ...)."""
        return self.tensor(channels_last(self.ndim))

    def array(self):
        """Return the value as an array; it has to be known."""
        return self.constant if self.constant is not None else np.transpose(self.stored.data, self.axes)

    def __repr__(self):
        return f"Operand({list(self.shape)}, {self.dtype}, {'constant' if self.constant is not None else self.axes})"


def _common_factors(old, new):
    """Cut the axes of two shapes of one size into the smallest runs of equal size: [(axes of old, axes of new)].

    An axis of size 1 is a run of its own.
    """
    groups, i, j = [], 0, 0
    while i < len(old) or j < len(new):
        if i < len(old) and old[i] == 1:
            groups.append(((i,), ()))
            i += 1
        elif j < len(new) and new[j] == 1:
            groups.append(((), (j,)))
            j += 1
        else:
            first, other, m, n = i, j, old[i], new[j]
            i, j = i + 1, j + 1
            while m != n:
                if m < n:
                    m, i = m * old[i], i + 1
                else:
                    n, j = n * new[j], j + 1
            groups.append((tuple(range(first, i)), tuple(range(other, j))))
    return groups


def invert(order):
    """Return the inverse of a permutation."""
    inverse = [0] * len(order)
    for i, axis in enumerate(order):
        inverse[axis] = i
    return tuple(inverse)


def channels_last(ndim):
    """Return the order (N, ..., C) of the axes of a value (N, C, ...)."""
    return (0, *range(2, ndim), 1)


def channels_first(tensor):
    """Return the operand (N, C, ...) that a Tensor (N, ..., C) holds."""
    return Operand(tensor, invert(channels_last(tensor.ndim)))
