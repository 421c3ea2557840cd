"""Programs by what they depend on: made once, kept while they are among the last used."""

from collections import OrderedDict

from .locks import LOCKS


class ProgramCache:
    """What takes long to make, by key, for one model or session. A copied cache starts with nothing.

    Safe to use from several Python threads: one makes an entry, the others that want it wait and find it.

    Parameters
    ----------
    limit : int
        So many entries are kept; the least recently used goes first.
    forgot : callable, optional
        Called after entries went.
    """

    def __init__(self, limit, forgot=None):
        self._limit, self._forgot, self._entries = limit, forgot, OrderedDict()

    def get(self, key, make=None):
        """Return the entry of `key`; if there is none, what `make` returns, kept, or None without it."""
        # Each step is whole under the GIL: what is there is found without a lock.
        try:
            self._entries.move_to_end(key)
            return self._entries[key]
        except KeyError:
            if make is None:
                return None
        with LOCKS.making:
            entry = self._entries.get(key)
            if entry is None:
                entry = self._entries[key] = make()
            full = len(self._entries) > self._limit
            while len(self._entries) > self._limit:
                self._entries.popitem(last=False)
        if full and self._forgot is not None:
            self._forgot()
        return entry

    def clear(self):
        """Forget everything."""
        with LOCKS.making:
            self._entries.clear()

    def __len__(self):
        return len(self._entries)

    def __reduce__(self):
        return ProgramCache, (self._limit, self._forgot)
