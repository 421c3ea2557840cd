"""What `compile` was told, sorted by output: losses, their weights, metrics, and the means that are reported."""

import numpy as np

from .. import losses, metrics
from ..errors import ArgumentError, FastconvError, ShapeError
from ..metrics import Mean


def output_names(names, count):
    """Return the names of `count` outputs: the model's own, else ``output_0``, ``output_1``, ..."""
    if names is not None and len(names) == count:
        return list(names)
    return [f"output_{i}" for i in range(count)]


def per_output(value, names, what):
    """Return one entry for each output from one value for all, a list, or a dict by name."""
    if isinstance(value, dict) and "class_name" not in value:
        unknown = set(value) - set(names)
        if unknown:
            raise ArgumentError(f"{what}: no output is named {sorted(unknown)}; there is {', '.join(names)}")
        return [value.get(name) for name in names]
    if isinstance(value, (list, tuple)):
        if len(value) != len(names):
            raise ArgumentError(f"{what} has {len(value)} entries for {len(names)} outputs ({', '.join(names)})")
        return list(value)
    return [value] * len(names)


def _leaves(value):
    if isinstance(value, dict) and "class_name" not in value:
        value = list(value.values())
    if isinstance(value, (list, tuple)):
        return [leaf for item in value for leaf in _leaves(item)]
    return [] if value is None else [value]


def _metrics_per_output(value, names, what):
    """Return a list of metrics for each output. A flat list belongs to a model's only output."""
    if len(names) == 1 and isinstance(value, (list, tuple)):
        return [_leaves(value)]
    return [_leaves(entry) for entry in per_output(value, names, what)]


def _loss_weight(weight):
    if weight is None:
        return 1.0
    if not isinstance(weight, (int, float, np.number)) or not np.isfinite(weight):
        raise ArgumentError(f"loss_weights must be finite numbers, got {weight!r}")
    return float(weight)


