"""What a subclass of `Model` may override to train in a way of its own, and what helps it to do so."""

import functools

from .. import ops
from ..autograd import as_tensor, gradients
from ..errors import ArgumentError
from .compiled import output_names
from .data import make_batch
from .steps import flatten_outputs


def unpack_x_y_sample_weight(data):
    """Return (x, y, sample_weight) from a tuple of one to three of them; None for what is absent."""
    data = tuple(data) if isinstance(data, (list, tuple)) else (data,)
    return (*data, *(None,) * (3 - len(data)))


class OverridableSteps:
    """Steps on one batch, in plain Python on the tape. Overriding one makes `fit`, `evaluate` or `predict` call it."""

    def train_step(self, data):
        """Train on one batch; returns {name: value} to report. Override it to train in a way of your own, on the tape.

        Parameters
        ----------
        data : tuple
            (x, y) or (x, y, sample_weight), Tensors: inputs and weights of the model's float type, labels as they came.

        Examples
        --------
        >>> class Mine(Model):
        ...     def train_step(self, data):
        ...         x, y = data
        ...         y_pred = self(x, training=True)
        ...         loss = self.compute_loss(x, y, y_pred)
        ...         variables = self.trainable_variables
        ...         self.optimizer.apply(fastconv.autograd.gradients(loss, variables), variables)
        ...         return {"loss": loss}
        """
        x, y, sample_weight = unpack_x_y_sample_weight(data)
        y_pred = self(x, training=True)
        loss = self.compute_loss(x, y, y_pred, sample_weight)
        variables = self.trainable_variables
        if variables:
            self.optimizer.apply(gradients(loss, variables), variables)
        self._compiled.loss_tracker.update_state(float(loss), sample_weight=_samples(y_pred))
        return self.compute_metrics(x, y, y_pred, sample_weight)

    def test_step(self, data):
        """Evaluate one batch; returns {name: value} to report. May be overridden, as `train_step`."""
        x, y, sample_weight = unpack_x_y_sample_weight(data)
        y_pred = self(x, training=False)
        loss = self.compute_loss(x, y, y_pred, sample_weight)
        self._compiled.loss_tracker.update_state(float(loss), sample_weight=_samples(y_pred))
        return self.compute_metrics(x, y, y_pred, sample_weight)

    def predict_step(self, data):
        """Return the outputs for one batch. May be overridden, as `train_step`."""
        return self(unpack_x_y_sample_weight(data)[0], training=False)

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        """Return the total loss of one batch, penalties on weights included, a Tensor: for a `train_step` of one's own."""
        predictions, labels, weights = self._resolve_eager(y, y_pred, sample_weight)
        shapes = [prediction.shape for prediction in predictions]
        self._compiled.check_labels(labels, shapes)
        labels = self._compiled.cast_labels(labels, shapes, predictions[0].dtype)
        labels = {i: as_tensor(array) for i, array in labels.items()}
        weights = {i: as_tensor(w, predictions[0].dtype) for i, w in enumerate(weights or ())}
        total, _ = self._total_loss(labels, predictions, weights)
        if total is None:
            raise ArgumentError("compute_loss() needs a loss: give one to compile()")
        return total

    def _total_loss(self, labels, predictions, weights):
        """Return (the loss of all outputs and the penalties on weights, [the loss of each output or None])."""
        total, parts = self._compiled.total(labels, predictions, weights)
        return total if total is None else functools.reduce(ops.add, self.losses, total), parts

    def compute_metrics(self, x, y, y_pred, sample_weight=None):
        """Update the metrics of `compile` with one batch; returns {name: value} of everything reported so far."""
        predictions, labels, weights = self._resolve_eager(y, y_pred, sample_weight)
        if labels is not None:
            self._compiled.update_metrics(labels, [p.numpy() for p in predictions], weights)
        return self.get_metrics_result()

    def get_metrics_result(self):
        """Return {name: value} of loss and metrics so far, sorted by name."""
        return {name: value for name, value in sorted(self._compiled.results().items())}  # noqa: C416

    def _resolve_eager(self, y, y_pred, sample_weight):
        self._need_compile("compute_loss")
        predictions, keys = flatten_outputs(y_pred, self._names()[1])
        names = keys or output_names(self._names()[1], len(predictions))
        batch = make_batch(predictions[0].numpy(), y, sample_weight, None, None, names)
        shapes = [prediction.shape for prediction in predictions]
        self._compiled.resolve(names, shapes, None if batch.y is None else [label.shape for label in batch.y])
        return predictions, batch.y, batch.sample_weight

    def _overridden(self, kind):
        name = f"{kind}_step"
        return getattr(type(self), name) is not getattr(OverridableSteps, name)


def _samples(y_pred):
    return flatten_outputs(y_pred)[0][0].shape[0]
