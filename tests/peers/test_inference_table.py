"""The benchmark of ONNX files: its tables, on a small network."""

import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from ..io.onnx import small

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def table(monkeypatch, tmp_path):
    """The module benchmarks/peers/inference_table.py, which writes into a temporary folder."""
    monkeypatch.syspath_prepend(str(BENCHMARKS / "peers"))
    import inference_table

    monkeypatch.setattr(inference_table, "RESULTS", tmp_path / "results")
    monkeypatch.setattr(inference_table, "RUNS", (4, 6))
    return inference_table


@pytest.fixture
def args(tmp_path):
    (tmp_path / "small.onnx").write_bytes(small.classifier())
    nodes = [small.node("Relu", "x", "y")]
    fixed = small.model(nodes, [small.value("x", [2, 3])], [small.value("y", [2, 3])])
    (tmp_path / "fixed.onnx").write_bytes(fixed)
    return SimpleNamespace(
        what="inference",
        models=[str(tmp_path)],
        match="",
        batch=[1, 2],
        threads=[1],
        engines=["fastconv"],
        rounds=1,
        isa=None,
        precision=[],
    )


def rows_of(capsys):
    lines = [line.strip("| ").split(" | ") for line in capsys.readouterr().out.splitlines() if line.startswith("|")]
    return [line for line in lines[2:]]


def test_latency(table, args, capsys, tmp_path):
    table.run(args)
    rows = rows_of(capsys)
    assert [row[:3] for row in rows] == [["fixed", "2", "1"], ["small", "1", "1"], ["small", "2", "1"]]
    assert all(float(row[3]) > 0 for row in rows)
    assert (tmp_path / "results" / "inference-best.md").read_text().count("\n| ") == 4


def test_the_ratio_is_to_the_fastest_peer(table):
    ratios = []
    assert table._against({"fastconv": 2.0, "a": 5.0, "b": 3.0}, ratios) == ("b", "1.50") and ratios == [1.5]
    assert table._against({"a": 5.0}, ratios) == ("", "") == table._against({"fastconv": 2.0}, ratios)


def test_start_and_flat(table, args, capsys):
    args.what, args.match = "start", "small"
    table.run(args)
    (row,) = rows_of(capsys)
    assert row[:3] == ["small", "1", "fastconv"] and float(row[4]) > 0 and 10 < float(row[5]) < 500
    assert row[6] == "1.00, 1.00"
    args.what, args.match = "flat", ""
    table.run(args)
    (row,) = rows_of(capsys)
    assert row[:3] == ["small", "1", "fastconv"] and all(10 < float(cell) < 500 for cell in row[3:])


def test_engines_that_differ_are_named(table, args, capsys, tmp_path, monkeypatch):
    from fastconv.cli.peers import OURS, Peer

    module = tmp_path / "inference_wrong.py"
    module.write_text(
        "import numpy\ndef start(threads): pass\n"
        "def load(variant, path, shapes): return lambda feeds: [numpy.full((1, 5), 0.5, 'f4')]\n"
    )
    job = {"model": str(tmp_path / "small.onnx"), "inputs": [table.inputs_of(str(tmp_path / "small.onnx"), 1)]}
    able = table.prepared([OURS, Peer("wrong", "json", module)], job, 1, None, tmp_path)
    for engine in able:
        engine.close()
    assert len(able) == 2 and "wrong: differs from fastconv by" in capsys.readouterr().out


def test_what_cannot_be_measured_is_said(table, args, tmp_path):
    args.engines = ["caffe"]
    with pytest.raises(SystemExit, match="unknown caffe"):
        table.choose(args)
    args.models, args.match = [str(tmp_path / "nothing")], ""
    (tmp_path / "nothing").mkdir()
    with pytest.raises(SystemExit, match="no .onnx files"):
        table.files(args)
    assert table.inputs_of(str(tmp_path / "fixed.onnx"), 1) is None
    assert table.inputs_of(str(tmp_path / "fixed.onnx"), 2) == {"x": ((2, 3), "float32")}


def test_ncnn_refuses_what_it_cannot_run(monkeypatch):
    monkeypatch.setitem(sys.modules, "ncnn", SimpleNamespace())
    monkeypatch.syspath_prepend(str(BENCHMARKS / "peers"))
    import inference_ncnn

    for shapes in (None, {"x": (2, 3, 8, 8)}):
        with pytest.raises(ValueError, match="one image"):
            inference_ncnn.make_ready("net.onnx", shapes)


@pytest.mark.parametrize("layout", ["NCHW", "channels_last"])
def test_torch_runs_the_operators_that_comparisons_need(layout, tmp_path):
    pytest.importorskip("torch", reason="PyTorch is not installed (pip install torch)")
    from fastconv import InferenceSession
    from fastconv.cli.peers import inference_torch

    rng = np.random.default_rng(0)
    node = small.node
    nodes = [
        node("Conv", "x w", "c", pads=[0, 1, 2, 1], kernel_shape=[3, 3], strides=[2, 1], group=2),
        node("BatchNormalization", "c s s s v", "n", epsilon=1e-3),
        node("Clip", "n low high", "k"),
        node("MaxPool", "k", "m", kernel_shape=[3, 3], strides=[2, 2], pads=[1, 0, 1, 0], ceil_mode=1),
        node("AveragePool", "k", "a", kernel_shape=[2, 2], pads=[1, 1, 1, 1], count_include_pad=1),
        node("AveragePool", "k", "b", kernel_shape=[2, 2], pads=[1, 1, 1, 1]),
        node("Slice", "a starts ends axes", "a1"),
        node("Concat", "a1 a1", "a2", axis=1),
        node(
            "Resize",
            "m  scales",
            "r",
            mode="nearest",
            coordinate_transformation_mode="asymmetric",
            nearest_mode="floor",
        ),
        node("ReduceMean", "b", "g", axes=[2, 3], keepdims=0),
        node("Gemm", "g u t", "y", transB=0),
        node("Reshape", "a2 shape", "z"),
    ]
    nodes[8].input[1:] = ["", "scales"]
    weights = {
        "w": rng.standard_normal((4, 1, 3, 3), np.float32),
        "s": rng.random(4, np.float32),
        "v": rng.random(4, np.float32) + 1,
        "low": np.float32(0),
        "high": np.float32(6),
        "starts": np.array([1, 0]),
        "ends": np.array([3, 4]),
        "axes": np.array([2, 3]),
        "scales": np.array([1, 1, 2, 2], np.float32),
        "u": rng.standard_normal((4, 3), np.float32),
        "t": rng.standard_normal(3, np.float32),
        "shape": np.array([1, -1]),
    }
    outputs = [small.value(name, ["?"] * rank) for name, rank in (("y", 2), ("z", 2), ("r", 4))]
    path = tmp_path / "many.onnx"
    path.write_bytes(small.model(nodes, [small.value("x", [1, 2, 9, 8])], outputs, weights, opset=13))
    feeds = {"x": rng.standard_normal((1, 2, 9, 8), np.float32)}
    inference_torch.start(1)
    found = inference_torch.load(layout, str(path), None)(feeds)
    expected = InferenceSession(path).run(None, feeds)
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)