class Compiled:
    """Losses and metrics of a model.

    Unknown names fail here; what depends on the outputs is settled by `resolve`, when they are known.

    Attributes
    ----------
    losses : list of (Loss or None)
        One for each output.
    loss_tracker : Mean
        Of the total loss, weighted by batch size.
    """

    def __init__(self, loss=None, loss_weights=None, metrics_=None, weighted_metrics=None):
        self.config = {
            "loss": loss,
            "loss_weights": loss_weights,
            "metrics": metrics_,
            "weighted_metrics": weighted_metrics,
        }
        for leaf in _leaves(loss):
            if losses.get(leaf).reduction in (None, "none"):
                raise ArgumentError(
                    f"loss: {leaf!r} has reduction=None; training needs one number, use 'sum_over_batch_size'"
                )
        for leaf in _leaves(metrics_) + _leaves(weighted_metrics):
            if not (isinstance(leaf, str) and leaf.lower() in ("accuracy", "acc")):
                metrics.get(leaf)
        self.loss_tracker = Mean("loss")
        self.losses = self.loss_weights = None
        self._output_trackers, self._metrics = [], []  # metrics: (key, metric, output, weighted)
        self._resolved_for = None

    def resolve(self, names, shapes, label_shapes=None):
        """Settle losses and metrics for outputs of these names and shapes.

        Parameters
        ----------
        names : list of str
        shapes : list of tuple
            Of the predictions, batch first.
        label_shapes : list of tuple, optional
            What ``"accuracy"`` means depends on them.
        """
        self._resolve_losses(names)
        wanted = tuple(names), tuple(shape[1:] for shape in shapes), tuple(s[1:] for s in label_shapes or ())
        if wanted == self._resolved_for or label_shapes is None:
            return
        self._resolved_for, self._metrics = wanted, []
        for what in ("metrics", "weighted_metrics"):
            for output, entries in enumerate(_metrics_per_output(self.config[what], names, what)):
                for entry in entries:
                    metric = metrics.get(entry, label_shapes[output], shapes[output])
                    key = metric.name if len(names) == 1 else f"{names[output]}_{metric.name}"
                    self._metrics.append((key, metric, output, what == "weighted_metrics"))

    def _resolve_losses(self, names):
        if self.losses is not None and len(self.losses) == len(names):
            return
        self.losses = [
            None if loss is None else losses.get(loss) for loss in per_output(self.config["loss"], names, "loss")
        ]
        weights = self.config["loss_weights"]
        self.loss_weights = [_loss_weight(weight) for weight in per_output(weights, names, "loss_weights")]
        self._output_trackers = [Mean(f"{name}_loss") for name in names] if len(names) > 1 else []

    # ---- the loss

    def check_labels(self, labels, shapes, what="y"):
        """Raise, before anything runs, where labels do not fit predictions of `shapes`."""
        if labels is None:
            raise ArgumentError(f"{what} must be given: the loss compares it with the predictions")
        if len(labels) != len(shapes):
            raise ArgumentError(f"{what} has {len(labels)} arrays for {len(shapes)} outputs of the model")
        for i, (loss, y_true, shape) in enumerate(zip(self.losses, labels, shapes, strict=True)):
            if loss is not None:
                loss.check(y_true, (len(y_true), *shape[1:]), what if len(labels) == 1 else f"{what}[{i}]")

    def cast_labels(self, labels, shapes, dtype):
        """Return {output: labels as its loss reads them}."""
        return {
            i: loss.cast(y_true, (len(y_true), *shape[1:]), dtype)
            for i, (loss, y_true, shape) in enumerate(zip(self.losses, labels, shapes, strict=True))
            if loss is not None
        }

    def total(self, labels, predictions, weights):
        """Return (the total loss, [the loss of each output or None]) as Tensors.

        `labels` and `weights` are dicts by output.
        """
        parts, total = [], None
        for i, loss in enumerate(self.losses):
            part = None if loss is None else loss(labels[i], predictions[i], weights.get(i))
            parts.append(part)
            if part is not None:
                share = part if self.loss_weights[i] == 1.0 else part * self.loss_weights[i]
                total = share if total is None else total + share
        return total, parts

    def check_metrics(self, labels, shapes):
        """Raise, before anything runs, where a metric cannot compare labels with predictions of `shapes`."""
        for _, metric, output, _ in self._metrics:
            try:
                metric.check(labels[output][:1], np.zeros((1, *shapes[output][1:]), np.float32))
            except FastconvError as error:
                raise ShapeError(
                    f"metrics: {metric.name!r} cannot compare y of shape {labels[output].shape} with predictions of shape "
                    f"{(len(labels[output]), *shapes[output][1:])}; 'accuracy' takes the form that fits"
                ) from error

    # ---- what is reported

    def reset(self):
        """Start new means."""
        for metric in self.all_metrics():
            metric.reset_state()

    def all_metrics(self):
        """Return every metric: total loss, losses of the outputs, metrics in the order of `compile`."""
        return [self.loss_tracker, *self._output_trackers, *(metric for _, metric, *_ in self._metrics)]

    def update_loss(self, total, parts, size):
        """Take the losses of one batch of `size` samples into account."""
        self.loss_tracker.update_state(float(total), sample_weight=size)
        for tracker, part in zip(self._output_trackers, parts, strict=False):
            if part is not None:
                tracker.update_state(float(part), sample_weight=size)

    def update_metrics(self, labels, predictions, weights):
        """Take labels and predictions of one batch into account, lists of arrays."""
        for _, metric, output, weighted in self._metrics:
            weight = weights[output] if weighted and weights is not None else None
            if weight is None:
                metric.update_state(labels[output], predictions[output])
            else:
                metric.update_state(labels[output], predictions[output], sample_weight=weight)

    def results(self):
        """Return {name: value} in the order of `all_metrics`."""
        values = {"loss": self.loss_tracker.result()} if self.loss_tracker.count else {}
        for tracker in self._output_trackers:
            if tracker.count:
                values[tracker.name] = tracker.result()
        for key, metric, *_ in self._metrics:
            values[key] = float(metric.result())
        return values
