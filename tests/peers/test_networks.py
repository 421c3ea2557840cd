"""The comparison's networks are the published ones, in every engine."""

from pathlib import Path

import pytest

# Weights of the papers' networks for 1000 classes, statistics of batch normalisation not counted.
PUBLISHED = {"ResNet-18": 11_689_512, "ResNet-50": 25_557_032, "MobileNetV2": 3_504_872}


@pytest.fixture(autouse=True)
def peers(monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "benchmarks" / "peers"))


@pytest.mark.parametrize("name", PUBLISHED)
def test_weights_of_fastconv(name):
    import networks
    import training_fastconv

    model = training_fastconv.build(networks.find(name))
    assert model.output_shape == (None, 1000)
    assert sum(weight.size for weight in model.trainable_variables) == PUBLISHED[name]


@pytest.mark.parametrize("name", PUBLISHED)
def test_weights_of_torch(name):
    pytest.importorskip("torch", reason="PyTorch is not installed (pip install torch)")
    import networks
    import training_torch

    model = training_torch.build(networks.find(name))
    assert sum(weight.numel() for weight in model.parameters()) == PUBLISHED[name]
