"""What a session and its runs can be told, by ONNX Runtime's names."""

import contextlib
import enum
import functools
import warnings

import numpy as np

from .. import config
from ..errors import ArgumentError

PROVIDER = "CPUExecutionProvider"


def get_available_providers():
    """Return the names of the execution providers: there is one, as in ONNX Runtime's CPU build."""
    return [PROVIDER]


def get_device():
    """Return what networks run on: "CPU"."""
    return "CPU"


def set_default_logger_severity(severity):
    """Accept a level of ONNX Runtime's log: nothing is logged here."""


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


class _Settings:
    """Attributes of certain names, each with a value to begin with; no others can be set, so misspelt ones are refused."""

    __slots__ = ("_entries",)
    _DEFAULTS = {}

    def __init__(self):
        self._entries = {}
        for name, value in self._DEFAULTS.items():
            setattr(self, name, value)

    def _entry(self, key):
        if key not in self._entries:
            known = ", ".join(map(repr, self._entries)) or "none"
            raise ArgumentError(f"no config entry {key!r} was added; there is {known}")
        return self._entries[key]


class SessionOptions(_Settings):
    """Settings of a session, by ONNX Runtime's names; what has no meaning here is accepted and ignored. Others are refused.

    Attributes
    ----------
    intra_op_num_threads : int
        Threads of a run; 0 means `fastconv.get_num_threads()`.
    precision : str or None
        A mode of `fastconv.set_precision`; None means the one in force.
    """

    _DEFAULTS = {
        "intra_op_num_threads": 0, "inter_op_num_threads": 0, "use_per_session_threads": True,
        "graph_optimization_level": GraphOptimizationLevel.ORT_ENABLE_ALL, "execution_mode": ExecutionMode.ORT_SEQUENTIAL,
        "log_severity_level": -1, "log_verbosity_level": 0, "logid": "", "enable_profiling": False,
        "profile_file_prefix": "onnxruntime_profile_", "optimized_model_filepath": "", "enable_mem_pattern": True,
        "enable_mem_reuse": True, "enable_cpu_mem_arena": True, "use_deterministic_compute": False, "precision": None,
    }  # fmt: skip
    __slots__ = (*_DEFAULTS, "_sizes")

    def __init__(self):
        super().__init__()
        self._sizes = {}

    def add_session_config_entry(self, key, value):
        """Keep a setting of ONNX Runtime's; none has a meaning here."""
        self._entries[key] = value

    def get_session_config_entry(self, key):
        """Return a setting that was added."""
        return self._entry(key)

    def add_free_dimension_override_by_name(self, name, size):
        """Give a dimension that the file calls `name`, and leaves open, a size: `run` takes no other."""
        if isinstance(size, bool) or not isinstance(size, (int, np.integer)) or size < 0:
            raise ArgumentError(f"the size of dimension {name!r} must be an integer of at least 0, got {size!r}")
        self._sizes[name] = int(size)


class RunOptions(_Settings):
    """Settings of a run, by ONNX Runtime's names: accepted and ignored, as none has a meaning here. Others are refused."""

    _DEFAULTS = {
        "log_severity_level": -1, "log_verbosity_level": 0, "logid": "", "only_execute_path_to_fetches": False,
    }  # fmt: skip
    __slots__ = tuple(_DEFAULTS)

    def add_run_config_entry(self, key, value):
        """Keep a setting of ONNX Runtime's; none has a meaning here."""
        self._entries[key] = value

    def get_run_config_entry(self, key):
        """Return a setting that was added."""
        return self._entry(key)


def overrides_of(options):
    """Return what makes a context manager of the settings that a session has of its own; None if it has none.

    Values that cannot be are refused now, not by the first run; files that are asked for and never made are told.
    """
    if not isinstance(options, SessionOptions):
        kind = f"{type(options).__module__}.{type(options).__qualname__}"
        raise ArgumentError(f"sess_options must be a fastconv.SessionOptions, which has the same names, got a {kind}")
    if options.enable_profiling:
        warnings.warn(
            "enable_profiling writes no file here: `fastconv bench MODEL.onnx --profile` times the layers", stacklevel=3
        )
    if options.optimized_model_filepath:
        warnings.warn(
            f"nothing is written to {options.optimized_model_filepath}: programs live in memory", stacklevel=3
        )
    makers = []
    if options.intra_op_num_threads:
        makers.append(functools.partial(config.num_threads, options.intra_op_num_threads))
    if options.precision is not None:
        makers.append(functools.partial(config.precision, options.precision))
    for make in makers:
        make()
    if not makers:
        return None

    def override():
        stack = contextlib.ExitStack()
        for make in makers:
            stack.enter_context(make())
        return stack

    return override


def check_providers(providers):
    """Warn of providers that are not there; raise where they are no names."""
    if isinstance(providers, str):
        providers = [providers]
    names = []
    for entry in () if providers is None else providers:
        name = entry[0] if isinstance(entry, (tuple, list)) and entry else entry
        if not isinstance(name, str):
            raise ArgumentError(f"providers must be names, or pairs of a name and a dict, got {entry!r}")
        names.append(name)
    others = [name for name in names if name != PROVIDER]
    if others:
        warnings.warn(f"providers {others} are not available; everything runs on {PROVIDER}", stacklevel=3)
