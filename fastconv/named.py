"""Objects by the name of their class, and as data that JSON can hold: losses, metrics, optimizers, initializers, layers."""

import re

from .errors import ArgumentError


def snake_case(name):
    """Return ``"max_pooling2d"`` for ``"MaxPooling2D"``, by Keras's rule."""
    name = re.sub(r"\W+", "", name)
    name = re.sub("(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub("([a-z])([A-Z])", r"\1_\2", name).lower()


def serialize(item, classes):
    """Return ``{"class_name": ..., "config": ...}`` of an object of one of these classes, or None of another."""
    return {"class_name": type(item).__name__, "config": item.get_config()} if type(item) in classes else None


def deserialize(kind, config, classes):
    """Return the object of one of these classes that `serialize` described.

    Raises
    ------
    ArgumentError
        When there is no such class, or it does not take the configuration; `kind` says what was to be made ("loss").
    """
    known = {cls.__name__: cls for cls in classes}
    name = config.get("class_name") if isinstance(config, dict) else None
    if not isinstance(name, str) or name not in known:
        raise ArgumentError(
            f"{kind}: cannot make one from {config!r}: the class name must be one of {', '.join(known)}"
        )
    try:
        return known[name].from_config(config.get("config", {}))
    except (KeyError, TypeError, AttributeError) as error:
        raise ArgumentError(f"{kind}: cannot make a {name} from {config!r}: {error}") from error
