"""ONNX files, read, run and written without the `onnx` package.

`load` makes a `Model` of a file, `save` a file of a `Model`. Inside:

=============  =====================================================================================================
`wire`         the protobuf wire format: bytes <-> messages that a table of fields declares
`proto`        the messages of ONNX as dataclasses: `read_model`, `write_model`
`tensors`      `to_array`, `from_array`: tensors, also those that lie in files beside the model
`files`        `load_model`: a path, bytes or a file to a model; says what a file is that is no model
`check`        `check`: names, order, operators and sizes, before anything runs
`attributes`   which attributes an operator has
`network`      `Network`: the walk over the nodes, on Tensors
`arguments`    what a network takes and gives, as ONNX Runtime tells it
`operand`      what the walk hands on: constants, and tensors in a lazy order of axes
`operators`    what each operator computes, a file for each family
`host`         NumPy functions as operations of a graph
`model`        `load`: a Network as a Model
`exporter`     `save`: a Model, traced, as a file
`emitter`      the graph as it is written, with lazy transpositions
`export_ops`   how each operation is written; in `export_moves` those that compute nothing
=============  =====================================================================================================
"""

from ...lazy import attach

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "load": ".model",
        "save": ".exporter",
        "load_model": ".files",
        "Network": ".network",
        "Operand": ".operand",
        "NodeArg": ".arguments",
        "input_of": ".arguments",
        "outputs_of": ".arguments",
        "element_type": ".tensors",
    },
)
