"""Layers, initializers and functions <-> plain data that JSON can hold.

An object becomes ``{"class_name": "Conv2D", "config": {...}}``. Reading it back is a look-up by name among the classes
that fastconv carries, those that `register_serializable` knows and those that the caller hands in: data names a class,
it never brings one.
"""

import contextlib
import importlib
import inspect
import threading

import numpy as np

from .. import activations, initializers, regularizers
from ..errors import ArgumentError, UnsupportedOpError

_builtin = {}  # class name -> class: fastconv's own layers and models
# Classes of modules that stand above this one, loaded when a file names them.
_ELSEWHERE = {"OnnxModel": "fastconv.io.onnx.model"}
_registered = {}  # "package>name" -> class or function
_local = threading.local()  # .custom: names given to `custom_object_scope`, of this thread only

_FUNCTION = "function"


def builtin(cls):
    """Make one of fastconv's own layer or model classes known by its name; returns it."""
    _builtin[cls.__name__] = cls
    return cls


def register_serializable(package="Custom", name=None):
    """Decorate a class or function of your own so that saved models that use it can be loaded.

    Parameters
    ----------
    package : str
        Prefix that keeps apart equal names of two libraries.
    name : str, optional
        Default: the name of the class or function.

    Examples
    --------
    >>> @register_serializable("mine")
    ... def double(x):
    ...     return x + x
    """

    def register(item):
        _registered[f"{package}>{name or item.__name__}"] = item
        return item

    return register


@contextlib.contextmanager
def custom_object_scope(custom_objects):
    """Context manager: names in the dict `custom_objects` stand for the caller's own classes and functions."""
    before = getattr(_local, "custom", {})
    _local.custom = {**before, **(custom_objects or {})}
    try:
        yield
    finally:
        _local.custom = before


def registered_name(item):
    """Return the name under which a class or function was registered, or None."""
    return next((name for name, known in _registered.items() if known is item), None)


def serialize(item):
    """Return ``{"class_name", "config"}`` of a layer, initializer, or function of one's own."""
    cls = item if inspect.isroutine(item) else type(item)
    name = registered_name(cls)
    entry = (
        {"class_name": cls.__name__, "config": item.get_config()}
        if cls is not item
        else {
            "class_name": _FUNCTION,
            "config": cls.__name__,
        }
    )
    if name is not None:
        entry["registered_name"] = name
    return entry


def serialize_value(value, owner):
    """Return one constructor argument of `owner` as JSON-able data."""
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, np.generic) or isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, (list, tuple)):
        return [serialize_value(item, owner) for item in value]
    if isinstance(value, dict):
        return {str(key): serialize_value(item, owner) for key, item in value.items()}
    if inspect.isroutine(value):
        name = activations.name_of(value)
        return serialize(value) if name is None else name
    if hasattr(value, "get_config"):
        return serialize(value)
    raise UnsupportedOpError(
        f"{owner}: an argument of type {type(value).__name__} has no configuration to save: define get_config"
    )


def _is_entry(value):
    return isinstance(value, dict) and "class_name" in value and "config" in value


def _lookup(entry):
    """Return the class or function that an entry names, or None."""
    name, registered = entry["class_name"], entry.get("registered_name")
    if name == _FUNCTION:
        name = entry["config"]
    custom = getattr(_local, "custom", {})
    if not isinstance(name, str):
        return None
    for key in (registered, name):
        if isinstance(key, str) and key in custom:
            return custom[key]
    if registered is not None:
        return _registered.get(registered) if isinstance(registered, str) else None
    if entry["class_name"] == _FUNCTION:
        return _registered.get(f"Custom>{name}")
    if name in _ELSEWHERE:
        importlib.import_module(_ELSEWHERE[name])
    own = _builtin.get(name) or initializers.CLASSES.get(name) or regularizers.CLASSES.get(name)
    return own or _registered.get(f"Custom>{name}")


def find_unknown(config):
    """Return the sorted names of classes and functions in a configuration that cannot be found."""
    unknown = set()
    pending = [config]
    while pending:
        value = pending.pop()
        if _is_entry(value) and _lookup(value) is None:
            name = value["config"] if value["class_name"] == _FUNCTION else value["class_name"]
            unknown.add(str(value.get("registered_name") or name))
        if isinstance(value, dict):
            pending.extend(value.values())
        elif isinstance(value, list):
            pending.extend(value)
    return sorted(unknown)


def deserialize(config, custom_objects=None):
    """Return the layer, model, initializer or function that `serialize` made an entry of.

    Raises
    ------
    ArgumentError
        The entry is malformed, or names a class that is neither fastconv's, nor registered, nor in `custom_objects`.
    """
    if not _is_entry(config):
        raise ArgumentError(f'expected a dict with "class_name" and "config", got {config!r:.200}')
    with custom_object_scope(custom_objects):
        found = _lookup(config)
        if found is None:
            raise ArgumentError(
                f"unknown classes or functions: {', '.join(find_unknown(config))}; "
                "pass them in custom_objects, or decorate them with fastconv.layers.register_serializable"
            )
        if config["class_name"] == _FUNCTION:
            return found
        if not isinstance(config["config"], dict):
            raise ArgumentError(f"the config of {config['class_name']} must be a dict, got {config['config']!r:.200}")
        return found.from_config(config["config"])


def resolve(value):
    """Return constructor arguments with every entry in them turned into the object it stands for."""
    if _is_entry(value):
        return deserialize(value)
    if isinstance(value, dict):
        return {key: resolve(item) for key, item in value.items()}
    if isinstance(value, list):
        return [resolve(item) for item in value]
    return value
