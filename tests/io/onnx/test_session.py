"""InferenceSession: ONNX Runtime's interface."""

import copy
import gc
import pickle
import threading
import weakref

import numpy as np
import pytest

import fastconv
from fastconv.errors import ArgumentError, ConfigError, DTypeError, ModelFormatError, ShapeError, UnsupportedOpError
from fastconv.io.onnx import proto
from tests.io.onnx import small


@pytest.fixture
def session():
    return fastconv.InferenceSession(small.classifier())


def images(count, seed=1):
    return np.random.default_rng(seed).random((count, 3, 8, 8), np.float32)


def test_describes_itself(session):
    assert session.get_inputs()[0] == ("x", ["N", 3, 8, 8], "tensor(float)")
    assert [(out.name, out.shape) for out in session.get_outputs()] == [("y", ["N", 5])]
    assert session.get_providers() == fastconv.get_available_providers() == ["CPUExecutionProvider"]


def test_runs_any_batch_and_each_image_alone_gives_the_same_bits(session):
    x = images(5)
    (y,) = session.run(None, {"x": x})
    assert y.shape == (5, 5)
    np.testing.assert_allclose(y.sum(1), 1, rtol=1e-6)
    for i in range(5):
        np.testing.assert_array_equal(session.run(["y"], {"x": x[i : i + 1]})[0], y[i : i + 1])


def test_results_do_not_share_memory(session):
    first = session.run(None, {"x": images(2)})[0]
    before = first.copy()
    second = session.run(None, {"x": images(2, seed=2)})[0]
    assert not np.shares_memory(first, second)
    np.testing.assert_array_equal(first, before)


def test_concurrent_calls(session):
    batches = [images(1 + i % 3, seed=i) for i in range(24)]
    wanted = [session.run(None, {"x": x})[0] for x in batches]
    got = [None] * len(batches)

    def work(start):
        for i in range(start, len(batches), 4):
            got[i] = session.run(None, {"x": batches[i]})[0]

    threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for a, b in zip(got, wanted, strict=True):
        np.testing.assert_array_equal(a, b)


def test_the_number_of_programs_is_bounded(session):
    for count in range(1, 25):
        session.run(None, {"x": images(count)})
    assert len(session._programs) == 16


@pytest.mark.parametrize(
    ("feed", "error", "text"),
    [
        ({}, ArgumentError, "missing: 'x'"),
        ({"x": images(1), "z": 1}, ArgumentError, "not known: 'z'"),
        ({"x": images(1)[0]}, ShapeError, "takes shape"),
        ({"x": np.zeros((1, 4, 8, 8), "float32")}, ShapeError, "takes shape"),
        ({"x": np.full((1, 3, 8, 8), "a")}, DTypeError, "takes float32"),
    ],
)
def test_bad_feeds(session, feed, error, text):
    with pytest.raises(error, match=text):
        session.run(None, feed)


def test_unknown_outputs(session):
    with pytest.raises(ArgumentError, match="no output 'q'"):
        session.run(["q"], {"x": images(1)})


def test_integers_and_doubles_are_cast(session):
    x = np.arange(3 * 64).reshape(1, 3, 8, 8)
    wanted = session.run(None, {"x": x.astype("float32")})[0]
    for dtype in ("float64", "int32", "uint8", ">f4"):
        np.testing.assert_array_equal(session.run(None, {"x": x.astype(dtype)})[0], wanted)


def test_options_and_providers():
    options = fastconv.SessionOptions()
    options.intra_op_num_threads = 1
    with pytest.warns(UserWarning, match="CUDAExecutionProvider"):
        session = fastconv.InferenceSession(
            small.classifier(), options, providers=["CUDAExecutionProvider", "CPUExecutionProvider"]
        )
    assert session.run(None, {"x": images(1)})[0].shape == (1, 5)
    seen = []
    session._runner = lambda arrays: lambda arrays: seen.append(fastconv.get_num_threads()) or {"y": None}
    with fastconv.num_threads(2):
        session.run(None, {"x": images(1)})
    assert seen == [1]


def test_shapes_that_depend_on_data_run_after_the_program():
    nodes = [
        small.node("Relu", "x", "r"),
        small.node("NonZero", "r", "where"),
        small.node("Cast", "where", "f", to=1),
        small.node("Add", "f one", "y"),
    ]
    weights = {"one": np.ones((), np.float32)}
    text = small.model(nodes, [small.value("x", [4])], [small.value("y", [1, "n"]), small.value("r", [4])], weights)
    session = fastconv.InferenceSession(text)
    y, r = session.run(None, {"x": np.array([-1, 2, 0, 3], np.float32)})
    assert y.tolist() == [[2.0, 4.0]] and r.tolist() == [0, 2, 0, 3]
    assert session.run(["y"], {"x": np.array([1, 2, 0, 3], np.float32)})[0].tolist() == [[1, 2, 4]]


