"""Benchmarks: `pytest benchmarks --benchmark-only`, for a few quick ones add `-k short`; `--threads N` for N threads.

NumPy's BLAS must learn its number of threads before NumPy is loaded, so nothing here imports it at the top.
"""

import os
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))


def pytest_addoption(parser):
    parser.addoption("--threads", type=int, default=1, metavar="N", help="threads of fastconv and of NumPy's BLAS")


def pytest_configure(config):
    config.addinivalue_line("markers", "short: among the few that CI runs")
    threads = str(config.getoption("--threads"))
    if "numpy" in sys.modules and os.environ.get("OPENBLAS_NUM_THREADS") != threads:
        raise pytest.UsageError(
            f"NumPy was loaded before the benchmarks could set its threads: set OPENBLAS_NUM_THREADS={threads} first"
        )
    for name in ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "BLIS_NUM_THREADS", "FASTCONV_BENCH_THREADS"):
        os.environ[name] = threads
    # The table below says more.
    config.option.benchmark_quiet = True


@pytest.fixture
def row(benchmark, pytestconfig):
    """The thing that measures one row."""
    from rows import Row

    return Row(benchmark, pytestconfig)


def pytest_terminal_summary(terminalreporter, config):
    rows = sys.modules.get("rows")
    if rows is None or not rows.REPORT:
        return
    from fastconv.cli import roof

    report = f"{roof.describe(rows.THREADS)}\n\n{rows.table()}\n\n{rows.below_the_bar()}"
    folder = HERE / "results"
    folder.mkdir(exist_ok=True)
    (folder / "latest.md").write_text(report, encoding="utf-8")
    terminalreporter.section("against NumPy")
    terminalreporter.write(report)
