"""2-D convolution (cross-correlation, as in every deep-learning library), with bias and activation fused.

The kernels are in `plan`, the plain NumPy truth in `reference`.
"""

from ... import shapes
from ...autograd import apply
from ...errors import ArgumentError, ShapeError
from ...op import Case, Epilogue, Op, Spec, register
from .. import _convolution as common
from .._convolution import Attrs
from .._epilogue import epilogue_of, keeps
from .plan import plan, plan_backward
from .reference import reference, reference_backward


def infer(specs, attrs):
    common.check_operands(specs, "conv2d", "(KH, KW, C // groups, O)")
    channels, (*_, depth, outputs) = specs["x"].shape[3], specs["kernel"].shape
    if channels % attrs.groups or outputs % attrs.groups:
        raise ShapeError(
            f"conv2d: groups={attrs.groups} must divide the {channels} channels of x and the {outputs} of the kernel"
        )
    if depth * attrs.groups != channels:
        raise ShapeError(
            f"conv2d: kernel {specs['kernel'].shape} reads {depth} channels per group, but x {specs['x'].shape} has "
            f"{channels} in {attrs.groups} group(s): expected {channels // attrs.groups}"
        )
    return {"y": common.infer_output(specs, attrs, "conv2d", outputs)}


def flops(specs, attrs):
    kh, kw, depth, _ = specs["kernel"].shape
    return 2 * infer(specs, attrs)["y"].size * kh * kw * depth


def reduction(specs, attrs):
    kh, kw, depth, outputs = specs["kernel"].shape
    n, oh, ow, _ = infer(specs, attrs)["y"].shape
    return max(kh * kw * max(depth, outputs // attrs.groups), n * oh * ow)


def _case(x, kernel, bias=True, **attrs):
    specs = {"x": Spec(x), "kernel": Spec(kernel)}
    return Case(specs | ({"bias": Spec(kernel[3:])} if bias else {}), Attrs(**attrs))


CASES = (
    _case((1, 1, 1, 1), (1, 1, 1, 1)),
    _case((3, 5, 7, 3), (3, 3, 3, 5), padding="same", epilogue=Epilogue("relu")),
    _case((1, 6, 5, 13), (3, 3, 13, 17), padding="same", bias=False),
    _case((2, 7, 7, 16), (3, 3, 16, 16), padding="same", epilogue=Epilogue("leaky_relu", 0.2)),
    _case((3, 9, 8, 4), (3, 2, 4, 6), strides=(2, 3), padding="same", epilogue=Epilogue("tanh")),
    _case((1, 11, 13, 2), (3, 5, 2, 3), strides=(2, 1), dilation_rate=(2, 1), padding=((2, 1), (0, 3))),
    _case((2, 9, 10, 14), (2, 3, 14, 7), dilation_rate=(3, 2), padding=((1, 2), (3, 0))),
    _case((1, 8, 9, 12), (1, 1, 12, 9), strides=(3, 2), epilogue=Epilogue("sigmoid")),
    _case((3, 6, 6, 12), (3, 3, 4, 15), groups=3, padding="same"),
    _case((1, 7, 5, 6), (3, 3, 1, 12), groups=6, strides=2 * (2,), padding="same", epilogue=Epilogue("relu")),
    _case((2, 5, 6, 3), (2, 3, 1, 3), groups=3),
    _case((1, 7, 7, 4), (7, 7, 4, 3)),
    _case((1, 3, 3, 5), (2, 2, 5, 4), strides=(3, 3), padding=((1, 1), (2, 2))),
    _case((1, 2, 300, 1), (2, 3, 1, 4), padding="same"),
    _case((1, 20, 19, 33), (3, 3, 33, 31), padding="same", epilogue=Epilogue("relu")),
    # More padding than there is image, on every side; and more than a copied row is long.
    _case((1, 4, 4, 8), (3, 2, 8, 4), strides=(1, 60), padding=((1, 1), (50, 0))),
    _case((2, 3, 2, 3), (2, 3, 3, 5), strides=(7, 1), padding=((9, 0), (0, 11)), epilogue=Epilogue("relu")),
    _case((1, 2, 3, 14), (2, 2, 14, 3), strides=(9, 17), padding=((0, 20), (23, 31))),
    _case((1, 3, 2, 4), (2, 3, 4, 5), strides=(1, 1), padding=((5, 6), (7, 8)), dilation_rate=(2, 1)),
    _case((2, 4, 4, 400), (1, 1, 400, 18)),
    _case((2, 5, 4, 150), (3, 3, 150, 40), padding="same"),
)

OP = register(
    Op(
        name="conv2d",
        inputs=("x", "kernel", "bias?"),
        outputs=("y",),
        attrs=Attrs,
        infer=infer,
        reference=reference,
        reference_backward=reference_backward,
        plan=plan,
        plan_backward=plan_backward,
        keeps=keeps,
        differentiable=frozenset({"x", "kernel", "bias"}),
        cases=CASES,
        flops=flops,
        reduction=reduction,
    )
)


def conv2d(x, kernel, bias=None, strides=1, padding="valid", dilation_rate=1, groups=1, activation=None):
    """2-D convolution of images with a kernel: y = activation(x * kernel + bias).

    Parameters
    ----------
    x : Tensor or array, (N, H, W, C)
    kernel : Tensor or array, (KH, KW, C // groups, O)
    bias : Tensor or array, (O,), optional
    strides, dilation_rate : int or (int, int)
        Distance of neighbouring outputs, and of neighbouring taps, in input pixels.
    padding : {"valid", "same"}, int, (int, int) or ((top, bottom), (left, right))
        Zeros around x; "same" gives ceil(size / stride) outputs.
    groups : int
        Group g of the outputs sees only group g of the input channels.
    activation : {None, "relu", "leaky_relu", "sigmoid", "tanh"}
        Fused into the last step; "leaky_relu" with slope 0.2.

    Returns
    -------
    Tensor, (N, OH, OW, O)

    Raises
    ------
    ShapeError, ArgumentError, DTypeError
        When ranks, channels, groups or dtypes do not fit, or the kernel is larger than its padded input.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.ones((1, 3, 3, 1), "float32")
    >>> conv2d(x, np.ones((2, 2, 1, 1), "float32"), padding="same").numpy()[0, :, :, 0].tolist()
    [[4.0, 4.0, 2.0], [4.0, 4.0, 2.0], [2.0, 2.0, 1.0]]
    """
    if not isinstance(groups, int) or groups < 1:
        raise ArgumentError(f"conv2d: groups must be a positive integer, got {groups!r}")
    attrs = Attrs(
        shapes.pair(strides, "strides"),
        shapes.normalize_padding(padding),
        shapes.pair(dilation_rate, "dilation_rate"),
        groups,
        epilogue_of(activation),
    )
    return apply(OP, (x, kernel, bias), attrs)
