"""One step of a model on one batch: as a program, one for each shape of batch, or eagerly on the tape.

Both run the same Python function, `Trainer._graph`: the tracer records it once, the tape executes it every time.
A model that overrides `train_step`, `test_step` or `predict_step` runs that instead, eagerly (`CustomStep`).
"""

import signal
import threading

import numpy as np

from .. import config
from .._kernels import runtime
from ..autograd import Tensor, as_tensor, no_grad
from ..autograd.eager import spec_of
from ..errors import ArgumentError
from ..graph import Program, trace
from ..layers.node import is_shape
from ..op import Spec

MAX_PROGRAMS = 32  # per model, and shapes of outputs


def survey(model):
    """Return (what a traced step depends on beside its inputs, the model's float type), in one walk over the layers."""
    variables, flags, pending = [], [], [model]
    while pending:
        layer = pending.pop()
        flags.append(layer.trainable)
        for kind in layer._kinds:
            variables += kind
        pending += layer._sublayers()
    dtypes = {variable.dtype for variable in variables} or {getattr(model, "dtype", None) or config.floatx()}
    key = tuple(map(id, variables)), tuple(flags), runtime.table(), config.get_precision()
    return key, "float64" if "float64" in dtypes else "float32"


def flatten_outputs(outputs, names=None):
    """Return (list, keys or None) of what a model returned: one, a list or tuple, or a dict."""
    if isinstance(outputs, dict):
        keys = list(outputs) if names is None or set(names) != set(outputs) else list(names)
        return [outputs[key] for key in keys], keys
    if isinstance(outputs, (list, tuple)) and not is_shape(outputs):
        return list(outputs), None
    return [outputs], None


def join(values, keys):
    """Return a list of values as one, a list, or a dict: the form in which a model takes or gives them."""
    if keys is not None:
        return dict(zip(keys, values, strict=True))
    return values[0] if len(values) == 1 else list(values)


class Outputs:
    """Collects the outputs of batches: in arrays made once, where the number of samples is known and each has its row."""

    def __init__(self, total):
        self._total, self._arrays, self._lists, self._filled = total, None, [], 0

    def append(self, outputs, samples):
        """Take the arrays that a batch of so many samples made."""
        if self._arrays is None and any(output.shape[:1] != (samples,) for output in outputs):
            self._total = None  # the model mixes the samples of a batch
        if self._total is None:
            self._lists.append([np.array(output, ndmin=1) for output in outputs])
            return
        if self._arrays is None:
            self._arrays = [np.empty((self._total, *output.shape[1:]), output.dtype) for output in outputs]
        stop = self._filled + len(outputs[0])
        for array, output in zip(self._arrays, outputs, strict=True):
            array[self._filled : stop] = output
        self._filled = stop

    def arrays(self):
        """Return one array for each output."""
        if self._total is None:
            return [np.concatenate(parts) for parts in zip(*self._lists, strict=True)]
        return [array[: self._filled] for array in self._arrays]


def to_tensors(arrays, dtype):
    """Return fresh Tensors of a float type."""
    return [Tensor(np.array(array, dtype, order="C")) for array in arrays]


class Uninterrupted:
    """Context manager: Ctrl-C waits for the end of the block, so that a training step is made wholly or not at all.

    The C code of a step cannot be interrupted anyway: without this, most interruptions would come right after it, when
    the weights have moved and the optimizer has not counted the step.
    """

    def __enter__(self):
        self._caught = self._before = None
        if threading.current_thread() is threading.main_thread():
            self._before = signal.getsignal(signal.SIGINT)
        if callable(self._before):
            signal.signal(signal.SIGINT, self._remember)

    def _remember(self, number, frame):
        self._caught = number, frame

    def __exit__(self, *_):
        if callable(self._before):
            signal.signal(signal.SIGINT, self._before)
            if self._caught:
                self._before(*self._caught)


