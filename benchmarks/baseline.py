"""The fair NumPy baseline: what a careful user of NumPy would write, with BLAS, `out=` and buffers made once.

A convolution is one matrix product per tap of its kernel, over all pixels at once, the products added up. There are two
ways to give BLAS the pixels that a tap sees, and the faster one for each row is the baseline:

    flat     x is padded once; seen as one long list of pixels, a tap is the same list, shifted. No copies, but the
             products are also made for the pixels between the images and between the rows, which are thrown away.
    copied   the pixels of each tap are copied together (forward, backward kernel), or the products added where they
             belong (backward data). Any stride.

Each maker takes arrays by operand name, as an operation does, and attributes; it returns {way: function}, and each
function computes everything when called and returns {name: array}.

Longer than other files: each operation's baseline is short, and they are read beside each other.

Over 500 lines: one maker for every row of the benchmarks.
"""

import numpy as np

from fastconv._kernels import runtime
from fastconv.ops import _convolution, _pooling


def empty(*shape):
    """Return a float32 array at a multiple of 64 bytes, which NumPy's own are not: some CPUs copy others slowly."""
    return runtime.empty(shape)


def empty_like(array):
    """Return `empty` of the shape of `array`."""
    return empty(*array.shape)


# ---- convolution


class Convolution:
    """Shapes and padded buffers of one convolution."""

    def __init__(self, arrays, attrs):
        x, kernel = arrays["x"], arrays["kernel"]
        self.arrays, self.attrs, self.groups = arrays, attrs, attrs.groups
        self.n, self.height, self.width, self.channels = x.shape
        self.kh, self.kw, self.depth, self.outputs = kernel.shape
        geometry = _convolution.geometry(x.shape, kernel.shape, attrs)
        (self.oh, self.ow), ((top, bottom), (left, right)) = geometry.out, geometry.padding
        self.is_padded = top + bottom + left + right > 0
        self.inner = slice(None), slice(top, top + self.height), slice(left, left + self.width)
        self.rows, self.columns = self.height + top + bottom, self.width + left + right
        self.padded = self.grid(self.channels)

    def grid(self, channels):
        """Return zeros for all pixels of the padded images."""
        pixels = empty(self.n, self.rows, self.columns, channels)
        pixels.fill(0)
        return pixels

    def pad(self):
        """Return x with its padding."""
        if not self.is_padded:
            return self.arrays["x"]
        self.padded[self.inner] = self.arrays["x"]
        return self.padded

    def taps(self):
        """Yield (h, w, the region of padded x that the tap sees)."""
        (sh, sw), (dh, dw) = self.attrs.strides, self.attrs.dilation_rate
        for h in range(self.kh):
            for w in range(self.kw):
                rows = slice(h * dh, h * dh + (self.oh - 1) * sh + 1, sh)
                columns = slice(w * dw, w * dw + (self.ow - 1) * sw + 1, sw)
                yield h, w, (slice(None), rows, columns)

    def shifts(self):
        """Yield (h, w, distance in flat pixels); only for stride 1."""
        dh, dw = self.attrs.dilation_rate
        for h in range(self.kh):
            for w in range(self.kw):
                yield h, w, h * dh * self.columns + w * dw

    @property
    def ways(self):
        """Which of the two ways there are."""
        # Where nothing is padded and there is one tap, they are the same.
        return ("flat", "copied") if self.attrs.strides == (1, 1) and self.kh * self.kw > 1 else ("copied",)

    def by_group(self, pixels, channels):
        """Return pixels (M, G * channels) as (G, M, channels); the plain matrix where there is one group."""
        pixels = pixels.reshape(-1, self.groups * channels)
        if self.groups == 1:
            return pixels
        return pixels.reshape(-1, self.groups, channels).transpose(1, 0, 2)

    def kernel_by_group(self, kernel):
        """Return the kernel as (KH, KW, G, C, O), contiguous; (KH, KW, C, O) where there is one group."""
        if self.groups == 1:
            return kernel
        split = kernel.reshape(self.kh, self.kw, self.depth, self.groups, -1)
        return np.ascontiguousarray(split.transpose(0, 1, 3, 2, 4))

    def merge_kernel(self, kernel):
        """Undo `kernel_by_group`."""
        if self.groups > 1:
            kernel = kernel.transpose(0, 1, 3, 2, 4)
        return kernel.reshape(self.kh, self.kw, self.depth, self.outputs)

    @property
    def flat_size(self):
        """Length of the flat list of pixels that every tap has."""
        return self.n * self.rows * self.columns - max(shift for *_, shift in self.shifts())


