"""The only arithmetic of output sizes: convolution and pooling windows, padding, broadcasting.

Sizes may be ``None`` (not known yet) in layer graphs; what depends on one is ``None`` as well.
"""

from .errors import ArgumentError, ShapeError

# The largest number of positions that an argument may name: kernels multiply it with the strides of an image, in 64 bits.
MAX_POSITIONS = (1 << 31) - 1
AXES = {1: ("length",), 2: ("height", "width"), 3: ("depth", "height", "width")}  # by the number of spatial axes


def per_axis(value, name, rank=2):
    """Return `value` as `rank` positive ints, one per spatial axis: ``3 -> (3, 3)``, ``(3, 5) -> (3, 5)``."""
    values = (value,) * rank if isinstance(value, int) and not isinstance(value, bool) else value
    try:
        values = tuple(int(v) if v == int(v) else None for v in values)
    except (TypeError, ValueError):
        values = ()
    several = {1: "", 2: " or a pair of them"}.get(rank, f" or {rank} of them")
    if len(values) != rank or any(v is None or v < 1 for v in values):
        raise ArgumentError(f"{name} must be a positive integer{several}, got {value!r}")
    if max(values) > MAX_POSITIONS:
        raise ArgumentError(f"{name} must be a positive integer{several}, at most {MAX_POSITIONS}, got {value!r}")
    return values


def normalize_padding(padding, name="padding", rank=2):
    """Return ``"same"`` or a pair (before, after) per spatial axis, as ``((top, bottom), (left, right))``.

    Accepts ``"valid"``, ``"same"`` (any case), one int, an int per axis, or explicit pairs.
    """
    if isinstance(padding, str):
        if padding.lower() == "same":
            return "same"
        if padding.lower() == "valid":
            return ((0, 0),) * rank
    elif isinstance(padding, int) and not isinstance(padding, bool):
        padding = (padding,) * rank
    try:
        pairs = tuple((p, p) if isinstance(p, int) else tuple(p) for p in padding)
        if len(pairs) == rank and all(len(p) == 2 and all(isinstance(v, int) and v >= 0 for v in p) for p in pairs):
            if all(max(pair) <= MAX_POSITIONS for pair in pairs):
                return pairs
            raise ArgumentError(f"{name} must be at most {MAX_POSITIONS} a side, got {padding!r}")
    except TypeError:
        pass
    forms = {
        1: "an int or ((before, after),)",
        2: "an int, (vertical, horizontal) or ((top, bottom), (left, right))",
    }.get(rank, f"an int, {rank} ints or {rank} pairs (before, after)")
    raise ArgumentError(f'{name} must be "valid", "same", {forms} of integers >= 0, got {padding!r}')


def effective_kernel(kernel, dilation):
    """Return the extent of a dilated kernel: ``(kernel - 1) * dilation + 1``."""
    return (kernel - 1) * dilation + 1


def same_padding(size, kernel, stride, dilation=1):
    """Return (before, after) so that the output has ``ceil(size / stride)`` positions; the odd one goes after."""
    total = max((-(-size // stride) - 1) * stride + effective_kernel(kernel, dilation) - size, 0)
    return total // 2, total - total // 2


def resolve_padding(padding, sizes, kernels, strides, dilations=None):
    """Turn a normalized padding into numbers for the known `sizes`, one per spatial axis."""
    if padding == "same":
        return tuple(map(same_padding, sizes, kernels, strides, dilations or (1,) * len(sizes)))
    return padding


def window_output(size, kernel, stride, pad, dilation=1):
    """Return the number of window positions along one axis; not positive when the window does not fit."""
    return (size + pad[0] + pad[1] - effective_kernel(kernel, dilation)) // stride + 1


def output_sizes(sizes, kernels, strides, padding, dilations=None, what="window"):
    """Return the sizes of a convolution's or pooling's output, one per spatial axis.

    Raises
    ------
    ShapeError
        When the (dilated) window is larger than the padded input.
    """
    dilations = dilations or (1,) * len(sizes)
    result = []
    for axis, size in enumerate(sizes):
        if size is None:
            result.append(None)
        elif padding == "same":
            result.append(-(-size // strides[axis]))
        else:
            out = window_output(size, kernels[axis], strides[axis], padding[axis], dilations[axis])
            if out < 1:
                extent = effective_kernel(kernels[axis], dilations[axis])
                raise ShapeError(
                    f"{what} of {AXES[len(sizes)][axis]} {extent} is larger than its input: {size} with padding "
                    f'{padding[axis]}; use a smaller {what}, padding="same", or fewer pooling layers before it'
                )
            result.append(out)
    return tuple(result)


def broadcast(a, b):
    """Return the NumPy broadcast of two shapes; ``None`` meets anything.

    Raises
    ------
    ShapeError
        When two dimensions differ and neither is 1.
    """
    rank = max(len(a), len(b))
    a_full, b_full = (1,) * (rank - len(a)) + tuple(a), (1,) * (rank - len(b)) + tuple(b)
    result = []
    for m, n in zip(a_full, b_full, strict=True):
        if m == n or n == 1:
            result.append(m)
        elif m == 1:
            result.append(n)
        elif m is None or n is None:
            result.append(n if m is None else m)
        else:
            raise ShapeError(f"shapes {tuple(a)} and {tuple(b)} do not broadcast: {m} against {n}")
    return tuple(result)


def size(shape):
    """Return the number of elements of a fully known shape."""
    total = 1
    for n in shape:
        total *= n
    return total


def fits_as_weights(shape, values):
    """Tell whether weights of `shape` weight losses of the shape `values`: one weight may stand for all positions of a sample,
    but not for all samples."""
    if len(shape) > len(values) or tuple(shape[:1]) != tuple(values[: len(shape[:1])]):
        return False
    return all(n in (1, size) for n, size in zip(shape, values, strict=False))
