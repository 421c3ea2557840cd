"""Models <-> files and pickles.

A ``.fastconv`` file holds the variables by path (``model/conv2d_1/kernel``: the second layer of class Conv2D, whatever its
name), those of the optimizer if asked for (``optimizer/...``), and as metadata the architecture and the compile settings
as data. Loading builds the architecture without memory first (see `layers.context.skeleton`), compares it with the arrays
of the file, and only then puts them in.
"""

import inspect
import os

import numpy as np

from .. import losses, metrics, optimizers, storage
from ..errors import ArgumentError, DTypeError, FastconvError, ModelFormatError, NotBuiltError
from ..layers.context import skeleton
from ..layers.node import is_shape
from ..layers.serialization import custom_object_scope, deserialize, find_unknown, serialize
from .model import Model
from .sequential import Sequential  # noqa: F401  a file may name it

EXTENSION = ".fastconv"
MODEL, OPTIMIZER = "model/", "optimizer/"


# ---- a model as data and arrays


def _architecture(model):
    entry = serialize(model)
    if model._build_shape is not None:
        entry["build_shape"] = model._build_shape
    return entry


def _as_shapes(value):
    """Return shapes that went through JSON, where tuples are lists."""
    if isinstance(value, dict):
        return {key: _as_shapes(item) for key, item in value.items()}
    return tuple(value) if is_shape(value) else [_as_shapes(item) for item in value]


def _variables(model):
    return {MODEL + path: variable for path, variable in model.variable_paths().items()}


def _arrays(items):
    return {path: variable.numpy() for path, variable in items.items()}


def _rebuild(entry):
    """Return the model of an architecture, its weights without values yet."""
    model = deserialize({key: entry[key] for key in ("class_name", "config", "registered_name") if key in entry})
    if not isinstance(model, Model):
        raise ArgumentError(f"{entry['class_name']} is no model")
    if not model.built and entry.get("build_shape") is not None:
        model.build(_as_shapes(entry["build_shape"]))
    return model


def _check(expected, arrays, what):
    """Raise, listing everything, unless the arrays are those that are expected: names, shapes, types."""
    problems = [f"lacks {path} {tuple(v.shape)}" for path, v in expected.items() if path not in arrays]
    problems += [f"has {path} {arrays[path].shape}, which the model has not" for path in arrays if path not in expected]
    for path, variable in expected.items():
        if path not in arrays:
            continue
        array = arrays[path]
        if array.shape != tuple(variable.shape) or array.dtype != variable.dtype:
            problems.append(
                f"has {path} as {array.dtype} {array.shape}, the model as {variable.dtype} {tuple(variable.shape)}"
            )
    if problems:
        more = f"; and {len(problems) - 10} more" if len(problems) > 10 else ""
        raise ModelFormatError(f"{what} does not fit the model: it {'; it '.join(problems[:10])}{more}")


def _fill(variables, arrays):
    for path, variable in variables.items():
        variable.data = arrays[path]


# ---- compile settings


def _leaf_to_data(module, leaf):
    if leaf is None or isinstance(leaf, str):
        return leaf
    own = leaf
    if not inspect.isfunction(leaf) or getattr(module, leaf.__name__, None) is leaf:
        own = module.get(leaf)
    data = module.serialize(own)
    return {"builtin": data} if data is not None else {"custom": serialize(leaf() if isinstance(leaf, type) else leaf)}


def _to_data(module, value):
    if isinstance(value, dict) and "class_name" not in value:
        return {"by_name": {key: _to_data(module, item) for key, item in value.items()}}
    if isinstance(value, (list, tuple)):
        return [_to_data(module, item) for item in value]
    return _leaf_to_data(module, value)


def _from_data(module, data):
    if isinstance(data, list):
        return [_from_data(module, item) for item in data]
    if isinstance(data, dict):
        if "by_name" in data:
            return {key: _from_data(module, item) for key, item in data["by_name"].items()}
        return module.deserialize(data["builtin"]) if "builtin" in data else deserialize(data["custom"])
    return data


