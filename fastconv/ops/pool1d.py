"""Pooling of sequences: of images that are one row of pixels high."""

from ..autograd import apply
from ..op import Op, Spec, register
from . import _pooling
from ._pooling import Attrs
from .avg_pool2d import OP as AVERAGE_2D
from .max_pool2d import OP as MAX_2D


def _lower(attrs):
    """Return the attributes of the same windows over images."""
    padding = attrs.padding if attrs.padding == "same" else ((0, 0), *attrs.padding)
    return Attrs((1, *attrs.pool_size), (1, *attrs.strides), padding)


def _lower_specs(specs):
    return {name: spec._replace(shape=(spec.shape[0], 1, *spec.shape[1:])) for name, spec in specs.items()}


def _lower_arrays(arrays):
    return {name: array[:, None] for name, array in arrays.items()}


def _raise(arrays):
    return {name: array[:, 0] for name, array in arrays.items()}


def _declare(name, op):
    def infer(specs, attrs):
        y = _pooling.infer(specs, attrs, name)
        return {"y": y, **{index: Spec(y.shape, _pooling.index_dtype(attrs)) for index in op.saved}}

    return register(
        Op(
            name=name,
            inputs=("x",),
            outputs=("y",),
            saved=op.saved,
            attrs=Attrs,
            infer=infer,
            reference=lambda arrays, attrs: _raise(op.reference(_lower_arrays(arrays), _lower(attrs))),
            reference_backward=lambda arrays, attrs, needs: _raise(
                op.reference_backward(_lower_arrays(arrays), _lower(attrs), needs)
            ),
            plan=lambda specs, attrs: op.plan(_lower_specs(specs), _lower(attrs)),
            plan_inference=op.plan_inference
            and (lambda specs, attrs: op.plan_inference(_lower_specs(specs), _lower(attrs))),
            plan_backward=lambda specs, attrs, needs: op.plan_backward(_lower_specs(specs), _lower(attrs), needs),
            keeps=op.keeps,
            differentiable=op.differentiable,
            linear=op.linear,
            cases=tuple(
                _pooling.case(*arguments)
                for arguments in (
                    ((1, 1, 1), 1),
                    ((3, 8, 33), 2),
                    ((2, 11, 7), 3, 2, "same"),
                    ((1, 9, 17), 4, 1, ((3, 0),)),
                    ((1, 301, 3), 300, 1, "same"),  # more positions than a byte counts
                )
            ),
            flops=_pooling.flops,
            reduction=_pooling.reads_per_pixel,
        )
    )


MAX = _declare("max_pool1d", MAX_2D)
AVERAGE = _declare("avg_pool1d", AVERAGE_2D)


def max_pool1d(x, pool_size=2, strides=None, padding="valid"):
    """Largest value of each window of sequences (N, L, C); see `max_pool2d`.

    Examples
    --------
    >>> max_pool1d(np.array([[[1], [3], [2], [0]]], "float32")).numpy().ravel().tolist()
    [3.0, 2.0]
    """
    return apply(MAX, (x,), _pooling.attributes(pool_size, strides, padding, 1))


def avg_pool1d(x, pool_size=2, strides=None, padding="valid"):
    """Mean of each window of sequences (N, L, C); see `avg_pool2d`.

    Examples
    --------
    >>> avg_pool1d(np.array([[[1], [3], [2], [0]]], "float32")).numpy().ravel().tolist()
    [2.0, 1.0]
    """
    return apply(AVERAGE, (x,), _pooling.attributes(pool_size, strides, padding, 1))
