"""Image folders: Keras's conventions, resizing, and refusals."""

import sys

import numpy as np
import pytest

from fastconv.errors import ArgumentError
from fastconv.storage import DataFormatError
from fastconv.utils import _images, image_dataset_from_directory

Image = pytest.importorskip("PIL.Image")
SIZE = (6, 5)


@pytest.fixture
def folder(tmp_path):
    """Three classes of 4, 3 and 2 images; the red value of an image is its number in sorted order."""
    number = 0
    for name, suffixes in (("cat", "png bmp PNG gif"), ("dog", "png png png"), ("emu", "png bmp")):
        (tmp_path / name).mkdir()
        for i, suffix in enumerate(suffixes.split()):
            pixels = np.zeros((*SIZE, 3), np.uint8)
            pixels[..., 0], pixels[..., 1] = 10 * number, 7
            Image.fromarray(pixels).save(tmp_path / name / f"{i}.{suffix}")
            number += 1
    (tmp_path / "cat" / "notes.txt").write_text("not an image")
    (tmp_path / ".hidden").mkdir()
    return tmp_path


def load(folder, **options):
    return image_dataset_from_directory(folder, **{"image_size": SIZE, "verbose": False, **options})


def numbers(dataset):
    return [round(float(value) / 10) for images, *_ in dataset for value in images[:, 0, 0, 0]]


def test_batches(folder):
    dataset = load(folder, shuffle=False, batch_size=4)
    assert dataset.class_names == ["cat", "dog", "emu"] and len(dataset) == 3 and len(dataset.file_paths) == 9
    for _ in range(2):
        batches = list(dataset)
        assert [images.shape for images, _ in batches] == [(4, 6, 5, 3), (4, 6, 5, 3), (1, 6, 5, 3)]
        assert all(images.dtype == np.float32 and labels.dtype == np.int32 for images, labels in batches)
        assert np.concatenate([labels for _, labels in batches]).tolist() == [0, 0, 0, 0, 1, 1, 1, 2, 2]
        assert numbers(batches) == list(range(9))


def test_labels_belong_to_their_images(folder):
    for images, labels in load(folder, seed=3, batch_size=2):
        expected = [[0, 0, 0, 0, 1, 1, 1, 2, 2][round(float(image[0, 0, 0]) / 10)] for image in images]
        assert labels.tolist() == expected


def test_shuffling(folder):
    a, b = load(folder, seed=1), load(folder, seed=1)
    first, second = numbers(a), numbers(a)
    assert first != second and sorted(first) == sorted(second) == list(range(9))
    assert [numbers(b), numbers(b)] == [first, second]
    assert numbers(load(folder, seed=2)) != first


def test_seed_comes_from_set_random_seed(folder):
    from fastconv.utils import set_random_seed

    orders = []
    for seed in (5, 5, 6):
        set_random_seed(seed)
        orders.append(numbers(load(folder)))
    assert orders[0] == orders[1] != orders[2]


def test_split_is_that_of_keras(folder):
    everything = load(folder, shuffle=False).file_paths
    train, test = load(folder, seed=9, validation_split=0.3, subset="both")
    paths = list(everything)
    np.random.RandomState(9).shuffle(paths)
    assert train.file_paths == paths[:-2] and test.file_paths == paths[-2:]
    assert load(folder, seed=9, validation_split=0.3, subset="training").file_paths == train.file_paths
    assert load(folder, seed=9, validation_split=0.3, subset="validation").file_paths == test.file_paths
    assert train.class_names == test.class_names == ["cat", "dog", "emu"]


def test_label_modes(folder):
    ((_, labels),) = load(folder, shuffle=False, label_mode="categorical")
    np.testing.assert_array_equal(labels, np.eye(3)[[0, 0, 0, 0, 1, 1, 1, 2, 2]])
    assert labels.dtype == np.float32
    dataset = load(folder, shuffle=False, label_mode="binary", class_names=["emu", "dog"])
    ((_, labels),) = dataset
    assert labels.tolist() == [[0], [0], [1], [1], [1]] and labels.dtype == np.float32
    assert dataset.class_names == ["emu", "dog"]
    for options in ({"label_mode": None}, {"labels": None}):
        (images,) = load(folder, shuffle=False, **options)
        assert images.shape == (9, 6, 5, 3)


def test_given_labels(folder):
    given = [5, 4, 3, 2, 1, 0, 1, 2, 3]
    dataset = load(folder, shuffle=False, labels=given)
    ((_, labels),) = dataset
    assert labels.tolist() == given and dataset.class_names == list("012345")


def test_single_samples(folder):
    samples = list(load(folder, shuffle=False, batch_size=None))
    assert len(samples) == 9 and samples[0][0].shape == (6, 5, 3) and samples[8][1] == 2


def test_channels(folder):
    for mode, channels in (("grayscale", 1), ("rgb", 3), ("rgba", 4)):
        ((images, _),) = load(folder, color_mode=mode)
        assert images.shape == (9, 6, 5, channels)
    ((images, _),) = load(folder, data_format="channels_first")
    assert images.shape == (9, 3, 6, 5) and (images[:, 1] == 7).all()


