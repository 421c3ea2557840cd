"""Products and functions of quantised tensors. Sums of products are exact; results are rounded once, halves to even."""

import numpy as np

from ._arrays import dequantize, exact, in_float32, quantize
from ._registry import evaluates
from ._windows import columns, counts, kernel_of, pooled, windows
from .activation import sigmoid, softmax_of


def _along(vector, ndim, axis):
    """Return a scale or zero point of one number, or one for each entry along an axis, so that it broadcasts."""
    if vector is None or vector.size == 1:
        return vector if vector is None else vector.reshape(())
    if vector.ndim > 1:
        return vector
    shape = [1] * ndim
    shape[axis] = -1
    return vector.reshape(shape)


# ---- convolution


def _convolve(call, x, w):
    """Return the convolution of whole numbers in float64, image by image: what windows see takes memory."""
    place, groups = windows(call, x.shape[2:], kernel_of(call, x, w)), call.attribute("group", 1)
    kernel = w.reshape(groups, w.shape[0] // groups, -1)
    y = np.empty((x.shape[0], w.shape[0], *place.out))
    for image, result in zip(x, y, strict=True):
        seen = np.moveaxis(columns(image[None], place)[0], -1, 1)  # (C, taps, *out)
        result[...] = (kernel @ seen.reshape(groups, kernel.shape[2], -1)).reshape(result.shape)
    return y


@evaluates("ConvInteger")
def conv_integer(call, x, w, x_zero_point=None, w_zero_point=None):
    w = exact(w, _along(w_zero_point, w.ndim, 0))
    return _convolve(call, exact(x, x_zero_point), w).astype(np.int32)


@evaluates("QLinearConv")
def qlinear_conv(call, x, x_scale, x_zero, w, w_scale, w_zero, y_scale, y_zero, bias=None):
    y = _convolve(call, exact(x, x_zero), exact(w, _along(w_zero, w.ndim, 0)))
    if bias is not None:
        y += bias.reshape(-1, *(1,) * (y.ndim - 2))
    scale = _along(w_scale, y.ndim, 1) * x_scale.reshape(())
    return quantize(y.astype(np.float32) * scale, y_scale.reshape(()), y_zero.reshape(()))


# ---- matrix products


def _product(a, a_zero, b, b_zero):
    return exact(a, _along(a_zero, a.ndim, -2)) @ exact(b, _along(b_zero, b.ndim, -1))


@evaluates("MatMulInteger")
def matmul_integer(call, a, b, a_zero=None, b_zero=None):
    return _product(a, a_zero, b, b_zero).astype(np.int32)


@evaluates("QLinearMatMul")
@in_float32
def qlinear_matmul(call, a, a_scale, a_zero, b, b_scale, b_zero, y_scale, y_zero):
    product = _product(a, a_zero, b, b_zero).astype(np.float32)
    values = product * (_along(a_scale, a.ndim, -2) * _along(b_scale, b.ndim, -1))
    return quantize(values, _along(y_scale, values.ndim, -2), _along(y_zero, values.ndim, -2))


@evaluates("QGemm", domain="com.microsoft")
def qgemm(call, a, a_scale, a_zero, b, b_scale, b_zero, c=None, y_scale=None, y_zero=None):
    a = a.T if call.attribute("transA", 0) else a
    b = b.T if call.attribute("transB", 0) else b
    product = _product(a, a_zero, b, b_zero)
    scale = np.float32(call.attribute("alpha", 1.0)) * a_scale * _along(b_scale, 2, 1)
    if c is not None:
        product += c  # in steps of alpha * a_scale * b_scale
    values = product.astype(np.float32) * scale
    return values if y_scale is None else quantize(values, y_scale, y_zero)


# ---- com.microsoft: functions of the numbers meant


def _microsoft(name):
    return evaluates(name, domain="com.microsoft")


def _requantize(values, scale, zero_point, like):
    zero_point = np.zeros((), like.dtype) if zero_point is None else zero_point
    return quantize(values.astype(np.float32), scale, zero_point)


@_microsoft("QLinearAdd")
def qlinear_add(call, a, a_scale, a_zero, b, b_scale, b_zero, y_scale, y_zero=None):
    return _requantize(dequantize(a, a_scale, a_zero) + dequantize(b, b_scale, b_zero), y_scale, y_zero, a)


@_microsoft("QLinearMul")
def qlinear_mul(call, a, a_scale, a_zero, b, b_scale, b_zero, y_scale, y_zero=None):
    return _requantize(dequantize(a, a_scale, a_zero) * dequantize(b, b_scale, b_zero), y_scale, y_zero, a)


@_microsoft("QLinearSigmoid")
def qlinear_sigmoid(call, x, x_scale, x_zero, y_scale, y_zero=None):
    return _requantize(sigmoid(dequantize(x, x_scale, x_zero)), y_scale, y_zero, x)


@_microsoft("QLinearLeakyRelu")
def qlinear_leaky_relu(call, x, x_scale, x_zero, y_scale, y_zero=None):
    values = dequantize(x, x_scale, x_zero)
    slope = np.float32(call.attribute("alpha", 0.01))
    return _requantize(np.where(values < 0, slope * values, values), y_scale, y_zero, x)


@_microsoft("QLinearSoftmax")
def qlinear_softmax(call, x, x_scale, x_zero, y_scale, y_zero=None):
    # The node says which operator set the Softmax was of: its axes depend on that.
    call = call._replace(version=call.required("opset"))
    return _requantize(softmax_of(call, dequantize(x, x_scale, x_zero)), y_scale, y_zero, x)


@_microsoft("QLinearWhere")
def qlinear_where(call, condition, a, a_scale, a_zero, b, b_scale, b_zero, y_scale, y_zero=None):
    values = np.where(condition, dequantize(a, a_scale, a_zero), dequantize(b, b_scale, b_zero))
    return _requantize(values, y_scale, y_zero, a)


@_microsoft("QLinearConcat")
def qlinear_concat(call, y_scale, y_zero, *parts):
    values = [dequantize(*parts[i : i + 3]) for i in range(0, len(parts), 3)]
    return quantize(np.concatenate(values, call.required("axis")), y_scale, y_zero)


@_microsoft("QLinearAveragePool")
def qlinear_average_pool(call, x, x_scale, x_zero, y_scale, y_zero=None):
    last = call.attribute("channels_last", 0)
    x = np.moveaxis(x, -1, 1) if last else x
    place = pooled(call, x)
    means = columns(exact(x, x_zero), place).sum(-1) / counts(place, call.attribute("count_include_pad", 0))
    y = _requantize(means * x_scale, y_scale, y_zero, x)
    return np.moveaxis(y, 1, -1) if last else y


@_microsoft("QLinearGlobalAveragePool")
def qlinear_global_average_pool(call, x, x_scale, x_zero, y_scale, y_zero=None):
    axes = tuple(range(1, x.ndim - 1)) if call.attribute("channels_last", 0) else tuple(range(2, x.ndim))
    return _requantize(exact(x, x_zero).mean(axes, keepdims=True) * x_scale, y_scale, y_zero, x)
