"""A steady training step takes no new memory: it causes no page fault."""

import subprocess
import sys

import pytest

resource = pytest.importorskip("resource", reason="counting page faults needs the resource module (Unix)")

FIT = """
import resource, sys
import numpy as np
import fastconv
from fastconv import callbacks, layers, models

threads, dtype = int(sys.argv[1]), sys.argv[2]
fastconv.set_num_threads(threads)
fastconv.utils.set_random_seed(0)
rng = np.random.default_rng(0)
x = (rng.random((32 * 80, 32, 32, 3)) * 255).astype(dtype)
y = rng.integers(0, 10, (len(x), 1))
model = models.Sequential([
    layers.Conv2D(16, 3, padding="same", activation="relu", input_shape=(32, 32, 3)),
    layers.BatchNormalization(),
    layers.MaxPooling2D(),
    layers.Dropout(0.25),
    layers.Flatten(),
    layers.Dense(10, activation="softmax"),
])
model.compile("adam", "sparse_categorical_crossentropy", metrics="accuracy")

def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

counts = np.zeros((2, 80), np.int64)  # not a list: the numbers kept in it would fill a page of their own now and then
epoch = iter(counts)

def begin(number, logs):
    global row
    row = next(epoch)

def count(batch, logs):
    row[batch] = faults()

watch = callbacks.LambdaCallback(on_epoch_begin=begin, on_train_batch_end=count)
model.fit(x, y, epochs=2, verbose=0, callbacks=[watch])
# Until then Python's own allocator still takes a page or two. The kernel may take a page away from a busy process at any
# step, and gives it back by a fault: what a step does itself, it does in both epochs.
steady = np.diff(counts).min(axis=0)[35:]
assert len(steady) == 44
print(*steady)
"""


@pytest.mark.parametrize("threads, dtype", [(1, "float32"), (2, "float32"), (2, "uint8"), (1, "float64")])
def test_no_page_faults_in_fit(threads, dtype):
    result = subprocess.run([sys.executable, "-c", FIT, str(threads), dtype], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert set(result.stdout.split()) == {"0"}, f"page faults per step: {result.stdout}"
