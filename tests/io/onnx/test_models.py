"""Other people's networks, on real data where there are: what ONNX Runtime computes, and what the networks are good for.

The files are not part of the project; FASTCONV_TEST_DATA names a folder that has them.
"""

import csv

import numpy as np
import pytest

import fastconv
from fastconv.datasets import cifar10, mnist
from fastconv.errors import UnsupportedOpError
from fastconv.io.onnx.operators.detection import suppress

# File -> the sizes of dimensions that it leaves open, for each run.
MODELS = {
    "hls4ml-examples/conv1d_small_keras": [()],
    "mnist_cntk/mnist": [()],
    "ppocr/ch_PP-OCRv2_det_infer": [(1, 320, 320), (2, 192, 256)],
    "squeezenet1.1/squeezenet1.1": [(1,), (3,)],
    "stateful-cnn/HAR-CNN": [(1,), (5,)],
    "stateful-cnn/KWS-DNN_S": [()],
    "stateful-cnn/squeezenet_cifar10": [(1,), (5,)],
    "super_resolution/super_resolution": [(1,), (2,)],
    "ultraface/version-RFB-320": [()],
    "ultraface/version-RFB-320_simplified": [()],
    "yolox-nano/yolox_nano": [()],
    "yunet/yunet_n_320_320": [()],
    "yunet/yunet_n_dynamic": [(1, 320, 320), (2, 224, 160)],
}
BOXES = {"yolox-nano/yolox_nano"}  # the exponential of what the network says: rounding grows with the size of boxes


def both(real, name):
    """Return sessions of a model, of fastconv and of ONNX Runtime."""
    onnxruntime = pytest.importorskip("onnxruntime", reason="ONNX Runtime is not installed (pip install onnxruntime)")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 4
    path = str(real(f"models/{name}.onnx"))
    return fastconv.InferenceSession(path), onnxruntime.InferenceSession(path, options)


@pytest.mark.parametrize("name", MODELS)
def test_outputs_are_those_of_onnxruntime(real, name):
    ours, theirs = both(real, name)
    for sizes in MODELS[name]:
        rng, feed = np.random.default_rng(0), {}
        for argument in theirs.get_inputs():
            given = iter(sizes)
            shape = [n if isinstance(n, int) else next(given) for n in argument.shape]
            assert list(given) == []
            feed[argument.name] = rng.standard_normal(shape).astype(np.float32)
        assert [argument.name for argument in ours.get_inputs()] == list(feed)
        wanted = theirs.run(None, feed)
        for got, expected in zip(ours.run(None, feed), wanted, strict=True):
            assert got.shape == expected.shape and got.dtype == expected.dtype
            tolerance = 1e-3 if name in BOXES else 1e-4
            # ONNX Runtime's sigmoid of a large negative number is off by 1e-7.
            largest = np.clip(np.abs(expected).max(), 1e-2, 1)
            np.testing.assert_allclose(got, expected, rtol=tolerance, atol=tolerance * largest)


@pytest.mark.parametrize("name", [name for name in MODELS if not name.startswith("ppocr")])
def test_a_model_takes_any_number_of_samples(real, name):
    """Many files are made for a batch of 1, and some of their networks would make one result of several samples."""
    path, sizes = real(f"models/{name}.onnx"), MODELS[name][0][1:]
    model = fastconv.onnx.load(path, input_shape=(None, 3, *sizes) if sizes else None)
    x = np.random.default_rng(0).standard_normal((3, *model.input_shape[1:])).astype(np.float32)
    session = fastconv.InferenceSession(path)
    names = [argument.name for argument in session.get_inputs()]
    alone = [session.run(None, {names[0]: x[i : i + 1]}) for i in range(3)]
    found = model.predict(x, verbose=0)
    for i, y in enumerate(found if isinstance(found, list) else [found]):
        np.testing.assert_array_equal(y, np.concatenate([results[i] for results in alone]))


@pytest.mark.parametrize("name", ["separable_conv_model_ch_last", "tiny_unet_ch_last"])
def test_operators_of_other_tools_are_named(real, name):
    with pytest.raises(UnsupportedOpError, match=r"qonnx.custom_op.channels_last Conv .*'Conv_0'") as caught:
        fastconv.InferenceSession(real(f"models/hls4ml-examples/{name}.onnx"))
    assert "qonnx.custom_op.general Quant" in str(caught.value)


# ---- what they are good for


