"""Commands on ONNX files: summary, convert, verify, predict, bench; what they print, and how they refuse."""

import re
import sys
from html.parser import HTMLParser

import numpy as np
import pytest

import fastconv
import fastconv.io.onnx
from fastconv import cli, layers, models
from fastconv.cli import bench, bench_page, verify
from fastconv.cli.peers import PEERS, Peer
from fastconv.errors import ShapeError

from ..io.onnx import small

ORT = PEERS["onnxruntime"][0]
needs_ort = pytest.mark.skipif(not ORT.installed, reason="ONNX Runtime is not installed (pip install onnxruntime)")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("onnx")
    (path / "net.onnx").write_bytes(small.classifier())
    shapes = ["N", 3, "H", "W"], ["N", 3, "H", "W"]
    relu = [small.node("Relu", "x", "y")]
    (path / "open.onnx").write_bytes(small.model(relu, [small.value("x", shapes[0])], [small.value("y", shapes[1])]))
    shapes = ["N", 3, -1, -1], ["N", 3, -1, -1]  # as PaddlePaddle's exporter writes open dimensions
    (path / "paddle.onnx").write_bytes(small.model(relu, [small.value("x", shapes[0])], [small.value("y", shapes[1])]))
    bare = small.model(relu, [small.value("x", None)], [small.value("y", None)])
    (path / "bare.onnx").write_bytes(bare)
    images = small.value("pixels", [1, 8, 8, 3])
    nodes = [small.node("ReduceMean", "pixels", "y", axes=[1, 2], keepdims=0)]
    (path / "nhwc.onnx").write_bytes(small.model(nodes, [images], [small.value("y", [1, 3])]))
    (path / "text.onnx").write_text("no model")
    models.Sequential([layers.Dense(3, input_shape=(4,))]).save(path / "dense.fastconv")
    np.save(path / "x.npy", np.random.default_rng(0).standard_normal((2, 3, 8, 8), np.float32))
    np.save(path / "words.npy", np.array(["a"]))
    return path


