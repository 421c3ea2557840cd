"""The wire format: hand-made bytes, agreement with the `onnx` package, hostile files, speed in proportion to size."""

import collections
import itertools
import os
import random
import time
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from fastconv import InferenceSession, errors
from fastconv.io.onnx import check, proto, tensors, wire
from tests.io.onnx import small


def varint(value):
    out = b""
    while value > 127:
        out += bytes([value & 127 | 128])
        value >>= 7
    return out + bytes([value])


def block(number, body):
    return varint(number << 3 | 2) + varint(len(body)) + body


def number(number, value):
    return varint(number << 3) + varint(value)


def example():
    """A model with every kind of field."""
    weight = tensors.from_array(np.arange(6, dtype="float32").reshape(2, 3), "weight")
    inner = proto.Graph(
        name="branch",
        node=[proto.Node(op_type="Relu", input=["x"], output=["branch_y"])],
        output=[proto.ValueInfo(name="branch_y")],
    )
    node = proto.Node(
        op_type="Product",
        domain="own",
        name="product",
        input=["x", "weight"],
        output=["y"],
        attribute=[
            proto.Attribute(name="i", type=2, i=-3),
            proto.Attribute(name="zero", type=1, f=0.0),
            proto.Attribute(name="f", type=1, f=0.5),
            proto.Attribute(name="s", type=3, s=b"\xff"),
            proto.Attribute(name="ints", type=7, ints=[-1, 0, 1 << 62]),
            proto.Attribute(name="floats", type=6, floats=[0.5, -1.0]),
            proto.Attribute(name="strings", type=8, strings=[b"a", b""]),
            proto.Attribute(name="t", type=4, t=tensors.from_array(np.array([1, -2], "int64"))),
            proto.Attribute(name="g", type=5, g=inner),
        ],
    )
    # Attributes of every kind are those of a function; operators have their own.
    function = proto.Function(
        name="Product",
        domain="own",
        input=["a", "b"],
        output=["c"],
        attribute=[a.name for a in node.attribute],
        node=[proto.Node(op_type="MatMul", input=["a", "b"], output=["c"])],
        opset_import=[proto.OperatorSetId(version=17)],
    )
    loose = proto.Tensor(name="loose", dims=[2], data_type=proto.INT64, int64_data=np.array([5, -(1 << 63)]))
    floats = proto.Tensor(name="floats", dims=[2], data_type=proto.FLOAT, float_data=np.array([1.5, -2.5], "f4"))
    shape = proto.TensorShape(dim=[proto.Dimension(dim_param="n"), proto.Dimension(dim_value=0), proto.Dimension()])
    kind = proto.Type(tensor_type=proto.TensorType(elem_type=1, shape=shape))
    sequence = proto.Type(sequence_type=proto.ElementType(elem_type=kind))
    return proto.Model(
        ir_version=8,
        producer_name="größe",
        opset_import=[proto.OperatorSetId(version=17), proto.OperatorSetId(domain="com.microsoft", version=1)],
        metadata_props=[proto.StringStringEntry(key="k", value="v")],
        graph=proto.Graph(
            name="g",
            node=[node],
            initializer=[weight, loose, floats],
            input=[proto.ValueInfo(name="x", type=kind)],
            value_info=[proto.ValueInfo(name="s", type=sequence)],
            output=[proto.ValueInfo(name="y")],
        ),
        functions=[function],
    )


def plain(value):
    """A message as dicts and lists, which compare by their contents."""
    if hasattr(type(value), "FIELDS"):
        return {f.name: plain(getattr(value, f.name)) for f in value.FIELDS}
    if isinstance(value, np.ndarray):
        return value.tobytes()
    if isinstance(value, memoryview):
        return bytes(value)
    return [plain(item) for item in value] if isinstance(value, list | tuple) else value


def test_a_round_trip_keeps_everything():
    model = example()
    data = proto.write_model(model)
    again = proto.read_model(data)
    assert plain(again) == plain(model)
    assert proto.write_model(again) == data
    dims = again.graph.input[0].type.tensor_type.shape.dim
    assert [(d.dim_value, d.dim_param) for d in dims] == [(None, "n"), (0, ""), (None, "")]


