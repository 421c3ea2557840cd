"""The command: what it prints, its exit status, and one line for everything that goes wrong."""

import os
import struct
import subprocess
import sys
import zlib

import numpy as np
import pytest

from fastconv import __version__, cli, layers, models


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("cli")
    model = models.Sequential([
        layers.Conv2D(2, 3, input_shape=(8, 8, 1)), layers.Flatten(), layers.Dense(3, activation="softmax"),
    ])  # fmt: skip
    model.save(path / "m.fastconv")
    model.save_weights(path / "weights.fastconv")
    models.Sequential([layers.Dense(3, input_shape=(4,))]).save(path / "vectors.fastconv")
    x = layers.Input((8, 8, 1))
    models.Model(x, [layers.Flatten()(x), layers.Flatten()(x)]).save(path / "two.fastconv")
    models.Model([x, layers.Input((3,))], layers.Flatten()(x)).save(path / "inputs.fastconv")
    models.Sequential([layers.Dense(3)]).save(path / "unbuilt.fastconv")
    (path / "cut.fastconv").write_bytes((path / "m.fastconv").read_bytes()[:500])
    (path / "text.png").write_text("no picture")
    (path / "names").write_text("cat\ndog\nowl\n")
    (path / "few").write_text("cat\n")
    (path / "binary").write_bytes(b"\xff\xfe\x00")
    return path


