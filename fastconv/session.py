"""InferenceSession: an ONNX file, run with ONNX Runtime's interface.

file --io.onnx--> Network --trace, for the shapes of a call--> Program   (cached)
                                                      \\--> late nodes, run on arrays after it
"""

import contextlib
import ctypes
import enum
import os
import warnings
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from . import config
from ._kernels import runtime
from .autograd import no_grad
from .errors import ArgumentError, DTypeError, ShapeError, UnsupportedOpError
from .graph import Program, ProgramCache, trace
from .io.onnx import Network, Operand, element_type, load_model
from .op import ITEM_SIZE, Spec

MAX_PROGRAMS = 16  # kept per session, for as many combinations of shapes; the least recently used goes first
PROVIDER = "CPUExecutionProvider"


def get_available_providers():
    """Return the names of the execution providers: there is one, as in ONNX Runtime's CPU build."""
    return [PROVIDER]


class GraphOptimizationLevel(enum.IntEnum):
    """ONNX Runtime's levels, for scripts that name them: every program is optimised alike."""

    ORT_DISABLE_ALL = 0
    ORT_ENABLE_BASIC = 1
    ORT_ENABLE_EXTENDED = 2
    ORT_ENABLE_ALL = 99


class ExecutionMode(enum.IntEnum):
    """ONNX Runtime's modes, for scripts that name them: operations run one after the other, each on all threads."""

    ORT_SEQUENTIAL = 0
    ORT_PARALLEL = 1


class SessionOptions:
    """Settings of a session, by ONNX Runtime's names; what has no meaning here is accepted and ignored. Others are refused.

    Attributes
    ----------
    intra_op_num_threads : int
        Threads of a run; 0 means `fastconv.get_num_threads()`.
    precision : str or None
        A mode of `fastconv.set_precision`; None means the one in force.
    """

    __slots__ = (
        "intra_op_num_threads", "inter_op_num_threads", "graph_optimization_level", "execution_mode", "log_severity_level",
        "log_verbosity_level", "logid", "enable_profiling", "profile_file_prefix", "optimized_model_filepath",
        "enable_mem_pattern", "enable_mem_reuse", "enable_cpu_mem_arena", "use_deterministic_compute", "precision",
    )  # fmt: skip

    def __init__(self):
        for name in self.__slots__:
            setattr(self, name, None)
        self.intra_op_num_threads = 0
        self.inter_op_num_threads = 0
        self.graph_optimization_level = GraphOptimizationLevel.ORT_ENABLE_ALL
        self.execution_mode = ExecutionMode.ORT_SEQUENTIAL
        self.log_severity_level = 2
        self.enable_profiling = False
        self.enable_mem_pattern = self.enable_cpu_mem_arena = True
        self.precision = None

    def add_session_config_entry(self, key, value):
        """Accept a setting of ONNX Runtime's; none has a meaning here."""


class NodeArg(NamedTuple):
    """An input or output: `name`; `shape`, of ints, names and None; `type`, as ``"tensor(float)"``."""

    name: str
    shape: list
    type: str