def test_the_onnx_package_writes_the_same_bytes():
    onnx = pytest.importorskip("onnx", reason="the onnx package is not installed")
    data = proto.write_model(example())
    theirs = onnx.load_model_from_string(data)
    assert theirs.SerializeToString(deterministic=True) == data
    assert theirs.graph.node[0].attribute[1].HasField("f")
    np.testing.assert_array_equal(onnx.numpy_helper.to_array(theirs.graph.initializer[1]), [5, -(1 << 63)])


def model_files():
    """Real models: the test data's, and those that the onnx package brings."""
    found = []
    if folder := os.environ.get("FASTCONV_TEST_DATA"):
        found += sorted(Path(folder, "models").rglob("*.onnx"))
    try:
        import onnx
    except ImportError:
        return found
    return found + sorted(Path(onnx.__file__).parent.rglob("*.onnx"))


def fields_of(message):
    """A message of the onnx package, as `plain` gives ours."""
    out = {}
    for f in message.DESCRIPTOR.fields:
        value = getattr(message, f.name)
        if f.message_type is None:
            out[f.name] = list(value) if isinstance(value, list) or hasattr(value, "append") else value
        elif hasattr(value, "add"):
            out[f.name] = [fields_of(item) for item in value]
        else:
            out[f.name] = fields_of(value) if message.HasField(f.name) else None
    return out


def assert_same(ours, theirs, path=""):
    for f in ours.FIELDS:
        here, there = getattr(ours, f.name), theirs[f.name]
        where = f"{path}.{f.name}"
        if f.name == "dim_value":
            assert (here or 0) == there, where
        elif isinstance(f.kind, type):
            mine = here if f.repeated else [here] * (here is not None)
            other = there if f.repeated else [there] * (there is not None)
            assert len(mine) == len(other), where
            for i, (a, b) in enumerate(zip(mine, other, strict=True)):
                assert_same(a, b, f"{where}[{i}]")
        elif f.repeated:
            assert np.asarray(here).tolist() == there if f.kind[0] == "<" else list(here) == there, where
        else:
            assert (bytes(here) if f.kind == "view" else here) == there, where


def test_real_models_are_read_as_the_onnx_package_reads_them():
    onnx = pytest.importorskip("onnx", reason="the onnx package is not installed")
    for path in model_files():
        data = path.read_bytes()
        theirs = onnx.load_model_from_string(data)
        ours = proto.read_model(data)
        assert_same(ours, fields_of(theirs), path.name)
        again = proto.write_model(ours)
        assert_same(proto.read_model(again), fields_of(onnx.load_model_from_string(again)), path.name)
        assert plain(proto.read_model(again)) == plain(ours)
        for mine, other in zip(ours.graph.initializer, theirs.graph.initializer, strict=True):
            expected = onnx.numpy_helper.to_array(other)
            array = tensors.to_array(mine)
            assert array.dtype == expected.dtype and not array.flags.writeable
            np.testing.assert_array_equal(array, expected)


def test_unknown_fields_are_skipped():
    unknown = (
        number(1000, 7) + block(1001, b"later") + varint(1002 << 3 | 5) + bytes(4) + varint(1003 << 3 | 1) + bytes(8)
    )
    assert proto.read_model(unknown + number(1, 8) + unknown).ir_version == 8


def test_attributes_of_files_older_than_their_types():
    for fields in ({"i": 3}, {"f": 0.5}, {"s": b"a"}, {"ints": [1, 2]}, {"t": tensors.from_array(np.ones(2), "t")}):
        assert proto.Attribute(name="a", **fields).value is next(iter(fields.values()))
    assert proto.Attribute(name="a").value == 0
    assert proto.Attribute(name="a", type=7, i=3).value == ()