def conv2d(arrays, attrs):
    """Return the ways to compute y."""
    c = Convolution(arrays, attrs)
    per_group = c.outputs // c.groups
    kernel = c.kernel_by_group(arrays["kernel"])
    y = empty(c.n, c.oh, c.ow, c.outputs)

    def make_flat():
        total, product = c.grid(c.outputs), c.grid(c.outputs)
        size = c.flat_size
        total_pixels, product_pixels = (b.reshape(-1, c.outputs)[:size] for b in (total, product))
        into, out = (c.by_group(p, per_group) for p in (total_pixels, product_pixels))

        def flat():
            pixels = c.pad().reshape(-1, c.channels)
            for i, (h, w, shift) in enumerate(c.shifts()):
                source = c.by_group(pixels[shift : shift + size], c.depth)
                np.matmul(source, kernel[h, w], out=out if i else into)
                if i:
                    np.add(total_pixels, product_pixels, out=total_pixels)
            np.copyto(y, total[:, : c.oh, : c.ow])
            return {"y": y}

        return flat

    def make_copied():
        product, seen = empty_like(y), empty(c.n, c.oh, c.ow, c.channels)
        into, out = c.by_group(y, per_group), c.by_group(product, per_group)

        def copied():
            padded = c.pad()
            for i, (h, w, region) in enumerate(c.taps()):
                source = padded[region]
                if not source.flags.c_contiguous:
                    np.copyto(seen, source)
                    source = seen
                np.matmul(c.by_group(source, c.depth), kernel[h, w], out=out if i else into)
                if i:
                    np.add(y, product, out=y)
            return {"y": y}

        return copied

    makers = {"flat": make_flat, "copied": make_copied}
    return {way: makers[way]() for way in c.ways}


def conv2d_backward_data(arrays, attrs):
    """Return the ways to compute dx."""
    c = Convolution(arrays, attrs)
    per_group = c.outputs // c.groups
    transposed = np.ascontiguousarray(c.kernel_by_group(arrays["kernel"]).swapaxes(-1, -2))
    dy, dx = arrays["dy"], empty(c.n, c.height, c.width, c.channels)

    def make_flat():
        spread, total, product = c.grid(c.outputs), c.grid(c.channels), c.grid(c.channels)
        size = c.flat_size
        source = c.by_group(spread.reshape(-1, c.outputs)[:size], per_group)
        product_pixels = product.reshape(-1, c.channels)[:size]
        out, total_pixels = c.by_group(product_pixels, c.depth), total.reshape(-1, c.channels)

        def flat():
            spread[:, : c.oh, : c.ow] = dy
            total.fill(0)
            for h, w, shift in c.shifts():
                np.matmul(source, transposed[h, w], out=out)
                into = total_pixels[shift : shift + size]
                np.add(into, product_pixels, out=into)
            np.copyto(dx, total[c.inner])
            return {"dx": dx}

        return flat

    def make_copied():
        product = empty(c.n, c.oh, c.ow, c.channels)
        source, out = c.by_group(dy, per_group), c.by_group(product, c.depth)
        direct = c.kh * c.kw == 1 and c.attrs.strides == (1, 1) and not c.is_padded

        def copied():
            if direct:
                np.matmul(source, transposed[0, 0], out=c.by_group(dx, c.depth))
                return {"dx": dx}
            total = c.padded
            total.fill(0)
            for h, w, region in c.taps():
                np.matmul(source, transposed[h, w], out=out)
                into = total[region]
                np.add(into, product, out=into)
            np.copyto(dx, total[c.inner])
            return {"dx": dx}

        return copied

    makers = {"flat": make_flat, "copied": make_copied}
    return {way: makers[way]() for way in c.ways}


