"""InferenceSession: an ONNX file, run with ONNX Runtime's interface."""

import contextlib
import ctypes
import os
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from .. import config
from .._kernels import runtime
from ..errors import ArgumentError, DTypeError, ShapeError, UnsupportedOpError
from ..graph import ProgramCache
from ..io.onnx import Network, element_type, input_of, load_model, outputs_of
from ..op import ITEM_SIZE, Spec
from .options import PROVIDER, SessionOptions, check_providers, overrides_of
from .runner import Runner

MAX_PROGRAMS = 16  # kept per session, for as many combinations of shapes; the least recently used goes first


class InferenceSession:
    """A network of an ONNX file, ready to run. Safe to run from several Python threads at once.

    Parameters
    ----------
    path_or_bytes : str, path, bytes or file
    sess_options : SessionOptions, optional
    providers : sequence of str or (str, dict), optional
        Accepted as in ONNX Runtime; everything runs on the CPU.
    provider_options, disabled_optimizers : optional
        Accepted and ignored.

    Raises
    ------
    FileNotFoundError
    ModelFormatError
        When the file is damaged, or no ONNX model.
    UnsupportedOpError
        When operators are missing: all of them are listed.
    ArgumentError
        When an option has a value that it cannot have.

    Examples
    --------
    >>> import os, tempfile
    >>> path = os.path.join(tempfile.mkdtemp(), "dense.onnx")
    >>> fastconv.onnx.save(Sequential([layers.Dense(2, input_shape=(3,))]), path)
    >>> session = fastconv.InferenceSession(path)
    >>> (scores,) = session.run(None, {session.get_inputs()[0].name: np.ones((5, 3), "float32")})
    >>> scores.shape
    (5, 2)
    """

    def __init__(
        self, path_or_bytes, sess_options=None, providers=None, provider_options=None, disabled_optimizers=None
    ):
        self._options = SessionOptions() if sess_options is None else sess_options
        self._overrides = overrides_of(self._options)
        check_providers(providers)
        self._network = Network(*load_model(path_or_bytes))
        self._sizes = dict(self._options._sizes)
        self._inputs = [input_of(value, self._sizes) for value in self._network.inputs]
        self._outputs = None  # until somebody asks
        self._dtypes = {value.name: element_type(value) for value in self._network.inputs}
        for name, dtype in self._dtypes.items():
            if dtype.name not in ITEM_SIZE:
                raise UnsupportedOpError(f"input {name!r} takes {dtype} arrays; networks run on numbers")
        self._overridable = [v.name for v in self._network.model.graph.input if v.name in self._network.constants]
        self._programs = ProgramCache(MAX_PROGRAMS, _give_back)

    def get_inputs(self):
        """Return the inputs, a `NodeArg` each."""
        return list(self._inputs)

    def get_outputs(self):
        """Return the outputs, a `NodeArg` each."""
        if self._outputs is None:
            self._outputs = outputs_of(self._network, self._sizes)
        return list(self._outputs)

    def get_overridable_initializers(self):
        """Return the weights that the file also lists as inputs, a `NodeArg` each: `run` takes other values for them."""
        return [input_of(v, self._sizes) for v in self._network.model.graph.input if v.name in self._overridable]

    def get_providers(self):
        """Return the names of the providers in use."""
        return [PROVIDER]

    def get_provider_options(self):
        """Return the options of each provider: there are none."""
        return {PROVIDER: {}}

    def get_session_options(self):
        """Return the options."""
        return self._options

    def get_modelmeta(self):
        """Return what the file says of itself."""
        model = self._network.model
        return ModelMetadata(
            model.producer_name, model.graph.name, model.domain, model.doc_string, model.graph.doc_string, model.model_version,
            {entry.key: entry.value for entry in model.metadata_props},
        )  # fmt: skip

    def run(self, output_names, input_feed, run_options=None):
        """Run the network.

        Parameters
        ----------
        output_names : sequence of str or None
            Which outputs; None, or none, means all.
        input_feed : dict of str -> array_like
            One for every input; cast to its type.
        run_options : RunOptions, optional
            Accepted and ignored.

        Returns
        -------
        list of ndarray
            Fresh ones, in the order asked for.

        Raises
        ------
        ArgumentError, ShapeError, DTypeError
            When a name, shape or type does not fit.
        """
        known = self._network.output_names
        if isinstance(output_names, (str, bytes)):
            raise ArgumentError(
                f"output_names is a list of names, or None for all, got {output_names!r}: write it in [ ]"
            )
        for name in output_names or ():
            if name not in known:
                raise ArgumentError(f"there is no output {name!r}; there is {', '.join(map(repr, known))}")
        arrays = self._feed(input_feed)
        if self._overrides is None:
            results = self._runner(arrays)(arrays)
        else:
            with self._overrides():
                results = self._runner(arrays)(arrays)
        return [results[name] for name in output_names or known]

    def program(self, input_feed):
        """Return the `graph.Program` that runs inputs of these shapes: its graph, its memory, what `graph.profile` times.

        Parameters
        ----------
        input_feed : dict of str -> array_like
            As for `run`.
        """
        arrays = self._feed(input_feed)
        with self._overrides() if self._overrides else contextlib.nullcontext():
            return self._runner(arrays).program

    def __reduce__(self):
        """Refuse to be pickled or copied."""
        raise TypeError(
            "an InferenceSession cannot be pickled or copied, as its programs lie at fixed places in memory: keep the path "
            "or bytes of the model and make a session of them where one is needed; threads may share this one"
        )

    # ---- inside

    def _feed(self, feed):
        """Return {name: array} of the inputs' dtypes; their shapes are looked at when a program is made for them."""
        if type(feed) is not dict and not isinstance(feed, Mapping):
            raise ArgumentError(f"input_feed is a dict of arrays by the names of the inputs, got {type(feed).__name__}")
        arrays = {}
        for name, dtype in self._dtypes.items():
            array = feed.get(name)
            if array is None:
                self._refuse_names(feed)
            if type(array) is not np.ndarray or array.dtype is not dtype:
                array = _cast(name, array, dtype)
            arrays[name] = array
        if len(feed) != len(arrays):
            for name in feed.keys() - arrays.keys():
                if name not in self._overridable:
                    self._refuse_names(feed)
                arrays[name] = _cast(name, feed[name], self._network.constants[name].dtype)
        return arrays

    def _refuse_names(self, feed):
        missing = [name for name in self._dtypes if feed.get(name) is None]
        extra = [name for name in feed if name not in self._dtypes and name not in self._overridable]
        raise ArgumentError(
            f"the network takes {', '.join(map(repr, self._dtypes))}"
            + (f"; missing: {', '.join(map(repr, missing))}" if missing else "")
            + (f"; not known: {', '.join(map(repr, extra))}" if extra else "")
        )

    def _runner(self, arrays):
        shapes = tuple([array.shape for array in arrays.values()])
        names = () if len(arrays) == len(self._dtypes) else tuple(arrays)
        key = shapes, names, runtime.table(), config.get_precision()
        runner = self._programs.get(key)
        if runner is None:
            for argument in self._inputs:
                _check_shape(argument, arrays[argument.name].shape)
            specs = {name: Spec(a.shape, a.dtype.name) for name, a in arrays.items()}
            runner = self._programs.get(key, lambda: Runner(self._network, specs))
        return runner


