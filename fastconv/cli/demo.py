"""`fastconv demo`: from pixels to a saved model on the digits that the package carries."""

import os
import subprocess
import sys
import tempfile
import time

import numpy as np

from ..config import set_random_seed
from ..datasets import digits
from ..errors import ArgumentError, FastconvError
from ..layers import BatchNormalization, Conv2D, Dense, Dropout, Flatten, Input, MaxPooling2D
from ..models import Sequential
from ..models.data import check_count
from ..models.saving import check_path

RELOAD = """
import sys
import numpy as np
from fastconv.datasets import digits
from fastconv.models import load_model
(_, _), (x, _) = digits.load_data()
predictions = load_model(sys.argv[1]).predict(x[..., None] / 16.0, verbose=0)
np.save(sys.argv[2], predictions)
"""


def build():
    """Return a CNN for 8x8 grey digits, compiled."""
    model = Sequential(
        [
            Input((8, 8, 1)),
            Conv2D(32, 3, padding="same", activation="relu"),
            BatchNormalization(),
            Conv2D(32, 3, padding="same", activation="relu"),
            MaxPooling2D(),
            Conv2D(64, 3, padding="same", activation="relu"),
            MaxPooling2D(),
            Flatten(),
            Dropout(0.3),
            Dense(10, activation="softmax"),
        ]
    )
    model.compile(optimizer="adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def run(args):
    """Run the command."""
    demo(args.epochs, args.out)


def demo(epochs=20, out=None):
    """Train, test, save, load in a new process, compare.

    Raises
    ------
    FastconvError
        When the model that was loaded predicts anything else than the one that was saved.
    """
    epochs = check_count(epochs, "--epochs")
    if out is not None and not os.path.isdir(os.path.dirname(os.path.abspath(check_path(out)))):
        raise ArgumentError(f"--out: there is no folder for {out}: make it first")
    set_random_seed(1)
    (x_train, y_train), (x_test, y_test) = digits.load_data()
    x_train, x_test = (x[..., None] / 16.0 for x in (x_train, x_test))
    print(f"{len(x_train)} real handwritten digits to learn from, {len(x_test)} to be tested on\n")
    model = build()
    model.summary()
    start = time.perf_counter()
    model.fit(x_train, y_train, epochs=epochs, batch_size=32, verbose=1)
    seconds = time.perf_counter() - start
    _, accuracy = model.evaluate(x_test, y_test, verbose=0)
    print(f"\ntest accuracy {accuracy:.2%} after {seconds:.1f} s of training")

    with tempfile.TemporaryDirectory() as folder:
        path = os.path.abspath(out or os.path.join(folder, "digits.fastconv"))
        model.save(path)
        print(f"saved {os.path.getsize(path) / 1024:.0f} kB to {path}")
        result = os.path.join(folder, "predictions.npy")
        subprocess.run([sys.executable, "-P", "-c", RELOAD, path, result], check=True)
        if not np.array_equal(np.load(result), model.predict(x_test, verbose=0)):
            raise FastconvError("the model loaded in a new process predicts something else than the one that was saved")
    print("a new process loaded it and predicts the same, bit for bit")