class InferenceSession:
    """A network of an ONNX file, ready to run. Safe to run from several Python threads at once.

    Parameters
    ----------
    path_or_bytes : str, path, bytes or file
    sess_options : SessionOptions, optional
    providers : sequence of str or (str, dict), optional
        Accepted as in ONNX Runtime; everything runs on the CPU.
    provider_options : optional
        Accepted and ignored.

    Raises
    ------
    ModelFormatError
        When the file is damaged, or no ONNX model.
    UnsupportedOpError
        When operators are missing: all of them are listed.
    """

    def __init__(self, path_or_bytes, sess_options=None, providers=None, provider_options=None):
        self._options = sess_options or SessionOptions()
        _check_providers(providers)
        self._network = Network(*load_model(path_or_bytes))
        self._inputs = [_describe(value) for value in self._network.inputs]
        self._outputs = [_describe(value) for value in self._network.outputs]
        self._dtypes = {value.name: element_type(value) for value in self._network.inputs}
        for name, dtype in self._dtypes.items():
            if dtype.name not in ITEM_SIZE:
                raise UnsupportedOpError(f"input {name!r} takes {dtype} arrays; networks run on numbers")
        self._overridable = [v.name for v in self._network.model.graph.input if v.name in self._network.constants]
        self._programs = ProgramCache(MAX_PROGRAMS, _give_back)
        self._overrides = _overrides(self._options)

    def get_inputs(self):
        """Return the inputs, a `NodeArg` each."""
        return list(self._inputs)

    def get_outputs(self):
        """Return the outputs, a `NodeArg` each."""
        return list(self._outputs)

    def get_overridable_initializers(self):
        """Return the weights that the file also lists as inputs, a `NodeArg` each: `run` takes other values for them."""
        return [_describe(v) for v in self._network.model.graph.input if v.name in self._overridable]

    def get_providers(self):
        """Return the names of the providers in use."""
        return [PROVIDER]

    def get_session_options(self):
        """Return the options."""
        return self._options

    def get_modelmeta(self):
        """Return what the file says of itself."""
        model = self._network.model
        return ModelMetadata(
            model.producer_name, model.graph.name, model.domain, model.doc_string, "", model.model_version,
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


class Runner:
    """A network for inputs of certain shapes: a program, and what remains to be done after it.

    Parameters
    ----------
    network : Network
    specs : dict of str -> Spec
        The inputs.
    """

    def __init__(self, network, specs):
        self.network, self._fresh, walked = network, True, []

        def walk(**tensors):
            outputs, *rest = _walk(network, tensors)
            walked.append(rest)
            return outputs

        self.program = Program(trace(walk, specs))
        ((self.late, self.known),) = walked

    def __call__(self, arrays):
        """Return {name: array} of the outputs."""
        results = self.program.call(arrays)
        if self._fresh:
            self._fresh = False
            self.network.let_go()
        if not self.late and not self.known:
            return results
        values = self.known | {name: Operand(array) for name, array in results.items()}
        self.network.finish(self.late, values)
        # Copies: what is known lies in the file, or serves the next run, too.
        return {
            name: results[name] if name in results else np.array(values[name].array())
            for name in self.network.output_names
        }


def _walk(network, tensors):
    """Return ({name: Tensor} that a program shall make, nodes to run on arrays after it, {name: Operand} known already)."""
    with no_grad():
        values, late = network({name: Operand(tensor) for name, tensor in tensors.items()})
        wanted = dict.fromkeys(network.output_names)
        wanted |= dict.fromkeys(name for node in late for name in network.reads(node))
        made = {name for node in late for name in node.output}
        known = {name: values[name] for name in wanted if name not in made and values[name].constant is not None}
        outputs = {name: values[name].tensor() for name in wanted if name not in made and name not in known}
        return outputs, late, known


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


def _overrides(options):
    """Return what makes a context manager of the settings that a session has of its own; None if it has none."""
    threads, precision = options.intra_op_num_threads, options.precision
    if precision:
        config.precision(precision)  # another word is refused now, not by the first run
    if not threads and not precision:
        return None

    def override():
        stack = contextlib.ExitStack()
        if threads:
            stack.enter_context(config.num_threads(threads))
        if precision:
            stack.enter_context(config.precision(precision))
        return stack

    return override


def _cast(name, array, dtype):
    array = np.asarray(array)
    if array.dtype.kind not in "fiub" or (array.dtype.kind == "f" and dtype.kind != "f"):
        raise DTypeError(f"input {name!r} takes {dtype} arrays, got {array.dtype}")
    cast = array.astype(dtype, copy=False)
    if dtype.kind in "iub" and not np.can_cast(array.dtype, dtype) and (cast != array).any():
        raise DTypeError(f"input {name!r} takes {dtype} arrays, got {array.dtype} with values that do not fit")
    return cast


def _describe(value):
    kind = element_type(value)
    name = {"float32": "float", "float64": "double", "object": "string"}.get(kind.name, kind.name)
    tensor = value.type.tensor_type
    # Some exporters write -1 where they mean that any size will do.
    shape = tensor.shape and [
        d.dim_param or (None if (d.dim_value or 0) < 0 else d.dim_value) for d in tensor.shape.dim
    ]
    return NodeArg(value.name, shape, f"tensor({name})")


def _check_shape(argument, shape):
    if argument.shape is None:
        return
    fits = len(shape) == len(argument.shape) and all(
        n == m for n, m in zip(shape, argument.shape, strict=True) if isinstance(m, int)
    )
    if not fits:
        raise ShapeError(f"input {argument.name!r} takes shape {argument.shape}, got {list(shape)}")


def _check_providers(providers):
    providers = [providers] if isinstance(providers, str) else providers
    names = [entry if isinstance(entry, str) else entry[0] for entry in providers or ()]
    others = [name for name in names if name != PROVIDER]
    if others:
        warnings.warn(f"providers {others} are not available; everything runs on {PROVIDER}", stacklevel=3)
