"""From what a user hands to `fit`, `evaluate` and `predict` to batches of NumPy arrays.

    arrays, lists or dicts of arrays       -> ArrayData    gathered batch by batch into buffers that are used again
    generators, data sets, PyDataset-likes -> StreamData   batches as they come
    Epochs                                 -> walks over either, `steps_per_epoch` batches at a time

Nothing here casts a whole array: a batch keeps the type of its source, and the program casts it as it reads it.
"""

import warnings
from typing import NamedTuple

import numpy as np

from .. import config
from ..autograd import Tensor
from ..errors import ArgumentError, DTypeError, ShapeError

DEFAULT_BATCH_SIZE = 32
RAN_OUT = (
    "the data ran out after {seen} of {steps} steps; the epoch ends here. Make sure that the iterator yields at least "
    "steps_per_epoch * epochs batches"
)


class Batch(NamedTuple):
    """Arrays of one step: one per input, one per output, one weight per output; `y` and `sample_weight` may be None."""

    x: list
    y: list | None
    sample_weight: list | None

    @property
    def size(self):
        """Number of samples."""
        return len(self.x[0])


# ---- arrays out of whatever was given


def as_array(value, name):
    """Return a numeric array with a batch axis, sharing memory where possible.

    Raises
    ------
    DTypeError, ShapeError
        Naming the argument `name`.
    """
    if isinstance(value, Tensor):
        value = value.numpy()
    try:
        array = np.asarray(value)
    except (ValueError, TypeError) as error:
        raise DTypeError(f"{name} must be an array of numbers: {error}") from error
    if callable(value) and array.dtype == object:
        raise DTypeError(f"{name} must be an array or yield batches, got the function {value!r}: call it")
    if array.dtype.kind not in "biuf":
        raise DTypeError(f"{name} must hold booleans, integers or floats, got dtype {array.dtype}; convert it first")
    if array.ndim == 0:
        raise ShapeError(f"{name} must be an array whose first axis counts samples, got the single value {array!r}")
    return array


def to_list(value, names, what):
    """Return a list of arrays, one for each of `names`, from one array, a list or tuple of them, or a dict by name.

    Parameters
    ----------
    value : array_like, list, tuple or dict
    names : list of str or None
        Inputs or outputs of the model; None where it does not say (any number then).
    what : str
        "x", "y" or "sample_weight", for messages.
    """
    if isinstance(value, dict):
        order = list(value) if names is None else names
        if set(order) != set(value):
            raise ArgumentError(f"{what} must have the keys {sorted(order)}, got {sorted(map(str, value))}")
        return [as_array(value[name], f"{what}[{name!r}]") for name in order]
    several = isinstance(value, (list, tuple)) and len(value) > 0 and all(getattr(item, "shape", ()) for item in value)
    if names is not None and len(names) > 1 or (several and (names is None or len(value) == 1)):
        if not isinstance(value, (list, tuple)) or (names is not None and len(value) != len(names)):
            count = f"{len(value)} arrays" if isinstance(value, (list, tuple)) else "one array"
            raise ArgumentError(f"{what} must be a list of {len(names)} arrays ({', '.join(names)}), got {count}")
        return [as_array(item, f"{what}[{i}]") for i, item in enumerate(value)]
    return [as_array(value, what)]


def class_weight_of(labels, class_weight):
    """Return the weight of every sample, float32 (N,), from a dict class -> weight; classes not named weigh 1.

    Labels are integers (N,) or (N, 1), or one-hot (N, classes).
    """
    if not isinstance(class_weight, dict):
        raise ArgumentError(f"class_weight must be a dict of class -> weight, got {type(class_weight).__name__}")
    if labels.ndim == 2 and labels.shape[1] > 1:
        labels = labels.argmax(axis=1)
    if labels.size != len(labels):
        raise ShapeError(f"class_weight needs one label per sample, got labels of shape {labels.shape}")
    labels = labels.reshape(-1)
    weights = np.ones(len(labels), np.float32)
    for label, weight in class_weight.items():
        if not _is_number(label) or not _is_number(weight) or not np.isfinite(weight):
            raise ArgumentError(
                f"class_weight must be a dict of class number -> finite weight, got the entry {label!r}: {weight!r}"
            )
        weights[labels == label] = weight
    return weights


def _is_number(value):
    return isinstance(value, (int, float, np.number)) and not isinstance(value, bool)


