"""The table of `summary`."""

import numpy as np
import pytest

from fastconv import layers, models
from fastconv.errors import ArgumentError, ShapeError
from fastconv.models.summary import format_bytes


def text(model, **arguments):
    out = []
    model.summary(print_fn=out.append, **arguments)
    return out[0]


def small():
    return models.Sequential(
        [
            layers.Conv2D(8, 3, input_shape=(28, 28, 1), name="conv"),
            layers.BatchNormalization(name="norm"),
            layers.Flatten(name="flat"),
            layers.Dense(10, name="dense"),
        ],
        name="net",
    )


def test_table():
    assert text(small()).splitlines() == [
        'Model: "net"',
        "┏━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━┳━━━━━━━━━━━━━━━━━━━━━━━━━━━┳━━━━━━━━━━━━━━━┓",
        "┃ Layer (type)                      ┃ Output Shape              ┃       Param # ┃",
        "┡━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━╇━━━━━━━━━━━━━━━━━━━━━━━━━━━╇━━━━━━━━━━━━━━━┩",
        "│ conv (Conv2D)                     │ (None, 26, 26, 8)         │            80 │",
        "├───────────────────────────────────┼───────────────────────────┼───────────────┤",
        "│ norm (BatchNormalization)         │ (None, 26, 26, 8)         │            32 │",
        "├───────────────────────────────────┼───────────────────────────┼───────────────┤",
        "│ flat (Flatten)                    │ (None, 5408)              │             0 │",
        "├───────────────────────────────────┼───────────────────────────┼───────────────┤",
        "│ dense (Dense)                     │ (None, 10)                │        54,090 │",
        "└───────────────────────────────────┴───────────────────────────┴───────────────┘",
        " Total params: 54,202 (211.73 KB)",
        " Trainable params: 54,186 (211.66 KB)",
        " Non-trainable params: 16 (64.00 B)",
    ]


def test_unbuilt_and_half_built():
    model = models.Sequential([layers.Conv2D(4, 3, name="one"), layers.Conv2D(4, 3, name="two"), layers.Flatten()])
    assert text(model).count("?") == 3
    with pytest.raises(ShapeError, match="'two'"):
        model.build((None, 4, 4, 1))
    table = text(model)
    assert "one (Conv2D)" in table and "(None, 2, 2, 4)" in table and "two (Conv2D)" in table
    assert "failed" in table and "Flatten" not in table and "Not built: layer 'two'" in table
    model.build((None, 8, 8, 1))
    assert "failed" not in text(model)


def test_connections():
    x = layers.Input((4,), name="in")
    a, b = layers.Dense(3, name="a")(x), layers.Dense(3, name="b")(x)
    model = models.Model(x, layers.Add(name="sum")([a, b]))
    table = text(model)
    assert "Connected to" in table and "a[0][0]," in table and "b[0][0]" in table


def test_subclass():
    class Own(models.Model):
        def __init__(self):
            super().__init__(name="own")
            self.dense = layers.Dense(3, name="d")

        def call(self, inputs):
            return self.dense(inputs)

    model = Own()
    assert "0 (unbuilt)" in text(model)
    model(np.zeros((2, 4)))
    assert "d (Dense)" in text(model) and "(None, 3)" in text(model) and "15 (60.00 B)" in text(model)


def test_options():
    model = models.Sequential([small(), layers.Dense(2, name="top")])
    model.layers[0].trainable = False
    assert "conv (Conv2D)" not in text(model) and "    conv (Conv2D)" not in text(model)
    assert "conv (Conv2D)" in text(model, expand_nested=True)
    assert "Trainable" in text(model, show_trainable=True) and " N " in text(model, show_trainable=True)
    assert max(map(len, text(model, line_length=60).splitlines())) < 62
    assert "flat (Flatten)" not in text(small(), layer_range=("conv", "norm"))
    with pytest.raises(ArgumentError, match="layer_range"):
        text(model, layer_range=("nothing", "top"))
    with pytest.raises(ArgumentError, match="positions"):
        text(model, positions=[0.5, 1.0])


def test_where_the_output_has_no_box_characters(monkeypatch, capsys):
    import io
    import sys

    out = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", out)
    small().summary()
    out.flush()
    assert b"+--" in out.buffer.getvalue()


def test_sizes():
    assert [format_bytes(n) for n in (0, 1023, 1024, 3 << 20)] == ["0.00 B", "1023.00 B", "1.00 KB", "3.00 MB"]
