"""LayerGraph: the layers between the inputs and the outputs of a functional model, in the order in which they run."""

from collections import Counter, deque

from ..errors import ArgumentError, ShapeError, UnsupportedOpError
from ..layers.base import Layer
from ..layers.input import InputLayer
from ..layers.node import LayerTensor, flatten, map_structure
from ..layers.serialization import deserialize, serialize
from .call_data import from_data, references, to_data


class LayerGraph:
    """What lies between tensors of `Input` and tensors that layers made of them.

    Parameters
    ----------
    inputs, outputs : LayerTensor, or list, tuple, dict of them

    Attributes
    ----------
    nodes : list of Node
        In an order in which they can run; those of inputs left out.
    layers : list of Layer
        By distance from the outputs, the farthest first, as in Keras.
    """

    def __init__(self, inputs, outputs):
        self.inputs, self.outputs = inputs, outputs
        self.inputs_flat, self.outputs_flat = flatten(inputs), flatten(outputs)
        for what, tensors in (("inputs", self.inputs_flat), ("outputs", self.outputs_flat)):
            for tensor in tensors:
                if not isinstance(tensor, LayerTensor):
                    raise ArgumentError(
                        f"{what} of a Model must be made by Input and layers called on its result, got {tensor!r:.200}"
                    )
        for tensor in self.inputs_flat:
            if not isinstance(tensor.producer.layer, InputLayer):
                raise UnsupportedOpError(
                    f"inputs of a Model must come from Input, got the output of layer {tensor.producer.layer.name!r}; "
                    "call the layers again on a new Input"
                )
        if len({id(tensor) for tensor in self.inputs_flat}) != len(self.inputs_flat):
            raise ArgumentError("an Input was given twice in inputs")
        self.nodes, self.layers = self._sort()
        self._check_names()
        self._last_use = self._find_last_uses()

    def _sort(self):
        """Return (nodes, layers), both farthest from the outputs first."""
        order = self._visit()
        depth = {id(tensor.producer): 0 for tensor in self.outputs_flat}
        for node in reversed(order):
            for tensor in node.inputs_flat:
                key = id(tensor.producer)
                depth[key] = max(depth.get(key, 0), depth[id(node)] + 1)
        farthest = {}
        for node in order:
            farthest[node.layer] = max(farthest.get(node.layer, 0), depth[id(node)])
        for tensor in self.inputs_flat:
            farthest.setdefault(tensor.producer.layer, 0)  # an input that no output depends on
        # Sorting is stable: equally far, the one that was met first comes first.
        nodes = sorted(order, key=lambda node: -depth[id(node)])
        layers = sorted(farthest, key=lambda layer: -farthest[layer])
        return [node for node in nodes if not isinstance(node.layer, InputLayer)], layers

    def _visit(self):
        """Return the nodes that the outputs depend on, each after those it depends on. No recursion: graphs are deep."""
        given = {id(tensor) for tensor in self.inputs_flat}
        order, done = [], set()
        stack = [(tensor.producer, False) for tensor in reversed(self.outputs_flat)]
        while stack:
            node, ready = stack.pop()
            if id(node) in done:
                continue
            if ready:
                done.add(id(node))
                order.append(node)
                continue
            if isinstance(node.layer, InputLayer) and id(node.outputs_flat[0]) not in given:
                raise ArgumentError(
                    f"the outputs depend on the input {node.layer.name!r}, which is not among the inputs of the model"
                )
            stack.append((node, True))
            stack.extend((tensor.producer, False) for tensor in reversed(node.inputs_flat))
        return order

    def _check_names(self):
        names = Counter(layer.name for layer in self.layers)
        twice = sorted(name for name, count in names.items() if count > 1)
        if twice:
            raise ArgumentError(f"layers of a model must have different names; used more than once: {', '.join(twice)}")

    def _find_last_uses(self):
        """Return, for each node, the tensors that nothing needs after it."""
        last = {}
        for i, node in enumerate(self.nodes):
            for tensor in (*node.outputs_flat, *node.inputs_flat):
                last[id(tensor)] = i
        for tensor in self.outputs_flat:
            last.pop(id(tensor), None)
        uses = [[] for _ in self.nodes]
        for key, i in last.items():
            uses[i].append(key)
        return uses

    # ---- running

    def run(self, inputs):
        """Return the outputs for a list of tensors, one for each input."""
        values = {id(symbolic): tensor for symbolic, tensor in zip(self.inputs_flat, inputs, strict=True)}

        def fill(leaf):
            return values[id(leaf)] if isinstance(leaf, LayerTensor) else leaf

        for node, dead in zip(self.nodes, self._last_use, strict=True):
            results = node.layer(*map_structure(fill, node.args), **map_structure(fill, node.kwargs))
            for symbolic, tensor in zip(node.outputs_flat, flatten(results), strict=True):
                values[id(symbolic)] = tensor
            for key in dead:
                values.pop(key, None)
        return map_structure(fill, self.outputs)

    @property
    def input_names(self):
        """Names of the input layers, in the order of the inputs."""
        return [tensor.producer.layer.name for tensor in self.inputs_flat]

    @property
    def output_names(self):
        """Names of the layers that make the outputs, made unique."""
        names, seen = [], {}
        for tensor in self.outputs_flat:
            name = tensor.producer.layer.name
            count = seen[name] = seen.get(name, -1) + 1
            names.append(f"{name}_{count}" if count else name)
        return names

    def match(self, inputs):
        """Return what the caller gave as a list in the order of the inputs, checked and with the right rank."""
        if isinstance(inputs, dict):
            keys = list(self.inputs) if isinstance(self.inputs, dict) else self.input_names
            if set(keys) - set(inputs):
                missing = ", ".join(sorted(map(str, set(keys) - set(inputs))))
                raise ArgumentError(f"inputs lack {missing}; there is {', '.join(map(str, inputs))}")
            inputs = [inputs[key] for key in keys]
        inputs = flatten(inputs)
        if len(inputs) != len(self.inputs_flat):
            raise ArgumentError(
                f"expected {len(self.inputs_flat)} inputs ({', '.join(self.input_names)}), got {len(inputs)}"
            )
        return [fit(*pair, name) for *pair, name in zip(inputs, self.inputs_flat, self.input_names, strict=True)]

    # ---- configuration

    def get_config(self):
        """Return layers, how they are connected, inputs and outputs, as JSON-able data."""
        calls = {}  # id of a node -> which call of its layer it is, among those of this graph
        by_layer = {layer: [] for layer in self.layers}
        for node in self.nodes:
            calls[id(node)] = len(by_layer[node.layer])
            by_layer[node.layer].append(node)

        def refer(tensor):
            return [tensor.producer.layer.name, calls.get(id(tensor.producer), 0), tensor.index]

        layers = []
        for layer in self.layers:
            entry = serialize(layer)
            entry["name"] = layer.name
            entry["calls"] = [
                {"args": to_data(list(node.args), refer), "kwargs": to_data(node.kwargs, refer)}
                for node in by_layer[layer]
            ]
            layers.append(entry)
        return {
            "layers": layers,
            "inputs": to_data(self.inputs, refer),
            "outputs": to_data(self.outputs, refer),
        }