def test_a_name_is_no_list_of_names(session):
    with pytest.raises(ArgumentError, match="output_names is a list of names, or None for all, got 'y'"):
        session.run("y", {"x": images(1)})


@pytest.mark.parametrize("copied", [pickle.dumps, copy.copy, copy.deepcopy])
def test_a_session_is_not_copied(session, copied):
    with pytest.raises(TypeError, match="an InferenceSession cannot be pickled or copied"):
        copied(session)


def test_no_names_are_all_names(session):
    assert len(session.run([], {"x": images(1)})) == 1


def test_a_session_that_died_is_forgotten():
    nodes = [small.node("Hardmax", "x", "h"), small.node("Relu", "h", "y")]  # Hardmax is a host step
    session = fastconv.InferenceSession(small.model(nodes, [small.value("x", [2, 3])], [small.value("y", [2, 3])]))
    session.run(None, {"x": np.ones((2, 3), "float32")})
    network = weakref.ref(session._network)
    del session
    gc.collect()
    assert network() is None


def test_initializers_that_are_inputs_can_be_fed():
    nodes = [small.node("Mul", "x w", "y")]
    inputs = [small.value("x", [2]), small.value("w", [2])]
    session = fastconv.InferenceSession(
        small.model(nodes, inputs, [small.value("y", [2])], {"w": np.array([2, 3], "float32")})
    )
    x = np.array([1, 1], "float32")
    assert [value.name for value in session.get_overridable_initializers()] == ["w"]
    assert session.run(None, {"x": x})[0].tolist() == [2, 3]
    assert session.run(None, {"x": x, "w": 10 * x})[0].tolist() == [10, 10]
    assert session.run(None, {"x": x})[0].tolist() == [2, 3]


def test_any_name_will_do_for_an_input():
    session = fastconv.InferenceSession(
        small.model([small.node("Relu", "self", "y")], [small.value("self", [2])], [small.value("y", [2])])
    )
    assert session.run(None, {"self": np.array([-1, 1], "float32")})[0].tolist() == [0, 1]


def test_integers_that_do_not_fit_are_refused():
    nodes = [small.node("Identity", "x", "y")]
    session = fastconv.InferenceSession(
        small.model(nodes, [small.value("x", [2], "uint8")], [small.value("y", [2], "uint8")])
    )
    assert session.run(None, {"x": np.array([1, 255])})[0].tolist() == [1, 255]
    with pytest.raises(DTypeError, match="do not fit"):
        session.run(None, {"x": np.array([1, 256])})


@pytest.mark.parametrize("kind", ["SessionOptions", "RunOptions"])
def test_options_have_the_names_and_defaults_of_onnxruntime(kind):
    onnxruntime = pytest.importorskip("onnxruntime", reason="ONNX Runtime is not installed (pip install onnxruntime)")
    ours, theirs = getattr(fastconv, kind)(), getattr(onnxruntime, kind)()
    names = {name for name in dir(ours) if not name.startswith("_")} - {"precision"}
    assert len(names) > 5
    for name in names:
        default = getattr(theirs, name)
        assert callable(default) or getattr(ours, name) == getattr(default, "value", default), name


def test_options_that_cannot_be_are_refused_before_the_file_is_read():
    onnxruntime = pytest.importorskip("onnxruntime", reason="ONNX Runtime is not installed (pip install onnxruntime)")
    for name, value in (("intra_op_num_threads", -1), ("intra_op_num_threads", "2"), ("precision", "low")):
        options = fastconv.SessionOptions()
        setattr(options, name, value)
        with pytest.raises((ArgumentError, ConfigError), match="threads must be|precision must be"):
            fastconv.InferenceSession(b"no model", options)
    for options in (onnxruntime.SessionOptions(), {}, 2):
        with pytest.raises(ArgumentError, match="must be a fastconv.SessionOptions"):
            fastconv.InferenceSession(b"no model", options)
    for providers in ([5], [()], [None], [{"CPUExecutionProvider": {}}]):
        with pytest.raises(ArgumentError, match="providers must be names, or pairs"):
            fastconv.InferenceSession(b"no model", providers=providers)
    with pytest.raises(AttributeError):
        fastconv.SessionOptions().intra_op_num_thread = 3


