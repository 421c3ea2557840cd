"""PyTorch, eager, in its NCHW or channels_last layout, or in bfloat16, channels last."""

import torch
from layers import from_job
from torch.nn import functional as F


def start(threads):
    torch.set_num_threads(threads)
    torch.manual_seed(0)


def prepare(variant, job):
    """Return a function that runs the job once, or None; `variant` is a layout, or "bfloat16"."""
    if job is None:
        return None
    layer, direction = from_job(job)
    if layer.kind == "matmul" and variant == "channels_last":
        return None  # has no layout
    inputs, function = _operation(layer, torch.contiguous_format if variant == "NCHW" else torch.channels_last)
    if variant == "bfloat16":
        inputs = [tensor.to(torch.bfloat16) for tensor in inputs]
    if direction == "forward":

        @torch.inference_mode()
        def forward():
            return function(*inputs)

        return forward
    wanted = [t.requires_grad_() for t in (inputs if layer.needs_dx else inputs[1:])]
    y = function(*inputs)
    dy = torch.randn_like(y, memory_format=torch.preserve_format)

    def both():
        return torch.autograd.grad(function(*inputs), wanted, dy)

    return both


def _operation(layer, form):
    if layer.kind == "matmul":
        m, k = layer.x
        return [torch.randn(m, k), torch.randn(k, layer.outputs)], torch.mm
    n, h, w, c = layer.x
    x = torch.randn(n, c, h, w).contiguous(memory_format=form)
    if layer.kind == "conv":
        size = (layer.outputs, c // layer.groups, layer.kernel, layer.kernel)
        kernel, bias = torch.randn(size).contiguous(memory_format=form), torch.randn(layer.outputs)
        options = {"stride": layer.stride, "padding": layer.padding, "groups": layer.groups}
        return [x, kernel, bias], lambda x, kernel, bias: F.conv2d(x, kernel, bias, **options)
    if layer.kind == "batch_norm":
        mean, variance = torch.zeros(c), torch.ones(c)
        return [x, torch.ones(c), torch.zeros(c)], lambda x, gamma, beta: F.batch_norm(
            x, mean, variance, gamma, beta, training=True
        )
    pool = F.max_pool2d if layer.kind == "max_pool" else F.avg_pool2d
    return [x], lambda x: pool(x, layer.kernel, layer.stride, layer.padding)
