"""The messages of ONNX, as dataclasses whose attributes have the names of the format's own definition, onnx.proto.

`read_model` and `write_model` go from bytes to a `Model` and back.

References
----------
ONNX, Open Neural Network Exchange Intermediate Representation. https://onnx.ai/onnx/repo-docs/IR.html
"""

import numpy as np

from . import wire
from .wire import field, message

IR_VERSION = 14  # the newest that is known
OPSET = 28  # of the domain "", or "ai.onnx"

# TensorProto.DataType
(
    UNDEFINED,
    FLOAT,
    UINT8,
    INT8,
    UINT16,
    INT16,
    INT32,
    INT64,
    STRING,
    BOOL,
    FLOAT16,
    DOUBLE,
    UINT32,
    UINT64,
    COMPLEX64,
    COMPLEX128,
    BFLOAT16,
    FLOAT8E4M3FN,
    FLOAT8E4M3FNUZ,
    FLOAT8E5M2,
    FLOAT8E5M2FNUZ,
    UINT4,
    INT4,
    FLOAT4E2M1,
    FLOAT8E8M0,
    UINT2,
    INT2,
    FLOAT6E2M3,
    FLOAT6E3M2,
) = range(29)
DATA_TYPES = dict(
    enumerate(
        "undefined float uint8 int8 uint16 int16 int32 int64 string bool float16 double uint32 uint64 complex64 "
        "complex128 bfloat16 float8e4m3fn float8e4m3fnuz float8e5m2 float8e5m2fnuz uint4 int4 float4e2m1 float8e8m0 "
        "uint2 int2 float6e2m3 float6e3m2".split()
    )
)
EXTERNAL = 1  # TensorProto.DataLocation

# AttributeProto.AttributeType -> the attribute that holds the value
ATTRIBUTE_TYPES = {
    1: "f",
    2: "i",
    3: "s",
    4: "t",
    5: "g",
    6: "floats",
    7: "ints",
    8: "strings",
    9: "tensors",
    10: "graphs",
    11: "sparse_tensor",
    12: "sparse_tensors",
    13: "tp",
    14: "type_protos",
}


@message
class StringStringEntry:
    key: str = field(1, "string")
    value: str = field(2, "string")


@message
class OperatorSetId:
    domain: str = field(1, "string")
    version: int = field(2, "int")


@message
class Dimension:
    """`dim_value` is None if there is none; without it and `dim_param` nothing is known."""

    dim_value: int | None = field(1, "int", optional=True)
    dim_param: str = field(2, "string")
    denotation: str = field(3, "string")


@message
class TensorShape:
    dim: list = field(1, "@Dimension", repeated=True)


@message
class TensorType:
    """`shape` is None if not even the rank is known."""

    elem_type: int = field(1, "int")
    shape: TensorShape | None = field(2, "@TensorShape")


@message
class ElementType:
    """Of a sequence or an optional."""

    elem_type: "Type | None" = field(1, "@Type")


@message
class MapType:
    key_type: int = field(1, "int")
    value_type: "Type | None" = field(2, "@Type")


@message
class OpaqueType:
    domain: str = field(1, "string")
    name: str = field(2, "string")


@message
class Type:
    """One of them is there, the others are None."""

    tensor_type: TensorType | None = field(1, "@TensorType")
    sequence_type: ElementType | None = field(4, "@ElementType")
    map_type: MapType | None = field(5, "@MapType")
    denotation: str = field(6, "string")
    opaque_type: OpaqueType | None = field(7, "@OpaqueType")
    sparse_tensor_type: TensorType | None = field(8, "@TensorType")
    optional_type: ElementType | None = field(9, "@ElementType")


@message
class ValueInfo:
    name: str = field(1, "string")
    type: Type | None = field(2, "@Type")
    doc_string: str = field(3, "string")
    metadata_props: list = field(4, "@StringStringEntry", repeated=True)


@message
class Segment:
    begin: int = field(1, "int")
    end: int = field(2, "int")


@message
class Tensor:
    """See `tensors.to_array`."""

    dims: list = field(1, "int", repeated=True)
    data_type: int = field(2, "int")
    segment: Segment | None = field(3, "@Segment")
    float_data: np.ndarray = field(4, "<f4")
    int32_data: np.ndarray = field(5, "<i4")
    string_data: list = field(6, "bytes", repeated=True)
    int64_data: np.ndarray = field(7, "<i8")
    name: str = field(8, "string")
    raw_data: memoryview = field(9, "view")
    double_data: np.ndarray = field(10, "<f8")
    uint64_data: np.ndarray = field(11, "<u8")
    doc_string: str = field(12, "string")
    external_data: list = field(13, "@StringStringEntry", repeated=True)
    data_location: int = field(14, "int")
    metadata_props: list = field(16, "@StringStringEntry", repeated=True)


