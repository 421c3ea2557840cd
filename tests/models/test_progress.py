"""What is printed, on a terminal and elsewhere."""

import io

import pytest

from fastconv.errors import ArgumentError
from fastconv.models import progress


class Stream(io.StringIO):
    def __init__(self, terminal, encoding="utf-8"):
        super().__init__()
        self._terminal, self._encoding = terminal, encoding

    encoding = property(lambda self: self._encoding)

    def isatty(self):
        return self._terminal


class Clock:
    """A `time.perf_counter` that moves only when told."""

    def __init__(self, monkeypatch):
        self.now = 100.0
        monkeypatch.setattr(progress.time, "perf_counter", lambda: self.now)


@pytest.mark.parametrize(
    ("verbose", "terminal", "expected"),
    [
        ("auto", True, "bar"),
        (1, True, "bar"),
        (True, True, "bar"),
        (2, True, "line"),
        (0, True, "silent"),
        ("auto", False, "line"),
        (1, False, "line"),
        (2, False, "line"),
        (0, False, "silent"),
    ],
)
def test_style(verbose, terminal, expected):
    assert progress.style(verbose, Stream(terminal)) == expected


def test_unknown_verbose_and_no_stdout(monkeypatch):
    with pytest.raises(ArgumentError, match="verbose"):
        progress.style(3)
    monkeypatch.setattr("sys.stdout", None)
    assert progress.style(1) == "silent"


def run(style, stream, clock, steps=40, seconds=0.02, total=None, epochs=1, **logs):
    bar = progress.ProgressBar(style, stream=stream)
    bar.set_params({"epochs": epochs, "steps": steps if total is None else total or None})
    for epoch in range(epochs):
        bar.on_epoch_begin(epoch, {})
        for step in range(steps):
            clock.now += seconds
            bar.on_train_batch_end(step, logs)
        bar.on_epoch_end(epoch, {**logs, "val_loss": 0.5})
    return stream.getvalue()


def test_line(monkeypatch):
    text = run("line", Stream(False), Clock(monkeypatch), epochs=2, accuracy=0.45, loss=1.52)
    end = " - 40/40 - 1s - 20ms/step - accuracy: 0.4500 - loss: 1.5200 - val_loss: 0.5000\n"
    assert text == f"Epoch 1/2{end}Epoch 2/2{end}"


def test_bar(monkeypatch):
    text = run("bar", Stream(True), Clock(monkeypatch), accuracy=0.45, loss=1.52)
    assert text.startswith("Epoch 1/1\n\r")
    *states, last = text.split("\r")[1:]
    # 40 steps in 0.8 s, at most ten states a second.
    assert 4 <= len(states) <= 8
    assert (
        states[0].startswith(" 6/40 ━━━") and "accuracy: 0.4500 - loss: 1.5200" in states[0] and "val" not in states[0]
    )
    assert last == f"40/40 {'━' * 20} 1s 20ms/step - accuracy: 0.4500 - loss: 1.5200 - val_loss: 0.5000\x1b[K\n"


def test_bar_shows_time_left_then_time_taken(monkeypatch):
    text = run("bar", Stream(True), Clock(monkeypatch), steps=4, seconds=30.0)
    states = text.split("\r")[1:]
    assert " 1:30 30s/step" in states[0] and " 2:00 30s/step" in states[-1]


def test_bar_of_unknown_length(monkeypatch):
    text = run("bar", Stream(True), Clock(monkeypatch), steps=10, total=0)
    assert "6/Unknown" in text and "10/10 " in text


def test_bar_fits_the_terminal(monkeypatch):
    monkeypatch.setenv("COLUMNS", "30")
    text = run("bar", Stream(True), Clock(monkeypatch), loss=1.0, a_very_long_name_of_a_metric=1.0)
    assert all(len(state.removesuffix("\x1b[K")) < 30 for state in text.split("\r")[1:-1])


def test_bar_on_a_terminal_without_unicode(monkeypatch):
    text = run("bar", Stream(True, "ascii"), Clock(monkeypatch))
    assert text.isascii() and "=" * 20 in text


def test_time_of_validation_is_not_in_the_time_per_step(monkeypatch):
    clock, stream = Clock(monkeypatch), Stream(False)
    bar = progress.ProgressBar("line", stream=stream)
    bar.set_params({"epochs": 1, "steps": 1})
    bar.on_epoch_begin(0, {})
    clock.now += 2.0
    bar.on_train_batch_end(0, {})
    clock.now += 60.0
    bar.on_epoch_end(0, {})
    assert stream.getvalue() == "Epoch 1/1 - 1/1 - 1:02 - 2s/step\n"


def test_numbers():
    assert progress.format_metric(1.23456) == "1.2346"
    assert progress.format_metric(1.5e-5) == "1.5000e-05"
    assert progress.format_metric(float("nan")) == "nan"
    assert progress.format_metric(0.0) == "0.0000"
    assert [progress.format_duration(s) for s in (0.4, 59, 61, 3661)] == ["0s", "59s", "1:01", "1:01:01"]
    assert [progress.format_step(s) for s in (2.0, 0.02, 3e-4)] == ["2s/step", "20ms/step", "300us/step"]