def test_numbers_come_packed_or_not():
    packed = block(7, varint(1) + varint(300) + varint((1 << 64) - 1))
    loose = number(7, 1) + number(7, 300) + number(7, (1 << 64) - 1)
    for body in (packed, loose, block(7, varint(1)) + number(7, 300) + block(7, varint((1 << 64) - 1))):
        tensor = wire.read(proto.Tensor, body)
        assert tensor.int64_data.tolist() == [1, 300, -1]
    for body in (block(1, varint(2) + varint(3)), number(1, 2) + number(1, 3)):
        assert wire.read(proto.Tensor, body).dims == [2, 3]
    floats = np.array([1.5, 2.5], "<f4").tobytes()
    loose = varint(4 << 3 | 5) + floats[:4] + varint(4 << 3 | 5) + floats[4:]
    for body in (block(4, floats), loose):
        assert wire.read(proto.Tensor, body).float_data.tolist() == [1.5, 2.5]
    attribute = wire.read(proto.Attribute, block(7, floats) + varint(7 << 3 | 5) + floats[:4])
    assert attribute.floats == [1.5, 2.5, 1.5]


def test_many_packed_integers(monkeypatch):
    values = [0, 1, 127, 128, 16383, 16384, -1, -(1 << 63), (1 << 63) - 1] * 40
    body = block(7, b"".join(varint(value % (1 << 64)) for value in values))
    for chunk in (11, 100, 1 << 20):
        monkeypatch.setattr(wire, "_CHUNK", chunk)
        assert wire.read(proto.Tensor, body).int64_data.tolist() == values


def test_data_are_views_of_the_file():
    data = bytearray(proto.write_model(example()))
    tensor = proto.read_model(data).graph.initializer[0]
    array = tensors.to_array(tensor)
    assert np.shares_memory(array, np.frombuffer(data, "u1"))
    assert array.tolist() == [[0, 1, 2], [3, 4, 5]]


def nested(depth):
    body = b""
    for _ in range(depth):  # graph: node: attribute: graph
        body = block(1, block(5, block(6, body)))
    return number(1, 8) + block(7, body)


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"\x08", "does not end"),
        (b"\x08" + b"\xff" * 11, "does not end"),
        (b"\xff" * 20, "does not end"),
        (b"\x3a\x7f", "claims 127 bytes where 0 are left"),
        (block(7, b"\x0a\x7f\x00"), "claims 127 bytes where 1 are left"),
        (b"\x3a" + varint((1 << 64) - 1), "claims 18446744073709551615 bytes"),
        (block(1, b"abc"), "ir_version of Model has wire type 2"),
        (number(7, 1), "graph of Model has wire type 0"),
        (b"\x3b", "graph of Model has wire type 3"),
        (b"\x00\x00", "number 0"),
        (varint(1002 << 3 | 3), "wire type 3"),
        (varint(1002 << 3 | 5) + b"abc", "cut off"),
        (block(2, b"\xff\xfe"), "not UTF-8"),
        (block(7, b"") + block(7, b""), "twice"),
        (block(7, block(5, block(4, b"abc"))), "no whole number of float32"),
        (block(7, block(5, varint(4 << 3 | 5) + b"abc")), "cut off"),
        (block(7, block(5, block(7, b"\x80"))), "does not end"),
        (block(7, block(5, block(7, b"\x80" * 11 + b"\x00"))), "does not end"),
        (nested(40), "nested more than"),
        (nested(20_000), "nested more than"),
    ],
)
def test_malformed_bytes(data, what):
    with pytest.raises(errors.ModelFormatError, match=what):
        proto.read_model(data)


def test_more_parts_than_a_network_has(monkeypatch):
    monkeypatch.setattr(wire, "MAX_MESSAGES", 1000)
    with pytest.raises(errors.ModelFormatError, match="more than 1000 parts"):
        proto.read_model(block(7, b"\x0a\x00" * 1000))


@pytest.mark.parametrize("number", [1, 7])  # a list, and an array
def test_numbers_in_many_pieces(number, monkeypatch):
    piece = block(number, b"\x01")
    tensor = wire.read(proto.Tensor, piece * 50_000)
    assert list(tensor.dims or tensor.int64_data) == [1] * 50_000
    monkeypatch.setattr(wire, "MAX_MESSAGES", 1000)
    assert wire.read(proto.Tensor, piece * 999)
    with pytest.raises(errors.ModelFormatError, match="more than 1000 parts"):
        wire.read(proto.Tensor, piece * 1000)


