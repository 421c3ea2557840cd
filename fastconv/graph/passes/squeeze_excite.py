"""The two ends of a squeeze-excite block become parts of the convolutions before and behind it.

    x = conv2d(z, depthwise)
    s = sigmoid(dense(relu(dense(mean of x))))        x, mean = conv2d_squeeze(z, depthwise)
    y = conv2d(x * s, kernel)                         y = conv2d_excite(x, s, kernel)

Each where it is found, and however s, a number for each image and channel, is made of the mean. The scale is multiplied into
the kernel only where that is less work, see `ops.conv2d.excite`: products are x (s w) in place of (x s) w, a rounding in another
place. The mean is one of means of rows, a sum in another order.
"""

from dataclasses import replace

from ...op import Spec
from ...ops.conv2d import excite, squeeze
from ...ops.reshape import RESHAPE
from ..graph import Node
from .rewrite import Rewriter, temporary


def squeeze_excite(graph):
    """Return the graph with such steps fused."""
    rewriter = Rewriter(graph)
    for node in rewriter.forward_nodes("global_avg_pool2d", "mean"):
        x = node.inputs["x"]
        conv = rewriter.maker(x, "conv2d")
        if conv is not None and _is_of_pixels(node) and squeeze.fits(conv.specs, conv.attrs):
            _squeeze(rewriter, conv, node)
    for conv in rewriter.forward_nodes("conv2d"):
        x = conv.inputs["x"]
        scaled = rewriter.maker(x, "multiply")
        if scaled is not None and rewriter.read_only_by(x, conv) and excite.fits(conv.specs, conv.attrs):
            _excite(rewriter, scaled, conv)
    return rewriter.graph(graph)


def _is_of_pixels(node):
    return node.op.name != "mean" or node.attrs.axis == (1, 2)


def _squeeze(rewriter, conv, node):
    n, *_, channels = conv.outputs["y"].shape
    y = node.outputs["y"]
    mean = temporary(Spec((n, 1, 1, channels)), y.name)
    # Where the convolution stands, before whatever else reads its result.
    rewriter.put([replace(conv, op=squeeze.OP, outputs={**conv.outputs, "mean": mean})], [conv])
    rewriter.put([Node(RESHAPE, RESHAPE.attrs(y.shape), {"x": mean}, {"y": y}, {"x": mean.spec})], [node])


def _excite(rewriter, scaled, conv):
    whole, (n, *_, channels) = conv.inputs["x"].spec, conv.inputs["x"].shape
    for x, scale in (tuple(scaled.inputs.values()), tuple(scaled.inputs.values())[::-1]):
        if x.spec == whole and scale.shape == (n, 1, 1, channels):
            inputs = {**conv.inputs, "x": x, "scale": scale}
            specs = {name: value.spec for name, value in inputs.items()}
            attrs = excite.Attrs(conv.attrs.epilogue)
            rewriter.put([replace(conv, op=excite.OP, attrs=attrs, inputs=inputs, specs=specs)], [scaled, conv])
            return
