"""fastconv as a backend of `onnx.backend.base`, through which the package's own runner can test it."""

import numpy as np
import onnx
from onnx.backend.base import Backend, BackendRep, namedtupledict

from fastconv import InferenceSession


class Prepared(BackendRep):
    """A model that is ready to run."""

    def __init__(self, model):
        self.session = InferenceSession(model.SerializeToString())

    def run(self, inputs, **kwargs):
        """Return the outputs, as a named tuple."""
        names = [value.name for value in self.session.get_inputs()]
        if isinstance(inputs, np.ndarray):
            inputs = [inputs]
        results = self.session.run(None, dict(zip(names, inputs, strict=False)))
        return namedtupledict("Outputs", [value.name for value in self.session.get_outputs()])(*results)


class FastconvBackend(Backend):
    """Prepares models for `InferenceSession`."""

    @classmethod
    def supports_device(cls, device):
        """Tell whether networks can run on a device, as "CPU" or "CUDA:1"."""
        return device.partition(":")[0] == "CPU"

    @classmethod
    def prepare(cls, model, device="CPU", **kwargs):
        """Return a `Prepared` model."""
        super().prepare(model, device, **kwargs)  # onnx's own checker
        return Prepared(model)

    @classmethod
    def run_node(cls, node, inputs, device="CPU", outputs_info=None, **kwargs):
        """Return the outputs of one node.

        Parameters
        ----------
        node : onnx.NodeProto
        inputs : sequence of ndarray
        outputs_info : sequence of (dtype, shape), optional
            Without it, the outputs are taken to be float32.
        opset_version : int, optional
            The newest that onnx knows, by default.
        """
        super().run_node(node, inputs, device, outputs_info, **kwargs)
        names = [name for name in node.input if name]
        kinds = [onnx.helper.np_dtype_to_tensor_dtype(np.asarray(array).dtype) for array in inputs]
        made = [name for name in node.output if name]
        given = outputs_info or [(np.dtype("float32"), None)] * len(made)
        graph = onnx.helper.make_graph(
            [node],
            "node",
            [
                onnx.helper.make_tensor_value_info(name, kind, np.shape(array))
                for name, kind, array in zip(names, kinds, inputs, strict=True)
            ],
            [
                onnx.helper.make_tensor_value_info(name, onnx.helper.np_dtype_to_tensor_dtype(np.dtype(dtype)), shape)
                for name, (dtype, shape) in zip(made, given, strict=True)
            ],
        )
        version = kwargs.get("opset_version", onnx.defs.onnx_opset_version())
        model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", version)])
        return Prepared(model).run(inputs)
