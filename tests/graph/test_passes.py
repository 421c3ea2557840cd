"""Every pass has its files; `explain` shows what passes do."""

from pathlib import Path

import pytest

import fastconv
from fastconv import ops
from fastconv.graph import explain, trace
from fastconv.graph.passes import PASSES
from fastconv.op import Spec

from .conftest import random


@pytest.mark.parametrize("name", [apply_pass.__name__ for apply_pass in PASSES])
def test_every_pass_has_its_file_and_its_tests(name):
    assert (Path(__file__).parent / f"test_{name}.py").exists()
    page = Path(__file__).parents[2] / "docs" / "architecture.md"
    assert f"| `{name}` |" in page.read_text()


def test_every_pass_stands_in_the_file_of_its_name():
    assert [p.__module__.rpartition(".")[2] for p in PASSES] == [p.__name__ for p in PASSES]


def test_explain_yields_what_changes():
    weight = fastconv.tensor(random(20, 7))
    graph = trace(lambda x: {"y": ops.relu(ops.dense(x, weight) + 1.0)}, {"x": Spec((3, 20))})
    before = str(graph)
    steps = list(explain(graph))
    assert [name for name, _ in steps] == ["fuse_bias", "fuse_activation"]
    assert "relu(" in str(steps[0][1]) and "relu(" not in str(steps[1][1])
    assert "activation='relu'" in str(steps[1][1])
    assert str(graph) == before, "a pass leaves the graph that it gets as it is"
