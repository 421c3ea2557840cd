"""The tutorials' networks, whole: fastconv beside PyTorch (where it is installed), on the same number of threads.

    python benchmarks/networks.py --threads 2

    CIFAR network   a training step at batch 32 with Adam, by `fit`; the memory that training takes
    MNIST network   a prediction for one image

Every engine has a process of its own; they take turns, a block of work each, and idle in between. Medians are given.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

HERE = Path(__file__).parent
BATCH = 32
IMAGES_PER_EPOCH = 50_000
ENGINES = {
    "train": ("fastconv fit", "torch NCHW", "torch channels_last"),
    "latency": ("fastconv program", "fastconv predict_on_batch", "torch NCHW", "torch channels_last"),
}

# ---- in an engine's process


def memory(field):
    """Return a memory figure of this process in megabytes: "VmRSS" now, "VmHWM" at its highest."""
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) / 1024 for line in file if line.startswith(field))


def images(count, height, width, channels):
    """Return random images and labels."""
    import numpy as np

    rng = np.random.default_rng(0)
    return rng.random((count, height, width, channels), np.float32), rng.integers(0, 10, count)


def fastconv_train(engine, threads, steps):
    """Return a function that trains for `steps` steps and returns seconds per step, in a list of one."""
    sys.path.insert(0, str(HERE.parent / "examples"))
    from cifar10_cnn import build

    from fastconv import config, utils

    config.set_num_threads(threads)
    x, labels = images(steps * BATCH, 32, 32, 3)
    y = utils.to_categorical(labels, 10)
    before = memory("VmRSS")
    model = build()
    model.compile(loss="categorical_crossentropy", optimizer="adam", metrics="accuracy")

    def block():
        begin = time.perf_counter()
        model.fit(x, y, batch_size=BATCH, epochs=1, verbose=0)
        return [(time.perf_counter() - begin) / steps]

    return block, before


def torch_train(engine, threads, steps):
    """The same for PyTorch, its images already in its own layout; loss and accuracy are kept as `fit` keeps them."""
    import torch
    from torch import nn

    torch.set_num_threads(threads)
    form = torch.channels_last if "channels_last" in engine else torch.contiguous_format
    x, labels = (torch.from_numpy(array) for array in images(steps * BATCH, 32, 32, 3))
    x = x.permute(0, 3, 1, 2).contiguous(memory_format=form)
    before = memory("VmRSS")
    layers, channels = [], 3
    for filters in (32, 64, 128):
        for _ in range(2):
            layers += [nn.Conv2d(channels, filters, 3, padding=1), nn.ReLU(), nn.BatchNorm2d(filters, 1e-3, 0.01)]
            channels = filters
        layers += [nn.MaxPool2d(2), nn.Dropout(0.25)]
    head = [nn.Flatten(), nn.Linear(2048, 128), nn.ReLU(), nn.Dropout(0.25), nn.Linear(128, 10)]
    model = nn.Sequential(*layers, *head).to(memory_format=form)
    optimizer = torch.optim.Adam(model.parameters(), eps=1e-7)
    loss_function = nn.CrossEntropyLoss()

    def block():
        begin = time.perf_counter()
        loss_sum = correct = 0
        for chosen in torch.randperm(len(x)).split(BATCH):
            optimizer.zero_grad()
            scores = model(x[chosen])
            loss = loss_function(scores, labels[chosen])
            loss.backward()
            optimizer.step()
            loss_sum += loss.item()
            correct += (scores.argmax(1) == labels[chosen]).sum().item()
        return [(time.perf_counter() - begin) / steps]

    return block, before


def timed_calls(function, calls):
    """Return a block of timed calls."""

    def block():
        times = []
        for _ in range(calls):
            begin = time.perf_counter()
            function()
            times.append(time.perf_counter() - begin)
        return times

    return block


def fastconv_latency(engine, threads, calls):
    """Return a function that predicts `calls` times and returns the seconds of each."""
    sys.path.insert(0, str(HERE.parent / "examples"))
    from mnist_first_cnn import build

    import fastconv
    from fastconv import config
    from fastconv.graph import Program, trace
    from fastconv.op import Spec

    config.set_num_threads(threads)
    x, _ = images(1, 28, 28, 1)
    before = memory("VmRSS")
    model = build()
    if engine == "fastconv predict_on_batch":
        return timed_calls(lambda: model.predict_on_batch(x), calls), before

    def forward(x):
        with fastconv.no_grad():
            return {"y": model(x, training=False)}

    program = Program(trace(forward, {"x": Spec(x.shape)}))
    return timed_calls(lambda: program.run(x=x), calls), before


def torch_latency(engine, threads, calls):
    """The same for PyTorch."""
    import torch
    from torch import nn

    torch.set_num_threads(threads)
    form = torch.channels_last if "channels_last" in engine else torch.contiguous_format
    x = torch.from_numpy(images(1, 28, 28, 1)[0]).permute(0, 3, 1, 2).contiguous(memory_format=form)
    before = memory("VmRSS")
    model = nn.Sequential(
        *(nn.Conv2d(1, 32, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(32, 64, 3), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(64, 64, 3), nn.ReLU(), nn.Flatten(), nn.Linear(576, 64), nn.ReLU()),
        *(nn.Linear(64, 10), nn.Softmax(1)),
    )
    model = model.eval().to(memory_format=form)

    @torch.inference_mode()
    def predict():
        return model(x).numpy()

    return timed_calls(predict, calls), before


def work(job, engine, threads, amount):
    """Do a block for every line that comes in, and answer with its times and the memory so far."""
    maker = globals()[f"{engine.split()[0]}_{job}"]
    block, before = maker(engine, threads, amount)
    for _ in sys.stdin:
        times = block()
        print(json.dumps({"times": times, "before": before, "peak": memory("VmHWM")}), flush=True)


# ---- the referee


class Engine:
    """An engine's process."""

    def __init__(self, job, name, threads, amount):
        self.name, self.times, self.answer = name, [], None
        environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "OPENBLAS_NUM_THREADS": str(threads)}
        arguments = ["--worker", job, name, "--threads", str(threads), "--amount", str(amount)]
        self._process = subprocess.Popen(
            [sys.executable, __file__, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )

    def block(self, counts):
        """Have one block done; remember its times if it counts."""
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            sys.exit(f"{self.name} ended early, see above")
        self.answer = json.loads(line)
        if counts:
            self.times += self.answer["times"]

    def close(self):
        self._process.stdin.close()
        self._process.wait()


def take_turns(job, names, threads, rounds, amount):
    """Return the engines after one warm-up block and `rounds` blocks each, the first to go changing every round."""
    engines = [Engine(job, name, threads, amount) for name in names]
    for engine in engines:
        engine.block(counts=False)
    for i in range(rounds):
        for j in range(len(engines)):
            engines[(i + j) % len(engines)].block(counts=True)
    for engine in engines:
        engine.close()
    return engines


def report_training(engines, threads):
    print(f"\nCIFAR network, training at batch {BATCH} with Adam, {threads} threads\n")
    print("| engine | ms per step | s per epoch | peak memory MB | of it by training |\n|---|---:|---:|---:|---:|")
    for engine in engines:
        seconds, answer = statistics.median(engine.times), engine.answer
        print(
            f"| {engine.name} | {seconds * 1e3:.1f} | {seconds * -(-IMAGES_PER_EPOCH // BATCH):.1f} "
            f"| {answer['peak']:.0f} | {answer['peak'] - answer['before']:.0f} |"
        )


def report_latency(engines, threads):
    print(f"\nMNIST network, one image, {threads} threads, {len(engines[0].times)} calls\n")
    print("| engine | median µs | fastest 1 % µs | slowest 1 % µs |\n|---|---:|---:|---:|")
    for engine in engines:
        percentiles = statistics.quantiles([1e6 * t for t in engine.times], n=100)
        print(f"| {engine.name} | {percentiles[49]:.1f} | {percentiles[0]:.1f} | {percentiles[98]:.1f} |")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5, help="blocks of each engine that count")
    parser.add_argument("--steps", type=int, default=60, help="training steps in a block")
    parser.add_argument("--calls", type=int, default=400, help="predictions in a block")
    parser.add_argument("--only", choices=tuple(ENGINES))
    parser.add_argument("--worker", nargs=2, help=argparse.SUPPRESS)
    parser.add_argument("--amount", type=int, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.worker:
        work(*args.worker, args.threads, args.amount)
        return
    has_torch = find_spec("torch") is not None
    if not has_torch:
        print("PyTorch is not installed: fastconv alone.")
    for job, report in (("train", report_training), ("latency", report_latency)):
        if args.only in (None, job):
            names = [name for name in ENGINES[job] if has_torch or not name.startswith("torch")]
            amount = args.steps if job == "train" else args.calls
            report(take_turns(job, names, args.threads, args.rounds, amount), args.threads)


if __name__ == "__main__":
    main()
