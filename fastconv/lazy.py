"""Names of a package that are imported when they are first asked for: importing the package loads nothing else."""

import importlib
import sys


def attach(package, homes, wrap=None):
    """Return the `__getattr__`, `__dir__` and `__all__` of a package.

    Parameters
    ----------
    package : str
        Its ``__name__``.
    homes : dict of str -> str or None
        By name, the module that holds it, relative to the package (``".files"``); None: the name is a module itself.
    wrap : callable, optional
        Called with each name and what was found; the package has what it returns.
    """

    def find(name):
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        home = homes[name]
        module = importlib.import_module(home or f".{name}", package)
        found = module if home is None else getattr(module, name)
        if wrap is not None:
            found = wrap(name, found)
        setattr(sys.modules[package], name, found)  # from now on Python finds it without asking
        return found

    def names():
        return sorted({*vars(sys.modules[package]), *homes})

    return find, names, sorted(homes)