def connect(config):
    """Make the layers of what `LayerGraph.get_config` returned and call them; returns (inputs, outputs)."""
    layers, calls, tensors = {}, {}, {}
    for entry in config["layers"]:
        layer = deserialize({key: entry[key] for key in ("class_name", "config", "registered_name") if key in entry})
        if not isinstance(layer, Layer) or layer.name in layers:
            raise ArgumentError(f"{entry.get('name')!r} is no layer, or is there twice")
        layers[layer.name], calls[layer.name] = layer, deque(enumerate(entry["calls"]))
        if isinstance(layer, InputLayer):
            tensors[layer.name, 0, 0] = layer.output

    # A layer waits until all arguments of its next call are there; the calls of a shared layer are made in their order.
    ready, missing, waiting = deque(layers), {}, {}  # {name: how many}, {key of a tensor: [names]}
    while ready:
        name = ready.popleft()
        while calls[name] and not missing.get(name):
            i, call = calls[name][0]
            lacking = {key for key in references([call["args"], call["kwargs"]]) if key not in tensors}
            if lacking:
                missing[name] = len(lacking)
                for key in lacking:
                    waiting.setdefault(key, []).append(name)
                break
            calls[name].popleft()
            outputs = layers[name](*from_data(call["args"], tensors), **from_data(call["kwargs"], tensors))
            for k, tensor in enumerate(flatten(outputs)):
                tensors[name, i, k] = tensor
                for other in waiting.pop((name, i, k), ()):
                    missing[other] -= 1
                    if not missing[other]:
                        ready.append(other)
    stuck = [name for name in layers if calls[name]]
    if stuck:
        raise ArgumentError(f"layers are connected in a circle, or to nothing: {', '.join(stuck)}")
    return from_data(config["inputs"], tensors), from_data(config["outputs"], tensors)


def fit(tensor, symbolic, name):
    """Return an input with the rank that was declared (a last axis of 1 comes or goes), or raise if it cannot fit."""
    shape, expected = tensor.shape, symbolic.shape
    if len(shape) == len(expected) - 1 and expected[-1] == 1:
        tensor = tensor.reshape(-1 if shape[0] is None else shape[0], *shape[1:], 1)
    elif len(shape) == len(expected) + 1 and shape[-1] == 1:
        tensor = tensor.reshape(-1 if shape[0] is None else shape[0], *shape[1:-1])
    if len(tensor.shape) != len(expected) or any(
        have != want and None not in (have, want) for have, want in zip(tensor.shape, expected, strict=True)
    ):
        single = len(shape) == len(expected) - 1 and all(
            None in pair or pair[0] == pair[1] for pair in zip(shape, expected[1:], strict=True)
        )
        hint = ": a single sample needs a batch axis, x[None]" if single else ""
        raise ShapeError(f"input {name!r} must have the shape {expected}, got {shape}{hint}")
    return tensor
