"""Engines in processes of their own that take turns: the only fair way to compare thread pools on one machine.

The referee starts a worker for each engine. A worker is asked to prepare a job, then for blocks of it, and answers each
with the seconds of every call. Between its turns a worker sleeps, so that it has the machine to itself when it works.

An engine is a module with `start(threads)` and either

    prepare(variant, job) -> a function that does the job once, or None where there is nothing to do
    load(variant, path, shapes) -> a function {name: array} -> [array, ...] that runs the network of an ONNX file;
        `shapes` are those of its inputs, or None if they change from call to call; a `make_ready(path, shapes)`
        beside it is called first, and not timed: for engines that read files of their own

This file also runs as a script, in the Python of the engine: it imports nothing but the standard library and NumPy.
"""

import functools
import importlib
import itertools
import json
import os
import subprocess
import sys
import time
from pathlib import Path

PACKAGES = Path(__file__).parents[3]  # the folder that holds fastconv
BLOCK_SECONDS = 0.15  # of one turn
BLOCK_CALLS = (3, 400)  # at least, at most


def memory(field):
    """Return a memory figure of this process in megabytes: "VmRSS" now, "VmHWM" at its highest."""
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) / 1024 for line in file if line.startswith(field))


# ---- in an engine's process


def work(path, variant, threads):
    """Answer the referee's requests until it hangs up."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what an engine prints must not look like an answer
    begin = time.perf_counter()
    engine = importlib.import_module(Path(path).stem)
    engine.start(threads)
    ready = time.perf_counter() - begin
    prepare = getattr(engine, "prepare", None) or functools.partial(_prepare_model, engine)
    call = None
    for line in sys.stdin:
        request = json.loads(line)
        if "job" in request:
            call = None  # frees the memory of the last job first
            call = prepare(variant, request["job"])
            answer = {"can": callable(call), "import": ready, **getattr(call, "facts", {})}
        elif "repeat" in request:
            for _ in range(request["repeat"]):
                call()
            answer = {"rss": memory("VmRSS")}
        else:
            answer = {"times": _block(call), "peak": memory("VmHWM")}
        print(json.dumps(answer), file=answers, flush=True)


def _block(call):
    """Return the seconds of every call; a call that makes several steps says so by its attribute `steps`."""
    steps = getattr(call, "steps", 1)
    call()
    times, least, most = [], *BLOCK_CALLS
    while len(times) < least or (steps * sum(times) < BLOCK_SECONDS and len(times) < most):
        begin = time.perf_counter()
        call()
        times.append((time.perf_counter() - begin) / steps)
    return times


class _Refusal:
    """Why an engine cannot do a job."""

    def __init__(self, error):
        self.facts = {"why": f"{type(error).__name__}: {error}"}


def _prepare_model(engine, variant, job):
    """Return a function that runs an ONNX file, with `facts`: the seconds from file to first result.

    Parameters
    ----------
    engine : module
    variant : str
    job : dict or None
        "model": path. "inputs": a list of {name: (shape, dtype)}, for random numbers; calls go through it in turn. Or
        "names" and "feed": the inputs' names, and the path of an .npz with their arrays, in that order. "outputs": path of
        the .npz to leave the first results in, optional.
    """
    import numpy as np

    if job is None:
        return None
    if "feed" in job:
        with np.load(job["feed"]) as given:
            feeds = [dict(zip(job["names"], given.values(), strict=True))]
    else:
        feeds = [draw(inputs, seed) for seed, inputs in enumerate(job["inputs"])]
    shapes = {name: array.shape for name, array in feeds[0].items()} if len(feeds) == 1 else None
    try:
        if hasattr(engine, "make_ready"):
            engine.make_ready(job["model"], shapes)
        begin = time.perf_counter()
        run = engine.load(variant, job["model"], shapes)
        outputs = run(feeds[0])
        first = time.perf_counter() - begin
    except Exception as error:  # of whatever kind a peer may raise: the others go on
        return _Refusal(error)
    if "outputs" in job:
        np.savez(job["outputs"], *outputs)
    turn = itertools.cycle(feeds)

    def call():
        return run(next(turn))

    call.facts = {"first": first}
    return call


def draw(inputs, seed=0):
    """Return random arrays, the same in every engine: normal numbers, or integers of 0 and 1.

    Parameters
    ----------
    inputs : dict of str -> (shape, dtype)
    seed : int
    """
    import numpy as np

    rng = np.random.default_rng(seed)
    arrays = {}
    for name, (shape, dtype) in inputs.items():
        kind = np.dtype(dtype)
        numbers = rng.standard_normal(shape, np.float32) if kind.kind == "f" else rng.integers(0, 2, shape)
        arrays[name] = np.asarray(numbers, kind)
    return arrays


# ---- the referee


class EngineError(RuntimeError):
    """A worker ended before it answered."""


class Engine:
    """A worker and its answers.

    Parameters
    ----------
    name : str
        What the report calls it.
    path : path
        The file of the engine's module; its folder comes first on the worker's path.
    variant : str
        The word that its `prepare` or `load` gets.
    threads : int
    environment : dict
        More environment variables, such as an instruction set that is forced.
    python : str, optional
        The interpreter; this one by default.
    quiet : bool
        Drop what the engine itself prints.

    Attributes
    ----------
    peak : float
        Most megabytes of memory so far, as its last answer said.
    """

    def __init__(self, name, path, variant="", threads=1, environment=None, python=None, quiet=False):
        self.name, self.peak = name, 0.0
        count = str(threads)
        limits = {"OMP_NUM_THREADS": count, "OPENBLAS_NUM_THREADS": count}
        if python is None:  # the worker shall find the fastconv that the referee has
            paths = [str(PACKAGES), os.environ.get("PYTHONPATH", "")]
            limits["PYTHONPATH"] = os.pathsep.join(filter(None, paths))
        self._process = subprocess.Popen(
            [python or sys.executable, "-P", __file__, str(path), variant, count],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL if quiet else None,
            text=True,
            env={**os.environ, **limits, **(environment or {})},
        )

    def ask(self, **request):
        """Return the worker's answer to a request, as a dict."""
        try:
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            raise EngineError(f"{self.name} ended early, with status {self._process.wait()}")
        answer = json.loads(line)
        self.peak = answer.get("peak", self.peak)
        return answer

    def close(self):
        """End the worker."""
        try:
            self._process.stdin.close()
        except BrokenPipeError:
            pass
        self._process.wait()
        self._process.stdout.close()

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.close()


def take_turns(engines, job, rounds):
    """Return {engine's name: seconds of every call} of the engines that can do the job."""
    able = [engine for engine in engines if engine.ask(job=job)["can"]]
    times = rounds_of(able, rounds)
    for engine in able:
        engine.ask(job=None)
    return times


def rounds_of(engines, rounds, calls=0):
    """Return {engine's name: seconds of every call} of engines that have their job: `rounds` turns, and at least `calls`."""
    times = {engine.name: [] for engine in engines}
    for engine in engines:
        engine.ask(block=True)
    i = 0
    while engines and (i < rounds or min(map(len, times.values())) < calls):
        for j in range(len(engines)):
            engine = engines[(i + j) % len(engines)]
            times[engine.name] += engine.ask(block=True)["times"]
        i += 1
    return times


if __name__ == "__main__":
    sys.path.insert(0, str(Path(sys.argv[1]).parent))
    work(sys.argv[1], sys.argv[2], int(sys.argv[3]))
