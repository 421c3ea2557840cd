"""Training steps against PyTorch: the same weights, the same batches, the same arithmetic.

Mapped: dropout off; batch normalisation's epsilon 1e-3 and momentum (Keras's 0.99 is PyTorch's 0.01); Adam's epsilon, which
PyTorch adds after its correction of the second moment and Keras before: Keras's is PyTorch's times sqrt(1 - beta_2^t).
"""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

import fastconv
from fastconv import config, layers

torch = pytest.importorskip("torch", reason="PyTorch is not installed (pip install torch)")

EXAMPLES = Path(__file__).parents[2] / "examples"
STEPS = 10


def example(name, monkeypatch):
    monkeypatch.syspath_prepend(str(EXAMPLES))
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Permute(torch.nn.Module):
    """NCHW to NHWC, so that flattening orders features as fastconv does."""

    def forward(self, x):
        return x.permute(0, 2, 3, 1)


def torch_twin(model, dtype):
    """Return the PyTorch network of a Sequential, with the same weights; it ends at the logits."""
    parts = []

    def parameter(array):
        return torch.nn.Parameter(torch.tensor(np.array(array), dtype=dtype))

    for layer in model.layers:
        weights = layer.get_weights()
        if isinstance(layer, layers.Conv2D):
            kernel = weights[0].transpose(3, 2, 0, 1)
            part = torch.nn.Conv2d(kernel.shape[1], kernel.shape[0], 3, padding=layer.padding)
            part.weight, part.bias = parameter(kernel), parameter(weights[1])
            parts += [part, torch.nn.ReLU()]
        elif isinstance(layer, layers.BatchNormalization):
            part = torch.nn.BatchNorm2d(len(weights[0]), eps=1e-3, momentum=0.01)
            part.weight, part.bias = parameter(weights[0]), parameter(weights[1])
            parts.append(part)
        elif isinstance(layer, layers.MaxPooling2D):
            parts.append(torch.nn.MaxPool2d(2))
        elif isinstance(layer, layers.Flatten):
            parts += [Permute(), torch.nn.Flatten()]
        elif isinstance(layer, layers.Dense):
            part = torch.nn.Linear(*weights[0].shape)
            part.weight, part.bias = parameter(weights[0].T), parameter(weights[1])
            parts += [part] + [torch.nn.ReLU()] * (layer is not model.layers[-1])
        else:
            assert isinstance(layer, (layers.Dropout, layers.InputLayer)), layer
    return torch.nn.Sequential(*parts).to(dtype).train()


def torch_losses(twin, batches, steps=STEPS):
    optimizer = torch.optim.Adam(twin.parameters(), lr=1e-3, eps=1e-7)
    losses = []
    for x, y in batches[:steps]:
        images = torch.tensor(x.transpose(0, 3, 1, 2).copy(), dtype=next(twin.parameters()).dtype)
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(twin(images), torch.tensor(y.astype(np.int64)))
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return np.array(losses)


def our_losses(model, batches, steps=STEPS):
    losses = []
    for t, (x, y) in enumerate(batches[:steps], 1):
        model.optimizer.epsilon = 1e-7 * np.sqrt(1 - 0.999**t)
        losses.append(float(np.ravel(model.train_on_batch(x, y))[0]))
    return np.array(losses)


def batches(shape, size, dtype):
    """Return STEPS batches that a network learns something from: two that take turns, noise over a pattern per class."""
    rng = np.random.default_rng(0)
    patterns = rng.random((10, *shape))
    labels = [rng.integers(0, 10, size) for _ in range(2)]
    return [((0.8 * patterns[y] + 0.2 * rng.random((size, *shape))).astype(dtype), y) for y in labels] * (STEPS // 2)


def compiled(model):
    for layer in model.layers:
        if isinstance(layer, layers.Dropout):
            layer.rate = 0.0
    model.compile(optimizer="adam", loss="sparse_categorical_crossentropy")
    return model


@pytest.fixture
def float64():
    config.set_floatx("float64")
    yield
    config.set_floatx("float32")


def test_mnist_network_ten_steps(monkeypatch):
    fastconv.utils.set_random_seed(0)
    model = compiled(example("mnist_first_cnn", monkeypatch).build())
    data = batches((28, 28, 1), 32, np.float32)
    expected = torch_losses(torch_twin(model, torch.float32), data)
    got = our_losses(model, data)
    assert expected[-1] < 0.95 * expected[0], "the batches must be learnable, or the test shows nothing"
    assert np.abs(got - expected).max() <= 1e-4


def test_cifar_network_first_float32_loss(monkeypatch):
    fastconv.utils.set_random_seed(0)
    model = compiled(example("cifar10_cnn", monkeypatch).build())
    data = batches((32, 32, 3), 32, np.float32)
    expected = torch_losses(torch_twin(model, torch.float32), data, 1)
    assert np.abs(our_losses(model, data, 1) - expected).max() <= 1e-4


def test_cifar_network_ten_float64_steps(monkeypatch, float64):
    fastconv.utils.set_random_seed(0)
    model = compiled(example("cifar10_cnn", monkeypatch).build())
    assert all(w.dtype == "float64" for w in model.trainable_weights)
    data = batches((32, 32, 3), 8, np.float64)
    expected = torch_losses(torch_twin(model, torch.float64), data)
    got = our_losses(model, data)
    assert expected[-1] < 0.95 * expected[0]
    assert np.abs(got - expected).max() <= 1e-9
