"""Tensor: data, its gradient, and its place on the tape.

`Tensor.data` is a NumPy array, or a stand-in with `shape` and `dtype` while only shapes are known or a graph is traced
(see `symbolic.py` and `fastconv/graph`). The operations of a tensor (`+`, `x[i]`, `x.sum()`, ...) are attached by
`fastconv.ops`, which is loaded at their first use.
"""

import importlib
import operator

import numpy as np

from ..errors import ArgumentError, DTypeError, GradientError, ShapeError, UnsupportedOpError
from ..op import DTYPES, ITEM_SIZE, Spec
from . import tape
from .executor import executor

FLOATS = ("float32", "float64")

# A dtype's name, from a NumPy dtype or the name itself: numpy.dtype.name is slow.
_NAMES = {np.dtype(name): name for name in ITEM_SIZE} | {name: name for name in ITEM_SIZE}

# Methods that fastconv.ops puts here.
OPERATORS = (
    "__add__ __radd__ __sub__ __rsub__ __mul__ __rmul__ __truediv__ __rtruediv__ __pow__ __rpow__ __neg__ __abs__ "
    "__matmul__ __rmatmul__ __getitem__ reshape transpose sum mean max"
).split()


# How often any memory was written to: while it stands still, no version has moved. `touch` moves the version first, and
# who asks reads the epoch first, so that a lost count of two threads can hide nothing.
_epoch = [0]


def epoch():
    """Return a number that changes whenever the version of any tensor moves."""
    return _epoch[0]