@message
class SparseTensor:
    values: Tensor | None = field(1, "@Tensor")
    indices: Tensor | None = field(2, "@Tensor")
    dims: list = field(3, "int", repeated=True)


@message
class Attribute:
    name: str = field(1, "string")
    f: float = field(2, "float", shown_by=1)
    i: int = field(3, "int", shown_by=2)
    s: bytes = field(4, "bytes", shown_by=3)
    t: Tensor | None = field(5, "@Tensor")
    g: "Graph | None" = field(6, "@Graph")
    floats: list = field(7, "float", repeated=True)
    ints: list = field(8, "int", repeated=True)
    strings: list = field(9, "bytes", repeated=True)
    tensors: list = field(10, "@Tensor", repeated=True)
    graphs: list = field(11, "@Graph", repeated=True)
    doc_string: str = field(13, "string")
    tp: Type | None = field(14, "@Type")
    type_protos: list = field(15, "@Type", repeated=True)
    type: int = field(20, "int")
    ref_attr_name: str = field(21, "string")
    sparse_tensor: SparseTensor | None = field(22, "@SparseTensor")
    sparse_tensors: list = field(23, "@SparseTensor", repeated=True)

    @property
    def value(self):
        """What the attribute holds: the field that `type` names, or, in files older than `type`, one that is set."""
        if self.type in ATTRIBUTE_TYPES:
            return getattr(self, ATTRIBUTE_TYPES[self.type])
        held = [getattr(self, name) for name in ATTRIBUTE_TYPES.values()]
        return next((value for value in held if value is not None and value not in (0, b"", ())), 0)


@message
class Node:
    input: list = field(1, "string", repeated=True)
    output: list = field(2, "string", repeated=True)
    name: str = field(3, "string")
    op_type: str = field(4, "string")
    attribute: list = field(5, "@Attribute", repeated=True)
    doc_string: str = field(6, "string")
    domain: str = field(7, "string")
    overload: str = field(8, "string")
    metadata_props: list = field(9, "@StringStringEntry", repeated=True)


@message
class Annotation:
    tensor_name: str = field(1, "string")
    quant_parameter_tensor_names: list = field(2, "@StringStringEntry", repeated=True)


@message
class Graph:
    node: list = field(1, "@Node", repeated=True)
    name: str = field(2, "string")
    initializer: list = field(5, "@Tensor", repeated=True)
    doc_string: str = field(10, "string")
    input: list = field(11, "@ValueInfo", repeated=True)
    output: list = field(12, "@ValueInfo", repeated=True)
    value_info: list = field(13, "@ValueInfo", repeated=True)
    quantization_annotation: list = field(14, "@Annotation", repeated=True)
    sparse_initializer: list = field(15, "@SparseTensor", repeated=True)
    metadata_props: list = field(16, "@StringStringEntry", repeated=True)


@message
class Function:
    """A model's own operator, as a graph of others."""

    name: str = field(1, "string")
    input: list = field(4, "string", repeated=True)
    output: list = field(5, "string", repeated=True)
    attribute: list = field(6, "string", repeated=True)
    node: list = field(7, "@Node", repeated=True)
    doc_string: str = field(8, "string")
    opset_import: list = field(9, "@OperatorSetId", repeated=True)
    domain: str = field(10, "string")
    attribute_proto: list = field(11, "@Attribute", repeated=True)
    value_info: list = field(12, "@ValueInfo", repeated=True)
    overload: str = field(13, "string")
    metadata_props: list = field(14, "@StringStringEntry", repeated=True)


@message
class Model:
    ir_version: int = field(1, "int")
    producer_name: str = field(2, "string")
    producer_version: str = field(3, "string")
    domain: str = field(4, "string")
    model_version: int = field(5, "int")
    doc_string: str = field(6, "string")
    graph: Graph | None = field(7, "@Graph")
    opset_import: list = field(8, "@OperatorSetId", repeated=True)
    metadata_props: list = field(14, "@StringStringEntry", repeated=True)
    functions: list = field(25, "@Function", repeated=True)


wire.link([cls for cls in list(globals().values()) if isinstance(cls, type) and hasattr(cls, "FIELDS")])


def read_model(data):
    """Read an ONNX model.

    Parameters
    ----------
    data : bytes-like
        The whole file. Tensors are views of it.

    Returns
    -------
    model : Model

    Raises
    ------
    ModelFormatError

    Examples
    --------
    >>> from fastconv.io.onnx import proto
    >>> model = proto.Model(ir_version=8, graph=proto.Graph(name="empty"))
    >>> model.opset_import = [proto.OperatorSetId(version=17)]
    >>> data = write_model(model)
    >>> data
    b'\\x08\\x08:\\x07\\x12\\x05emptyB\\x02\\x10\\x11'
    >>> read_model(data) == model
    True
    """
    return wire.read(Model, data)


def write_model(model):
    """Return a `Model` as the bytes of a file."""
    return b"".join(wire.write(model))