def test_files_that_options_ask_for_and_nobody_writes_are_told(tmp_path):
    options = fastconv.SessionOptions()
    options.enable_profiling, options.optimized_model_filepath = True, str(tmp_path / "m.onnx")
    with pytest.warns(UserWarning) as caught:
        fastconv.InferenceSession(small.classifier(), options)
    assert sorted(str(w.message).split()[0] for w in caught) == ["enable_profiling", "nothing"]
    assert {w.filename for w in caught} == {__file__}


def test_entries_and_settings_of_a_run(session):
    options, run_options = fastconv.SessionOptions(), fastconv.RunOptions()
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    run_options.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")
    assert options.get_session_config_entry("session.intra_op.allow_spinning") == "0"
    assert run_options.get_run_config_entry("memory.enable_memory_arena_shrinkage") == "cpu:0"
    with pytest.raises(ArgumentError, match="no config entry 'a' was added; there is 'session.intra"):
        options.get_session_config_entry("a")
    x = images(1)
    np.testing.assert_array_equal(session.run(None, {"x": x}, run_options)[0], session.run(None, {"x": x})[0])
    assert session.get_provider_options() == {"CPUExecutionProvider": {}} and fastconv.get_device() == "CPU"
    fastconv.set_default_logger_severity(3)


def test_what_the_file_says_of_itself(session):
    onnxruntime = pytest.importorskip("onnxruntime", reason="ONNX Runtime is not installed (pip install onnxruntime)")
    model = proto.read_model(small.classifier())
    model.producer_name, model.domain, model.doc_string, model.model_version = "someone", "org.example", "a model", 7
    model.graph.doc_string = "a graph"
    model.metadata_props = [proto.StringStringEntry(key="names", value="cat dog")]
    data = proto.write_model(model)
    ours, theirs = (module.InferenceSession(data).get_modelmeta() for module in (fastconv, onnxruntime))
    assert ours.custom_metadata_map == {"names": "cat dog"} and ours.version == 7
    for name in fastconv.ModelMetadata._fields:
        assert getattr(ours, name) == getattr(theirs, name), name
    options = fastconv.SessionOptions()
    assert fastconv.InferenceSession(data, options).get_session_options() is options


def test_open_dimensions_get_sizes_by_name():
    options = fastconv.SessionOptions()
    options.add_free_dimension_override_by_name("N", np.int64(2))
    session = fastconv.InferenceSession(small.classifier(), options)
    assert session.get_inputs()[0].shape == [2, 3, 8, 8] and session.get_outputs()[0].shape == [2, 5]
    assert session.run(None, {"x": images(2)})[0].shape == (2, 5)
    with pytest.raises(ShapeError, match=r"takes shape \[2, 3, 8, 8\]"):
        session.run(None, {"x": images(3)})
    for size in (-1, "2", 2.5, True):
        with pytest.raises(ArgumentError, match="the size of dimension 'N'"):
            options.add_free_dimension_override_by_name("N", size)


# ---- outputs of which the file says no more than the name


def untyped(nodes, inputs, outputs, weights=None):
    return small.model(nodes, inputs, [proto.ValueInfo(name=name) for name in outputs], weights)


