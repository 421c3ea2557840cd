"""The layers of the comparison: sizes of well-known networks, NHWC, with the work each takes."""

from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Layer:
    """One layer.

    Attributes
    ----------
    group : str
        The class that the demands speak of: "gemm", "first", "stem", "dense", "pointwise", "depthwise", "grouped",
        "pool", "norm".
    kind : str
        Which operation: "conv", "matmul", "max_pool", "avg_pool", "batch_norm".
    x : tuple of int
        (N, H, W, C), or (M, K) of a matrix product.
    outputs : int
        Channels of the output, or columns of a matrix product.
    kernel, stride, padding, groups : int
    """

    group: str
    kind: str
    x: tuple
    outputs: int
    kernel: int = 1
    stride: int = 1
    padding: int = 0
    groups: int = 1

    @property
    def name(self):
        if self.kind == "matmul":
            return f"GEMM {self.x[0]}x{self.x[1]}x{self.outputs}"
        n, h, w, c = self.x
        arrow = f"->{self.outputs}" if self.outputs != c else ""
        stride = f" s{self.stride}" if self.stride > 1 else ""
        what = {"conv": "", "max_pool": " max", "avg_pool": " average", "batch_norm": " batch norm"}[self.kind]
        window = f" {self.kernel}x{self.kernel}" if self.kind != "batch_norm" else ""
        grouped = {c: " depthwise", 1: ""}.get(self.groups, f" groups {self.groups}") if self.kind == "conv" else ""
        return f"{h}x{w}x{c}{arrow}{window}{stride}{what}{grouped} b{n}"

    @property
    def out(self):
        """(OH, OW)."""
        return tuple((size + 2 * self.padding - self.kernel) // self.stride + 1 for size in self.x[1:3])

    @property
    def needs_dx(self):
        """Whether training asks for the input's gradient: not in a network's first layer."""
        return self.group not in ("first", "stem")

    def flops(self, direction):
        """Multiplications and additions; 0 where memory is the limit."""
        if self.kind == "matmul":
            return 2 * self.x[0] * self.x[1] * self.outputs
        if self.kind != "conv":
            return 0
        oh, ow = self.out
        forward = 2 * self.x[0] * oh * ow * self.outputs * self.kernel**2 * self.x[3] // self.groups
        return forward * (1 if direction == "forward" else 2 + self.needs_dx)

    def nbytes(self, direction):
        """Bytes that must at least be read and written."""
        if self.kind == "matmul":
            (m, k), n = self.x, self.outputs
            return 4 * (m * k + k * n + m * n)
        n, h, w, c = self.x
        x, y = 4 * n * h * w * c, 4 * n * self.out[0] * self.out[1] * self.outputs
        if self.kind == "max_pool":
            index = y // 4  # one byte per output
            return x + y if direction == "forward" else 2 * (x + y + index)
        if self.kind == "batch_norm":  # x twice; y; then x and dy twice; dx
            return 3 * x if direction == "forward" else 8 * x
        return x + y if direction == "forward" else (4 + self.needs_dx) * (x + y) // 2

    def as_job(self, direction):
        return {**asdict(self), "direction": direction}


def from_job(job):
    """Return (layer, direction)."""
    fields = dict(job)
    direction = fields.pop("direction")
    return Layer(**{**fields, "x": tuple(fields["x"])}), direction


def _conv(group, x, outputs, kernel, stride=1, padding=None, groups=1):
    return Layer(group, "conv", x, outputs, kernel, stride, kernel // 2 if padding is None else padding, groups)


LAYERS = (
    *(Layer("gemm", "matmul", (n, n), n) for n in (256, 512, 1024, 2048)),
    _conv("first", (32, 28, 28, 1), 32, 3, padding=0),
    _conv("first", (32, 32, 32, 3), 32, 3),
    _conv("stem", (8, 224, 224, 3), 64, 7, 2),
    _conv("dense", (32, 13, 13, 32), 64, 3, padding=0),
    _conv("dense", (32, 32, 32, 32), 32, 3),
    _conv("dense", (32, 16, 16, 64), 64, 3),
    _conv("dense", (32, 8, 8, 128), 128, 3),
    _conv("dense", (8, 56, 56, 64), 64, 3),
    _conv("dense", (8, 28, 28, 128), 128, 3),
    _conv("dense", (8, 14, 14, 256), 256, 3),
    _conv("dense", (8, 7, 7, 512), 512, 3),
    _conv("dense", (4, 224, 224, 64), 64, 3),
    _conv("dense", (4, 56, 56, 256), 256, 3),
    _conv("dense", (4, 28, 28, 512), 512, 3),
    _conv("pointwise", (8, 56, 56, 64), 256, 1),
    _conv("pointwise", (8, 56, 56, 256), 512, 1, 2),
    _conv("pointwise", (8, 28, 28, 512), 256, 1),
    _conv("pointwise", (8, 14, 14, 1024), 256, 1),
    _conv("pointwise", (8, 14, 14, 256), 1024, 1),
    _conv("pointwise", (8, 7, 7, 2048), 512, 1),
    _conv("pointwise", (8, 7, 7, 512), 2048, 1),
    _conv("depthwise", (8, 56, 56, 144), 144, 3, groups=144),
    _conv("depthwise", (8, 14, 14, 672), 672, 5, groups=672),
    _conv("grouped", (8, 28, 28, 256), 256, 3, groups=32),
    Layer("pool", "max_pool", (32, 32, 32, 32), 32, 2, 2),
    Layer("pool", "max_pool", (8, 112, 112, 64), 64, 3, 2, 1),
    Layer("pool", "avg_pool", (8, 56, 56, 128), 128, 2, 2),
    Layer("norm", "batch_norm", (32, 32, 32, 32), 32),
    Layer("norm", "batch_norm", (8, 56, 56, 64), 64),
    Layer("norm", "batch_norm", (8, 14, 14, 1024), 1024),
)
