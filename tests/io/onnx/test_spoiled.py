"""Spoiled models: of every conformance case one number is changed. It runs or is refused, by one of fastconv's errors."""

import random
import zlib

import numpy as np
import pytest

from fastconv import InferenceSession, errors

onnx = pytest.importorskip("onnx", reason="needs the onnx package: its cases are what is spoiled")

from tests.io.onnx.conformance import node_cases  # noqa: E402

NUMBERS = (0, -1, 1, 2, 3, -2, 5, 100, 2**31 - 1, -(2**31), 2**62, -(2**63))
WORDS = (b"", b"x", b"\xff", b"VALID", b"SAME_UPPER", b"linear")
FLOATS = (0.0, -1.0, np.nan, np.inf, 1e30)
SHARDS = 8


def cases(shard):
    """Yield a share of the cases; loops are left out, which a number would let run for ages."""
    for name, _, _, case in node_cases():
        loops = case.model is None or any(node.op_type in ("Loop", "Scan", "Range") for node in case.model.graph.node)
        if not loops and zlib.crc32(name.encode()) % SHARDS == shard:
            yield name, case


def spoil_attribute(rng, model):
    """Change a number or a word of an attribute."""
    attributes = [a for node in model.graph.node for a in node.attribute if a.ints or a.type in (1, 2, 3)]
    if not attributes:
        return False
    attribute = rng.choice(attributes)
    if attribute.ints:
        if rng.random() < 0.2:
            attribute.ints.pop()
        else:
            attribute.ints[rng.randrange(len(attribute.ints))] = rng.choice(NUMBERS)
    elif attribute.type == onnx.AttributeProto.INT:
        attribute.i = rng.choice(NUMBERS)
    elif attribute.type == onnx.AttributeProto.FLOAT:
        attribute.f = rng.choice(FLOATS)
    else:
        attribute.s = rng.choice(WORDS)
    return True


def spoil_number(rng, model, arrays):
    """Change an integer of an input: an index, a size, a label."""
    places = [i for i, array in enumerate(arrays) if array.dtype in (np.int32, np.int64) and array.size]
    if not places:
        return False
    array = arrays[rng.choice(places)].reshape(-1)
    # A size of 2^31 would be refused by nobody, and fill the memory.
    array[rng.randrange(array.size)] = rng.choice([n for n in NUMBERS if -(2**31) < n < 2**30])
    return True


def spoil_shape(rng, model, arrays):
    """Give an input another shape, in the file as well."""
    place = rng.randrange(len(arrays))
    shape = list(arrays[place].shape)
    if shape and rng.random() < 0.7:
        shape[rng.randrange(len(shape))] = rng.choice((0, 1, 7))
    elif shape and rng.random() < 0.5:
        shape.pop(rng.randrange(len(shape)))
    else:
        shape.insert(rng.randrange(len(shape) + 1), rng.choice((1, 2)))
    declared = model.graph.input[place].type.tensor_type.shape
    declared.Clear()
    for n in shape:
        declared.dim.add().dim_value = n
    arrays[place] = np.resize(arrays[place], shape)
    return True


@pytest.mark.parametrize("shard", range(SHARDS))
def test_spoiled_models_run_or_are_refused(shard):
    spoiled = refused = 0
    for name, case in cases(shard):
        rng, model = random.Random(name), onnx.ModelProto()
        model.CopyFrom(case.model)
        arrays = [np.array(array) for array in case.data_sets[0][0] if isinstance(array, np.ndarray)]
        if len(arrays) < len(model.graph.input):
            continue
        ways = [spoil_shape] if arrays else []
        ways += [spoil_number] if arrays else []
        if not any(way(rng, model, arrays) for way in rng.sample(ways, len(ways))) and not spoil_attribute(rng, model):
            continue
        if rng.random() < 0.7:
            spoil_attribute(rng, model)
        spoiled += 1
        try:
            session = InferenceSession(model.SerializeToString())
            session.run(None, dict(zip([x.name for x in session.get_inputs()], arrays, strict=True)))
        except errors.FastconvError:
            refused += 1
        except Exception as error:
            raise AssertionError(f"{name}: {error!r}, expected one of fastconv's errors") from error
    assert spoiled > 150 and 0.2 < refused / spoiled < 0.9
