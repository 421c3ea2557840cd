"""What `fit`, `evaluate` and `predict` print while they run.

On a terminal a bar that is rewritten in place; elsewhere one plain line when an epoch is done; ``verbose=2`` asks for
that line everywhere, ``verbose=0`` for silence.
"""

import shutil
import sys
import time

from ..errors import ArgumentError
from .callbacks import Callback

BAR_WIDTH = 20
SECONDS_BETWEEN_UPDATES = 0.1
ERASE_TO_END_OF_LINE = "\x1b[K"


def _rewritable(stream):
    """Tell whether a line can be written over: on a terminal, and in a notebook's cell."""
    return stream is not None and (stream.isatty() or type(stream).__module__.startswith("ipykernel"))


def style(verbose, stream=None):
    """Return ``"bar"``, ``"line"`` or ``"silent"`` for Keras's `verbose`: "auto", 0, 1, 2 or a bool."""
    if verbose not in ("auto", 0, 1, 2):
        raise ArgumentError(f"verbose must be 'auto', 0 (silent), 1 (bar) or 2 (a line per epoch), got {verbose!r}")
    stream = sys.stdout if stream is None else stream
    if verbose == 0 or stream is None:
        return "silent"
    return "bar" if verbose != 2 and _rewritable(stream) else "line"


def format_metric(value):
    """Return a number with four decimals, or in powers of ten where that would hide it."""
    return f"{value:.4f}" if value == 0 or 1e-3 <= abs(value) < 1e6 or value != value else f"{value:.4e}"


def format_logs(logs):
    """Return ``" - name: value"`` for every number."""
    return "".join(f" - {name}: {format_metric(value)}" for name, value in logs.items())


def format_duration(seconds):
    """Return whole seconds, minutes or hours: ``12s``, ``1:02``, ``1:00:09``."""
    seconds = round(seconds)
    if seconds < 60:
        return f"{seconds}s"
    hours, rest = divmod(seconds, 3600)
    return f"{hours}:{rest // 60:02d}:{rest % 60:02d}" if hours else f"{rest // 60}:{rest % 60:02d}"


def format_step(seconds):
    """Return the time of one step: ``2s/step``, ``20ms/step``, ``300us/step``."""
    for factor, unit in ((1, "s"), (1e3, "ms"), (1e6, "us")):
        if seconds * factor >= 1 or unit == "us":
            return f"{seconds * factor:.0f}{unit}/step"


class ProgressBar(Callback):
    """Prints the course of one run.

    Parameters
    ----------
    style : {"bar", "line"}
        See `style`.
    kind : {"train", "test", "predict"}
        Whose hooks to follow; validation within `fit` prints nothing of its own.
    stream : file, optional
        ``sys.stdout`` at the time of writing if left out.
    """

    def __init__(self, style="line", kind="train", stream=None):
        super().__init__()
        self._style, self._kind, self._given = style, kind, stream
        self._title = ""

    @property
    def _stream(self):
        return self._given or sys.stdout

    def _start(self):
        self._began = self._shown = self._stepped = time.perf_counter()
        self._seen = 0

    def _write(self, text):
        self._stream.write(text)
        self._stream.flush()

    # ---- hooks

    def on_epoch_begin(self, epoch, logs=None):
        """Print the number of the epoch."""
        self._title = f"Epoch {epoch + 1}/{self.params['epochs']}"
        if self._style == "bar":
            self._write(self._title + "\n")
        self._start()

    def on_train_batch_end(self, batch, logs=None):
        """Move the bar."""
        self._advance(logs)

    def on_epoch_end(self, epoch, logs=None):
        """Print the finished epoch."""
        self._finish(logs)

    def on_test_begin(self, logs=None):
        """Start the bar of `evaluate`."""
        if self._kind == "test":
            self._start()

    def on_test_batch_end(self, batch, logs=None):
        """Move the bar of `evaluate`."""
        if self._kind == "test":
            self._advance(logs)

    def on_test_end(self, logs=None):
        """Print the result of `evaluate`."""
        if self._kind == "test":
            self._finish(logs)

    def on_predict_begin(self, logs=None):
        """Start the bar of `predict`."""
        self._start()

    def on_predict_batch_end(self, batch, logs=None):
        """Move the bar of `predict`."""
        self._advance({})

    def on_predict_end(self, logs=None):
        """Print that `predict` is done."""
        self._finish({})

    # ---- what is printed

    def _advance(self, logs):
        self._seen += 1
        now = self._stepped = time.perf_counter()
        if self._style == "bar" and now - self._shown >= SECONDS_BETWEEN_UPDATES:
            self._shown = now
            # A line that wraps could not be written over.
            line = self._bar(logs or {}, now - self._began, False)[: shutil.get_terminal_size().columns - 1]
            self._write(f"\r{line}{ERASE_TO_END_OF_LINE}")

    def _finish(self, logs):
        seconds = time.perf_counter() - self._began
        if self._style == "bar":
            self._write(f"\r{self._bar(logs or {}, seconds, True)}{ERASE_TO_END_OF_LINE}\n")
            return
        title = f"{self._title} - " if self._title else ""
        pace = format_step(self._pace())
        self._write(
            f"{title}{self._seen}/{self._seen} - {format_duration(seconds)} - {pace}{format_logs(logs or {})}\n"
        )

    def _pace(self):
        """Return seconds per step so far; the time of validation is not among them."""
        return (self._stepped - self._began) / max(self._seen, 1)

    def _mark(self):
        try:
            "━".encode(getattr(self._stream, "encoding", None) or "utf-8")
        except UnicodeEncodeError:
            return "="
        return "━"

    def _bar(self, logs, seconds, finished):
        """Return one state of the bar: time left while it runs, time taken when it is done."""
        steps = self._seen if finished else self.params["steps"]
        pace = self._pace()
        if steps is None:
            return f"{self._seen}/Unknown {format_duration(seconds)} {format_step(pace)}{format_logs(logs)}"
        filled = BAR_WIDTH if finished else min(BAR_WIDTH * self._seen // max(steps, 1), BAR_WIDTH)
        bar = self._mark() * filled + " " * (BAR_WIDTH - filled)
        shown = seconds if finished else pace * max(steps - self._seen, 0)
        count = f"{self._seen:>{len(str(steps))}}/{steps}"
        return f"{count} {bar} {format_duration(shown)} {format_step(pace)}{format_logs(logs)}"