def test_outputs_without_a_type_are_described_as_onnxruntime_does():
    onnxruntime = pytest.importorskip("onnxruntime", reason="ONNX Runtime is not installed (pip install onnxruntime)")
    nodes = [
        small.node("Conv", "x w", "c", kernel_shape=[3, 3]),
        small.node("Shape", "c", "s"),
        small.node("GlobalAveragePool", "c", "g"),
        small.node("Flatten", "g", "f"),
        small.node("ArgMax", "f", "i", axis=1),
        small.node("Cast", "f", "h", to=10),
    ]
    data = untyped(
        nodes,
        [small.value("x", ["N", 3, "H", 9])],
        ["f", "c", "s", "i", "h", "w"],
        {"w": np.ones((4, 3, 3, 3), "float32")},
    )
    ours, theirs = fastconv.InferenceSession(data), onnxruntime.InferenceSession(data)
    for a, b in zip(ours.get_outputs(), theirs.get_outputs(), strict=True):
        # ONNX Runtime makes up names for sizes that it cannot tell.
        shape = [None if isinstance(n, str) and n.startswith("unk__") else n for n in b.shape]
        assert (a.name, a.type) == (b.name, b.type) and a.shape == (["N", 4, None, 7] if a.name == "c" else shape)
    x = np.random.default_rng(0).random((2, 3, 11, 9), np.float32)
    for a, b in zip(ours.run(None, {"x": x}), theirs.run(None, {"x": x}), strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_allclose(a, b, rtol=1e-3)


@pytest.mark.parametrize(
    ("inputs", "nodes", "output"),
    [
        ([small.value("x", None)], [small.node("Relu", "x", "y")], "y"),
        ([small.value("x", ["N", 4])], [small.node("NonZero", "x", "y")], "y"),
        ([small.value("x", ["N", 4])], [small.node("NonZero", "x", "z"), small.node("Cast", "z", "y", to=1)], "y"),
        ([small.value("x", [1, "C", 5])], [small.node("Reshape", "x s", "y")], "y"),
    ],
)
def test_outputs_that_depend_on_data_have_no_type(inputs, nodes, output):
    session = fastconv.InferenceSession(untyped(nodes, inputs, [output], {"s": np.array([2, 5])}))
    assert session.get_outputs() == [("y", None, None)]
    shape = {None: (3,), "N": (2, 4), 1: (1, 2, 5)}[session.get_inputs()[0].shape and session.get_inputs()[0].shape[0]]
    assert len(session.run(None, {"x": np.ones(shape, "float32")})) == 1


def test_strings_come_out_as_onnxruntime_gives_them():
    onnxruntime = pytest.importorskip("onnxruntime", reason="ONNX Runtime is not installed (pip install onnxruntime)")
    nodes = [
        small.node("ArgMax", "x", "i", axis=1, keepdims=0),
        small.node("Gather", "names i", "label"),
        small.node("Identity", "names", "all"),
        small.node("Cast", "numbers", "f", to=1),
        small.node("Add", "x f", "y"),
        small.node("Cast", "y", "text", to=8),
    ]
    weights = {"names": np.array(["cat", "dög", ""], object), "numbers": np.array(["1.5", "-2.25", "3.005e2"], object)}
    kinds = {"label": "str", "all": "str", "y": "float32", "text": "str"}
    outputs = [small.value(name, None, kind) for name, kind in kinds.items()]
    data = small.model(nodes, [small.value("x", ["N", 3])], outputs, weights)
    ours, theirs = fastconv.InferenceSession(data), onnxruntime.InferenceSession(data)
    assert [out.type for out in ours.get_outputs()] == [out.type for out in theirs.get_outputs()]
    feed = {"x": np.array([[1, 0.5, 0], [0.125, 0, -1]], "float32")}
    for a, b in zip(ours.run(None, feed), theirs.run(None, feed), strict=True):
        assert a.dtype == b.dtype and a.tolist() == b.tolist()


def test_inputs_need_a_type_that_there_is():
    nodes, outputs = [small.node("Relu", "x", "y")], [small.value("y", [2])]
    with pytest.raises(ModelFormatError, match="'x' has no type in the file"):
        fastconv.InferenceSession(small.model(nodes, [proto.ValueInfo(name="x")], outputs))
    kind = proto.TensorType(elem_type=proto.INT4, shape=proto.TensorShape(dim=[proto.Dimension(dim_value=2)]))
    value = proto.ValueInfo(name="x", type=proto.Type(tensor_type=kind))
    with pytest.raises(UnsupportedOpError, match="'x' is a tensor of int4, .*export it as float32"):
        fastconv.InferenceSession(small.model(nodes, [value], outputs))


def test_a_list_is_no_feed(session):
    with pytest.raises(ArgumentError, match="dict of arrays"):
        session.run(None, [images(1)])


def test_an_image_alone_gives_the_same_bits_after_a_channel_shuffle():
    nodes = [
        small.node("Reshape", "x split", "a"),
        small.node("Transpose", "a", "b", perm=[0, 2, 1, 3, 4]),
        small.node("Reshape", "b join", "c"),
        small.node("ReduceMean", "c", "y", axes=[2, 3]),
    ]
    shapes = {"split": np.array([0, 2, 4, 9, 11]), "join": np.array([0, 8, 9, 11])}
    text = small.model(nodes, [small.value("x", ["N", 8, 9, 11])], [small.value("y", ["N", 8, 1, 1])], shapes)
    session = fastconv.InferenceSession(text)
    x = np.random.default_rng(0).normal(size=(2, 8, 9, 11)).astype("float32")
    together = session.run(None, {"x": x})[0]
    np.testing.assert_array_equal(session.run(None, {"x": x[:1]})[0], together[:1])
