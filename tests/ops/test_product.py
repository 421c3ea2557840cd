"""Products of few rows take several panels at once; a row's result must not show it."""

import numpy as np
import pytest

from fastconv import ops


@pytest.mark.parametrize("columns", [1, 15, 33, 64, 97, 150, 257])
def test_a_row_is_the_same_alone(isa, columns):
    rng = np.random.default_rng(columns)
    x, kernel, bias = (rng.standard_normal(s).astype(np.float32) for s in ((5, 1300), (1300, columns), (columns,)))
    whole = ops.dense(x, kernel, bias, activation="relu").numpy()
    for rows in (1, 2, 3):
        np.testing.assert_array_equal(ops.dense(x[:rows], kernel, bias, activation="relu").numpy(), whole[:rows])