@pytest.fixture
def pil():
    """Pillow's module Image."""
    return pytest.importorskip("PIL.Image", reason="Pillow is not installed (pip install Pillow)")


def normalised(image):
    """Return an image (3, H, W) with the mean and deviation of ImageNet's."""
    mean, deviation = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    return ((np.asarray(image, np.float32) / 255 - mean) / deviation).astype(np.float32).transpose(2, 0, 1)


def imagenet_input(image):
    """Return a photo as networks trained on ImageNet take it: the short side 256, the centre, normalised; (3, 224, 224)."""
    scale = 256 / min(image.size)
    image = image.resize([round(n * scale) for n in image.size], 2)
    left, top = ((n - 224) // 2 for n in image.size)
    return normalised(image.crop((left, top, left + 224, top + 224)))


def test_squeezenet_sees_a_samoyed(real, pil):
    session = fastconv.InferenceSession(real("models/squeezenet1.1/squeezenet1.1.onnx"))
    scores = session.run(None, {"data": imagenet_input(pil.open(real("images/dog.jpg")))[None]})[0]
    assert scores.argmax() == 258


def test_squeezenet_tells_photos_apart_as_onnxruntime_does(real, pil):
    ours, theirs = both(real, "squeezenet1.1/squeezenet1.1")
    folder = real("images/imagenet-50")
    with open(folder / "labels.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    images = np.stack([imagenet_input(pil.open(folder / row["file"]).convert("RGB")) for row in rows])
    classes = ours.run(None, {"data": images})[0].argmax(-1)
    np.testing.assert_array_equal(classes, theirs.run(None, {"data": images})[0].argmax(-1))
    right = np.mean(classes == [int(row["class_index"]) for row in rows])
    assert len(rows) == 50 and right > 0.55  # 61.4 % of 1,000 photos, of which these are every 20th


def test_mnist(real):
    session = fastconv.InferenceSession(real("models/mnist_cntk/mnist.onnx"))
    (name,) = (argument.name for argument in session.get_inputs())
    images, labels = mnist.load_data(real("mnist"))[1]
    images = images.astype(np.float32).reshape(-1, 1, 1, 28, 28)  # the network takes one image at a time
    classes = [session.run(None, {name: image})[0].argmax() for image in images]
    assert round(np.mean(classes == labels), 4) == 0.9891


def test_squeezenet_of_small_images(real):
    session = fastconv.InferenceSession(real("models/stateful-cnn/squeezenet_cifar10.onnx"))
    (name,) = (argument.name for argument in session.get_inputs())
    images, labels = (part[:2000] for part in cifar10.load_data(real("cifar-10-batches-py"))[1])
    batches = np.split((images / 255).astype(np.float32), 20)
    classes = np.concatenate([session.run(None, {name: batch})[0] for batch in batches]).reshape(2000, -1).argmax(-1)
    assert round(np.mean(classes == labels.ravel()), 3) == 0.778


def faces(session, image):
    """Return the boxes that UltraFace finds in an image (240, 320, 3), best first."""
    pixels = ((image.astype(np.float32) - 127) / 128).transpose(2, 0, 1)[None]
    scores, boxes = (output[0] for output in session.run(["scores", "boxes"], {"input": pixels}))
    likely = scores[:, 1] > 0.7
    boxes, scores = boxes[likely], scores[likely, 1]
    return boxes[suppress(boxes, scores, 200, 0.3)]


def test_faces_are_found(real, pil):
    ours, theirs = both(real, "ultraface/version-RFB-320")
    paths = sorted(real("images/faces").glob("*.jpg"))
    for path in paths:
        image = np.asarray(pil.open(path).convert("RGB").resize((320, 240)))
        found = faces(ours, image)
        assert len(found) >= 1
        np.testing.assert_allclose(found, faces(theirs, image), rtol=1e-3, atol=1e-4)
    assert len(paths) == 6


def test_text_is_found(real, pil):
    from PIL import ImageDraw

    ours, theirs = both(real, "ppocr/ch_PP-OCRv2_det_infer")
    words = pil.new("RGB", (160, 96), "white")
    ImageDraw.Draw(words).text((20, 30), "FAST CONV 2026", "black")
    x = normalised(words.resize((480, 288)))[None]
    (found,), (wanted,) = ours.run(None, {"x": x}), theirs.run(None, {"x": x})
    np.testing.assert_allclose(found, wanted, rtol=1e-3, atol=1e-4)
    assert 0.01 < np.mean(found > 0.3) < 0.3
