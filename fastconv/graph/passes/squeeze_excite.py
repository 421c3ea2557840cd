"""The two ends of a squeeze-excite block become parts of the convolutions before and behind it.

    x = conv2d(z, depthwise)
    s = sigmoid(dense(relu(dense(mean of x))))        x, mean = conv2d_squeeze(z, depthwise)
    y = conv2d(x * s, kernel)                         y = conv2d_excite(x, s, kernel)

Each where it is found, and however s, a number for each image and channel, is made of the mean. The scale is multiplied into
the kernel only where that is less work, see `ops.conv2d.excite`: products are x (s w) in place of (x s) w, a rounding in
another place. The mean is one of means of rows, a sum in another order.
"""

from dataclasses import replace

from ...op import Spec
from ...ops.conv2d import OP as CONV2D
from ...ops.conv2d import excite, squeeze
from ...ops.reshape import RESHAPE
from ...shapes import resolve_padding
from ..graph import Node
from .rewrite import Rewriter, temporary


def squeeze_excite(graph):
    """Return the graph with such steps fused."""
    rewriter = Rewriter(graph)
    for node in rewriter.forward_nodes(*MEANS):
        conv = rewriter.maker(node.inputs["x"], "conv2d", "depthwise_conv2d")
        if conv is not None and MEANS[node.op.name](node):
            nodes = _as_conv2d(conv)
            if squeeze.fits(nodes[-1].specs, nodes[-1].attrs):
                _squeeze(rewriter, conv, nodes, node)
    for conv in rewriter.forward_nodes("conv2d"):
        x = conv.inputs["x"]
        scaled = rewriter.maker(x, "multiply")
        if scaled is not None and rewriter.read_only_by(x, conv) and excite.fits(conv.specs, conv.attrs):
            _excite(rewriter, scaled, conv)
    return rewriter.graph(graph)


def _covers(pool):
    """Tell whether the one window of an average pooling is the whole image."""
    attrs, size = pool.attrs, pool.inputs["x"].shape[1:3]
    return attrs.pool_size == size and not any(map(any, resolve_padding(attrs.padding, size, size, attrs.strides)))


# How the mean of an image is written; whether a node is one.
MEANS = {
    "global_avg_pool2d": lambda node: True,
    "mean": lambda node: node.attrs.axis == (1, 2),
    "avg_pool2d": _covers,
}


def _as_conv2d(conv):
    """Return the nodes of a convolution as conv2d, the last of which makes its result."""
    if conv.op.name == "conv2d":
        return [conv]
    kernel = conv.inputs["kernel"]
    *size, channels, multiplier = kernel.shape  # in memory, the kernel of conv2d with as many groups as channels
    grouped = temporary(Spec((*size, 1, channels * multiplier), kernel.spec.dtype), kernel.name)
    attrs, inputs = conv.attrs._replace(groups=channels), {**conv.inputs, "kernel": grouped}
    specs = {name: value.spec for name, value in inputs.items()}
    return [_reshape(kernel, grouped), replace(conv, op=CONV2D, attrs=attrs, inputs=inputs, specs=specs)]


def _squeeze(rewriter, conv, nodes, node):
    n, *_, channels = conv.outputs["y"].shape
    y, spec = node.outputs["y"], Spec((n, 1, 1, channels))
    mean = y if y.spec == spec else temporary(spec, y.name)
    # Where the convolution stands, before whatever else reads its result.
    squeezed = replace(nodes[-1], op=squeeze.OP, outputs={**conv.outputs, "mean": mean})
    rewriter.put([*nodes[:-1], squeezed], [conv])
    rewriter.put([] if mean is y else [_reshape(mean, y)], [node])


def _reshape(x, y):
    return Node(RESHAPE, RESHAPE.attrs(y.shape), {"x": x}, {"y": y}, {"x": x.spec})


def _excite(rewriter, scaled, conv):
    whole, (n, *_, channels) = conv.inputs["x"].spec, conv.inputs["x"].shape
    for x, scale in (tuple(scaled.inputs.values()), tuple(scaled.inputs.values())[::-1]):
        if x.spec == whole and scale.shape == (n, 1, 1, channels):
            inputs = {**conv.inputs, "x": x, "scale": scale}
            specs = {name: value.spec for name, value in inputs.items()}
            attrs = excite.Attrs(conv.attrs.epilogue)
            rewriter.put([replace(conv, op=excite.OP, attrs=attrs, inputs=inputs, specs=specs)], [scaled, conv])
            return
