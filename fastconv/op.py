"""The contract of an operation: what every file under `fastconv/ops` declares and everything else relies on.

See docs/architecture.md for the words used here.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, NamedTuple

from . import shapes
from .errors import ShapeError

ITEM_SIZE = {"float32": 4, "float64": 8, "int32": 4, "int64": 8, "uint8": 1, "uint64": 8, "bool": 1}
DTYPES = tuple(ITEM_SIZE)  # of the tensors that users make
ITEM_SIZE |= {
    "float16": 2,
    "int8": 1,
    "int16": 2,
    "uint16": 2,
    "uint32": 4,
}  # ... and those inside other people's networks
# What NumPy has no name for: activations between the steps of a program.
STORED_SIZE = ITEM_SIZE | {"bfloat16": 2}
# More than any machine's memory; offsets within an array, in bytes, are far from the end of 64 bits.
MAX_BYTES = 1 << 47
_EMPTY = MappingProxyType({})


class Spec(NamedTuple):
    """Shape and dtype of an array that need not exist yet. ``None`` is a dimension not known yet."""

    shape: tuple[int | None, ...]
    dtype: str = "float32"

    @property
    def size(self):
        """Number of elements."""
        return shapes.size(self.shape)

    @property
    def nbytes(self):
        """Number of bytes, contiguous."""
        return self.size * STORED_SIZE[self.dtype]


class Epilogue(NamedTuple):
    """The activation that a kernel applies to each output element before it stores it.

    Layers fill it, and passes that fuse. `activation` names an operation of `ops/activation.py`, of which `alpha` and `beta`
    are the attributes; `ops/_activations.py` says what they mean. The rest is for plans alone. `pitch`: how many elements lie
    from one pixel of y to the next, if these are not side by side; the memory plan sets it where y is a part of something
    wider. `bfloat16`: y and a residual are stored so, see `Op.bfloat16`.
    """

    activation: str | None = None
    alpha: float = 0.0
    beta: float = 0.0
    pitch: int = 0
    bfloat16: bool = False


class Part(NamedTuple):
    """Where an input lies within an output, which holds it from byte `start` on: in one run, or in rows `pitch` elements apart.

    A row is the last axis of the input.
    """

    output: str
    start: int
    pitch: int = 0


class Plan(NamedTuple):
    """What one call of an operation needs, known before it runs. Buffers are referred to by name.

    Steps are opaque here (`fastconv._kernels.runtime.Step`).
    """

    phases: tuple[tuple[Any, ...], ...] = ()  # steps of one phase may run at the same time
    workspace: Mapping[str, int] = _EMPTY  # buffer name -> bytes; dead after the plan
    packed: Mapping[str, int] = _EMPTY  # buffer name -> bytes; written by `prologue`, which reads constant inputs only
    prologue: tuple[tuple[Any, ...], ...] = ()
    # Output -> an input whose memory it may take over, if that input dies here: no phase may read the input in a place
    # where the output has been written.
    inplace: Mapping[str, str] = _EMPTY
    alias: Mapping[str, str] = _EMPTY  # output -> the input it is: the same bytes, no steps
    # Input -> `Part`: there the output holds the whole input. If the input is written there in the first place, the steps
    # that read it are not needed; they do nothing else.
    parts: Mapping[str, Part] = _EMPTY

    @property
    def constants(self):
        """Names of the inputs that the prologue reads."""
        operands = [operand for phase in self.prologue for step in phase for operand in step.operands]
        return {name for _, name, written in operands if not written} - {
            name for _, name, written in operands if written
        }


class Case(NamedTuple):
    """A sample call: specs of the inputs by name, attributes, and how to draw the inputs."""

    inputs: Mapping[str, Spec]
    attrs: Any
    draw: Mapping[str, Callable] = _EMPTY  # input name -> fn(rng, shape) -> array, where normal numbers will not do


def _nothing(specs, attrs, needs=None):
    return None


@dataclass(frozen=True, eq=False)
class Op:
    """All that is known of an operation. Every function takes plain dicts by operand name.

    Attributes
    ----------
    inputs : tuple of str
        ``"bias?"`` may be absent; a single ``"*x"`` stands for any number: x0, x1, ...
    outputs, saved : tuple of str
        What the caller gets; and extra results that only the backward reads.
    attrs : type
        The operation's own NamedTuple: hashable, printable.
    infer : (specs, attrs) -> dict of Spec
        Specs of outputs and saved. Raises every error of the arguments.
    reference : (arrays, attrs) -> dict of ndarray
        Obvious NumPy for float32 and float64: outputs and saved. It is the truth; never tuned.
    reference_backward : (arrays, attrs, needs) -> dict of ndarray
        ``{"dx": ...}`` for each input name in `needs`; `arrays` holds `keeps` and ``"d" + output``.
    plan, plan_backward : (specs, attrs[, needs]) -> Plan or None
        None makes it a host step: the reference runs.
    plan_inference : (specs, attrs) -> Plan or None, optional
        A plan that makes the outputs and none of `saved`, where nobody reads those.
    keeps : (attrs, needs) -> tuple of str
        Inputs, outputs and saved that the backward reads.
    takes_rest : (attrs, needs) -> bool
        Whether the backward takes the gradient of y in two terms, too: then operands and specs hold ``"dy_rest"``, which it
        adds to ``"dy"``. The pass `fuse_gradient_sum` makes use of it.
    settings : tuple of str
        Inputs that are float64 numbers beside operands of any float type, as an optimizer's rates are.
    linear : tuple of str
        Inputs in which the operation is linear, the others held: the adjoint identity is tested for them.
    pitched : (specs, attrs) -> bool
        Whether the plan can write y with a pitch, see `Epilogue`.
    view : bool
        The reference returns a view of an operand; eager code takes it and does not copy by the plan.
    cases : tuple of Case
        Sample shapes for tests and benchmarks. A tolerance is computed, never given.
    bfloat16 : (specs, attrs) -> iterable of tuple of str, optional
        Which operands of a forward call, inputs and outputs, the plan can take as bfloat16 in precision "medium": those of one
        tuple all together or not at all. The specs that `plan` then sees say which, and hold the outputs that are.
    flops : (specs, attrs) -> int
        Arithmetic of a forward call, a multiply-add counted as two.
    reduction : (specs, attrs) -> int
        The longest sum that one output element of forward or backward holds; tolerances grow with it.
    """

    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    infer: Callable
    reference: Callable
    attrs: type
    reference_backward: Callable | None = None
    plan: Callable = _nothing
    plan_inference: Callable | None = None
    plan_backward: Callable = _nothing
    keeps: Callable = lambda attrs, needs: ()
    takes_rest: Callable = lambda attrs, needs: False
    saved: tuple[str, ...] = ()
    differentiable: frozenset = frozenset()
    settings: tuple[str, ...] = ()
    linear: tuple[str, ...] = ()
    pitched: Callable = lambda specs, attrs: False
    view: bool = False
    cases: tuple[Case, ...] = ()
    bfloat16: Callable | None = None
    flops: Callable = lambda specs, attrs: 0
    reduction: Callable = lambda specs, attrs: 1
    variadic: bool = field(init=False)

    def __post_init__(self):
        object.__setattr__(self, "variadic", self.inputs[0].startswith("*"))

    def bind(self, values):
        """Return {operand name: value} for positional `values`; absent optional inputs are left out."""
        if self.variadic:
            stem = self.inputs[0][1:]
            return {f"{stem}{i}": value for i, value in enumerate(values)}
        return {name.rstrip("?"): value for name, value in zip(self.inputs, values, strict=True) if value is not None}

    def results(self, specs, attrs):
        """Return the specs of outputs and saved, which arrays can have: what `infer` returns, and its errors.

        Raises
        ------
        ShapeError
            When one of them is larger than any memory.
        """
        found = self.infer(specs, attrs)
        for name, spec in found.items():
            nbytes = STORED_SIZE[spec.dtype] * shapes.size(n for n in spec.shape if n is not None)
            if nbytes > MAX_BYTES and 0 not in spec.shape:
                raise ShapeError(
                    f"{self.name}: {name} would have shape {spec.shape}, {nbytes:,} bytes or more, which no memory holds; "
                    "check sizes, strides and padding"
                )
        return found

    def is_differentiable(self, name):
        """Tell whether the input `name` may have a gradient."""
        return name in self.differentiable or (self.variadic and self.inputs[0] in self.differentiable)


REGISTRY: dict[str, Op] = {}


def register(op):
    """Put `op` into the registry, from which tests, benchmarks and documentation come; returns it."""
    if op.name in REGISTRY:
        raise ValueError(f"operation {op.name!r} is registered twice")
    REGISTRY[op.name] = op
    return op
