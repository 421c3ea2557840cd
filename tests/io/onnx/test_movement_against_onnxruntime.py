"""Operators that move, pick, reduce and resample, with shapes and attributes drawn at random, beside ONNX Runtime."""

import numpy as np
import pytest

import fastconv
from tests.io.onnx import small

onnxruntime = pytest.importorskip("onnxruntime", reason="ONNX Runtime is not installed (pip install onnxruntime)")

from tests.io.onnx.test_against_onnxruntime import check_all, normal  # noqa: E402


def shape_of(rng, low=1, high=5, axes=(1, 5)):
    return [int(n) for n in rng.integers(low, high, rng.integers(*axes))]


def some_axes(rng, ndim):
    axes = rng.permutation(ndim)[: rng.integers(1, ndim + 1)]
    return [int(axis) - (ndim if rng.random() < 0.3 else 0) for axis in axes]


# ---- what keeps the order in memory: chains, from a value that is stored with channels last


def draw_step(rng, shape):
    """Return (operator, arrays for its inputs, attributes) of a step that a value of `shape` can take."""
    ndim = len(shape)
    kind = str(rng.choice(["Transpose", "Split axis", "Merge axes", "Unsqueeze", "Slice", "Pad", "Add", "Concat", "Reduce",
                           "Squeeze", "Gather"]))  # fmt: skip
    if kind == "Transpose":
        return kind, [], {"perm": rng.permutation(ndim).tolist()}
    if kind == "Split axis":
        axis = int(rng.integers(ndim))
        factor = next(k for k in (3, 2, 1) if shape[axis] % k == 0)
        return "Reshape", [np.array([*shape[:axis], factor, -1, *shape[axis + 1 :]])], {}
    if kind == "Merge axes" and ndim > 1:
        axis = int(rng.integers(ndim - 1))
        return "Reshape", [np.array([*shape[:axis], -1, *shape[axis + 2 :]])], {}
    if kind == "Unsqueeze":
        count = int(rng.integers(1, 3))
        return kind, [rng.permutation(ndim + count)[:count]], {}
    if kind == "Squeeze" and 1 in shape:
        return kind, [np.array([shape.index(1)])], {}
    if kind == "Slice":
        axes = np.array(some_axes(rng, ndim))
        steps = rng.choice([1, 1, 2, -1, -2], len(axes))
        low, high = np.zeros(len(axes), int), np.array([shape[axis] for axis in axes])
        starts, ends = np.where(steps > 0, [low, high], [high, low - 100])
        return kind, [starts, ends, axes, steps], {}
    if kind == "Pad":
        mode = str(rng.choice(["constant", "edge", "reflect"]))
        low = [-(n // 2) if mode == "constant" else 0 for n in shape]
        pads = [
            int(rng.integers(n, 3 if mode != "reflect" else min(3, m))) for n, m in zip(low * 2, shape * 2, strict=True)
        ]
        return kind, [np.array(pads), np.float32(rng.choice([0, -2.5]))], {"mode": mode}
    if kind == "Concat":
        return kind, None, {"axis": int(rng.integers(-ndim, ndim))}
    if kind == "Reduce":
        operator = str(rng.choice(["ReduceMean", "ReduceMax", "ReduceL2"]))
        return operator, [], {"axes": some_axes(rng, ndim)[:2], "keepdims": int(rng.integers(2))}
    if kind == "Gather":
        axis = int(rng.integers(ndim))
        indices = rng.integers(-shape[axis], shape[axis], shape_of(rng, 1, 4, (0, 3)))
        return kind, [np.array(indices)], {"axis": axis}
    return "Add", [normal(rng, *(n if rng.random() < 0.7 else 1 for n in shape))], {}


def draw_chain(rng):
    """Return a model of a few steps after a convolution, and its input."""
    x = normal(rng, 2, 3, *rng.integers(2, 6, 2))
    weights = {"w": normal(rng, 6, 3, 1, 1)}
    nodes, shape = [small.node("Conv", "x w", "v0")], [2, 6, *x.shape[2:]]
    for i in range(int(rng.integers(1, 7))):
        operator, arrays, attributes = draw_step(rng, shape)
        names = [f"v{i}"] if arrays is not None else [f"v{i}", f"v{i}"]
        for k, array in enumerate(arrays or ()):
            names.append(f"c{i}.{k}")
            weights[names[-1]] = array.astype(np.int64) if array.dtype.kind == "i" else array
        nodes.append(small.node(operator, names, f"v{i + 1}", **attributes))
        outputs = [small.value(f"v{i + 1}", None)]
        model = small.model(nodes, [small.value("x", x.shape)], outputs, weights, 17)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.log_severity_level = 1, 4
        theirs = onnxruntime.InferenceSession(model, options).run(None, {"x": x})[0]
        shape = list(theirs.shape)
        if not 0 < theirs.size < 5000 or theirs.ndim > 6 or theirs.ndim == 0:
            break
    return model, x, theirs, [node.op_type for node in nodes]


@pytest.mark.parametrize("seed", range(4))
def test_chains(seed):
    rng = np.random.default_rng(seed)
    for _ in range(60):
        model, x, wanted, kinds = draw_chain(rng)
        (y,) = fastconv.InferenceSession(model).run(None, {"x": x})
        np.testing.assert_allclose(y, wanted, rtol=1e-4, atol=1e-5, strict=True, err_msg=str(kinds))


# ---- one by one


def test_resize():
    def draw(rng):
        rank = int(rng.integers(1, 3))
        mode = str(rng.choice(["nearest", "linear", "cubic"] if rank == 2 else ["nearest", "linear"]))
        size = rng.integers(2, 9, rank).tolist()
        call = {"kind": "Resize", "inputs": {"x": normal(rng, 2, 3, *size)}, "mode": mode, "opset": 18}
        transformation = ["half_pixel", "pytorch_half_pixel", "asymmetric", "align_corners"]
        call["coordinate_transformation_mode"] = str(rng.choice(transformation))
        if mode == "nearest":
            call["nearest_mode"] = str(rng.choice(["round_prefer_floor", "round_prefer_ceil", "floor", "ceil"]))
        if mode == "cubic" and rng.random() < 0.5:
            call["exclude_outside"] = 1
        if rng.random() < 0.5:
            # Whole products: elsewhere the standard's aligned corners depend on the part that is cut off.
            scales = [float(rng.choice([1, 2, 3])) for _ in size]
            return call | {"weights": {"s": np.array([1, 1, *scales], np.float32)}, "names": ["x", "", "s"]}
        target = [max(1, int(n * rng.uniform(0.5, 3))) for n in size]
        return call | {"weights": {"s": np.array([2, 3, *target])}, "names": ["x", "", "", "s"]}

    check_all(draw)


def test_reductions():
    kinds = "L1 L2 LogSumExp Max Mean Min Prod Sum SumSquare".split()

    def draw(rng):
        x = normal(rng, *shape_of(rng))
        call = {"kind": f"Reduce{rng.choice(kinds)}", "inputs": {"x": x}, "keepdims": int(rng.integers(2)), "opset": 18}
        return call | ({"weights": {"a": np.array(some_axes(rng, x.ndim))}} if rng.random() < 0.8 else {})

    check_all(draw)


def test_indices_of_extremes():
    def draw(rng):
        x = rng.integers(0, 4, shape_of(rng)).astype("float32")
        return {
            "kind": str(rng.choice(["ArgMax", "ArgMin"])), "inputs": {"x": x}, "outputs": "y:int64",
            "axis": int(rng.integers(-x.ndim, x.ndim)), "keepdims": int(rng.integers(2)), "select_last_index": int(rng.integers(2)),
        }  # fmt: skip

    check_all(draw)


def test_top_k():
    def draw(rng):
        x = rng.integers(0, 6, shape_of(rng)).astype("float32")
        axis = int(rng.integers(x.ndim))
        k = np.array([rng.integers(1, x.shape[axis] + 1)])
        return {
            "kind": "TopK", "inputs": {"x": x}, "weights": {"k": k}, "outputs": "y i:int64",
            "axis": axis, "largest": int(rng.integers(2)),
        }  # fmt: skip

    check_all(draw)


def draw_indices(rng, shape, axis):
    """Return indices along an axis, of some of the elements along the others."""
    sizes = [int(rng.integers(1, n + 1)) for n in shape]
    sizes[axis] = int(rng.integers(1, 6))
    return rng.integers(-shape[axis], shape[axis], sizes)


def test_gathered_elements():
    def draw(rng):
        x = normal(rng, *shape_of(rng))
        axis = int(rng.integers(-x.ndim, x.ndim))
        return {
            "kind": "GatherElements", "inputs": {"x": x}, "axis": axis, "weights": {"i": draw_indices(rng, x.shape, axis)},
        }  # fmt: skip

    check_all(draw)


def test_scattered_elements():
    def draw(rng):
        x = normal(rng, *shape_of(rng))
        axis = int(rng.integers(-x.ndim, x.ndim))
        indices = draw_indices(rng, x.shape, axis)
        # Added, as the order of several updates of one place is nobody's promise.
        weights = {"i": indices, "u": normal(rng, *indices.shape)}
        return {
            "kind": "ScatterElements", "inputs": {"x": x}, "axis": axis, "weights": weights, "reduction": "add", "opset": 18,
        }  # fmt: skip

    check_all(draw)


def test_gathered_and_scattered_parts():
    def draw(rng):
        x = normal(rng, *shape_of(rng))
        batch = int(rng.integers(0, x.ndim))
        depth = int(rng.integers(1, x.ndim - batch + 1))
        lead = [*x.shape[:batch], int(rng.integers(1, 4))]
        if rng.random() < 0.5:
            parts = [rng.integers(-n, n, lead) for n in x.shape[batch : batch + depth]]
            weights = {"i": np.stack(parts, -1)}
            return {"kind": "GatherND", "inputs": {"x": x}, "weights": weights, "batch_dims": batch, "opset": 18}
        parts = [rng.integers(-n, n, lead) for n in x.shape[:depth]]
        weights = {"i": np.stack(parts, -1), "u": normal(rng, *lead, *x.shape[depth:])}
        return {"kind": "ScatterND", "inputs": {"x": x}, "weights": weights, "reduction": "add", "opset": 18}

    check_all(draw)


def test_blocks():
    def draw(rng):
        n = int(rng.integers(2, 4))
        if rng.random() < 0.5:
            x = normal(rng, 2, 3, n * int(rng.integers(1, 4)), n * int(rng.integers(1, 4)))
            return {"kind": "SpaceToDepth", "inputs": {"x": x}, "blocksize": n}
        x = normal(rng, 2, n * n * int(rng.integers(1, 4)), *rng.integers(1, 5, 2))
        return {"kind": "DepthToSpace", "inputs": {"x": x}, "blocksize": n, "mode": str(rng.choice(["DCR", "CRD"]))}

    check_all(draw, cases=50)


def test_repetition():
    def draw(rng):
        x = normal(rng, *(int(rng.choice([1, 1, 2, 3])) for _ in range(rng.integers(1, 4))))
        if rng.random() < 0.5:
            return {"kind": "Tile", "inputs": {"x": x}, "weights": {"r": rng.integers(1, 4, x.ndim)}}
        target = [n if n > 1 else int(rng.integers(1, 4)) for n in x.shape]
        return {"kind": "Expand", "inputs": {"x": x}, "weights": {"s": np.array(shape_of(rng, axes=(0, 2)) + target)}}

    check_all(draw, cases=100)


def draw_scale(rng, channels):
    per_axis = rng.random() < 0.5
    return rng.uniform(0.01, 0.2, channels if per_axis else ()).astype("float32")


def test_quantization():
    def draw(rng):
        x = normal(rng, 2, 5, 3)
        scale = draw_scale(rng, 5)
        dtype, domain = str(rng.choice(["uint8", "int8"])), str(rng.choice(["", "com.microsoft"]))
        zero = rng.integers(0, 100, scale.shape).astype(dtype)
        common = {"weights": {"s": scale, "z": zero}, "domain": domain}
        if rng.random() < 0.5:
            return {"kind": "QuantizeLinear", "inputs": {"x": x}, "outputs": f"y:{dtype}", **common}
        x = rng.integers(0, 128, x.shape).astype(dtype)
        return {"kind": "DequantizeLinear", "inputs": {"x": x}, **common}

    check_all(draw, rtol=1e-6, atol=0)


def test_dynamic_quantization():
    def draw(rng):
        x = normal(rng, *shape_of(rng)) * rng.choice([0.1, 1, 50]).astype("float32")
        return {"kind": "DynamicQuantizeLinear", "inputs": {"x": x}, "outputs": "y:uint8 s z:uint8"}

    check_all(draw, rtol=1e-6, atol=0, cases=60)


def test_suppression():
    def draw(rng):
        corners = rng.uniform(0, 10, (2, 30, 2, 2)).astype("float32")
        weights = {"n": np.array([rng.integers(1, 12)]), "t": np.array([rng.uniform(0.1, 0.7)], np.float32)}
        if rng.random() < 0.7:
            weights["s"] = np.array([rng.uniform(0, 0.6)], np.float32)
        return {
            "kind": "NonMaxSuppression", "inputs": {"b": corners.reshape(2, 30, 4), "p": rng.random((2, 3, 30), np.float32)},
            "weights": weights, "outputs": "y:int64", "center_point_box": int(rng.integers(2)),
        }  # fmt: skip

    check_all(draw, cases=60)
