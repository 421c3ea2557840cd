"""The networks of the comparison as data: every engine builds its own model from the same description.

A network is a tuple of parts; `Residual` and `Branches` hold more of them. No convolution that a `Norm` follows has a bias.
`NETWORKS` are those of training steps; `INFERENCE` those that benchmarks/onnx_models.py writes as ONNX files, which end as
the published ones do.

ResNet: He, Zhang, Ren, Sun, "Deep Residual Learning for Image Recognition" (2015); the stride of a bottleneck is in its
3x3 convolution, as usual since. MobileNetV2: Sandler, Howard, Zhu, Zhmoginov, Chen, "MobileNetV2: Inverted Residuals and
Linear Bottlenecks" (2018). VGG: Simonyan, Zisserman, "Very Deep Convolutional Networks for Large-Scale Image Recognition"
(2014). EfficientNet: Tan, Le, "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks" (2019).
SqueezeNet: Iandola et al., "SqueezeNet: AlexNet-level accuracy with 50x fewer parameters" (2016), in its version 1.1. The
tutorials' networks are examples/cifar10_cnn.py and examples/mnist_first_cnn.py.
"""

from typing import NamedTuple


class Conv(NamedTuple):
    filters: int
    kernel: int
    stride: int = 1
    activation: str | None = None  # with a bias then, as in tutorials
    same: bool = True  # padded by half the kernel, else not at all

    @property
    def padding(self):
        return self.kernel // 2 if self.same else 0


class Depthwise(NamedTuple):
    stride: int = 1
    kernel: int = 3  # padded by half of it


class Norm(NamedTuple):
    activation: str | None = None  # after it


class Residual(NamedTuple):
    """activation(main(x) + shortcut(x)); an empty shortcut is x itself."""

    main: tuple
    shortcut: tuple = ()
    activation: str | None = None


class Branches(NamedTuple):
    """The results of several branches, one after another along the channels."""

    branches: tuple


class SqueezeExcite(NamedTuple):
    """x times a factor per channel, from the channels' averages by two dense layers: silu, then sigmoid."""

    squeezed: int


class MaxPool(NamedTuple):
    size: int
    stride: int
    padding: int = 0
    ceil: bool = False  # whether a last window may hang over the edge


class AdaptiveAverage(NamedTuple):
    """Averages of as many equal parts of the image as `size` x `size`."""

    size: int


class Dropout(NamedTuple):
    rate: float


class GlobalAverage(NamedTuple):
    pass


class Flatten(NamedTuple):
    pass


class Dense(NamedTuple):
    units: int
    activation: str | None = None


class Softmax(NamedTuple):
    pass


class Network(NamedTuple):
    name: str
    batch: int
    image: tuple  # height, width, channels
    parts: tuple

    @property
    def classes(self):
        return next(part.units for part in reversed(self.parts) if isinstance(part, Dense))


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


def _mnist():
    parts = []
    for filters in (32, 64):
        parts += [Conv(filters, 3, activation="relu", same=False), MaxPool(2, 2)]
    parts += [Conv(64, 3, activation="relu", same=False), Flatten(), Dense(64, "relu"), Dense(10), Softmax()]
    return Network("MNIST tutorial", 1, (28, 28, 1), tuple(parts))


def _vgg16():
    parts = []
    for filters, depth in ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3)):
        parts += [Conv(filters, 3, activation="relu")] * depth + [MaxPool(2, 2)]
    head = Dense(4096, "relu"), Dropout(0.5), Dense(4096, "relu"), Dropout(0.5), Dense(1000)
    return Network("VGG-16", 1, (224, 224, 3), (*parts, AdaptiveAverage(7), Flatten(), *head))


def _efficientnet_b0():
    parts, channels = [Conv(32, 3, 2), Norm("silu")], 32
    # expansion, kernel, channels, repeats, stride of the first: table 1 of the paper
    rows = (1, 3, 16, 1, 1), (6, 3, 24, 2, 2), (6, 5, 40, 2, 2), (6, 3, 80, 3, 2), (6, 5, 112, 3, 1), (6, 5, 192, 4, 2)
    for expansion, kernel, outputs, repeats, first_stride in (*rows, (6, 3, 320, 1, 1)):
        for i in range(repeats):
            stride = first_stride if i == 0 else 1
            expand = (Conv(channels * expansion, 1), Norm("silu")) if expansion > 1 else ()
            filtered = Depthwise(stride, kernel), Norm("silu"), SqueezeExcite(channels // 4)
            body = *expand, *filtered, Conv(outputs, 1), Norm()
            parts += [Residual(body)] if stride == 1 and channels == outputs else body
            channels = outputs
    parts += [Conv(1280, 1), Norm("silu"), GlobalAverage(), Dropout(0.2), Dense(1000)]
    return Network("EfficientNet-B0", 1, (224, 224, 3), tuple(parts))


def _fire(squeezed, expanded):
    both = (Conv(expanded, 1, activation="relu"),), (Conv(expanded, 3, activation="relu"),)
    return Conv(squeezed, 1, activation="relu"), Branches(both)


def _squeezenet():
    parts = [Conv(64, 3, 2, "relu", same=False)]
    for fires in (((16, 64),) * 2, ((32, 128),) * 2, ((48, 192),) * 2 + ((64, 256),) * 2):
        parts += [MaxPool(3, 2, ceil=True), *(part for fire in fires for part in _fire(*fire))]
    parts += [Dropout(0.5), Conv(1000, 1, activation="relu"), GlobalAverage()]
    return Network("SqueezeNet 1.1", 1, (224, 224, 3), tuple(parts))


def _with_softmax(network):
    return network._replace(parts=(*network.parts, Softmax()))


NETWORKS = (
    _cifar(32),
    _resnet("ResNet-18", 16, _basic, (2, 2, 2, 2), 1),
    _resnet("ResNet-50", 8, _bottleneck, (3, 4, 6, 3), 4),
    _mobilenet_v2(8),
)

# File name -> network, and its published number of weights (the tutorials': what Keras counts as trainable).
INFERENCE = {
    "resnet18": (NETWORKS[1], 11_689_512),
    "resnet50": (NETWORKS[2], 25_557_032),
    "vgg16": (_vgg16(), 138_357_544),
    "mobilenet_v2": (NETWORKS[3], 3_504_872),
    "efficientnet_b0": (_efficientnet_b0(), 5_288_548),
    "squeezenet1_1": (_squeezenet(), 1_235_496),
    "mnist_tutorial": (_mnist(), 93_322),
    "cifar10_tutorial": (_with_softmax(NETWORKS[0]), 551_466),
}


def find(name):
    """Return the network of that name."""
    return next(network for network in NETWORKS if network.name == name)
