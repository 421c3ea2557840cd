"""PyTorch: the file's network as PyTorch's own functions, eager in either layout, or by torch.compile."""

import torch

from fastconv.cli.peers.onnx_to_torch import convert


def start(threads):
    torch.set_num_threads(threads)


def load(variant, path, shapes):
    """Return a function that runs the file. Compiled, it is channels_last with its weights frozen: the fastest form."""
    form = torch.contiguous_format if variant == "NCHW" else torch.channels_last
    module, names = convert(path)
    for tensor in module.buffers():
        if tensor.ndim == 4:
            tensor.data = tensor.contiguous(memory_format=form)
    if variant == "compile":
        import torch._inductor.config as inductor

        inductor.freezing = True
        module = torch.compile(module)

    @torch.inference_mode()
    def run(feeds):
        tensors = [torch.from_numpy(feeds[name]) for name in names]
        tensors = [t.contiguous(memory_format=form) if t.ndim == 4 else t for t in tensors]
        return [tensor.numpy() for tensor in module(*tensors)]

    return run
