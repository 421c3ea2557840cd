"""A network for inputs of certain shapes: what a session keeps for each combination of them."""

import numpy as np

from ..autograd import no_grad
from ..graph import Program, trace
from ..io.onnx import Operand


class Runner:
    """A network for inputs of certain shapes: a program, and what remains to be done after it.

    Parameters
    ----------
    network : Network
    specs : dict of str -> Spec
        The inputs.
    """

    def __init__(self, network, specs):
        self.network, self._fresh, walked = network, True, []

        def walk(**tensors):
            outputs, *rest = _walk(network, tensors)
            walked.append(rest)
            return outputs

        self.program = Program(trace(walk, specs))
        ((self.late, self.known),) = walked

    def __call__(self, arrays):
        """Return {name: array} of the outputs."""
        results = self.program.call(arrays)
        if self._fresh:
            self._fresh = False
            self.network.let_go()
        if not self.late and not self.known:
            return results
        values = self.known | {name: Operand(array) for name, array in results.items()}
        self.network.finish(self.late, values)
        # Copies: what is known lies in the file, or serves the next run, too.
        return {
            name: results[name] if name in results else _fresh(values[name].array())
            for name in self.network.output_names
        }


def _fresh(array):
    """Return a copy; of strings, which files hold as bytes, as str."""
    if array.dtype != object:
        return np.array(array)
    texts = [item.decode("utf-8", "replace") if isinstance(item, bytes) else item for item in array.ravel()]
    return np.array(texts, object).reshape(array.shape)


def _walk(network, tensors):
    """Return ({name: Tensor} that a program shall make, nodes to run on arrays after it, {name: Operand} known already)."""
    with no_grad():
        values, late = network({name: Operand(tensor) for name, tensor in tensors.items()})
        wanted = dict.fromkeys(network.output_names)
        wanted |= dict.fromkeys(name for node in late for name in network.reads(node))
        made = {name for node in late for name in node.output}
        known = {name: values[name] for name in wanted if name not in made and values[name].constant is not None}
        outputs = {name: values[name].tensor() for name in wanted if name not in made and name not in known}
        return outputs, late, known