def test_as_deep_as_may_be():
    assert proto.read_model(nested(33)).graph is not None


@pytest.mark.parametrize(
    "model",
    [
        proto.Model(ir_version="eight"),
        proto.Model(ir_version=1 << 64),
        proto.Model(producer_name=3),
        proto.Model(graph=proto.Node()),
        proto.Model(graph=proto.Graph(initializer=[proto.Tensor(float_data=["a"])])),
    ],
)
def test_what_cannot_be_written(model):
    with pytest.raises(errors.ArgumentError, match="ir_version|producer_name|graph|float_data"):
        proto.write_model(model)


class Everything:
    def __contains__(self, key):
        return True


def use(data):
    """Do with a file all that happens before it runs; return whether it was refused."""
    try:
        model = proto.read_model(data)
        check.check(model, Everything())
        for tensor in model.graph.initializer:
            tensors.to_array(tensor)
        proto.write_model(model)
    except errors.FastconvError:
        return True
    return False


def mutants(original, seed, places):
    """Yield damaged copies, without end; `places` is what may be hit."""
    rng = random.Random(seed)
    while True:
        data = bytearray(original)
        for _ in range(rng.choice((1, 1, 2, 8))):
            place = rng.choice(places)
            change = rng.randrange(5)
            if change == 0 and place < len(data):
                data[place] ^= 1 << rng.randrange(8)
            elif change == 1 and place < len(data):
                data[place] = rng.choice((0, 1, 127, 128, 255))
            elif change == 2:
                del data[place : place + rng.randrange(1, 9)]
            elif change == 3:
                data[place:place] = data[place : place + rng.randrange(1, 30)]
            else:
                data[place:place] = b"\xff" * rng.randrange(1, 11)
        yield bytes(data)


def test_changed_bytes_raise_only_our_errors():
    original = proto.write_model(example())
    assert not use(original)
    tracemalloc.start()
    start = time.process_time()
    refused = sum(map(use, itertools.islice(mutants(original, 5, range(len(original))), 2000)))
    used = time.process_time() - start
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert 200 < refused < 2000  # neither all nor none, or the changes show nothing
    assert used < 60 and peak < 20e6


def test_changed_networks_run_or_raise_our_errors():
    original = small.classifier()
    # The nodes come first, the inputs and outputs last; between them lie the weights, of which any bytes will do.
    places = [*range(600), *range(len(original) - 80, len(original))]
    x, outcomes = np.ones((2, 3, 8, 8), "float32"), collections.Counter()
    for data in itertools.islice(mutants(original, 6, places), 150):
        try:
            session = InferenceSession(data)
            session.run(None, {value.name: x for value in session.get_inputs()})
            outcomes["ran"] += 1
        except errors.FastconvError as error:
            outcomes[type(error)] += 1
    assert outcomes["ran"] > 5 and outcomes[errors.ModelFormatError] > 20 and len(outcomes) > 2, outcomes


def test_cut_off_anywhere():
    data = proto.write_model(example())
    for stop in range(len(data)):
        use(data[:stop])


def test_a_large_file_costs_no_more_than_a_small_one():
    # What a 100 MB ResNet-50 is to the reader: large tensors behind short headers.
    weights = [tensors.from_array(np.zeros(1 << 20, "float32"), f"w{i}") for i in range(25)]
    data = proto.write_model(proto.Model(ir_version=8, graph=proto.Graph(initializer=weights)))
    proto.read_model(data)
    tracemalloc.start()
    start = time.process_time()
    model = proto.read_model(data)
    used = time.process_time() - start
    arrays = [tensors.to_array(tensor) for tensor in model.graph.initializer]
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert sum(array.nbytes for array in arrays) == 25 << 22
    assert used < 0.05 and peak < 200_000