def run(capsys, *arguments):
    status = cli.main([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def fails(capsys, *arguments):
    """Return the one line that a failing command prints."""
    status, out, err = run(capsys, *arguments)
    assert status == 1 and out == "" and err.startswith("fastconv: ") and err.count("\n") == 1, (status, out, err)
    return err


def picture(path, **settings):
    image = pytest.importorskip("PIL.Image")
    pixels = np.random.default_rng(1).integers(0, 256, settings.get("size", (8, 8)), np.uint8)
    image.fromarray(pixels).save(path)
    return pixels


def test_info(capsys):
    status, out, err = run(capsys, "info")
    assert status == 0 and err == "" and __version__ in out and "instruction set" in out
    assert "to compare with:" in out.splitlines()[-1] and "onnxruntime" in out and "openvino" in out and "torch" in out


def test_summary(capsys, folder):
    status, out, err = run(capsys, "summary", folder / "m.fastconv")
    assert status == 0 and err == "" and "conv2d" in out and "Total params: 239" in out


@pytest.mark.parametrize(
    ("file", "message"),
    [
        ("none.fastconv", "No such file"),
        ("none.onnx", "No such file"),
        ("none.txt", "No such file"),
        ("cut.fastconv", "truncated or altered"),
        ("weights.fastconv", "holds no model; load it by model.load_weights"),
        ("text.png", "'.fastconv' or '.onnx', got"),
        (".", "'.fastconv'"),
    ],
)
def test_summary_of_what_is_no_model(capsys, folder, file, message):
    said = fails(capsys, "summary", folder / file)
    assert message in said and "Errno" not in said


@pytest.mark.parametrize(
    "arguments", [[], ["nonsense"], ["summary"], ["predict", "m.fastconv"], ["demo", "--epochs", "x"]]
)
def test_usage(capsys, arguments):
    with pytest.raises(SystemExit) as stopped:
        cli.main(arguments)
    assert stopped.value.code == 2 and "usage: fastconv" in capsys.readouterr().err


def test_predict_is_what_the_model_says(capsys, folder):
    pixels = picture(folder / "a.png")
    model = models.load_model(folder / "m.fastconv")
    scores = model.predict(pixels[None, ..., None] * np.float32(1 / 255), verbose=0)[0]
    best = int(scores.argmax())
    path = folder / "a.png"
    status, out, err = run(capsys, "predict", folder / "m.fastconv", path, path, "--top", 1)
    assert status == 0 and err == "" and out == f"{path}: {best} {scores[best]:.3f}\n" * 2
    status, out, _ = run(capsys, "predict", folder / "m.fastconv", path, "--classes", folder / "names")
    assert status == 0 and out.startswith(f"{path}: {('cat', 'dog', 'owl')[best]} ") and out.count(", ") == 2


def test_predict_resizes_as_the_data_set_for_training_does(capsys, folder):
    from fastconv.cli.predict import Preparation, open_classifier
    from fastconv.utils import image_dataset_from_directory

    (folder / "set").mkdir()
    picture(folder / "set" / "large.png", size=(21, 13))
    kwargs = {"labels": None, "color_mode": "grayscale", "image_size": (8, 8), "shuffle": False}
    (batch,) = image_dataset_from_directory(folder / "set", **kwargs)
    path = str(folder / "set" / "large.png")
    args = cli.parser().parse_args(["predict", str(folder / "m.fastconv"), path, "--scale", "1"])
    np.testing.assert_array_equal(Preparation(open_classifier(args.file), args)(path), batch[0])


def bomb(path):
    """Write a PNG of 60,000 x 60,000 pixels, in a hundred bytes."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 60000, 60000, 8, 0, 0, 0, 0))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(bytes(9))) + chunk(b"IEND", b""))


def test_predict_of_bad_pictures(capsys, folder):
    picture(folder / "good.png")
    bomb(folder / "bomb.png")
    for name in ("text.png", "bomb.png", "."):
        assert "Pillow" in fails(capsys, "predict", folder / "m.fastconv", folder / "good.png", folder / name)
    assert "No such file" in fails(capsys, "predict", folder / "m.fastconv", folder / "none.png")


@pytest.mark.parametrize(
    ("file", "extra", "message"),
    [
        ("vectors.fastconv", (), "no batch of pictures"),
        ("inputs.fastconv", (), "no batch of pictures"),
        ("two.fastconv", (), "gives outputs of shapes [(None, 64), (None, 64)]"),
        ("unbuilt.fastconv", (), "no input shape yet"),
        ("cut.fastconv", (), "truncated"),
        ("m.fastconv", ("--top", 0), "--top"),
        ("m.fastconv", ("--scale", "nan"), "--scale"),
        ("m.fastconv", ("--classes", "few"), "names 1 classes, the model has 3"),
        ("m.fastconv", ("--classes", "binary"), "no UTF-8"),
        ("m.fastconv", ("--classes", "none"), "No such file"),
    ],
)
def test_predict_refuses(capsys, folder, file, extra, message):
    picture(folder / "p.png")
    extra = [folder / value if option == "--classes" else value for option, value in zip([None, *extra], extra)]  # noqa: B905
    assert message in fails(capsys, "predict", folder / file, folder / "p.png", *extra)


def test_predict_without_pillow(capsys, folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "PIL", None)
    assert "pip install 'fastconv[image]'" in fails(capsys, "predict", folder / "m.fastconv", folder / "p.png")


def test_demo_refuses_before_it_trains(capsys, folder):
    assert "--epochs" in fails(capsys, "demo", "--epochs", "0")
    assert "make it first" in fails(capsys, "demo", "--out", folder / "none" / "m.fastconv")
    assert "'.fastconv'" in fails(capsys, "demo", "--out", folder / "m.keras")


def test_demo(folder):
    """In a process of its own: the demo starts another one, which loads what the first has saved."""
    out = folder / "digits.fastconv"
    command = [sys.executable, "-m", "fastconv.cli", "demo", "--epochs", "1", "--out", str(out)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "1437 real handwritten digits" in done.stdout and "bit for bit" in done.stdout
    assert models.load_model(out).output_shape == (None, 10)


@pytest.mark.skipif(os.name != "posix", reason="needs pipes that close")
def test_a_closed_pipe_is_no_error_message(folder):
    read, write = os.pipe()
    os.close(read)
    command = [sys.executable, "-m", "fastconv.cli", "summary", str(folder / "m.fastconv")]
    done = subprocess.run(command, stdout=write, stderr=subprocess.PIPE, text=True)
    os.close(write)
    assert done.returncode == 1 and done.stderr == ""
