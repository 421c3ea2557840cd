"""A plugin of pytest (-p tests.amx.everywhere): whatever can run on the tile unit does, also the registry's smallest cases."""

from fastconv.ops import _amx

from .emulation import no_tiles_are_held  # noqa: F401  a fixture of every test

_amx.LEAST_USE = _amx.LEAST_SUM = 0