def test_message(folder, capsys):
    load(folder, verbose=True, validation_split=0.5, subset="training", seed=0)
    assert capsys.readouterr().out == (
        "Found 9 files belonging to 3 classes.\nUsing 5 files for training, 4 for validation.\n"
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"label_mode": "float"}, "label_mode"),
        ({"label_mode": "binary"}, "exactly 2"),
        ({"labels": "guess"}, "labels"),
        ({"labels": [1, 2]}, "2 entries for 9 files"),
        ({"labels": [0.5] * 9}, "integers"),
        ({"labels": [[1], [1, 2]]}, "flat"),
        ({"labels": [0] * 8 + [7], "label_mode": "categorical"}, "from 0 to 1"),
        ({"labels": None, "class_names": ["cat"]}, "class_names"),
        ({"class_names": ["cow"]}, "cow"),
        ({"class_names": ["cat", "cat"]}, "once"),
        ({"color_mode": "bgr"}, "color_mode"),
        ({"batch_size": 0}, "batch_size"),
        ({"batch_size": 2.0}, "batch_size"),
        ({"image_size": (0, 4)}, "image_size"),
        ({"image_size": "big"}, "image_size"),
        ({"interpolation": "sinc"}, "interpolation"),
        ({"data_format": "NHWC"}, "data_format"),
        ({"seed": -1}, "seed"),
        ({"validation_split": 0.5}, "together"),
        ({"subset": "training"}, "together"),
        ({"validation_split": 1.5, "subset": "training", "seed": 1}, "between 0 and 1"),
        ({"validation_split": 0.5, "subset": "test", "seed": 1}, "subset"),
        ({"validation_split": 0.5, "subset": "training"}, "seed"),
        ({"validation_split": 0.01, "subset": "training", "seed": 1}, "empty"),
        ({"crop_to_aspect_ratio": True, "pad_to_aspect_ratio": True}, "only one"),
    ],
)
def test_refusals(folder, options, message):
    with pytest.raises(ArgumentError, match=message):
        load(folder, **options)


def test_folders_that_do_not_serve(tmp_path):
    with pytest.raises(FileNotFoundError):
        load(tmp_path / "nothing")
    with pytest.raises(FileNotFoundError):
        load(tmp_path / "nothing", labels=None)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ArgumentError, match="no images"):
        load(tmp_path)


def test_file_that_is_no_image(folder):
    (folder / "cat" / "bad.png").write_bytes(b"not a PNG")
    with pytest.raises(DataFormatError, match="bad.png"):
        list(load(folder))


def test_image_that_claims_to_be_huge(folder, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    with pytest.raises(DataFormatError, match="bomb"):
        list(load(folder))


def test_without_pillow(folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(ImportError, match=r"fastconv\[image\]"):
        load(folder)


def test_sixteen_bits_keep_their_upper_byte(tmp_path):
    values = np.array([[0, 255, 256], [40000, 65279, 65535]], np.uint16)
    Image.fromarray(values).save(tmp_path / "a.png")
    image = _images.load_image(tmp_path / "a.png", "grayscale", (2, 3), "bilinear", "stretch")
    np.testing.assert_array_equal(image[..., 0], values >> 8)


def test_bilinear_samples_pixel_centres():
    row = np.array([[0, 100]], np.uint8)[..., None]
    np.testing.assert_allclose(_images.resize(row, (1, 4), "bilinear")[0, :, 0], [0, 25, 75, 100])
    long = np.arange(0, 80, 10, dtype=np.uint8)[None, :, None]
    np.testing.assert_allclose(_images.resize(long, (1, 2), "bilinear")[0, :, 0], [15, 55])  # no smoothing
    np.testing.assert_allclose(_images.resize(long, (2, 2), "nearest")[..., 0], [[20, 60]] * 2)


@pytest.mark.parametrize("interpolation", _images.INTERPOLATIONS)
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_every_interpolation(interpolation, channels):
    flat = np.full((9, 7, channels), 50, np.uint8)
    resized = _images.resize(flat, (4, 11), interpolation)
    assert resized.shape == (4, 11, channels) and resized.dtype == np.float32
    np.testing.assert_allclose(resized, 50, rtol=1e-6)


def test_bilinear_agrees_with_torch():
    torch = pytest.importorskip("torch")
    image = np.random.default_rng(0).integers(0, 256, (13, 9, 3), np.uint8)
    x = torch.from_numpy(image.astype(np.float32)).permute(2, 0, 1)[None]
    for size in ((7, 20), (30, 4), (13, 9)):
        expected = torch.nn.functional.interpolate(x, size, mode="bilinear", align_corners=False)[0].permute(1, 2, 0)
        np.testing.assert_allclose(_images.resize(image, size, "bilinear"), expected.numpy(), atol=1e-3)


def test_ratio_of_sides(tmp_path):
    pixels = np.zeros((4, 8, 3), np.uint8)
    pixels[:, 2:6] = 200
    Image.fromarray(pixels).save(tmp_path / "a.png")
    cropped = _images.load_image(tmp_path / "a.png", "rgb", (4, 4), "nearest", "crop")
    assert (cropped == 200).all()
    padded = _images.load_image(tmp_path / "a.png", "rgb", (8, 8), "nearest", "pad")
    assert not padded[:2].any() and not padded[6:].any() and (padded[2:6, 2:6] == 200).all()
    stretched = _images.load_image(tmp_path / "a.png", "rgb", (4, 4), "nearest", "stretch")
    assert stretched[:, 1:3].all() and not stretched[:, 0].any()