def make_batch(x, y, sample_weight, class_weight, input_names, output_names):
    """Return a `Batch` of checked arrays (of the whole data set, or of one batch of a stream)."""
    x = to_list(x, input_names, "x")
    y = None if y is None else to_list(y, output_names, "y")
    weights = None
    if sample_weight is not None:
        if y is None:
            raise ArgumentError("sample_weight was given without y")
        one_for_all = len(y) > 1 and not isinstance(sample_weight, (dict, list, tuple))
        weights = (
            [as_array(sample_weight, "sample_weight")] * len(y)
            if one_for_all
            else to_list(sample_weight, output_names, "sample_weight")
        )
        for weight in weights:
            if not np.isfinite(weight).all():
                raise ArgumentError("sample_weight must not hold NaN or infinities; 0 leaves a sample out")
    _check_lengths({"x": x, "y": y, "sample_weight": weights})
    if len(x[0]) == 0:
        raise ArgumentError("x holds no samples: its first axis is 0")
    if class_weight is not None:
        if y is None or len(y) != 1:
            raise ArgumentError("class_weight is only supported for models with one output, and needs y")
        by_class = class_weight_of(y[0], class_weight)
        if weights is not None:
            by_class = weights[0] * by_class.reshape((-1,) + (1,) * (weights[0].ndim - 1))
        weights = [by_class]
    return Batch(x, y, weights)


def _check_lengths(groups):
    named = [
        (name if len(arrays) == 1 else f"{name}[{i}]", len(array))
        for name, arrays in groups.items()
        if arrays is not None
        for i, array in enumerate(arrays)
    ]
    first, n = named[0]
    for name, length in named[1:]:
        if length != n:
            raise ShapeError(f"{first} has {n} samples but {name} has {length}; they must be equally long")


