"""A plugin of pytest (-p tests.amx.everywhere): whatever can run on the tile unit does, the smallest cases of the registry too."""

from fastconv.ops import _tiles

_tiles.LEAST_USE = _tiles.LEAST_SUM = 0