def conv2d_backward_kernel(arrays, attrs):
    """Return the ways to compute dkernel."""
    c = Convolution(arrays, attrs)
    per_group = c.outputs // c.groups
    dy = arrays["dy"]
    dkernel = c.kernel_by_group(empty(c.kh, c.kw, c.depth, c.outputs))

    def make_flat():
        spread, size = c.grid(c.outputs), c.flat_size
        right = c.by_group(spread.reshape(-1, c.outputs)[:size], per_group)

        def flat():
            spread[:, : c.oh, : c.ow] = dy
            pixels = c.pad().reshape(-1, c.channels)
            for h, w, shift in c.shifts():
                left = c.by_group(pixels[shift : shift + size], c.depth)
                np.matmul(left.swapaxes(-1, -2), right, out=dkernel[h, w])
            return {"dkernel": c.merge_kernel(dkernel)}

        return flat

    def make_copied():
        seen = empty(c.n, c.oh, c.ow, c.channels)
        right = c.by_group(dy, per_group)

        def copied():
            padded = c.pad()
            for h, w, region in c.taps():
                source = padded[region]
                if not source.flags.c_contiguous:
                    np.copyto(seen, source)
                    source = seen
                np.matmul(c.by_group(source, c.depth).swapaxes(-1, -2), right, out=dkernel[h, w])
            return {"dkernel": c.merge_kernel(dkernel)}

        return copied

    makers = {"flat": make_flat, "copied": make_copied}
    return {way: makers[way]() for way in c.ways}


# ---- depthwise convolution, one output per channel: a matrix product has nothing to sum, so it is multiply and add


def depthwise_conv2d(arrays, attrs):
    """Return the way to compute y."""
    c, kernel = Convolution(arrays, attrs), arrays["kernel"]
    y = empty(c.n, c.oh, c.ow, c.channels)
    product = empty_like(y)

    def copied():
        padded = c.pad()
        for i, (h, w, region) in enumerate(c.taps()):
            np.multiply(padded[region], kernel[h, w, :, 0], out=product if i else y)
            if i:
                np.add(y, product, out=y)
        return {"y": y}

    return {"copied": copied}


def depthwise_conv2d_backward_data(arrays, attrs):
    """Return the way to compute dx."""
    c, kernel, dy = Convolution(arrays, attrs), arrays["kernel"], arrays["dy"]
    dx, product = empty(c.n, c.height, c.width, c.channels), empty_like(dy)

    def copied():
        c.padded.fill(0)
        for h, w, region in c.taps():
            np.multiply(dy, kernel[h, w, :, 0], out=product)
            into = c.padded[region]
            np.add(into, product, out=into)
        np.copyto(dx, c.padded[c.inner])
        return {"dx": dx}

    return {"copied": copied}


def depthwise_conv2d_backward_kernel(arrays, attrs):
    """Return the way to compute dkernel."""
    c, dy = Convolution(arrays, attrs), arrays["dy"]
    dkernel, product = empty(c.kh, c.kw, c.channels, 1), empty_like(dy)
    pixels = product.reshape(-1, c.channels)
    ones = np.ones(len(pixels), np.float32)

    def copied():
        padded = c.pad()
        for h, w, region in c.taps():
            np.multiply(padded[region], dy, out=product)
            np.matmul(ones, pixels, out=dkernel[h, w, :, 0])
        return {"dkernel": dkernel}

    return {"copied": copied}


# ---- pooling: strided views, one for each position in the window


def _regions(x_shape, attrs):
    return [region for _, region in _pooling.taps(x_shape, attrs)]