class ModelStep:
    """Runs batches through a model, its compiled loss and metrics, and its optimizer.

    Parameters
    ----------
    model : Trainer
        Built.
    kind : {"train", "test", "predict"}
    keys : tuple of str or None
        Where the model takes a dict of inputs.
    checked : bool
        Whether labels have been checked already, all of them.
    """

    def __init__(self, model, kind, keys=None, checked=False):
        self.model, self.kind, self.keys, self.checked = model, kind, keys, checked
        self._look()
        self.eager = model.run_eagerly or self.dtype == "float64"
        self._shapes = {}

    def _look(self):
        """Note what the model is like now."""
        model, kind = self.model, self.kind
        if kind == "train":
            model.optimizer.build(model.trainable_variables)
        depends_on, self.dtype = survey(model)
        # The objects themselves, not their ids: a key keeps them alive, so that no later one is taken for them.
        told = () if kind == "predict" else (model._compiled,)
        told += (model.optimizer, model.optimizer.traced) if kind == "train" else ()
        self._signature = kind, self.keys, *told, depends_on

    def output_shapes(self, x):
        """Return (shapes, keys or None) of the outputs for inputs like `x`; their first dimension means nothing."""
        # tuple() of a generator would feed CPython's free list of tuples with every step.
        trailing = tuple([array.shape[1:] for array in x])
        if trailing not in self._shapes:
            key = self._signature, "shapes", trailing
            self._shapes[trailing] = self.model._programs.get(key, lambda: self.model._output_shapes(x, self.keys))
        return self._shapes[trailing]

    def feed(self, batch):
        """Return the arrays of a step by name: x0.., y0.., w0.., and an optimizer's numbers for a training step."""
        arrays = {f"x{i}": array for i, array in enumerate(batch.x)}
        if self.kind == "predict":
            return arrays
        shapes, _ = self.output_shapes(batch.x)
        labels = self.model._compiled.cast_labels(batch.y, shapes, self.dtype)
        arrays |= {f"y{i}": array for i, array in labels.items()}
        if batch.sample_weight is not None:
            arrays |= {f"w{i}": batch.sample_weight[i] for i in labels}
        if self.kind == "train":
            arrays["hyper"] = self.model.optimizer.hyper()
        return arrays

    def _spec(self, name, array):
        return Spec(array.shape, self.dtype if name[0] in "xw" else spec_of(array).dtype)

    def program(self, arrays):
        """Return the program for arrays of these shapes."""
        specs = {name: self._spec(name, array) for name, array in arrays.items()}
        key = self._signature, tuple(specs.items())
        program = self.model._programs.get(key)
        if program is None:
            self._look()  # a callback may have frozen layers since: what is traced now belongs under the key of now
            key = self._signature, tuple(specs.items())
            program = self.model._programs.get(key, lambda: Program(trace(self._function, specs)))
        return program

    def prepare(self, batch):
        """Trace for batches of this shape, so that what is wrong shows before anything has changed."""
        if not self.eager:
            self.program(self.feed(batch))

    def _function(self, **tensors):
        groups = {"x": {}, "y": {}, "w": {}}
        for name, tensor in tensors.items():
            if name != "hyper":
                groups[name[0]][int(name[1:])] = tensor
        x = join([groups["x"][i] for i in sorted(groups["x"])], self.keys)
        if self.kind == "train":
            return self.model._graph(self.kind, x, groups["y"], groups["w"], tensors["hyper"])
        with no_grad():
            return self.model._graph(self.kind, x, groups["y"], groups["w"])

    def run(self, batch):
        """Run one step; returns arrays by name: "y_pred0".., "loss", "loss0".."""
        arrays = self.feed(batch)
        if not self.eager:
            program = self.program(arrays)
            if self.kind != "train":
                return program.run(**arrays)
            with Uninterrupted():
                results = program.run(**arrays)
                self.model.optimizer.iterations += 1
            return results
        tensors = {
            name: Tensor(np.array(array, self._spec(name, array).dtype, order="C")) for name, array in arrays.items()
        }
        results = {name: tensor.numpy() for name, tensor in self._function(**tensors).items()}
        if self.kind == "train":
            self.model.optimizer.iterations += 1
        return results

    def __call__(self, batch):
        """Run one step; returns what there is to report so far, or the outputs of a prediction."""
        compiled = self.model._compiled
        if self.kind != "predict" and compiled.losses is None:
            raise ArgumentError("compile() was called while the model was being trained or evaluated: call fit() again")
        if self.kind != "predict" and not self.checked:
            compiled.check_labels(batch.y, self.output_shapes(batch.x)[0])
        results = self.run(batch)
        count = sum(name.startswith("y_pred") for name in results)
        predictions = [results[f"y_pred{i}"] for i in range(count)]
        if self.kind == "predict":
            return predictions
        if "loss" in results:
            compiled.update_loss(results["loss"], [results.get(f"loss{i}") for i in range(count)], batch.size)
        compiled.update_metrics(batch.y, predictions, batch.sample_weight)
        return self.model.get_metrics_result()

    def join(self, x, outputs):
        """Return a list of outputs for inputs like `x` as the model gives them: one, a list or a dict."""
        return join(outputs, self.output_shapes(x)[1])


class CustomStep:
    """Runs batches through a `train_step`, `test_step` or `predict_step` that a subclass overrides."""

    def __init__(self, model, kind, keys=None):
        self.model, self.kind, self.keys = model, kind, keys
        self._output_keys = None

    def __call__(self, batch):
        """Run one step; returns what it reports as floats, or the outputs of a prediction."""
        dtype = survey(self.model)[1]
        data = [join(to_tensors(batch.x, dtype), self.keys)]
        for arrays in (batch.y, batch.sample_weight):
            if arrays is not None:
                data.append(join([_keep_integers(array, dtype) for array in arrays], None))
        if self.kind == "train":
            return _as_floats(self.model.train_step(tuple(data)))
        with no_grad():
            if self.kind == "test":
                return _as_floats(self.model.test_step(tuple(data)))
            outputs, self._output_keys = flatten_outputs(self.model.predict_step(tuple(data)))
        return [output.numpy() for output in outputs]

    def join(self, x, outputs):
        """Return a list of outputs as `predict_step` gives them."""
        return join(outputs, self._output_keys)


def _keep_integers(array, dtype):
    kind = array.dtype.kind
    return as_tensor(np.array(array, {"f": dtype, "b": "bool"}.get(kind, "int64")))


def _as_floats(logs):
    return {
        name: float(value.numpy().mean()) if isinstance(value, Tensor) else float(np.mean(value))
        for name, value in sorted((logs or {}).items())
    }
