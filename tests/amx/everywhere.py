"""A plugin of pytest (-p tests.amx.everywhere): whatever can run on the tile unit does, also the registry's smallest cases."""

from fastconv.ops import _amx, _amx_cost

from .emulation import no_tiles_are_held  # noqa: F401  a fixture of every test

_amx.LEAST_SUM = 0
_amx_cost.is_faster = _amx_cost.gives_gradient_faster = lambda *_: True