class ModelMetadata(NamedTuple):
    """What an ONNX file says of itself."""

    producer_name: str
    graph_name: str
    domain: str
    description: str
    graph_description: str
    version: int
    custom_metadata_map: dict


def _give_back():
    """Give free memory back to the system: the pool's, and that of the C library's heap where it can be.

    Ever other shapes leave both in pieces: 1,000 calls with 400 batch sizes grew a session to 1.2 GB.
    """
    runtime.release_pool()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if os.name == "posix" else None
    if trim is not None:
        trim(0)


def _cast(name, array, dtype):
    array = np.asarray(array)
    if array.dtype.kind not in "fiub" or (array.dtype.kind == "f" and dtype.kind != "f"):
        raise DTypeError(f"input {name!r} takes {dtype} arrays, got {array.dtype}")
    cast = array.astype(dtype, copy=False)
    if dtype.kind in "iub" and not np.can_cast(array.dtype, dtype) and (cast != array).any():
        raise DTypeError(f"input {name!r} takes {dtype} arrays, got {array.dtype} with values that do not fit")
    return cast


def _check_shape(argument, shape):
    if argument.shape is None:
        return
    fits = len(shape) == len(argument.shape) and all(
        n == m for n, m in zip(shape, argument.shape, strict=True) if isinstance(m, int)
    )
    if not fits:
        raise ShapeError(f"input {argument.name!r} takes shape {argument.shape}, got {list(shape)}")
