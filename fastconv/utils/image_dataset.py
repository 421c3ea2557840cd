"""Batches of images from a folder of image files."""

import os

import numpy as np

from ..config import next_seed
from ..errors import ArgumentError
from . import _images

_SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".png")


class ImageDataset:
    """Batches of images that are read from their files as they are asked for. Every ``iter()`` starts a new epoch.

    Attributes
    ----------
    class_names : list of str or None
    file_paths : list of str
    batch_size : int or None
        None: single samples, without a batch axis.
    """

    def __init__(self, file_paths, labels, class_names, batch_size, shuffle_seed, channels_first, **image):
        self.file_paths, self.class_names, self.batch_size = file_paths, class_names, batch_size
        self._labels, self._image, self._channels_first = labels, image, channels_first
        self._seed, self._epoch = shuffle_seed, 0

    def __len__(self):
        """Return the number of batches of an epoch; the last may be smaller."""
        return -(-len(self.file_paths) // (self.batch_size or 1))

    def __repr__(self):
        return f"<ImageDataset: {len(self.file_paths)} images, {len(self)} batches>"

    def __iter__(self):
        # Drawn when the epoch begins, not at the first batch: two iterators have orders of their own.
        order = np.arange(len(self.file_paths))
        if self._seed is not None:
            np.random.default_rng([self._seed, self._epoch]).shuffle(order)
        self._epoch += 1
        return self._batches(order)

    def _batches(self, order):
        if self.batch_size is None:
            for i in order:
                yield self._sample(self._load(i), i)
            return
        for start in range(0, len(order), self.batch_size):
            part = order[start : start + self.batch_size]
            yield self._sample(np.stack([self._load(i) for i in part]), part)

    def _load(self, i):
        image = _images.load_image(self.file_paths[i], **self._image)
        return np.ascontiguousarray(image.transpose(2, 0, 1)) if self._channels_first else image

    def _sample(self, images, which):
        return images if self._labels is None else (images, self._labels[which])


def image_dataset_from_directory(
    directory,
    labels="inferred",
    label_mode="int",
    class_names=None,
    color_mode="rgb",
    batch_size=32,
    image_size=(256, 256),
    shuffle=True,
    seed=None,
    validation_split=None,
    subset=None,
    interpolation="bilinear",
    follow_links=False,
    crop_to_aspect_ratio=False,
    pad_to_aspect_ratio=False,
    data_format=None,
    verbose=True,
):
    """Make a data set of the image files (.bmp .gif .jpeg .jpg .png) below a folder. Needs Pillow.

    Parameters
    ----------
    directory : str or os.PathLike
        With inferred labels, a folder with a subfolder for each class.
    labels : "inferred", None, or sequence of int
        From the subfolders; none; or one for each file, in the sorted order of their paths.
    label_mode : {"int", "categorical", "binary", None}
        Labels int32 (n,); one-hot float32 (n, classes); float32 (n, 1) of two classes; none.
    class_names : sequence of str, optional
        With inferred labels: the subfolders to use, in the order of their numbers. All, sorted, if left out.
    color_mode : {"rgb", "rgba", "grayscale"}
    batch_size : int or None
        None gives single samples.
    image_size : (height, width) or int
    shuffle : bool
        A new order each epoch. False: sorted by path.
    seed : int, optional
        Makes the orders repeat. Required to split a shuffled folder, so that the parts do not overlap. Left out, it
        comes from `set_random_seed`'s sequence.
    validation_split : float between 0 and 1, optional
        The share of files that are kept for validation.
    subset : {"training", "validation", "both", None}
        Which part to return, with `validation_split`.
    interpolation : {"bilinear", "nearest", "bicubic", "area", "lanczos3"}
    follow_links : bool
        Whether to enter folders that are symbolic links.
    crop_to_aspect_ratio, pad_to_aspect_ratio : bool
        Keep the ratio of sides: cut to the middle, or pad with zeros. Otherwise images are stretched.
    data_format : {"channels_last", "channels_first", None}
        None is "channels_last".
    verbose : bool
        Print what was found.

    Returns
    -------
    dataset : ImageDataset, or [ImageDataset, ImageDataset] for ``subset="both"``
        Iterable again and again, with ``len()``, `class_names` and `file_paths`. It yields (images, labels), or images
        alone where there are no labels; images float32 (n, height, width, channels), 0 to 255.

    Raises
    ------
    ArgumentError
        Also a ValueError: an argument out of its range, labels that do not match the files, no images.
    FileNotFoundError, NotADirectoryError
        No such folder.
    ImportError
        Pillow is not installed.
    DataFormatError
        While iterating: a file is no image.

    Examples
    --------
    >>> from fastconv.utils import image_dataset_from_directory
    >>> train, test = image_dataset_from_directory(
    ...     "flowers", image_size=(64, 64), validation_split=0.2, subset="both", seed=1)      # doctest: +SKIP
    >>> train.class_names                                                                     # doctest: +SKIP
    ['daisy', 'rose']
    """
    _images.pillow()
    height_width = _check_size(image_size)
    _check_choice("label_mode", label_mode, ("int", "categorical", "binary", None))
    _check_choice("color_mode", color_mode, tuple(_images.MODES))
    _check_choice("interpolation", interpolation, _images.INTERPOLATIONS)
    _check_choice("data_format", data_format, ("channels_last", "channels_first", None))
    if batch_size is not None and (isinstance(batch_size, bool) or not isinstance(batch_size, int) or batch_size < 1):
        raise ArgumentError(f"batch_size must be an integer >= 1 or None, got {batch_size!r}")
    if crop_to_aspect_ratio and pad_to_aspect_ratio:
        raise ArgumentError("only one of crop_to_aspect_ratio and pad_to_aspect_ratio can be True")
    if seed is not None and (isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < 2**32):
        raise ArgumentError(f"seed must be an integer from 0 to 2**32 - 1, got {seed!r}")
    _check_split(validation_split, subset, shuffle, seed)
    if labels is None or label_mode is None:
        # Folders then mean nothing, as in Keras, except that inferred classes still choose which of them are read.
        label_mode = None
    seed = next_seed() % 2**32 if seed is None else seed

    paths, numbers, class_names = _index(os.fspath(directory), labels, class_names, follow_links)
    if not paths:
        raise ArgumentError(f"no images ({' '.join(_SUFFIXES)}) found in {os.fspath(directory)!r}")
    if label_mode == "binary" and len(class_names) != 2:
        raise ArgumentError(f"label_mode='binary' needs exactly 2 classes, got {len(class_names)}: {class_names}")
    if verbose:
        print(f"Found {len(paths)} files" + (f" belonging to {len(class_names)} classes." if class_names else "."))

    order = np.arange(len(paths))
    if shuffle:
        # Keras's own order for this seed, so that its split of a folder is the same here.
        np.random.RandomState(seed).shuffle(order)
    encoded = None if label_mode is None else _encode(numbers, label_mode, class_names)

    def make(part, shuffled):
        return ImageDataset(
            [paths[i] for i in part],
            None if encoded is None else encoded[part],
            class_names,
            batch_size,
            seed if shuffled else None,
            data_format == "channels_first",
            color_mode=color_mode,
            size=height_width,
            interpolation=interpolation,
            fit="crop" if crop_to_aspect_ratio else "pad" if pad_to_aspect_ratio else "stretch",
        )

    if subset is None:
        return make(order, shuffle)
    n = int(validation_split * len(paths))
    if not 0 < n < len(paths):
        raise ArgumentError(f"validation_split={validation_split} of {len(paths)} files leaves one part empty")
    if verbose:
        print(f"Using {len(paths) - n} files for training, {n} for validation.")
    if subset == "both":
        return [make(order[:-n], shuffle), make(order[-n:], False)]
    return make(order[:-n] if subset == "training" else order[-n:], shuffle)


def _check_choice(name, value, choices):
    if value not in choices:
        raise ArgumentError(f"{name} must be one of {', '.join(map(repr, choices))}, got {value!r}")


def _check_size(size):
    pair = (size, size) if isinstance(size, int) else size
    if not isinstance(pair, (tuple, list)) or len(pair) != 2 or any(type(n) is not int or n < 1 for n in pair):
        raise ArgumentError(f"image_size must be (height, width), two integers >= 1, got {size!r}")
    return tuple(pair)


def _check_split(validation_split, subset, shuffle, seed):
    if validation_split is not None and not 0 < validation_split < 1:
        raise ArgumentError(f"validation_split must be between 0 and 1, got {validation_split!r}")
    _check_choice("subset", subset, ("training", "validation", "both", None))
    if (validation_split is None) != (subset is None):
        raise ArgumentError("validation_split and subset must be given together, or neither")
    if validation_split is not None and shuffle and seed is None:
        raise ArgumentError("seed must be given to split a shuffled folder, or training and validation could overlap")


def _index(directory, labels, class_names, follow_links):
    """Return the paths of all images, sorted, their class numbers, and the names of the classes."""
    if labels is None or not isinstance(labels, str):
        if class_names is not None:
            raise ArgumentError("class_names can only be given with labels='inferred'")
        paths = _walk(directory, follow_links)
        if labels is None:
            return paths, None, None
        return paths, *_given(labels, len(paths), directory)
    if labels != "inferred":
        raise ArgumentError(f"labels must be 'inferred', None or a sequence of integers, got {labels!r}")
    with os.scandir(directory) as entries:
        folders = sorted(entry.name for entry in entries if entry.is_dir() and not entry.name.startswith("."))
    if class_names is not None:
        if len(set(class_names)) != len(class_names) or not set(class_names) <= set(folders):
            raise ArgumentError(f"class_names must be among the subfolders {folders}, each once, got {class_names}")
        folders = list(class_names)
    paths, numbers = [], []
    for number, folder in enumerate(folders):
        found = _walk(os.path.join(directory, folder), follow_links)
        paths += found
        numbers += [number] * len(found)
    return paths, np.array(numbers, np.int32), folders


def _walk(directory, follow_links):
    if not os.path.isdir(directory):
        os.listdir(directory)  # raises the FileNotFoundError or NotADirectoryError that os.walk would swallow
    walked = sorted(os.walk(directory, followlinks=follow_links), key=lambda row: row[0])
    return [os.path.join(root, name) for root, _, names in walked for name in sorted(names) if _is_image(name)]


def _is_image(name):
    return name.lower().endswith(_SUFFIXES)


def _given(labels, n, directory):
    """Check labels that the caller gave for `n` files."""
    try:
        numbers = np.asarray(labels)
    except ValueError as error:
        raise ArgumentError(f"labels must be a flat sequence of integers: {error}") from error
    if numbers.ndim != 1 or numbers.dtype.kind not in "iu":
        raise ArgumentError(f"labels must be a flat sequence of integers, got {numbers.dtype} of shape {numbers.shape}")
    if len(numbers) != n:
        raise ArgumentError(f"labels has {len(numbers)} entries for {n} files in {directory!r}")
    return numbers.astype(np.int32), [str(number) for number in sorted(set(numbers.tolist()))]


def _encode(numbers, label_mode, class_names):
    if label_mode == "int":
        return numbers
    if numbers.min() < 0 or numbers.max() >= len(class_names):
        raise ArgumentError(f"labels must be from 0 to {len(class_names) - 1} for label_mode={label_mode!r}")
    if label_mode == "binary":
        return numbers.astype(np.float32).reshape(-1, 1)
    return np.eye(len(class_names), dtype=np.float32)[numbers]