class Tensor:
    """An array with a gradient.

    Made by `tensor` (copies), `as_tensor` (shares memory) and by operations, not by calling the class.

    Parameters
    ----------
    data : ndarray
        Or a stand-in for one that has `shape` and `dtype`.
    requires_grad : bool
        Whether operations on it are recorded, and `backward` leaves a gradient in `grad`.
    name : str, optional
        For error messages.

    Attributes
    ----------
    grad : Tensor or None
        The sum of the gradients of every `backward` so far. Set it to None to start again.
    node : Node or None
        The tape entry of the operation that made it; None for a leaf.
    logits : Tensor or None
        What softmax or sigmoid made this of, where an activation did: a loss on probabilities uses it, which is exact.
    logits_of : str or None
        Which of the two, "softmax" or "sigmoid": the wrong one's logits would give another loss.
    packings : tuple of eager.Packing
        Its values as kernels read them, in several layouts: kept by eager calls for a leaf that requires a gradient, and by
        programs.
    """

    __slots__ = (
        "_data", "grad", "node", "slot", "name", "logits", "logits_of", "packings", "_requires_grad", "_version", "__weakref__"
    )  # fmt: skip
    # A subclass's operate(name, args, kwargs) takes the place of every call of a function of `fastconv.ops` on its tensors.
    operate = None
    __array_ufunc__ = None  # array + tensor is ours, not NumPy's
    __array_priority__ = 1000

    def __init__(self, data, requires_grad=False, name=None):
        self._data = np.asarray(data) if isinstance(data, np.generic) else data  # NumPy's 0-d results are no arrays
        self.name = name
        self.grad = self.node = self.slot = self.logits = self.logits_of = None
        self.packings = ()
        self._version = None  # a one-element list, made when first asked for; shared by views
        self._requires_grad = False
        if requires_grad:
            self.requires_grad = True

    # ---- what it is

    data = property(operator.attrgetter("_data"), doc="The array; after writing into it, call `touch`.")

    @data.setter
    def data(self, data):
        self._data = data
        self.touch()  # `w.data -= step` writes first and comes here then

    @property
    def shape(self):
        """Tuple of ints; None stands for a dimension not known yet."""
        return self.data.shape

    @property
    def dtype(self):
        """Name of the element type, as ``"float32"``."""
        return _NAMES[self.data.dtype]

    @property
    def spec(self):
        """Shape and dtype."""
        return Spec(self.data.shape, _NAMES[self.data.dtype])

    @property
    def ndim(self):
        """Number of dimensions."""
        return len(self.data.shape)

    @property
    def size(self):
        """Number of elements."""
        return self.spec.size

    @property
    def T(self):
        """The axes in reverse order."""
        return self.transpose()

    @property
    def requires_grad(self):
        """Whether operations on this tensor are recorded."""
        return self._requires_grad

    @requires_grad.setter
    def requires_grad(self, value):
        if value and self.dtype not in FLOATS:
            raise DTypeError(f"only float tensors can require a gradient; {self._title()} is {self.dtype}")
        if not value and self.node is not None:
            raise GradientError(
                f"{self._title()} is the result of {self.node.op.name!r} on the tape; use detach() for one without"
            )
        self._requires_grad = bool(value)

    @property
    def version(self):
        """How often the memory was written to since it became a tensor; views of one memory count together."""
        return self.version_cell()[0]

    def version_cell(self):
        """Return the one-element list that holds the version."""
        if self._version is None:
            self._version = [0]
        return self._version

    def touch(self):
        """Say that the memory was changed by other means than `assign`: what was packed of the old values is then dropped."""
        self.version_cell()[0] += 1
        _epoch[0] += 1

    # ---- values out

    def _title(self):
        return f"tensor {self.name!r}" if self.name else f"a tensor of shape {self.shape}"

    def _array(self, what):
        if not isinstance(self.data, np.ndarray):
            raise UnsupportedOpError(
                f"{what} needs values, but {self._title()} has none: it stands for data while a function is traced or "
                "shapes are inferred. Use fastconv operations instead of Python branches and NumPy, or run eagerly"
            )
        return self.data

    def numpy(self):
        """Return a read-only view of the values. To write, use `assign`."""
        view = self._array("numpy()").view()
        view.flags.writeable = False
        return view

    def __array__(self, dtype=None, copy=None):
        array = self._array("conversion to a NumPy array")
        if copy is False:
            if dtype is not None and array.dtype != dtype:
                raise DTypeError(f"a {self.dtype} tensor cannot become {np.dtype(dtype)} without a copy")
            return self.numpy()
        return np.array(array, dtype)

    def item(self):
        """Return the one element as a Python number."""
        return self._only("item()")

    def _only(self, what, advice=""):
        array = self._array(what)
        if array.size != 1:
            raise ShapeError(f"{what} takes a tensor of one element, this one has shape {self.shape}{advice}")
        return array.item()

    def __float__(self):
        return float(self._only("float()"))

    def __int__(self):
        return int(self._only("int()"))

    def __bool__(self):
        return bool(self._only("bool()", ": say .numpy().any() or .numpy().all()"))

    def __len__(self):
        if not self.shape:
            raise ShapeError("a tensor without dimensions has no length")
        if self.shape[0] is None:
            self._array("len()")
        return self.shape[0]

    def __iter__(self):
        return (self[i] for i in range(len(self)))

    def __repr__(self):
        facts = ", ".join(
            ([f"name={self.name!r}"] if self.name else [])
            + (
                [f"made_by={self.node.op.name!r}"]
                if self.node
                else ["requires_grad=True"]
                if self.requires_grad
                else []
            )
        )
        facts = facts and f", {facts}"
        if not isinstance(self.data, np.ndarray):
            return f"Tensor(shape={self.shape}, dtype={self.dtype}{facts})"
        values = np.array2string(self.data, separator=", ", prefix="Tensor(", threshold=100)
        return f"Tensor({values}, dtype={self.dtype}{facts})"

    def __reduce__(self):
        return _restore, (np.array(self._array("pickling")), self.requires_grad, self.name)

    # ---- values in

    def assign(self, value):
        """Write new values into this tensor's memory, cast to its dtype.

        Every view of the memory sees them, and whatever was derived from the old ones (packed kernels, saved tensors on
        the tape) notices.

        Parameters
        ----------
        value : Tensor or array_like
            Of exactly this shape.

        Raises
        ------
        ShapeError
            When the shapes differ.
        GradientError
            When this tensor is the result of an operation on the tape, which a write would make wrong.
        """
        shape = value.shape if isinstance(value, Tensor) else np.shape(value)
        if not _same_shape(shape, self.shape):
            raise ShapeError(
                f"cannot assign an array of shape {tuple(shape)} to {self._title()}: its shape is {self.shape}"
            )
        if self.node is not None:
            raise GradientError(
                f"{self._title()} is the result of {self.node.op.name!r} on the tape: writing into it would make its "
                "gradient wrong. Write into detach() of it, or compute it inside `with fastconv.no_grad():`"
            )
        record = getattr(executor(), "assign", None)
        if record is not None:
            record(self, value if isinstance(value, Tensor) else as_tensor(value, self.dtype))
            return self
        array = self._array("assign()")
        if not array.flags.writeable:
            raise ArgumentError(f"{self._title()} shares read-only memory; make it by fastconv.tensor(), which copies")
        np.copyto(array, value._array("assign()") if isinstance(value, Tensor) else value, casting="unsafe")
        self.touch()
        return self

    def __setitem__(self, index, value):
        raise UnsupportedOpError(
            "a tensor has no item assignment: write `x[index].assign(value)` under `with fastconv.no_grad():`, or "
            "x.assign(array) for the whole"
        )

    # ---- gradients

    def detach(self):
        """Return a tensor of the same memory that is not on the tape."""
        result = Tensor(self.data, name=self.name)
        result._version = self.version_cell()
        return result

    def backward(self, dy=None, retain_graph=False):
        """Add the gradient of this tensor to `grad` of every leaf that it was computed from and that requires one.

        Parameters
        ----------
        dy : Tensor or array_like, optional
            Gradient of the final result with respect to this tensor, of its shape. May be left out for one element: 1.
        retain_graph : bool
            Keep the tape, so that backward can be called again.

        Raises
        ------
        GradientError
            When nothing is recorded, the tape was freed by an earlier backward, or a tensor that it kept was changed.
        """
        tape.backward(self, dy, retain_graph)


