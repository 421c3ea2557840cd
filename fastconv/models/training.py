"""Trainer: `compile`, `fit`, `evaluate`, `predict` and their one-batch forms, with Keras 3's arguments and results.

    fit ── adapt (data.py) ── check labels, trace ── for each batch: ModelStep (steps.py) ── metrics, callbacks
                                                     └─ _graph: forward, loss, gradients, update

Everything that can be wrong with the arguments shows before the first step and leaves the model as it was. For streams,
whose later batches are not known, that holds for the first batch, and for each later one before its own step.
"""

import contextlib
import warnings
from collections.abc import Collection

import numpy as np

from .. import optimizers
from ..autograd import SYMBOLIC, gradients, no_grad, symbol, using
from ..errors import ArgumentError, FastconvError, GradientError, UnsupportedOpError
from ..graph import ProgramCache
from . import progress
from .callbacks import CallbackList, History
from .compiled import Compiled, output_names
from .data import ArrayData, Epochs, adapt, check_count
from .overridable import OverridableSteps, unpack_x_y_sample_weight
from .steps import MAX_PROGRAMS, CustomStep, ModelStep, Outputs, flatten_outputs, join, survey, to_tensors


class Trainer(OverridableSteps):
    """What `Model` can do beside computing: learn and be measured.

    The class that derives from it is a `Layer` and may have `input_names` and `output_names`.

    Attributes
    ----------
    optimizer : Optimizer
    history : History
        Of the last `fit`, also when it was interrupted.
    stop_training : bool
        A callback sets it to True to end `fit`.
    """

    optimizer = None
    loss = None
    history = None
    stop_training = False
    run_eagerly = False
    _compiled = None
    _program_cache = None

    # ---- compile

    def compile(
        self,
        optimizer="rmsprop",
        loss=None,
        loss_weights=None,
        metrics=None,
        weighted_metrics=None,
        run_eagerly=False,
        steps_per_execution=1,
        jit_compile="auto",
        auto_scale_loss=True,
    ):
        """Choose how the model is trained and measured.

        Parameters
        ----------
        optimizer : str or Optimizer
        loss : str, Loss, callable, or list or dict of them
            For several outputs one each, or one for all.
        loss_weights : list or dict of float, optional
            The total loss is the sum of the outputs' losses times these.
        metrics, weighted_metrics : str, Metric, callable, or list or dict of them
            The latter are weighted by sample and class weights.
        run_eagerly : bool
            Compute step by step on the tape: slower, and Python code in layers runs every time.
        steps_per_execution, jit_compile, auto_scale_loss
            Taken for compatibility; programs need no such hints.

        Raises
        ------
        ArgumentError
            An unknown name.
        """
        optimizer = optimizers.get(optimizer)
        self._compiled = Compiled(loss, loss_weights, metrics, weighted_metrics)
        self.optimizer, self.loss, self.run_eagerly = optimizer, loss, bool(run_eagerly)
        self._programs.clear()

    @property
    def compiled(self):
        """Whether `compile` was called."""
        return self._compiled is not None

    @property
    def metrics(self):
        """The total loss and the metrics, in the order in which `evaluate` returns them."""
        return [] if self._compiled is None else self._compiled.all_metrics()

    @property
    def metrics_names(self):
        """Names of `metrics`."""
        return [metric.name for metric in self.metrics]

    def reset_metrics(self):
        """Start new means."""
        if self._compiled is not None:
            self._compiled.reset()

    @property
    def _programs(self):
        if self._program_cache is None:
            self._program_cache = ProgramCache(MAX_PROGRAMS)
        return self._program_cache

    def _need_compile(self, what):
        if self._compiled is None:
            raise ArgumentError(f"{what}() needs a compiled model: call model.compile(optimizer, loss, metrics) first")

    def _float_type(self):
        return survey(self)[1]

    # ---- one step, as a function of tensors

    def _graph(self, kind, x, labels, weights, hyper=None):
        """Run the model, its loss and its update; returns {name: Tensor}. The tracer records this very function."""
        predictions, _ = flatten_outputs(self(x, training=kind == "train"), self._names()[1])
        results = {f"y_pred{i}": prediction for i, prediction in enumerate(predictions)}
        if kind == "predict" or not labels:
            return results
        total, parts = self._total_loss(labels, predictions, weights)
        if kind == "train":
            variables = self.trainable_variables
            if variables:
                self.optimizer.update(variables, _gradients(total, variables), hyper)
        results["loss"] = total
        if len(parts) > 1:
            results |= {f"loss{i}": part for i, part in enumerate(parts) if part is not None}
        return results

    def _names(self):
        names = getattr(self, "input_names", None), getattr(self, "output_names", None)
        return tuple(list(n) if n else None for n in names)

    # ---- getting ready

    def _output_shapes(self, x, keys):
        """Return (shapes, keys or None) of the outputs for a list of inputs, without changing the model."""
        try:
            with _naming("x"):
                outputs = self.compute_output_shape(join([array.shape for array in x], keys))
        except UnsupportedOpError:
            # Code of the user's own in `call` that needs values.
            with no_grad():
                outputs, output_keys = flatten_outputs(
                    self(join(to_tensors(x, self._float_type()), keys), training=False)
                )
            outputs = join([output.shape for output in outputs], output_keys)
        return flatten_outputs(outputs, self._names()[1])

    def _ensure_built(self, x, keys):
        if not self.built:
            inputs = [symbol(array.shape, self._float_type()) for array in x]
            with using(SYMBOLIC), no_grad():
                self(join(inputs, keys), training=False)

    def _get_ready(self, kind, data, keys):
        """Check data against the model, build it and trace the first step; returns what runs a batch."""
        if self._overridden(kind):
            return CustomStep(self, kind, keys)
        first, whole = data.peek(), isinstance(data, ArrayData)
        if kind == "train" and self.loss is None:
            raise ArgumentError("fit() needs a loss: give one to compile()")
        if kind != "predict":
            shapes, output_keys = self._output_shapes(first.x, keys)
            names = output_keys or output_names(self._names()[1], len(shapes))
            labels = data.arrays.y if whole else first.y
            self._compiled.resolve(names, shapes)
            self._compiled.check_labels(labels, shapes)
            self._compiled.resolve(names, shapes, [label.shape for label in labels])
            self._compiled.check_metrics(labels, shapes)
        self._ensure_built(first.x, keys)
        step = ModelStep(self, kind, keys, checked=whole)
        step.prepare(first)
        return step

    def _adapt(self, x, *args, **kwargs):
        """Return (data, keys of a dict of inputs that the model takes as it is)."""
        names = self._names()
        keys = tuple(x) if isinstance(x, dict) and names[0] is None else None
        return adapt(x, *args, names=names, **kwargs), keys

    # ---- fit

    def fit(
        self,
        x=None,
        y=None,
        batch_size=None,
        epochs=1,
        verbose="auto",
        callbacks=None,
        validation_split=0.0,
        validation_data=None,
        shuffle=True,
        class_weight=None,
        sample_weight=None,
        initial_epoch=0,
        steps_per_epoch=None,
        validation_steps=None,
        validation_batch_size=None,
        validation_freq=1,
    ):
        """Train for a number of epochs.

        Parameters
        ----------
        x : array_like, list or dict of array_like, or iterable of batches
            Any numeric type, read-only and memory-mapped arrays included; cast batch by batch. An iterable yields
            (x, y) or (x, y, sample_weight).
        y : array_like, or list or dict of them
            Integer classes (N,) or (N, 1), one-hot, or numbers, as the loss asks for.
        batch_size : int
            32 if left out.
        epochs, initial_epoch : int
            Trains epochs `initial_epoch` to `epochs` - 1.
        verbose : {"auto", 0, 1, 2}
            0 silent, 1 a bar, 2 a line per epoch; "auto" is 1 on a terminal and 2 elsewhere.
        callbacks : Callback or list of Callback
        validation_split : float
            The share of samples, from the end, that is not trained on but evaluated after each epoch.
        validation_data : (x, y), (x, y, sample_weight) or iterable of batches
        shuffle : bool or "batch"
            New order every epoch, of samples or of whole batches; not for iterables.
        class_weight : dict of int -> float
        sample_weight : array_like
            (N,). Both kinds of weight multiply the loss of a sample.
        steps_per_epoch, validation_steps : int, optional
            Batches; needed for endless iterables.
        validation_batch_size : int
            `batch_size` if left out.
        validation_freq : int or collection of int
            Validate after every so many epochs; or after the epochs listed, from 1.

        Returns
        -------
        History

        Raises
        ------
        ArgumentError, ShapeError, DTypeError
            Before the first step; the model is then as it was.
        """
        self._need_compile("fit")
        style = progress.style(verbose)
        epochs, initial_epoch = check_count(epochs, "epochs", 0), check_count(initial_epoch, "initial_epoch", 0)
        callbacks = CallbackList(callbacks, model=self, verbose=verbose, epochs=epochs)
        validates = _validation_schedule(validation_freq)
        data, keys = self._adapt(x, y, sample_weight, batch_size=batch_size, shuffle=shuffle, class_weight=class_weight)
        if validation_batch_size is None:
            validation_batch_size = batch_size
        else:
            validation_batch_size = check_count(validation_batch_size, "validation_batch_size")
        data, validation = self._split(data, keys, validation_split, validation_data, validation_batch_size)
        training = Epochs(data, steps_per_epoch, "steps_per_epoch")
        validating = None if validation is None else Epochs(validation[0], validation_steps, "validation_steps")
        step = self._get_ready("train", data, keys)
        test = None
        if validation is not None:
            with _naming("validation_data" if validation_data is not None else "validation_split"):
                test = self._get_ready("test", *validation)

        self.stop_training = False
        history = self.history = History()
        callbacks.params["steps"] = training.steps
        callbacks.callbacks.insert(0, history)
        if style != "silent":
            callbacks.append(progress.ProgressBar(style))
        callbacks.begin()
        logs = {}
        try:
            callbacks.on_train_begin()
            for epoch in range(initial_epoch, epochs):
                self.reset_metrics()
                callbacks.on_epoch_begin(epoch)
                logs = self._train_epoch(step, training, callbacks)
                if logs is None:
                    warnings.warn("the generator is used up: training ends here", stacklevel=2)
                    break
                if test is not None and validates(epoch + 1):
                    results = self._test_epoch(test, validating, callbacks)
                    logs = {**logs, **{f"val_{name}": value for name, value in sorted(results.items())}}
                callbacks.on_epoch_end(epoch, logs)
                if self.stop_training:
                    break
        finally:
            # Also on Ctrl-C: the history so far is kept, and callbacks put back or save what they promised.
            self.history = history  # a callback may have run a fit of its own
            callbacks.on_train_end(logs)
        return history

    def _split(self, data, keys, fraction, given, batch_size):
        """Return (training data, (validation data, keys) or None)."""
        fraction = 0 if fraction is None else fraction
        if not isinstance(fraction, (int, float, np.number)) or not 0 <= fraction < 1:
            raise ArgumentError(f"validation_split must be a number of at least 0 and less than 1, got {fraction!r}")
        if given is not None:
            if isinstance(given, (list, tuple)) and not 1 <= len(given) <= 3:
                raise ArgumentError(f"validation_data must be (x, y) or (x, y, sample_weight), got {len(given)} items")
            x, y, sample_weight = unpack_x_y_sample_weight(given)
            as_batches = y is not None or sample_weight is not None
            with _naming("validation_data"):
                return data, self._adapt(x, y, sample_weight, batch_size=batch_size if as_batches else None)
        if not fraction:
            return data, None
        if not isinstance(data, ArrayData):
            raise ArgumentError("validation_split is only supported for arrays; give validation_data for an iterable")
        data, held_out = data.split(fraction)
        held_out.batch_size = held_out.batch_size if batch_size is None else batch_size
        return data, (ArrayData(held_out.arrays, held_out.batch_size), keys)

    def _train_epoch(self, step, training, callbacks):
        """Return the logs of one epoch, or None where there was no batch."""
        logs = None
        for number, batch in enumerate(training.epoch()):
            callbacks.on_train_batch_begin(number)
            logs = step(batch)
            callbacks.on_train_batch_end(number, logs)
            if self.stop_training:
                break
        return logs

    def _test_epoch(self, step, testing, callbacks):
        self.reset_metrics()
        callbacks.on_test_begin()
        logs = {}
        for number, batch in enumerate(testing.epoch()):
            callbacks.on_test_batch_begin(number)
            logs = step(batch)
            callbacks.on_test_batch_end(number, logs)
        callbacks.on_test_end(logs)
        if not logs:
            warnings.warn("there was nothing to evaluate: the generator is used up", stacklevel=3)
        return logs

    # ---- evaluate and predict

    def evaluate(
        self,
        x=None,
        y=None,
        batch_size=None,
        verbose="auto",
        sample_weight=None,
        steps=None,
        callbacks=None,
        return_dict=False,
    ):
        """Return the loss, and the metrics if there are any, over a data set.

        Parameters
        ----------
        x, y, batch_size, verbose, sample_weight, callbacks
            As in `fit`.
        steps : int, optional
            Stop after so many batches.
        return_dict : bool

        Returns
        -------
        float, list of float (loss first), or dict of str -> float
        """
        self._need_compile("evaluate")
        style = progress.style(verbose)
        data, keys = self._adapt(x, y, sample_weight, batch_size=batch_size)
        testing = Epochs(data, steps)
        callbacks = CallbackList(callbacks, model=self, verbose=verbose, epochs=1, steps=testing.steps)
        step = self._get_ready("test", data, keys)
        if style != "silent":
            callbacks.append(progress.ProgressBar(style, "test"))
        callbacks.begin()
        return self._as_result(self._test_epoch(step, testing, callbacks), return_dict)

    def predict(self, x, batch_size=None, verbose="auto", steps=None, callbacks=None):
        """Return the outputs for a data set: an array, or a list or dict of arrays for several outputs.

        Parameters
        ----------
        x, batch_size, verbose, callbacks
            As in `fit`; labels that an iterable yields are left aside.
        steps : int, optional
            Stop after so many batches.
        """
        style = progress.style(verbose)
        data, keys = self._adapt(x, batch_size=batch_size, labels=False)
        running = Epochs(data, steps)
        callbacks = CallbackList(callbacks, model=self, verbose=verbose, epochs=1, steps=running.steps)
        step = self._get_ready("predict", data, keys)
        if style == "bar" or verbose == 2:
            callbacks.append(progress.ProgressBar(style, "predict"))
        callbacks.begin()
        callbacks.on_predict_begin()
        total = None
        if isinstance(data, ArrayData):
            total = data.num_samples if steps is None else min(data.num_samples, running.limit * data.batch_size)
        parts = Outputs(total)
        for number, batch in enumerate(running.epoch()):
            callbacks.on_predict_batch_begin(number)
            outputs = step(batch)
            parts.append(outputs, batch.size)
            callbacks.on_predict_batch_end(number, {"outputs": step.join(batch.x, outputs)})
        callbacks.on_predict_end()
        return step.join(batch.x, parts.arrays())

    # ---- one batch

    def train_on_batch(self, x, y=None, sample_weight=None, class_weight=None, return_dict=False):
        """Train on one batch; returns its loss and metrics as `evaluate` does (of this batch alone)."""
        self._need_compile("train_on_batch")
        return self._as_result(self._on_batch("train", x, y, sample_weight, class_weight), return_dict)

    def test_on_batch(self, x, y=None, sample_weight=None, return_dict=False):
        """Return loss and metrics of one batch, as `evaluate` does."""
        self._need_compile("test_on_batch")
        return self._as_result(self._on_batch("test", x, y, sample_weight), return_dict)

    def predict_on_batch(self, x):
        """Return the outputs for one batch."""
        data, keys = self._adapt(x, labels=False)
        step = self._get_ready("predict", data, keys)
        return step.join(data.arrays.x, step(data.arrays))

    def _on_batch(self, kind, x, y, sample_weight, class_weight=None):
        data, keys = self._adapt(x, y, sample_weight, class_weight=class_weight)
        data = ArrayData(data.arrays, data.num_samples) if isinstance(data, ArrayData) else data
        step = self._get_ready(kind, data, keys)
        self.reset_metrics()
        return step(data.peek())

    def _as_result(self, logs, return_dict):
        if return_dict:
            return dict(sorted(logs.items()))
        order = [name for name in self._compiled.results() if name in logs]
        values = [logs[name] for name in order] + [logs[name] for name in sorted(logs) if name not in order]
        return values[0] if len(values) == 1 else values


@contextlib.contextmanager
def _naming(argument):
    """Put the name of an argument before the message of an error."""
    try:
        yield
    except FastconvError as error:
        if error.args and isinstance(error.args[0], str):
            error.args = (f"{argument}: {error.args[0]}", *error.args[1:])
        raise


def _gradients(total, variables):
    try:
        return gradients(total, variables)
    except GradientError as error:
        raise GradientError(
            f"the loss does not depend on the model's weights: compute it from y_pred by fastconv operations ({error})"
        ) from error


def _validation_schedule(freq):
    """Return a function that tells whether to validate after epoch n, counted from 1."""
    if isinstance(freq, (int, np.integer)):
        freq = check_count(freq, "validation_freq")
        return lambda epoch: epoch % freq == 0
    if isinstance(freq, str) or not isinstance(freq, Collection):
        raise ArgumentError(f"validation_freq must be an integer >= 1 or a collection of epochs, got {freq!r}")
    wanted = set(freq)
    return lambda epoch: epoch in wanted