def check_count(value, name, least=1):
    """Return an int >= `least`, or raise ArgumentError."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < least:
        raise ArgumentError(f"{name} must be an integer >= {least}, got {value!r}")
    return int(value)


# ---- sources of batches


class ArrayData:
    """Batches from arrays in memory, or mapped into it.

    Parameters
    ----------
    arrays : Batch
        Of the whole data set.
    batch_size : int
    shuffle : bool or "batch"
        A new order of samples (or of whole batches) each time.
    """

    repeats = True

    def __init__(self, arrays, batch_size, shuffle=False):
        self.arrays, self.batch_size, self.shuffle = arrays, batch_size, shuffle
        self.num_samples = arrays.size
        self.steps = -(-self.num_samples // batch_size)
        self._rng = self._order = self._staging = None

    def split(self, fraction):
        """Return (data without, data of) the last `fraction` of the samples."""
        at = int(self.num_samples * (1.0 - fraction))
        if at in (0, self.num_samples):
            raise ArgumentError(f"validation_split={fraction} of {self.num_samples} samples leaves one part empty")
        first, last = self._slice(0, at), self._slice(at, self.num_samples)
        return ArrayData(first, self.batch_size, self.shuffle), ArrayData(last, self.batch_size)

    def peek(self):
        """Return the first samples, as many as a batch has."""
        return self._slice(0, min(self.batch_size, self.num_samples))

    def _slice(self, start, stop):
        x, y, weights = (part and [array[start:stop] for array in part] for part in self.arrays)
        return Batch(x, y, weights)

    def batches(self):
        """Yield one pass over the data. A shuffled batch is overwritten by the next."""
        if not self.shuffle:
            for start in range(0, self.num_samples, self.batch_size):
                yield self._slice(start, min(start + self.batch_size, self.num_samples))
            return
        if self._rng is None:
            self._rng = np.random.default_rng(config.next_seed())
            self._order = np.arange(self.num_samples)
            self._staging = Batch(*(part and [self._buffer(array) for array in part] for part in self.arrays))
        starts = np.arange(0, self.num_samples, self.batch_size)
        if self.shuffle == "batch":
            self._rng.shuffle(starts)
        else:
            self._rng.shuffle(self._order)
        for start in starts:
            chosen = self._order[start : start + self.batch_size]
            x, y, weights = [self._gather(*pair, chosen) for pair in zip(self.arrays, self._staging, strict=True)]
            yield Batch(x, y, weights)

    def _buffer(self, array):
        return np.empty((min(self.batch_size, self.num_samples), *array.shape[1:]), array.dtype.newbyteorder("="))

    @staticmethod
    def _gather(arrays, buffers, chosen):
        if arrays is None:
            return None
        batch = []
        for array, buffer in zip(arrays, buffers, strict=True):
            out = buffer[: len(chosen)]
            if array.flags.c_contiguous and array.flags.aligned and array.dtype.isnative:
                # mode="clip" writes straight into `out`; the default mode would go through a temporary.
                np.take(array, chosen, axis=0, out=out, mode="clip")
            else:
                out[...] = array[chosen]  # take() would first copy the whole of such an array
            batch.append(out)
        return batch


class StreamData:
    """Batches from an iterable that yields x, (x, y) or (x, y, sample_weight).

    Parameters
    ----------
    source : iterable
        A generator can be walked over once. Anything with ``__len__`` and ``__getitem__``, or whose ``iter()`` starts
        again, can be repeated.
    prepare : callable
        (x, y, sample_weight) -> Batch
    """

    def __init__(self, source, prepare):
        self._source, self._prepare = source, prepare
        try:
            self.steps = len(source)
        except TypeError:
            self.steps = None
        self.repeats = not (hasattr(source, "__iter__") and iter(source) is source) if self.steps is None else True
        self._ahead = None

    def _iterate(self):
        if hasattr(self._source, "__iter__"):
            return iter(self._source)
        return (self._source[i] for i in range(self.steps))

    def peek(self):
        """Return the first batch; the first pass will yield it again, without reading it twice."""
        if self._ahead is None:
            iterator = self._iterate()
            try:
                item = next(iterator)
            except StopIteration:
                raise ArgumentError(
                    "x yields no batches: the data set is empty, or the generator was used up"
                ) from None
            self._ahead = self._batch(item), iterator
        return self._ahead[0]

    def batches(self):
        """Yield one pass over the data."""
        if self._ahead is not None:
            first, iterator = self._ahead
            self._ahead = None
            yield first
        else:
            iterator = self._iterate()
        for item in iterator:
            yield self._batch(item)
        if hasattr(self._source, "on_epoch_end"):
            self._source.on_epoch_end()

    def _batch(self, item):
        if isinstance(item, list):
            item = tuple(item)
        if not isinstance(item, tuple):
            item = (item,)
        if not 1 <= len(item) <= 3:
            raise ArgumentError(f"x must yield x, (x, y) or (x, y, sample_weight), got a tuple of {len(item)}")
        return self._prepare(*item, *(None,) * (3 - len(item)))


def is_stream(x):
    """Tell whether `x` yields batches, rather than being arrays."""
    if isinstance(x, (np.ndarray, list, tuple, dict, str, bytes, memoryview, Tensor)) or hasattr(x, "__array__"):
        return False
    return hasattr(x, "__iter__") or (hasattr(x, "__len__") and hasattr(x, "__getitem__"))


def adapt(
    x, y=None, sample_weight=None, *, batch_size=None, shuffle=False, class_weight=None, names=(None, None), labels=True
):
    """Return `ArrayData` or `StreamData` for the arguments of `fit`, `evaluate` or `predict`.

    Parameters
    ----------
    names : (list of str or None, list of str or None)
        Of the model's inputs and outputs.
    labels : bool
        False drops the labels that a data set yields (`predict`).
    """
    if x is None:
        raise ArgumentError("x must be given: arrays, or an iterable of batches")
    if batch_size is not None:
        batch_size = check_count(batch_size, "batch_size")
    if not isinstance(shuffle, (bool, np.bool_)) and shuffle != "batch":
        raise ArgumentError(f"shuffle must be True, False or 'batch', got {shuffle!r}")

    def prepare(x, y, sample_weight):
        if not labels:
            y = sample_weight = None
        return make_batch(x, y, sample_weight, class_weight if labels else None, *names)

    if not is_stream(x):
        return ArrayData(prepare(x, y, sample_weight), batch_size or DEFAULT_BATCH_SIZE, shuffle)
    for value, name in ((y, "y"), (sample_weight, "sample_weight"), (batch_size, "batch_size")):
        if value is not None:
            raise ArgumentError(f"{name} must not be given when x yields whole batches; they carry it themselves")
    return StreamData(x, prepare)


class Epochs:
    """Walks over data one epoch at a time.

    Parameters
    ----------
    data : ArrayData or StreamData
    limit : int, optional
        Steps per epoch; the next epoch goes on where this one stopped. A whole pass if left out.
    name : str
        Of the argument `limit` came in, for messages.
    """

    def __init__(self, data, limit=None, name="steps"):
        self.data = data
        self.limit = None if limit is None else check_count(limit, name)
        self.steps = data.steps if self.limit is None else self.limit
        self._iterator = None

    def epoch(self):
        """Yield the batches of one epoch; fewer, with a warning, where the data run out."""
        if self.limit is None:
            yield from self.data.batches()
            return
        for seen in range(self.limit):
            batch = next(self._iterator, None) if self._iterator is not None else None
            if batch is None and (self._iterator is None or seen == 0 and self.data.repeats):
                self._iterator = self.data.batches()
                batch = next(self._iterator, None)
            if batch is None:
                warnings.warn(RAN_OUT.format(seen=seen, steps=self.limit), stacklevel=2)
                self._iterator = None if self.data.repeats else self._iterator
                return
            yield batch
