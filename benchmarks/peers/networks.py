"""The networks of the comparison as data: every engine builds its own model from the same description.

A network is a tuple of parts; `Residual` holds two branches of parts. No convolution here that a `Norm` follows has a bias.

ResNet: He, Zhang, Ren, Sun, "Deep Residual Learning for Image Recognition" (2015); the stride of a bottleneck is in its
3x3 convolution, as usual since. MobileNetV2: Sandler, Howard, Zhu, Zhmoginov, Chen, "MobileNetV2: Inverted Residuals and
Linear Bottlenecks" (2018). The CIFAR network is examples/cifar10_cnn.py.
"""

from typing import NamedTuple


class Conv(NamedTuple):
    filters: int
    kernel: int
    stride: int = 1
    activation: str | None = None  # with a bias then, as in tutorials

    @property
    def padding(self):
        return self.kernel // 2


class Depthwise(NamedTuple):
    stride: int = 1  # 3x3, padding 1


class Norm(NamedTuple):
    activation: str | None = None  # after it


class Residual(NamedTuple):
    """activation(main(x) + shortcut(x)); an empty shortcut is x itself."""

    main: tuple
    shortcut: tuple = ()
    activation: str | None = None


class MaxPool(NamedTuple):
    size: int
    stride: int
    padding: int = 0


class Dropout(NamedTuple):
    rate: float


class GlobalAverage(NamedTuple):
    pass


class Flatten(NamedTuple):
    pass


class Dense(NamedTuple):
    units: int
    activation: str | None = None


class Network(NamedTuple):
    name: str
    batch: int
    image: tuple  # height, width, channels
    parts: tuple

    @property
    def classes(self):
        return self.parts[-1].units


def _resnet(name, batch, block, depths, expansion):
    parts = [Conv(64, 7, 2), Norm("relu"), MaxPool(3, 2, 1)]
    channels = 64
    for stage, depth in enumerate(depths):
        width = 64 * 2**stage
        for i in range(depth):
            stride = 2 if stage and not i else 1
            same = stride == 1 and channels == width * expansion
            channels = width * expansion
            shortcut = () if same else (Conv(channels, 1, stride), Norm())
            parts.append(Residual(block(width, stride), shortcut, "relu"))
    return Network(name, batch, (224, 224, 3), (*parts, GlobalAverage(), Dense(1000)))


def _basic(width, stride):
    return Conv(width, 3, stride), Norm("relu"), Conv(width, 3), Norm()


def _bottleneck(width, stride):
    first = Conv(width, 1), Norm("relu"), Conv(width, 3, stride), Norm("relu")
    return *first, Conv(4 * width, 1), Norm()


def _mobilenet_v2(batch):
    parts, channels = [Conv(32, 3, 2), Norm("relu6")], 32
    # expansion, channels, repeats, stride of the first: table 2 of the paper
    rows = (1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)
    for expansion, outputs, repeats, first_stride in rows:
        for i in range(repeats):
            stride = first_stride if i == 0 else 1
            expand = (Conv(channels * expansion, 1), Norm("relu6")) if expansion > 1 else ()
            body = *expand, Depthwise(stride), Norm("relu6"), Conv(outputs, 1), Norm()
            parts += [Residual(body)] if stride == 1 and channels == outputs else body
            channels = outputs
    parts += [Conv(1280, 1), Norm("relu6"), GlobalAverage(), Dropout(0.2), Dense(1000)]
    return Network("MobileNetV2", batch, (224, 224, 3), tuple(parts))


def _cifar(batch):
    parts = []
    for filters in (32, 64, 128):
        parts += [Conv(filters, 3, activation="relu"), Norm()] * 2 + [MaxPool(2, 2), Dropout(0.25)]
    head = Flatten(), Dense(128, "relu"), Dropout(0.25), Dense(10)
    return Network("CIFAR tutorial", batch, (32, 32, 3), (*parts, *head))


NETWORKS = (
    _cifar(32),
    _resnet("ResNet-18", 16, _basic, (2, 2, 2, 2), 1),
    _resnet("ResNet-50", 8, _bottleneck, (3, 4, 6, 3), 4),
    _mobilenet_v2(8),
)


def find(name):
    """Return the network of that name."""
    return next(network for network in NETWORKS if network.name == name)