def _compile_settings(model):
    if model._compiled is None:
        return None
    given = model._compiled.config
    return {
        "optimizer": _leaf_to_data(optimizers, model.optimizer),
        "loss": _to_data(losses, given["loss"]),
        "loss_weights": given["loss_weights"],
        "metrics": _to_data(metrics, given["metrics"]),
        "weighted_metrics": _to_data(metrics, given["weighted_metrics"]),
        "run_eagerly": model.run_eagerly,
    }


def _compile(model, settings):
    model.compile(
        optimizer=_from_data(optimizers, settings["optimizer"]),
        loss=_from_data(losses, settings["loss"]),
        loss_weights=settings["loss_weights"],
        metrics=_from_data(metrics, settings["metrics"]),
        weighted_metrics=_from_data(metrics, settings["weighted_metrics"]),
        run_eagerly=settings["run_eagerly"],
    )


def _optimizer_state(model):
    """Return {path: array} of the optimizer's state, numbered by all weights, trained or not."""
    return {OPTIMIZER + name: array for name, array in model.optimizer.state(model.weights).items()}


def _restore_optimizer(model, arrays):
    state = {name.removeprefix(OPTIMIZER): array for name, array in arrays.items()}
    model.optimizer.load_state(state, model.weights)


# ---- files


def check_path(filepath):
    """Return the path of a model file as a string, or raise what is wrong with it."""
    try:
        path = os.fspath(filepath)
    except TypeError as error:
        raise DTypeError(f"filepath must be a string or os.PathLike, got {filepath!r:.200}") from error
    if isinstance(path, bytes):
        path = os.fsdecode(path)
    if not path.endswith(EXTENSION):
        hint = "the only format is fastconv's own, for weights alone, too"
        if path.lower().endswith(".onnx"):
            hint = "fastconv.onnx.load and fastconv.onnx.save are for ONNX files"
        raise ArgumentError(f"model files end in {EXTENSION!r}, got {path!r}; {hint}")
    return path


def _check_target(filepath, overwrite):
    path = check_path(filepath)
    if not overwrite and os.path.exists(path):
        raise FileExistsError(f"{path} exists, and overwrite=False was given")
    return path


def save_model(model, filepath, overwrite=True, include_optimizer=False):
    """Save a model: architecture, weights, compile settings.

    Parameters
    ----------
    model : Model
    filepath : str or os.PathLike
        Ends in ``.fastconv``. An old file stays whole if anything fails.
    overwrite : bool
        If False, an existing file is an error.
    include_optimizer : bool
        Save the state of the optimizer as well, so that training goes on as if it had not stopped.

    Raises
    ------
    UnsupportedOpError
        When a layer of one's own has no configuration.
    FileExistsError, OSError
    """
    path = _check_target(filepath, overwrite)
    metadata = {
        "kind": "model",
        "model": _architecture(model),
        "compile": _compile_settings(model),
    }
    arrays = _arrays(_variables(model))
    if include_optimizer:
        if model.optimizer is None:
            raise ArgumentError("include_optimizer=True needs a compiled model")
        arrays |= _optimizer_state(model)
    storage.save(path, arrays, metadata)


def load_model(filepath, custom_objects=None, compile=True):
    """Load a model that `save_model` saved.

    Parameters
    ----------
    filepath : str or os.PathLike
    custom_objects : dict of str -> class or function, optional
        Your own layers, losses, functions by name. Nothing in a file is ever run.
    compile : bool
        Also restore the compile settings, and the optimizer's state if the file has it.

    Returns
    -------
    Model

    Raises
    ------
    ModelFormatError
        When the file is damaged, foreign, or does not fit together; names what is wrong.
    FileNotFoundError
    """
    path = check_path(filepath)
    arrays, metadata = storage.load(path)
    try:
        with custom_object_scope(custom_objects):
            return _assemble(path, arrays, metadata, compile)
    except ModelFormatError:
        raise
    except Exception as error:  # whatever a strange configuration makes constructors do
        reason = error if isinstance(error, FastconvError) else f"{type(error).__name__}: {error}"
        raise ModelFormatError(f"{path}: the model cannot be made from its description: {reason}") from error