def _same_shape(a, b):
    return len(a) == len(b) and all(m == n or m is None or n is None for m, n in zip(a, b, strict=True))


def _restore(array, requires_grad, name):
    return Tensor(array, requires_grad, name)


def _attached_later(method):
    def call(self, *args, **kwargs):
        importlib.import_module("fastconv.ops")
        return getattr(Tensor, method)(self, *args, **kwargs)

    call.__name__ = method
    return call


for _method in OPERATORS:
    setattr(Tensor, _method, _attached_later(_method))


def _target_dtype(array, given, dtype):
    """Choose the dtype of a new tensor: only float64 arrays stay float64, Python numbers become float32."""
    if array.dtype.kind not in "fiub":
        raise DTypeError(
            f"a tensor holds floats, integers or booleans, got {array.dtype} from a {type(given).__name__}; "
            "ragged lists and strings must be turned into a numeric array first"
        )
    if dtype is not None:
        name = np.dtype(dtype).name
        if name not in DTYPES:
            raise DTypeError(f"dtype must be one of {', '.join(DTYPES)}, got {dtype!r}")
        return name
    if not isinstance(given, np.ndarray):
        return "bool" if array.dtype.kind == "b" else "float32"
    name = _NAMES.get(array.dtype.newbyteorder("="))
    return name if name in DTYPES else "float32" if array.dtype.kind == "f" else "int64"


def _to_array(value, dtype, copy):
    if isinstance(value, Tensor):
        value = value._array("making a tensor")
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise DTypeError(f"cannot make a tensor of {type(value).__name__}: {error}") from error
    target = _target_dtype(array, value, dtype)
    if copy or array.dtype != target or not array.flags.c_contiguous:
        return np.array(array, target, order="C")
    return array


def tensor(array, requires_grad=False, dtype=None, name=None):
    """Make a tensor with its own copy of the values.

    Parameters
    ----------
    array : array_like or Tensor
        Python numbers and lists become float32; NumPy arrays of float32, float64, int32, int64, uint8, uint64 and bool
        keep their type.
    requires_grad : bool
        Record operations on it, for `backward`.
    dtype : str, optional
        Convert to this type.
    name : str, optional
        For error messages.

    Examples
    --------
    >>> x = fastconv.tensor([1.0, 2.0], requires_grad=True)
    >>> (x * x).sum().backward()
    >>> x.grad.numpy()
    array([2., 4.], dtype=float32)
    """
    return Tensor(_to_array(array, dtype, True), requires_grad, name)


def as_tensor(array, dtype=None):
    """Return `array` as a tensor that shares its memory where type and layout allow (contiguous), else a copy.

    A Tensor comes back as it is, unless `dtype` differs.
    """
    if isinstance(array, Tensor) and (dtype is None or array.dtype == dtype):
        return array
    return Tensor(_to_array(array, dtype, False))