def _padded(x, attrs, value):
    """Return (a function that returns padded x, the region of x in it)."""
    _, pads = _pooling.geometry(x.shape, attrs)
    if not any(map(any, pads)):
        return (lambda: x), ...
    padded = _pooling.pad(x, pads, value)
    inner = slice(None), *(slice(before, before + size) for (before, _), size in zip(pads, x.shape[1:3], strict=True))

    def pad():
        padded[inner] = x
        return padded

    return pad, inner


def max_pool2d(arrays, attrs):
    """Return the way to compute y; where the maximum was is not recorded, which spares NumPy work."""
    pad, _ = _padded(arrays["x"], attrs, -np.inf)
    first, *others = _regions(arrays["x"].shape, attrs)
    y = pad()[first].copy()

    def views():
        x = pad()
        np.copyto(y, x[first])
        for region in others:
            np.maximum(y, x[region], out=y)
        return {"y": y}

    return {"views": views}


def max_pool2d_backward(arrays, attrs):
    """Return the way to compute dx from the positions that fastconv's forward saved, which NumPy gets for free."""
    return _spread(arrays, attrs, lambda index, tap, dy, out: np.multiply(dy, index == tap, out=out))


def avg_pool2d(arrays, attrs):
    """Return the way to compute y, where no window is padded."""
    x, (first, *others) = arrays["x"], _regions(arrays["x"].shape, attrs)
    y, factor = x[first].copy(), np.float32(1 / (1 + len(others)))

    def views():
        np.copyto(y, x[first])
        for region in others:
            np.add(y, x[region], out=y)
        np.multiply(y, factor, out=y)
        return {"y": y}

    return {"views": views}


def avg_pool2d_backward(arrays, attrs):
    """Return the way to compute dx, where no window is padded."""
    factor = np.float32(1 / (attrs.pool_size[0] * attrs.pool_size[1]))
    return _spread(arrays, attrs, lambda index, tap, dy, out: np.multiply(dy, factor, out=out))


def _spread(arrays, attrs, share):
    dy, index = arrays["dy"], arrays.get("index")
    _, inner = _padded(arrays["x"], attrs, 0)
    _, pads = _pooling.geometry(arrays["x"].shape, attrs)
    dx, part = _pooling.pad(np.zeros_like(arrays["x"]), pads, 0), empty_like(dy)
    regions = _regions(arrays["x"].shape, attrs)
    covers = attrs.strides == attrs.pool_size and sum(dx[region].size for region in regions) == dx.size

    def views():
        if covers:
            for tap, region in enumerate(regions):
                share(index, tap, dy, dx[region])
            return {"dx": dx[inner]}
        dx.fill(0)
        for tap, region in enumerate(regions):
            share(index, tap, dy, part)
            into = dx[region]
            np.add(into, part, out=into)
        return {"dx": dx[inner]}

    return {"views": views}


# ---- matrix product: BLAS itself


def matmul(result, a, b):
    """Return the way to compute {result: a @ b}."""
    out = empty(a.shape[0], b.shape[1])
    return {"blas": lambda: {result: np.matmul(a, b, out=out)}}


# ---- pointwise and normalising operations


def relu(arrays, attrs):
    """Return the way to compute y."""
    x, y = arrays["x"], empty_like(arrays["x"])
    return {"ufunc": lambda: {"y": np.maximum(x, 0, out=y)}}


def relu_backward(arrays, attrs):
    """Return the way to compute dx."""
    y, dy = arrays["y"], arrays["dy"]
    dx, mask = empty_like(y), np.empty(y.shape, bool)
    return {"ufunc": lambda: {"dx": np.multiply(dy, np.greater(y, 0, out=mask), out=dx)}}


def add_n(arrays, attrs):
    """Return the way to compute y, the sum of two arrays."""
    y = empty_like(arrays["x0"])
    return {"ufunc": lambda: {"y": np.add(arrays["x0"], arrays["x1"], out=y)}}


def _column_sums(ones, matrix):
    return ones @ matrix  # faster than matrix.sum(0)


