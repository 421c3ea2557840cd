"""Each instruction set of this machine in turn."""

import pytest

from fastconv._kernels import runtime

# The first of several decorators varies fastest: put on top, what is known of a problem serves all instruction sets.
over_isas = pytest.mark.parametrize("isa", runtime.available(), indirect=True)