def run(capsys, *arguments):
    status = cli.main([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def fails(capsys, *arguments):
    """Return what a failing command says."""
    status, out, err = run(capsys, *arguments)
    assert status == 1 and err.startswith("fastconv: "), (status, out, err)
    return err


@pytest.mark.parametrize("command", ["summary", "convert"])
@pytest.mark.parametrize("name", ["open.onnx", "paddle.onnx"])
def test_open_shapes_are_asked_for(capsys, folder, tmp_path, command, name):
    target = [tmp_path / "open.fastconv"] if command == "convert" else []
    error = fails(capsys, command, folder / name, *target)
    assert "input 'x' has the open shape (None, 3, None, None): give --shape x=1x3x224x224, say" in error
    assert not any(tmp_path.iterdir())
    assert run(capsys, command, folder / name, *target, "--shape", "x=1x3x8x8")[0] == 0


@pytest.mark.parametrize("command", ["demo", "info", "summary", "predict", "convert", "verify", "bench"])
def test_help_shows_examples_line_by_line(capsys, command):
    with pytest.raises(SystemExit) as stopped:
        cli.main([command, "--help"])
    out = capsys.readouterr().out
    assert stopped.value.code == 0
    examples = out.partition("examples:\n")[2].splitlines()
    assert examples and sum(line.startswith(f"  fastconv {command}") for line in examples) >= 1
    assert max(map(len, examples)) <= 100


# ---- summary and convert


def test_summary(capsys, folder):
    status, out, err = run(capsys, "summary", folder / "net.onnx")
    assert status == 0 and err == "" and "GlobalAveragePool" in out
    assert "Total params: 845" in out  # 8 * 3 * 9 + 8 + 8 * 8 * 9 + 5 * 8 + 5


@pytest.mark.parametrize("file", ["open.onnx", "paddle.onnx"])
def test_summary_with_a_shape(capsys, folder, file):
    status, out, _ = run(capsys, "summary", folder / file, "--shape", "x=1x3x10x12")
    assert status == 0 and "10, 12" in out


@pytest.mark.parametrize("text", ["x", "x=", "=1x2", "x=1xax3", "x=1x-2"])
def test_shapes_that_are_none(capsys, folder, text):
    assert "--shape" in fails(capsys, "summary", folder / "open.onnx", "--shape", text)


@pytest.mark.parametrize("command", [("summary",), ("convert", "out.fastconv"), ("verify",)])
def test_shapes_of_unknown_inputs(capsys, folder, command):
    name, *target = command
    said = fails(capsys, name, folder / "open.onnx", *target, "--shape", "q=1x3x8x8")
    assert "there is no input 'q'; there is 'x'" in said


def test_convert_keeps_what_the_model_computes(capsys, folder, tmp_path):
    status, out, err = run(capsys, "convert", folder / "net.onnx", tmp_path / "net.fastconv")
    assert status == 0 and err == "" and "net.fastconv: 0.0 MB" in out
    x = np.load(folder / "x.npy")
    expected = fastconv.InferenceSession(folder / "net.onnx").run(None, {"x": x})[0]
    np.testing.assert_allclose(models.load_model(tmp_path / "net.fastconv").predict(x, verbose=0), expected, rtol=1e-5)


def test_convert_to_onnx(capsys, folder, tmp_path):
    status, out, err = run(capsys, "convert", folder / "dense.fastconv", tmp_path / "dense.onnx")
    assert status == 0 and err == "" and "dense.onnx" in out
    x = np.random.default_rng(0).standard_normal((2, 4), np.float32)
    (value,) = fastconv.InferenceSession(tmp_path / "dense.onnx").get_inputs()
    (y,) = fastconv.InferenceSession(tmp_path / "dense.onnx").run(None, {value.name: x})
    expected = models.load_model(folder / "dense.fastconv").predict(x, verbose=0)
    np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-6)


def test_convert_writes_an_opset(capsys, folder, tmp_path):
    for opset, extra in ((17, ()), (21, ("--opset", 21))):
        assert run(capsys, "convert", folder / "dense.fastconv", tmp_path / "dense.onnx", *extra)[0] == 0
        model, _ = fastconv.io.onnx.load_model(tmp_path / "dense.onnx")
        assert [entry.version for entry in model.opset_import] == [opset]
    assert "opset must be" in fails(capsys, "convert", folder / "dense.fastconv", tmp_path / "b.onnx", "--opset", 5)
    assert "--opset is for" in fails(capsys, "convert", folder / "net.onnx", tmp_path / "b.fastconv", "--opset", 17)


def test_convert_refuses(capsys, folder, tmp_path):
    assert "same kind" in fails(capsys, "convert", folder / "net.onnx", tmp_path / "b.onnx")
    assert "same kind" in fails(capsys, "convert", folder / "dense.fastconv", tmp_path / "b.fastconv")
    assert ".onnx or .fastconv" in fails(capsys, "convert", folder / "net.onnx", tmp_path / "b.h5")
    assert "No such file" in fails(capsys, "convert", folder / "none.onnx", tmp_path / "b.fastconv")
    assert "make it first" in fails(capsys, "convert", folder / "net.onnx", tmp_path / "none" / "b.fastconv")
    assert "no ONNX model" in fails(capsys, "convert", folder / "text.onnx", tmp_path / "b.fastconv")


# ---- verify


@needs_ort
def test_verify_agrees_with_onnx_runtime(capsys, folder):
    status, out, err = run(capsys, "verify", folder / "net.onnx")
    assert status == 0 and err == "" and "ONNX Runtime" in out and re.search(r"y float32 1x5: .*(ok|equal)$", out, re.M)
    status, out, _ = run(capsys, "verify", folder / "net.onnx", "--input", f"x={folder / 'x.npy'}")
    assert status == 0 and "y float32 2x5" in out and "inputs from files" in out
    status, out, _ = run(capsys, "verify", folder / "open.onnx", "--shape", "x=2x3x5x7", "--tolerance", 0)
    assert status == 0 and "y float32 2x3x5x7: largest difference 0, relative 0: equal" in out


@needs_ort
def test_verify_fails_on_a_difference(capsys, folder, monkeypatch):
    true = fastconv.InferenceSession.run
    monkeypatch.setattr(fastconv.InferenceSession, "run", lambda self, *args: [y + 0.01 for y in true(self, *args)])
    status, out, _ = run(capsys, "verify", folder / "net.onnx")
    assert status == verify.DIFFERENT and "largest difference 0.01" in out and "DIFFERS" in out
    assert run(capsys, "verify", folder / "net.onnx", "--tolerance", 0.5)[0] == 0
    status, out, _ = run(capsys, "verify", folder / "net.onnx", "--absolute", 0.02)
    assert status == 0 and out.rstrip().endswith(", at most 0.02: ok")
    assert run(capsys, "verify", folder / "net.onnx", "--absolute", 0.005)[0] == verify.DIFFERENT


@needs_ort
@pytest.mark.parametrize(("offset", "status", "verdict"), [(1e-3, 0, "ok"), (2e-2, 3, "DIFFERS"), (1.0, 3, "DIFFERS")])
def test_verify_allows_what_the_network_makes_of_roundings(
    capsys, tmp_path, monkeypatch, folder, offset, status, verdict
):
    """Numbers of about 1 after the sum with 10,000 and the difference again: a unit in the last place of that is 1e-3."""
    shape = [1, 3, 8, 8]
    nodes = [small.node("Conv", "x w up", "z"), small.node("Conv", "z w down", "y")]
    weights = {"w": np.eye(3, dtype="float32")[:, :, None, None]}
    weights |= {"up": np.full(3, 1e4, "float32"), "down": np.full(3, -1e4, "float32")}
    file = small.model(nodes, [small.value("x", shape)], [small.value("y", shape)], weights)
    (tmp_path / "net.onnx").write_bytes(file)
    true = fastconv.InferenceSession.run
    monkeypatch.setattr(fastconv.InferenceSession, "run", lambda self, *args: [y + offset for y in true(self, *args)])
    found, out, _ = run(capsys, "verify", tmp_path / "net.onnx")
    assert found == status and out.rstrip().endswith(verdict)
    assert ("rounding the weights moves it by" in out) == (offset < 0.1)
    assert run(capsys, "verify", tmp_path / "net.onnx", "--tolerance", 0)[0] == verify.DIFFERENT
    # A network that magnifies nothing is allowed nothing.
    assert run(capsys, "verify", folder / "net.onnx")[0] == verify.DIFFERENT


@pytest.mark.parametrize(
    ("ours", "theirs", "expected"),
    [
        ([1.0, 2.0], [1.0, 2.0], (0, 0)),
        ([1.0, 2.5], [1.0, 2.0], (0.5, 0.25)),
        ([np.nan, np.inf], [np.nan, np.inf], (0, 0)),
        ([np.nan, 1.0], [1.0, 1.0], (np.inf, np.inf)),
        ([np.inf, 1.0], [-np.inf, 1.0], (np.inf, np.inf)),
        ([1.0], [1.0, 2.0], (np.inf, np.inf)),
        ([1.0], [0.0], (1.0, np.inf)),
        ([], [], (0, 0)),
        ([True], [False], (1.0, np.inf)),
        (["a"], ["b"], (np.inf, np.inf)),
    ],
)
def test_difference(ours, theirs, expected):
    assert verify.difference(np.array(ours), np.array(theirs)) == expected


@pytest.mark.parametrize(
    ("file", "extra", "message"),
    [
        ("net.onnx", ("--against", "nonsense"), "--against takes onnxruntime"),
        ("net.onnx", ("--tolerance", "-1"), "--tolerance"),
        ("net.onnx", ("--absolute", "nan"), "--absolute"),
        ("net.onnx", ("--input", "x"), "NAME=VALUE"),
        ("net.onnx", ("--input", "x=words.npy"), "no single array of numbers"),
        ("net.onnx", ("--input", "x=text.onnx"), "is no .npy file"),
        ("net.onnx", ("--input", "x=none.npy"), "No such file"),
        ("net.onnx", ("--input", "z=x.npy"), "there is no input 'z'"),
        ("net.onnx", ("--input", "x=x.npy", "--shape", "x=1x3x8x8"), "both an --input and a --shape"),
        ("net.onnx", ("--shape", "x=1x4x8x8"), "takes shape"),
        ("net.onnx", ("--shape", "z=1"), "there is no input 'z'"),
        ("open.onnx", (), "give --shape x=1x3x224x224"),
        ("paddle.onnx", (), "['N', 3, None, None]: give --shape"),
        ("none.onnx", (), "No such file"),
        ("text.onnx", (), "no ONNX model"),
        ("dense.fastconv", (), "fastconv convert"),
    ],
)
@needs_ort
def test_verify_refuses(capsys, folder, monkeypatch, file, extra, message):
    monkeypatch.chdir(folder)
    assert message in fails(capsys, "verify", folder / file, *extra)


def test_verify_without_the_peer(capsys, folder, monkeypatch):
    monkeypatch.setitem(PEERS, "onnxruntime", (Peer("ONNX Runtime", "nothing_of_this_name", ORT.path),))
    assert "ONNX Runtime is not installed: pip install" in fails(capsys, "verify", folder / "net.onnx")


# ---- predict


def picture(path, size=(8, 8, 3)):
    image = pytest.importorskip("PIL.Image")
    pixels = np.random.default_rng(2).integers(0, 256, size, np.uint8)
    image.fromarray(pixels).save(path)
    return pixels


def test_predict_of_nchw(capsys, folder):
    path = folder / "a.png"
    pixels = picture(path) / np.float32(255)
    x = ((pixels - np.float32([0.4, 0.5, 0.6])) / np.float32(0.2)).transpose(2, 0, 1)[None]
    scores = fastconv.InferenceSession(folder / "net.onnx").run(None, {"x": x})[0][0]
    options = "--mean 0.4 0.5 0.6 --std 0.2 --top 2".split()
    status, out, err = run(capsys, "predict", folder / "net.onnx", path, path, *options)
    first, second = np.argsort(-scores)[:2]
    assert status == 0 and err == ""
    assert out == f"{path}: {first} {scores[first]:.3f}, {second} {scores[second]:.3f}\n" * 2


def test_predict_says_of_a_converted_file_what_it_says_of_the_file(capsys, folder, tmp_path):
    picture(folder / "a.png")
    assert run(capsys, "convert", folder / "net.onnx", tmp_path / "net.fastconv")[0] == 0
    said = [run(capsys, "predict", file, folder / "a.png") for file in (folder / "net.onnx", tmp_path / "net.fastconv")]
    assert said[0] == said[1] and said[0][0] == 0 and said[0][1].startswith(f"{folder / 'a.png'}: ")


def test_predict_of_any_size_wants_a_crop(capsys, folder, tmp_path):
    models.Sequential([layers.Conv2D(3, 3, input_shape=(None, None, 3)), layers.GlobalMaxPooling2D()]).save(
        tmp_path / "open.fastconv"
    )
    picture(folder / "a.png")
    assert "say which by --crop N" in fails(capsys, "predict", tmp_path / "open.fastconv", folder / "a.png")
    assert run(capsys, "predict", tmp_path / "open.fastconv", folder / "a.png", "--crop", 6)[0] == 0


def test_predict_of_nhwc_with_a_fixed_batch(capsys, folder):
    path = folder / "b.png"
    means = picture(path).reshape(-1, 3).mean(0)
    status, out, _ = run(capsys, "predict", folder / "nhwc.onnx", path, path, "--scale", 1, "--top", 1)
    assert status == 0 and out == f"{path}: {means.argmax()} {means.max():.3f}\n" * 2
    _, out, _ = run(capsys, "predict", folder / "nhwc.onnx", path, "--softmax", "--top", 3)
    powers = np.exp(means / 255)
    assert sum(float(text.split()[1]) for text in out.partition(": ")[2].split(", ")) == pytest.approx(1, abs=2e-3)
    assert f"{powers.max() / powers.sum():.3f}" in out


def test_predict_crops_the_middle(capsys, folder):
    path = folder / "c.png"
    pixels = picture(path, (20, 31, 3))
    means = pixels[6:14, 11:19].reshape(-1, 3).mean(0)
    status, out, _ = run(capsys, "predict", folder / "nhwc.onnx", path, "--scale", 1, "--crop", 8, "--top", 1)
    assert status == 0 and out == f"{path}: {means.argmax()} {means.max():.3f}\n"
    status, out, _ = run(capsys, "predict", folder / "nhwc.onnx", path, "--resize", 10, "--crop", 8)
    assert status == 0


@pytest.mark.parametrize(
    ("file", "extra", "message"),
    [
        ("nhwc.onnx", ("--crop", 7), "takes pictures of 8x8"),
        ("nhwc.onnx", ("--resize", 0), "--resize"),
        ("nhwc.onnx", ("--resize", 6, "--crop", 8), "too few for a crop"),
        ("nhwc.onnx", ("--mean", 1, 2), "1 or 3 finite numbers"),
        ("nhwc.onnx", ("--std", 0), "--std must be positive"),
        ("open.onnx", (), "predict shows scores of classes"),
        ("text.onnx", (), "no ONNX model"),
        ("none.onnx", (), "No such file"),
    ],
)
def test_predict_refuses(capsys, folder, file, extra, message):
    picture(folder / "p.png")
    assert message in fails(capsys, "predict", folder / file, folder / "p.png", *extra)


# ---- bench


class Checker(HTMLParser):
    """Collects what a page loads from elsewhere, and tags that are left open."""

    def __init__(self):
        super().__init__()
        self.open, self.elsewhere, self.text = [], [], []

    def handle_starttag(self, tag, attrs):
        if tag not in ("meta", "br", "rect"):
            self.open.append(tag)
        self.elsewhere += [value for key, value in attrs if key in ("src", "href", "action")]
        assert tag not in ("script", "link", "img", "iframe")

    def handle_endtag(self, tag):
        if tag != "rect":
            assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def test_bench(capsys, folder, tmp_path):
    against = ["--against", "onnxruntime"] if ORT.installed else []
    arguments = ["--batch", 1, 3, "--threads", 1, "--runs", 4, "--profile", "--html", tmp_path / "page.html", *against]
    status, out, err = run(capsys, "bench", folder / "net.onnx", *arguments)
    assert status == 0 and err == "" and "845 weights" in out and "GFLOP/s in registers" in out
    assert "batch 1, 1 thread, ms" in out and "batch 3, 1 thread, ms" in out
    assert "inputs:      x float32 Nx3x8x8" in out and re.search(r"^stem +conv2d \+ relu +\d", out, re.M)
    assert out.count("ONNX Runtime") == 2 * bool(against)
    for line in re.findall(r"^fastconv  .*", out, re.M):
        p50, p90, p99, least, images, first, rss, ratio = map(float, line.split()[1:])
        assert 0 < least <= p50 <= p90 <= p99 and images > 0 and first > 0 and rss > 10 and ratio == 1
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    checker = Checker()
    checker.feed(page)
    text = " ".join(checker.text)
    assert checker.open == [] and checker.elsewhere == [] and "url(" not in page and "http" not in page
    assert "net.onnx" in text and "Batch 3, 1 thread" in text and "3x8x8x3, 3x3 → 3x8x8x8" in text
    assert " stem conv2d + relu " in text
    assert "prefers-color-scheme: dark" in page


@pytest.mark.parametrize(("file", "said"), [("bare.onnx", "x float32 ..."), ("paddle.onnx", "x float32 Nx3x?x?")])
def test_bench_of_shapes_that_the_file_does_not_say(capsys, folder, file, said):
    status, out, err = run(capsys, "bench", folder / file, "--shape", "x=1x3x4x5", "--runs", 2, "--threads", 1)
    assert status == 0 and err == "" and f"inputs:      {said}\n" in out and "batch 1, 1 thread, ms" in out


def test_long_names_keep_their_end(capsys):
    layer = bench.LayerTime(
        "/features/features.0/features.0.0/Conv", "conv2d", "1x2 -> 1x3", "convolve", 0.001, 10, 0.5
    )
    bench.print_layers([layer, layer._replace(name="x" * 24)])
    lines = capsys.readouterr().out.splitlines()
    assert lines[2].startswith("…res.0/features.0.0/Conv conv2d ") and lines[3].startswith("x" * 24 + " conv2d ")


def test_layers_add_up_and_name_what_ran(folder):
    layers = bench.layer_times(str(folder / "net.onnx"), {"x": ((2, 3, 8, 8), "float32")}, 1, rounds=2)
    assert all(layer.seconds > 0 and layer.share >= 0 for layer in layers)
    convolutions = [layer for layer in layers if layer.operation.startswith("conv2d")]
    assert len(convolutions) == 2 and convolutions[0].flops >= 2 * 2 * 64 * 8 * 27
    assert [layer.name for layer in convolutions] == ["stem", "c2"]
    assert convolutions[0].gflops == convolutions[0].flops / convolutions[0].seconds / 1e9


def test_page_escapes_what_it_shows():
    measurement = bench.Measurement("<fast> & co", 1, 2, np.array([0.002, 0.001, 0.003]), 0.01, 50.0)
    layer = bench.LayerTime("<stem>", "conv2d + relu", "1x2 -> 1x3", "<kernel>", 0.001, 10, 0.5)
    page = bench_page.page(
        bench.Report("a&b.onnx", [("model", "<x>")], [measurement], {(1, 2): [layer]}, ["no <peer>"])
    )
    Checker().feed(page)
    assert (
        "&lt;fast&gt; &amp; co" in page and "a&amp;b.onnx" in page and "<kernel>" not in page and "<peer>" not in page
    )
    assert "&lt;stem&gt;" in page and "<stem>" not in page
    assert measurement.percentile(50) == 2.0 and measurement.images_per_second == 500.0


def test_peers_that_cannot_take_part(capsys, folder, monkeypatch, tmp_path):
    monkeypatch.setitem(PEERS, "openvino", (Peer("OpenVINO", "nothing_of_this_name", ORT.path),))
    module = tmp_path / "inference_poor.py"
    module.write_text("def start(threads): pass\ndef load(variant, path, shapes): raise ValueError('cannot, sorry')\n")
    monkeypatch.setitem(PEERS, "torch", (Peer("poor", "json", module),))
    status, out, err = run(capsys, "bench", folder / "net.onnx", "--against", "openvino,torch", "--runs", 1)
    assert status == 0 and err == ""
    assert "nothing_of_this_name is not installed, so it is left out: pip install" in out
    assert "poor, batch 1: ValueError: cannot, sorry" in out and "fastconv  " in out


def test_a_peer_that_dies_is_one_line(capsys, folder, monkeypatch, tmp_path):
    module = tmp_path / "inference_dead.py"
    module.write_text("import os\ndef start(threads): os._exit(3)\n")
    monkeypatch.setitem(PEERS, "torch", (Peer("dead", "json", module),))
    message = fails(capsys, "bench", folder / "net.onnx", "--against", "torch", "--runs", 1)
    assert message == "fastconv: dead ended early, with status 3\n"


@pytest.mark.parametrize(
    ("file", "extra", "message"),
    [
        ("net.onnx", ("--against", "caffe"), "--against takes onnxruntime"),
        ("net.onnx", ("--runs", 0), "--runs"),
        ("net.onnx", ("--batch", 0), "--batch"),
        ("net.onnx", ("--threads", 0), "--threads"),
        ("net.onnx", ("--html", "none/page.html"), "make it first"),
        ("nhwc.onnx", ("--batch", 2), "takes shape [1, 8, 8, 3], not [2, 8, 8, 3]"),
        ("open.onnx", (), "give --shape"),
        ("none.onnx", (), "No such file"),
    ],
)
def test_bench_refuses(capsys, folder, file, extra, message):
    assert message in fails(capsys, "bench", folder / file, *extra)


def test_bench_leaves_out_batches_that_the_file_cannot_have(folder):
    session, notes = fastconv.InferenceSession(folder / "nhwc.onnx"), []
    inputs = bench.inputs_of_batches(session, {}, [1, 16], notes)
    assert inputs == [{"pixels": ((1, 8, 8, 3), "float32")}]
    assert len(notes) == 1 and "batch 16 is left out: input 'pixels' takes shape [1, 8, 8, 3]" in notes[0]
    with pytest.raises(ShapeError, match="takes shape"):
        bench.inputs_of_batches(session, {}, [16], notes)


def test_commands_load_only_what_they_need():
    import subprocess

    code = "import sys; from fastconv import cli; cli.parser(); print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()
    assert not {"numpy", "fastconv.models", "fastconv.graph"} & set(loaded)
