"""The scaling at the end of a squeeze-excite block becomes part of the 1x1 convolution that reads it.

    s = sigmoid(dense(relu(dense(mean of x))))
    y = conv2d(x * s, kernel)                         y = conv2d_excite(x, s, kernel)

However s, a number for each image and channel, is made. Only where scaling the kernel is less work than scaling x, see
`ops.conv2d.excite`. Products are x (s w) in place of (x s) w: a rounding in another place.
"""

from dataclasses import replace

from ...ops.conv2d import excite
from .rewrite import Rewriter


def squeeze_excite(graph):
    """Return the graph with such steps fused."""
    rewriter = Rewriter(graph)
    for conv in rewriter.forward_nodes("conv2d"):
        scaled = rewriter.maker(conv.inputs["x"], "multiply")
        if (
            scaled is None
            or not rewriter.read_only_by(conv.inputs["x"], conv)
            or not excite.fits(conv.specs, conv.attrs)
        ):
            continue
        for x, scale in (tuple(scaled.inputs.values()), tuple(scaled.inputs.values())[::-1]):
            if x.spec == conv.inputs["x"].spec and scale.shape == (x.shape[0], 1, 1, x.shape[3]):
                rewriter.put([_excited(conv, x, scale)], [scaled, conv])
                break
    return rewriter.graph(graph)


def _excited(conv, x, scale):
    inputs = {**conv.inputs, "x": x, "scale": scale}
    specs = {name: value.spec for name, value in inputs.items()}
    return replace(conv, op=excite.OP, attrs=excite.Attrs(conv.attrs.epilogue), inputs=inputs, specs=specs)
