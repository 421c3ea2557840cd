"""ONNX files, read and written without the `onnx` package.

=============  =====================================================================================================
`wire`         the protobuf wire format: bytes <-> messages that a table of fields declares
`proto`        the messages of ONNX as dataclasses: `read_model`, `write_model`
`tensors`      `to_array`, `from_array`: tensors, also those that lie in files beside the model
`files`        `load_model`: a path, bytes or a file to a model; says what a file is that is no model
`check`        `check`: names, order, operators and sizes, before anything runs
=============  =====================================================================================================
"""