def batch_norm_train(arrays, attrs):
    """Return the way to compute y and the batch's statistics."""
    x = arrays["x"].reshape(-1, arrays["x"].shape[-1])
    gamma, beta = arrays["gamma"], arrays["beta"]
    y, square, ones = empty_like(x), empty_like(x), np.ones(len(x), np.float32)

    def ufunc():
        mean = _column_sums(ones, x) / len(x)
        np.subtract(x, mean, out=y)
        np.multiply(y, y, out=square)
        inv_std = 1 / np.sqrt(_column_sums(ones, square) / len(x) + attrs.epsilon)
        np.multiply(y, gamma * inv_std, out=y)
        np.add(y, beta, out=y)
        return {"y": y.reshape(arrays["x"].shape), "mean": mean, "inv_std": inv_std}

    return {"ufunc": ufunc}


def batch_norm_train_backward(arrays, attrs):
    """Return the way to compute dx, dgamma and dbeta."""
    x, dy = (arrays[name].reshape(-1, arrays["x"].shape[-1]) for name in ("x", "dy"))
    mean, inv_std, gamma = arrays["mean"], arrays["inv_std"], arrays["gamma"]
    centred, dx, ones = empty_like(x), empty_like(x), np.ones(len(x), np.float32)

    def ufunc():
        dbeta = _column_sums(ones, dy)
        np.subtract(x, mean, out=centred)
        np.multiply(centred, dy, out=dx)
        dgamma = _column_sums(ones, dx) * inv_std
        # dx = gamma inv_std (dy - dbeta / n - centred inv_std dgamma / n)
        np.multiply(centred, -inv_std * dgamma / len(x), out=centred)
        np.add(centred, dy, out=dx)
        np.subtract(dx, dbeta / len(x), out=dx)
        np.multiply(dx, gamma * inv_std, out=dx)
        return {"dx": dx.reshape(arrays["x"].shape), "dgamma": dgamma, "dbeta": dbeta}

    return {"ufunc": ufunc}


def softmax_cross_entropy(arrays, attrs):
    """Return the way to compute the probabilities and the mean loss for class numbers."""
    x, labels = arrays["logits"], arrays["labels"]
    y, rows = empty_like(x), np.arange(len(x))

    def ufunc():
        np.subtract(x, x.max(-1, keepdims=True), out=y)
        picked = y[rows, labels]
        np.exp(y, out=y)
        total = y.sum(-1, keepdims=True)
        np.divide(y, total, out=y)
        return {"probabilities": y, "loss": (np.log(total[:, 0]) - picked).mean()}

    return {"ufunc": ufunc}


def softmax_cross_entropy_backward(arrays, attrs):
    """Return the way to compute the gradient of the logits from that of the loss alone."""
    y, labels, dloss = arrays["probabilities"], arrays["labels"], arrays["dloss"]
    dx, rows = empty_like(y), np.arange(len(y))

    def ufunc():
        factor = dloss / np.float32(len(y))
        np.multiply(y, factor, out=dx)
        dx[rows, labels] -= factor
        return {"dlogits": dx}

    return {"ufunc": ufunc}


def adam_update(arrays, attrs):
    """Return the way to compute the new variable and moments."""
    w, g, m, v = (arrays[name] for name in "wgmv")
    rate, beta_1, beta_2, epsilon, decay = (np.float32(number) for number in arrays["hyper"])
    new_w, new_m, new_v, part = (empty_like(w) for _ in range(4))

    def ufunc():
        np.subtract(g, m, out=part)
        np.multiply(part, 1 - beta_1, out=part)
        np.add(m, part, out=new_m)
        np.multiply(g, g, out=part)
        np.subtract(part, v, out=part)
        np.multiply(part, 1 - beta_2, out=part)
        np.add(v, part, out=new_v)
        np.sqrt(new_v, out=part)
        np.add(part, epsilon, out=part)
        np.divide(new_m, part, out=part)
        np.multiply(part, rate, out=part)
        np.multiply(w, 1 - decay, out=new_w)
        np.subtract(new_w, part, out=new_w)
        return {"new_w": new_w, "new_m": new_m, "new_v": new_v}

    return {"ufunc": ufunc}
