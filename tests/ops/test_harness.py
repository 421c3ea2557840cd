"""The yardsticks of the registry tests themselves: guards and tolerance."""

import numpy as np
import pytest

from fastconv._kernels import runtime
from fastconv.op import Plan, Spec

from .conftest import mismatch, run_plan

X = {"x": np.arange(10, dtype=np.float32)}


def copy_plan(source, target, nbytes, **more):
    return Plan(phases=((runtime.copy(source, target, nbytes),),), **more)


def test_a_good_plan_passes():
    got = run_plan(copy_plan("x", "y", 40), X, {"y": Spec((10,))})
    np.testing.assert_array_equal(got["y"], X["x"])
    got = run_plan(copy_plan("x", "y", 40, inplace={"y": "x"}), X, {"y": Spec((10,))}, inplace=("y",))
    np.testing.assert_array_equal(got["y"], X["x"])
    got = run_plan(Plan(alias={"y": "x"}), X, {"y": Spec((5, 2))})
    np.testing.assert_array_equal(got["y"], X["x"].reshape(5, 2))


def test_writing_outside_is_seen():
    arrays = {**X, "big": np.ones(11, np.float32)}
    with pytest.raises(AssertionError, match="past the buffer 'y'"):
        run_plan(copy_plan("big", "y", 44), arrays, {"y": Spec((10,))})
    with pytest.raises(AssertionError, match="into the input 'x'"):
        run_plan(copy_plan("big", "x", 40), arrays, {"y": Spec((10,))})


def test_what_is_not_written_is_nan():
    got = run_plan(copy_plan("x", "y", 36), X, {"y": Spec((10,))})["y"]
    assert np.isnan(got[9])
    assert mismatch({"y": got}, {"y": X["x"].astype(np.float64)}, 1000)


def test_an_operand_that_is_not_kept_is_not_there():
    with pytest.raises(KeyError):
        run_plan(copy_plan("z", "y", 40), X, {"y": Spec((10,))})


def test_tolerance_rejects_zeros_and_small_errors():
    """The allowance must be far below the results, whatever the length of the sum."""
    want = np.random.default_rng(0).standard_normal(100)
    for reduction in (1, 9, 288, 4608):
        got = want.astype(np.float32)
        assert mismatch({"y": got}, {"y": want}, reduction) is None
        assert mismatch({"y": np.zeros_like(got)}, {"y": want}, reduction)
        assert mismatch({"y": np.full_like(got, np.nan)}, {"y": want}, reduction)
        got[17] += 1e-3
        assert mismatch({"y": got}, {"y": want}, reduction)
