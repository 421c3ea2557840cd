"""Engines in processes of their own that take turns: the only fair way to compare thread pools on one machine.

The referee starts a worker for each engine. A worker is asked to prepare a job, then for blocks of it, and answers each
with the seconds of every call. Between its turns a worker sleeps, so that it has the machine to itself when it works.
"""

import importlib
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).parent
BLOCK_SECONDS = 0.15  # of one turn
BLOCK_CALLS = (3, 400)  # at least, at most


def memory(field):
    """Return a memory figure of this process in megabytes: "VmRSS" now, "VmHWM" at its highest."""
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) / 1024 for line in file if line.startswith(field))


# ---- in an engine's process


def work(module, variant, threads):
    """Answer the referee's requests until it hangs up."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what an engine prints must not look like an answer
    engine = importlib.import_module(module)
    engine.start(threads)
    call = None
    for line in sys.stdin:
        request = json.loads(line)
        if "job" in request:
            call = None  # frees the memory of the last job first
            call = engine.prepare(variant, request["job"])
            answer = {"can": call is not None}
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


# ---- the referee


class Engine:
    """A worker and its answers.

    Parameters
    ----------
    name : str
        What the report calls it.
    module, variant : str
        Which of the `engine_*` modules, and the word its `prepare` gets.
    environment : dict
        More environment variables, such as an instruction set that is forced.
    python : str, optional
        The interpreter; this one by default.

    Attributes
    ----------
    peak : float
        Most megabytes of memory so far, as its last answer said.
    """

    def __init__(self, name, module, variant="", threads=1, environment=None, python=None):
        self.name, self.peak = name, 0.0
        count = str(threads)
        self._process = subprocess.Popen(
            [python or sys.executable, __file__, module, variant, count],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": count, "OPENBLAS_NUM_THREADS": count, **(environment or {})},
        )

    def ask(self, **request):
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            sys.exit(f"{self.name} ended early, see above")
        answer = json.loads(line)
        self.peak = answer.get("peak", self.peak)
        return answer

    def close(self):
        self._process.stdin.close()
        self._process.wait()


def take_turns(engines, job, rounds):
    """Return {engine's name: median seconds of a call} of the engines that can do the job."""
    able = [engine for engine in engines if engine.ask(job=job)["can"]]
    times = {engine.name: [] for engine in able}
    for engine in able:
        engine.ask(block=True)
    for i in range(rounds):
        for j in range(len(able)):
            engine = able[(i + j) % len(able)]
            times[engine.name] += engine.ask(block=True)["times"]
    for engine in able:
        engine.ask(job=None)
    return {name: statistics.median(each) for name, each in times.items()}


if __name__ == "__main__":
    sys.path[:0] = [str(HERE), str(HERE.parent)]
    work(sys.argv[1], sys.argv[2], int(sys.argv[3]))
