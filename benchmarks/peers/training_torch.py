"""Training steps of PyTorch, eager, in its NCHW or channels_last layout; in the latter under bfloat16 autocast, too."""

import torch
from networks import Conv, Dense, Depthwise, Dropout, Flatten, GlobalAverage, MaxPool, Norm, Residual, find
from torch import nn

ACTIVATIONS = {"relu": nn.ReLU, "relu6": nn.ReLU6}


def start(threads):
    torch.set_num_threads(threads)
    torch.manual_seed(0)


def prepare(variant, job):
    """Return a function that makes one step, always on the same batch, or None where there is nothing to run."""
    if job is None:
        return None
    network = find(job["network"])
    form = torch.contiguous_format if variant == "NCHW" else torch.channels_last
    model = build(network).to(memory_format=form)
    optimizer = {"adam": torch.optim.Adam, "sgd": lambda weights, lr: torch.optim.SGD(weights, lr, momentum=0.9)}
    optimizer = optimizer[job["optimizer"]](model.parameters(), lr=1e-3)
    height, width, channels = network.image
    x = torch.rand(network.batch, channels, height, width).contiguous(memory_format=form)
    y = torch.randint(0, network.classes, (network.batch,))

    def step():
        optimizer.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=variant == "bfloat16"):
            loss = nn.functional.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        return loss.item()

    return step


def build(network):
    """Return the model in training mode; it ends in logits."""
    modules, shape = _modules(network.parts, network.image)
    return nn.Sequential(*modules)


class _Residual(nn.Module):
    def __init__(self, main, shortcut, activation):
        super().__init__()
        self.main, self.shortcut = nn.Sequential(*main), nn.Sequential(*shortcut)
        self.activation = nn.Sequential(*activation)

    def forward(self, x):
        return self.activation(self.main(x) + self.shortcut(x))


def _activation(name):
    return [ACTIVATIONS[name](inplace=True)] if name else []


def _modules(parts, shape):
    """Return (modules, the shape that comes out); `shape` is (H, W, C) or (features,)."""
    modules = []
    for part in parts:
        more, shape = _module(part, shape)
        modules += more
    return modules, shape


def _slide(shape, kernel, stride, padding, channels):
    return *((size + 2 * padding - kernel) // stride + 1 for size in shape[:2]), channels


def _module(part, shape):
    channels = shape[-1]
    match part:
        case Conv():
            geometry = part.kernel, part.stride, part.padding
            conv = nn.Conv2d(channels, part.filters, *geometry, bias=part.activation is not None)
            return [conv, *_activation(part.activation)], _slide(shape, *geometry, part.filters)
        case Depthwise():
            conv = nn.Conv2d(channels, channels, 3, part.stride, 1, groups=channels, bias=False)
            return [conv], _slide(shape, 3, part.stride, 1, channels)
        case Norm():
            return [nn.BatchNorm2d(channels, 1e-5, 0.1), *_activation(part.activation)], shape
        case Residual():
            main, result = _modules(part.main, shape)
            shortcut, _ = _modules(part.shortcut, shape)
            return [_Residual(main, shortcut, _activation(part.activation))], result
        case MaxPool():
            geometry = part.size, part.stride, part.padding
            return [nn.MaxPool2d(*geometry)], _slide(shape, *geometry, channels)
        case Dropout():
            return [nn.Dropout(part.rate)], shape
        case GlobalAverage():
            return [nn.AdaptiveAvgPool2d(1), nn.Flatten()], (channels,)
        case Flatten():
            return [nn.Flatten()], (shape[0] * shape[1] * channels,)
        case Dense():
            return [nn.Linear(channels, part.units), *_activation(part.activation)], (part.units,)
    raise TypeError(f"unknown part {part!r}")