def _assemble(path, arrays, metadata, compile):
    if not isinstance(metadata, dict) or metadata.get("kind") != "model":
        kind = metadata.get("kind") if isinstance(metadata, dict) else None
        hint = "; load it by model.load_weights" if kind == "weights" else ""
        raise ModelFormatError(f"{path} holds no model{hint}")
    settings = metadata["compile"] if compile else None
    unknown = find_unknown([metadata["model"], *_custom_entries(settings)])
    if unknown:
        raise ModelFormatError(
            f"{path} uses classes or functions that are not known: {', '.join(unknown)}; pass them in custom_objects, or "
            "decorate them with fastconv.layers.register_serializable"
        )
    with skeleton():
        model = _rebuild(metadata["model"])
    variables = _variables(model)
    state = {name: array for name, array in arrays.items() if name.startswith(OPTIMIZER)}
    _check(variables, {name: array for name, array in arrays.items() if name not in state}, path)
    _fill(variables, arrays)
    if settings is not None:
        _compile(model, settings)
        if state:
            _restore_optimizer(model, state)
    return model


def _custom_entries(settings):
    """Return the entries of a user's own classes and functions in compile settings."""
    found, pending = [], [settings]
    while pending:
        value = pending.pop()
        if isinstance(value, dict):
            if "custom" in value:
                found.append(value["custom"])
            else:
                pending.extend(value.values())
        elif isinstance(value, list):
            pending.extend(value)
    return found


def save_weights(model, filepath, overwrite=True):
    """Save the variables of a model, without its architecture."""
    path = _check_target(filepath, overwrite)
    if not model.built:
        raise NotBuiltError(f"{model._title()} has no weights to save yet: call it on data first")
    storage.save(path, _arrays(_variables(model)), {"kind": "weights"})


def load_weights(model, filepath):
    """Set the variables of a model from a file of `save_weights` or `save_model`: all of them, or none if one does not fit."""
    path = check_path(filepath)
    if not model.built:
        raise NotBuiltError(f"{model._title()} has no weights to set yet: call it on data first")
    arrays, metadata = storage.load(path)
    if not isinstance(metadata, dict) or metadata.get("kind") not in ("model", "weights"):
        raise ModelFormatError(f"{path} holds neither a model nor weights")
    variables = _variables(model)
    arrays = {name: array for name, array in arrays.items() if not name.startswith(OPTIMIZER)}
    _check(variables, arrays, path)
    for name, variable in variables.items():
        variable.assign(arrays[name])


def model_from_json(json_string, custom_objects=None):
    """Return a model, with new weights, from what `Model.to_json` returned."""
    import json

    try:
        config = json.loads(json_string)
    except ValueError as error:
        raise ArgumentError(f"model_from_json: this is no JSON: {error}") from error
    return deserialize(config, custom_objects)


def clone_model(model):
    """Return a model of the same architecture with weights of its own, newly initialised."""
    return type(model).from_config(model.get_config())


# ---- pickles


def to_parts(model):
    """Return what a pickle or copy of a model holds: configuration, arrays, and the user's own classes by name."""
    layers = [model, *model._descendants()]
    custom = {}
    for item in (value for layer in layers for value in (type(layer), *vars(layer).values())):
        if inspect.isclass(item) or inspect.isfunction(item):
            custom[item.__name__] = item
        elif hasattr(item, "get_config") and hasattr(item, "from_config"):
            custom[type(item).__name__] = type(item)
    return {
        "model": _architecture(model),
        "arrays": {name: np.array(array) for name, array in _arrays(_variables(model)).items()},
        "custom": {name: item for name, item in custom.items() if not item.__module__.startswith("fastconv.")},
        "compile": _compiled_objects(model),
        "optimizer": None if model.optimizer is None else _optimizer_state(model),
    }


def _compiled_objects(model):
    if model._compiled is None:
        return None
    optimizer = type(model.optimizer).from_config(model.optimizer.get_config())
    optimizer.learning_rate = model.optimizer._learning_rate  # a configuration has no schedule
    return {**model._compiled.config, "optimizer": optimizer, "run_eagerly": model.run_eagerly}


def from_parts(parts):
    """Return the model that `to_parts` took apart."""
    with custom_object_scope(parts["custom"]), skeleton():
        model = _rebuild(parts["model"])
    _fill(_variables(model), parts["arrays"])
    if parts["compile"] is not None:
        model.compile(**parts["compile"])
        _restore_optimizer(model, parts["optimizer"])
    return model
