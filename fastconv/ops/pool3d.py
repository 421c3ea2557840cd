"""Pooling of volumes: of their planes, and then of the results along the depth.

The largest value of a box is that of the largest values of its planes. The mean is that of the means: every plane of a box
has as many pixels inside the image.
"""

from math import prod
from typing import NamedTuple

import numpy as np

from .._kernels import pool as kernels
from ..autograd import apply
from ..op import Op, Plan, Spec, register
from . import _pooling
from ._pooling import Attrs
from .avg_pool2d import OP as AVERAGE_2D
from .max_pool2d import OP as MAX_2D


class _Stage(NamedTuple):
    """One of the two poolings, of images (N, H, W, C)."""

    x: tuple
    y: tuple
    attrs: Attrs
    index: str = ""

    def step(self, make, kind, source, target, indexed=True):
        """Return the step `make` of the kernels, from one buffer to another."""
        _, pads = _pooling.geometry(self.x, self.attrs)
        index = self.index if kind == "max" and indexed else ""
        wide = bool(index) and _pooling.index_dtype(self.attrs) == "int32"
        return make(kind, source, target, index, self.x, self.y, self.attrs.pool_size, self.attrs.strides, pads, wide)


def _stages(x, attrs):
    """Return the stages: planes as images (N D, H, W, C), then (N, D, OH OW, C)."""
    n, depth, *size, c = x
    pool_size, strides, same = attrs.pool_size, attrs.strides, attrs.padding == "same"
    of_planes = Attrs(pool_size[1:], strides[1:], "same" if same else attrs.padding[1:])
    of_depth = Attrs((pool_size[0], 1), (strides[0], 1), "same" if same else (attrs.padding[0], (0, 0)))
    out, _ = _pooling.geometry((n, *size, c), of_planes)
    between = (n, depth, prod(out), c)
    (out_depth, _), _ = _pooling.geometry(between, of_depth)
    return (
        _Stage((n * depth, *size, c), (n * depth, *out, c), of_planes, "index_planes"),
        _Stage(between, (n, out_depth, prod(out), c), of_depth, "index_depth"),
    )


def _declare(name, kind, op):
    saved = ("index_planes", "index_depth") if op.saved else ()

    def infer(specs, attrs):
        y = _pooling.infer(specs, attrs, name)
        shapes = (*specs["x"].shape[:2], *y.shape[2:]), y.shape
        windows = (attrs._replace(pool_size=size) for size in (attrs.pool_size[1:], attrs.pool_size[:1]))
        indices = (Spec(shape, _pooling.index_dtype(w)) for shape, w in zip(shapes, windows, strict=True))
        return {"y": y, **dict(zip(saved, indices, strict=False))}

    def reference(arrays, attrs):
        x, results = arrays["x"], {}
        result = x
        for stage in _stages(x.shape, attrs):
            found = op.reference({"x": result.reshape(stage.x)}, stage.attrs)
            result, results[stage.index] = found["y"], found.get("index")
        results["y"] = result
        specs = infer({"x": Spec(x.shape, x.dtype.name)}, attrs)
        return {key: results[key].reshape(spec.shape) for key, spec in specs.items()}

    def reference_backward(arrays, attrs, needs):
        result = arrays["dy"]
        for stage in reversed(_stages(arrays["x"].shape, attrs)):
            operands = {"x": np.broadcast_to(result.dtype.type(0), stage.x), "dy": result.reshape(stage.y)}
            if saved:
                operands["index"] = arrays[stage.index].reshape(stage.y)
            result = op.reference_backward(operands, stage.attrs, needs)["dx"]
        return {"dx": result.reshape(arrays["x"].shape)}

    def plan(specs, attrs, indexed=True):
        planes, depth = _stages(specs["x"].shape, attrs)
        steps = (
            planes.step(kernels.pool, kind, "x", "planes", indexed),
            depth.step(kernels.pool, kind, "planes", "y", indexed),
        )
        return Plan(phases=tuple((step,) for step in steps), workspace={"planes": 4 * prod(planes.y)})

    def plan_backward(specs, attrs, needs):
        planes, depth = _stages(specs["x"].shape, attrs)
        steps = (
            depth.step(kernels.pool_backward, kind, "dy", "dplanes"),
            planes.step(kernels.pool_backward, kind, "dplanes", "dx"),
        )
        return Plan(phases=tuple((step,) for step in steps), workspace={"dplanes": 4 * prod(planes.y)})

    return register(
        Op(
            name=name,
            inputs=("x",),
            outputs=("y",),
            saved=saved,
            attrs=Attrs,
            infer=infer,
            reference=reference,
            reference_backward=reference_backward,
            plan=plan,
            plan_inference=lambda specs, attrs: plan(specs, attrs, indexed=False),
            plan_backward=plan_backward,
            keeps=lambda attrs, needs: saved,
            differentiable=op.differentiable,
            linear=op.linear,
            cases=CASES,
            flops=_pooling.flops,
            reduction=_pooling.reads_per_pixel,
        )
    )


CASES = tuple(
    _pooling.case(*arguments)
    for arguments in (
        ((1, 1, 1, 1, 1), 1),
        ((2, 4, 6, 4, 33), 2),
        ((1, 5, 3, 7, 7), 3, 2, "same"),
        ((3, 6, 5, 4, 17), (1, 2, 3), (2, 1, 2), ((0, 0), (1, 0), (2, 1))),
        ((1, 7, 5, 3, 3), (3, 2, 1), 1, ((2, 1), (0, 1), (0, 0))),
    )
)

MAX = _declare("max_pool3d", "max", MAX_2D)
AVERAGE = _declare("avg_pool3d", "average", AVERAGE_2D)


def max_pool3d(x, pool_size=2, strides=None, padding="valid"):
    """Largest value of each box of volumes (N, D, H, W, C); see `max_pool2d`.

    Examples
    --------
    >>> max_pool3d(np.arange(8, dtype="float32").reshape(1, 2, 2, 2, 1)).numpy().ravel().tolist()
    [7.0]
    """
    return apply(MAX, (x,), _pooling.attributes(pool_size, strides, padding, 3))


def avg_pool3d(x, pool_size=2, strides=None, padding="valid"):
    """Mean of each box of volumes (N, D, H, W, C); see `avg_pool2d`.

    Examples
    --------
    >>> avg_pool3d(np.arange(8, dtype="float32").reshape(1, 2, 2, 2, 1)).numpy().ravel().tolist()
    [3.5]
    """
    return apply(AVERAGE, (x,), _pooling.attributes(pool_size, strides, padding, 3))
