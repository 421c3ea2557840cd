"""A plugin of pytest (-p tests.amx.everywhere): whatever can run on the tile unit does, also the registry's smallest cases."""

from fastconv.ops import _tiles

_tiles.LEAST_USE = _tiles.LEAST_SUM = 0
