"""Operators with attributes drawn at random, beside ONNX Runtime: what the cases of the standard leave out."""

import numpy as np
import pytest

import fastconv
from tests.io.onnx import small

onnxruntime = pytest.importorskip("onnxruntime", reason="ONNX Runtime is not installed (pip install onnxruntime)")
CASES = 200


def run_both(kind, inputs, weights=None, outputs="y", opset=17, domain="", names=None, of_its_own=(), **attributes):
    """Return ([results of fastconv], [results of ONNX Runtime]) of one node; `outputs` and dtypes as "y:float32 i:int64".

    `of_its_own` holds pairs of attributes of the node whose names are those of arguments.
    """
    attributes |= dict(of_its_own)
    weights = weights or {}
    names = names or [*inputs, *weights]
    made = dict((*part.split(":"), "float32")[:2] for part in outputs.split())
    data = small.model(
        [small.node(kind, names, " ".join(made), domain=domain, **attributes)],
        [small.value(name, array.shape, array.dtype.name) for name, array in inputs.items()],
        [small.value(name, None, dtype) for name, dtype in made.items()],
        weights,
        opset,
    )
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 4
    theirs = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"]).run(None, inputs)
    return fastconv.InferenceSession(data).run(None, inputs), theirs


def check_all(draw, rtol=1e-4, atol=1e-5, cases=CASES, seed=0):
    """Draw calls of `run_both`, and compare; a call that ONNX Runtime refuses is drawn again."""
    rng, done, refused = np.random.default_rng(seed), 0, 0
    while done < cases:
        arguments = draw(rng)
        try:
            ours, theirs = run_both(**arguments)
        except Exception as error:
            if "onnxruntime" not in type(error).__module__:
                raise
            refused += 1
            assert refused < cases, error
            continue
        shown = repr({key: _shown(item) for key, item in arguments.items()})
        for a, b in zip(ours, theirs, strict=True):
            assert (a.shape, a.dtype) == (b.shape, b.dtype), shown
            np.testing.assert_allclose(a.astype(float), b.astype(float), rtol=rtol, atol=atol, err_msg=shown)
        done += 1


def _shown(item):
    return {name: (array.shape, array.dtype.name) for name, array in item.items()} if isinstance(item, dict) else item


def normal(rng, *shape):
    return rng.standard_normal(shape).astype("float32")


def draw_window(rng, rank, kernel, dilated=True, pads_below=None):
    """Return attributes of windows, some of them left out."""
    attributes = {}
    dilations = [1] * rank
    if rng.random() < 0.6:
        attributes["strides"] = rng.integers(1, 4, rank).tolist()
    if dilated and rng.random() < 0.4:
        attributes["dilations"] = dilations = rng.integers(1, 3, rank).tolist()
    choice = rng.random()
    if choice < 0.2 and dilations == [1] * rank:
        attributes["auto_pad"] = str(rng.choice(["SAME_UPPER", "SAME_LOWER"]))
    elif choice < 0.3:
        attributes["auto_pad"] = "VALID"
    elif choice < 0.9:
        limits = pads_below or [(k - 1) * d + 2 for k, d in zip(kernel, dilations, strict=True)]
        attributes["pads"] = [int(rng.integers(0, limit)) for limit in (*limits, *limits)]
    return attributes


def draw_convolution(rng, transposed):
    rank = int(rng.integers(1, 4))
    groups = int(rng.choice([1, 1, 2, 3]))
    per_group = 1 if rng.random() < 0.3 else int(rng.integers(1, 7))
    channels, filters = groups * per_group, groups * int(rng.integers(1, 7))
    kernel = rng.integers(1, 5 if rank < 3 else 4, rank).tolist()
    x = normal(rng, int(rng.integers(1, 3)), channels, *rng.integers(7, 12 if rank < 3 else 9, rank))
    first, second = (channels, filters // groups) if transposed else (filters, per_group)
    operands = {"w": normal(rng, first, second, *kernel)}
    if rng.random() < 0.5:
        operands["b"] = normal(rng, filters)
    attributes = draw_window(rng, rank, kernel)
    if groups > 1:
        attributes["group"] = groups
    if rng.random() < 0.5:
        attributes["kernel_shape"] = kernel
    given, constants = ({"x": x}, operands) if rng.random() < 0.7 else ({"x": x, **operands}, {})
    return {"inputs": given, "weights": constants, **attributes}


def test_conv():
    check_all(lambda rng: {"kind": "Conv", **draw_convolution(rng, False)})


def test_conv_transpose():
    def draw(rng):
        call = {"kind": "ConvTranspose", **draw_convolution(rng, True)}
        rank = call["inputs"]["x"].ndim - 2
        strides = call.get("strides", [1] * rank)
        if rng.random() < 0.3:
            call["output_padding"] = [int(rng.integers(0, s)) for s in strides]
        elif rng.random() < 0.3:
            size = call["inputs"]["x"].shape[2:]
            call["output_shape"] = [n * s - int(rng.integers(0, 2)) for n, s in zip(size, strides, strict=True)]
        # Where a stride is larger than the kernel, ONNX Runtime makes less than size * strides.
        if call.get("auto_pad", "")[:4] == "SAME" and "output_shape" not in call:
            del call["auto_pad"]
        return call

    check_all(draw, atol=2e-5)


def draw_pool(rng, kind, rank=None, **more):
    rank = rank or int(rng.integers(1, 4))
    kernel = rng.integers(1, 5 if rank < 3 else 4, rank).tolist()
    x = normal(rng, 2, int(rng.integers(1, 20)), *rng.integers(7, 12, rank))
    call = {"kind": kind, "inputs": {"x": x}, "kernel_shape": kernel}
    call |= draw_window(rng, rank, kernel, dilated=more.pop("dilated", True), pads_below=kernel)
    if rng.random() < 0.5 and call.get("auto_pad") != "VALID":  # there ONNX Runtime rounds up, the standard down
        call["ceil_mode"] = 1
    return call | more


def test_max_pool():
    def draw(rng):
        call = draw_pool(rng, "MaxPool")
        if rng.random() < 0.4:
            call["outputs"] = "y i:int64"
        return call

    check_all(draw)


def test_average_pool():
    check_all(lambda rng: draw_pool(rng, "AveragePool", opset=19, count_include_pad=int(rng.integers(0, 2))))


def test_lp_pool():
    check_all(lambda rng: draw_pool(rng, "LpPool", opset=18, p=int(rng.integers(1, 4))), cases=50)


# ---- products


def test_gemm():
    def draw(rng):
        m, k, n = rng.integers(1, 9, 3)
        flags = {name: int(rng.integers(0, 2)) for name in ("transA", "transB")}
        a = normal(rng, *((k, m) if flags["transA"] else (m, k)))
        operands = {"b": normal(rng, *((n, k) if flags["transB"] else (k, n)))}
        if rng.random() < 0.7:
            shapes = [(), (1,), (n,), (1, n), (m, 1), (m, n)]
            operands["c"] = normal(rng, *shapes[rng.integers(len(shapes))])
        if rng.random() < 0.5:
            flags |= {"alpha": 0.5, "beta": float(rng.choice([0.0, 1.0, 2.5]))}
        constant = rng.random() < 0.7
        inputs, weights = ({"a": a}, operands) if constant else ({"a": a, **operands}, {})
        return {"kind": "Gemm", "inputs": inputs, "weights": weights, **flags}

    check_all(draw)


def test_matmul():
    def draw(rng):
        m, k, n, p, q = (int(size) for size in rng.integers(1, 7, 5))
        shapes = [
            ((m, k), (k, n)),
            ((k,), (k, n)),
            ((m, k), (k,)),
            ((k,), (k,)),
            ((p, m, k), (k, n)),
            ((p, m, k), (k,)),
        ]
        shapes += [((p, m, k), (p, k, n)), ((m, k), (p, k, n)), ((k,), (p, k, n)), ((q, p, m, k), (p, k, n))]
        shapes += [((q, 1, m, k), (p, k, n)), ((1, m, k), (q, p, k, n)), ((p, m, k), (1, k, n)), ((1, m, k), (p, k, n))]
        left, right = shapes[rng.integers(len(shapes))]
        inputs = {"a": normal(rng, *left)}
        operand = {"b": normal(rng, *right)}
        if rng.random() < 0.5:
            return {"kind": "MatMul", "inputs": inputs, "weights": operand}
        return {"kind": "MatMul", "inputs": inputs | operand}

    check_all(draw)


# ---- between pixels


@pytest.mark.parametrize("mode", ["linear", "nearest", "cubic"])
def test_grid_sample(mode):
    def draw(rng):
        size = rng.integers(3, 8, 3 if mode != "cubic" and rng.random() < 0.3 else 2)
        out = rng.integers(1, 6, len(size))
        grid = rng.uniform(-1.8, 1.8, (2, *out, len(size))).astype("float32")
        return {
            "kind": "GridSample", "opset": 20, "inputs": {"x": normal(rng, 2, 3, *size), "grid": grid}, "mode": mode,
            "padding_mode": str(rng.choice(["zeros", "border", "reflection"])), "align_corners": int(rng.integers(0, 2)),
        }  # fmt: skip

    check_all(draw, cases=100)


def test_roi_align():
    def draw(rng):
        corners = rng.uniform(-2, 20, (4, 2, 2))
        rois = np.concatenate([corners.min(1), corners.max(1)], 1).astype("float32")
        inputs = {"x": normal(rng, 2, 3, 9, 11), "rois": rois, "i": rng.integers(0, 2, 4)}
        return {
            "kind": "RoiAlign", "opset": 16, "inputs": inputs, "output_height": int(rng.integers(1, 4)),
            "output_width": int(rng.integers(1, 4)), "sampling_ratio": int(rng.integers(0, 3)),
            "spatial_scale": float(rng.choice([1.0, 0.5])), "mode": str(rng.choice(["avg", "max"])),
            "coordinate_transformation_mode": str(rng.choice(["half_pixel", "output_half_pixel"])),
        }  # fmt: skip

    check_all(draw, cases=100)


def test_max_roi_pool():
    def draw(rng):
        corners = rng.integers(0, 16, (4, 2, 2))
        rois = np.concatenate([rng.integers(0, 2, (4, 1)), corners.min(1), corners.max(1)], 1).astype("float32")
        inputs = {"x": normal(rng, 2, 3, 9, 11), "rois": rois}
        shape = rng.integers(1, 4, 2).tolist()
        scale = float(rng.choice([1.0, 0.5]))
        return {"kind": "MaxRoiPool", "inputs": inputs, "pooled_shape": shape, "spatial_scale": scale}

    check_all(draw, cases=100)


def test_deform_conv():
    def draw(rng):
        groups, parts = (int(rng.choice([1, 2])) for _ in range(2))
        kernel = rng.integers(1, 4, 2).tolist()
        attributes = {"strides": [int(rng.integers(1, 3))] * 2, "pads": [int(rng.integers(0, 2))] * 4}
        x, out = normal(rng, 2, 4, 8, 8), []
        for k in kernel:
            out.append((8 + 2 * attributes["pads"][0] - k) // attributes["strides"][0] + 1)
        taps = kernel[0] * kernel[1]
        inputs = {
            "x": x,
            "w": normal(rng, 6, 4 // groups, *kernel),
            "o": normal(rng, 2, parts * taps * 2, *out),
            "b": normal(rng, 6),
            "m": normal(rng, 2, parts * taps, *out),
        }
        return {
            "kind": "DeformConv",
            "opset": 19,
            "inputs": inputs,
            "group": groups,
            "offset_group": parts,
            **attributes,
        }

    check_all(draw, cases=50)


# ---- normalisation and activation

SMOOTH = "Elu Erf Exp HardSigmoid LeakyRelu Mish Relu Selu Sigmoid Softplus Softsign Tanh ThresholdedRelu HardSwish Celu Abs Neg"


@pytest.mark.parametrize("kind", SMOOTH.split())
def test_activation(kind):
    x = (
        np.concatenate([np.linspace(-12, 12, 501), [0.0, -0.0, 1e-7, -1e-7, 90, -90]])
        .astype("float32")
        .reshape(1, 3, -1)
    )
    ours, theirs = run_both(kind, {"x": x}, opset=18)
    np.testing.assert_allclose(ours[0], theirs[0], rtol=1e-5, atol=1e-6)


def test_normalization():
    def draw(rng):
        channels = int(rng.choice([4, 6]))
        x = normal(rng, 2, channels, *rng.integers(2, 6, rng.integers(1, 4))) * 3 + 1
        vectors = {name: normal(rng, channels) for name in ("scale", "bias")}
        epsilon = float(rng.choice([1e-5, 1e-2]))
        choice = int(rng.integers(0, 5))
        if choice == 0:
            vectors |= {"mean": normal(rng, channels), "variance": rng.uniform(0.1, 2, channels).astype("float32")}
            return {"kind": "BatchNormalization", "inputs": {"x": x}, "weights": vectors, "epsilon": epsilon}
        if choice == 1:
            return {"kind": "InstanceNormalization", "inputs": {"x": x}, "weights": vectors, "epsilon": epsilon}
        if choice == 2:
            groups = int(rng.choice([1, 2, channels]))
            return {
                "kind": "GroupNormalization", "opset": 21, "inputs": {"x": x}, "weights": vectors, "epsilon": epsilon,
                "num_groups": groups,
            }  # fmt: skip
        if choice == 3:
            size = int(rng.integers(1, 6))
            return {
                "kind": "LRN",
                "inputs": {"x": x},
                "size": size,
                "alpha": 0.1,
                "bias": 2.0,
                "beta": float(rng.choice([0.75, 0.5])),
            }
        axis = int(rng.integers(1, x.ndim))
        vectors = {name: normal(rng, *x.shape[axis:]) for name in vectors}
        return {"kind": "LayerNormalization", "inputs": {"x": x}, "weights": vectors, "epsilon": epsilon, "axis": axis}

    check_all(draw)


# ---- quantised


def quantised(rng, shape, dtype):
    limits = np.iinfo(dtype)
    return rng.integers(limits.min, limits.max + 1, shape).astype(dtype)


def scale_and_zero(rng, name, dtype, count=None):
    shape = () if count is None else (count,)
    scale = rng.uniform(0.01, 0.1, shape).astype("float32")
    zero = rng.integers(-5, 5, shape).astype(dtype) if dtype == "int8" else rng.integers(100, 150, shape).astype(dtype)
    return {f"{name}_scale": scale, f"{name}_zero": zero}


def test_qlinear_conv():
    def draw(rng):
        call = draw_convolution(rng, False)
        x, w = call["inputs"]["x"].shape, (call["inputs"] | call["weights"])["w"].shape
        kind = str(rng.choice(["int8", "uint8"]))
        weights = scale_and_zero(rng, "x", kind)
        weights |= {"w": quantised(rng, w, "int8"), "w_scale": rng.uniform(0.001, 0.01, w[0]).astype("float32")}
        weights |= {"w_zero": np.zeros(w[0], "int8"), **scale_and_zero(rng, "y", kind)}
        if rng.random() < 0.5:
            weights["b"] = rng.integers(-1000, 1000, w[0]).astype("int32")
        names = ["x", *weights]
        return call | {
            "kind": "QLinearConv", "inputs": {"x": quantised(rng, x, kind)}, "weights": weights, "names": names,
            "outputs": f"y:{kind}",
        }  # fmt: skip

    check_all(draw, rtol=0, atol=0, cases=100)


def test_quantised_products():
    def draw(rng):
        m, k, n = rng.integers(1, 9, 3)
        kind = str(rng.choice(["int8", "uint8"]))
        a, b = quantised(rng, (m, k), kind), quantised(rng, (k, n), kind)
        first = {"a": a, **scale_and_zero(rng, "a", kind)}
        second = {"b": b, **scale_and_zero(rng, "b", kind)}
        if rng.random() < 0.3:
            zeros = [x for key, x in (first | second).items() if key.endswith("zero")]
            return {
                "kind": "MatMulInteger", "inputs": {"a": a}, "weights": {"b": b, "za": zeros[0], "zb": zeros[1]},
                "outputs": "y:int32",
            }  # fmt: skip
        weights = {key: x for key, x in first.items() if key != "a"} | second | scale_and_zero(rng, "y", kind)
        return {
            "kind": "QLinearMatMul", "inputs": {"a": a}, "weights": weights, "outputs": f"y:{kind}", "opset": 17,
            "names": ["a", *weights],
        }  # fmt: skip

    check_all(draw, rtol=0, atol=0, cases=100)


@pytest.mark.parametrize("kind", ["QLinearAdd", "QLinearMul", "QLinearSigmoid", "QLinearLeakyRelu", "QLinearConcat",
                                  "QLinearGlobalAveragePool", "QLinearAveragePool", "QLinearSoftmax", "QLinearWhere",
                                  "QGemm"])  # fmt: skip
def test_microsoft_quantised(kind):
    def draw(rng):
        dtype = str(rng.choice(["int8", "uint8"]))
        x, other = (quantised(rng, (2, 4, 5, 6), dtype) for _ in range(2))
        inputs, weights, more = {"x": x}, scale_and_zero(rng, "x", dtype), {}
        if kind in ("QLinearAdd", "QLinearMul", "QLinearConcat", "QLinearWhere"):
            weights |= {"b": other, **scale_and_zero(rng, "b", dtype)}
        if kind == "QGemm":
            inputs = {"x": quantised(rng, (5, 7), dtype)}
            weights |= {"b": quantised(rng, (7, 3), "int8"), **scale_and_zero(rng, "b", "int8")}
            weights["c"] = rng.integers(-100, 100, 3).astype("int32")
        names = ["x", *weights, "y_scale", "y_zero"]
        if kind == "QLinearConcat":
            names, more = ["y_scale", "y_zero", "x", *weights], {"axis": 1}
        if kind == "QLinearWhere":
            inputs, names = {"c": rng.random((2, 4, 5, 6)) < 0.5, **inputs}, ["c", *names]
        if kind == "QLinearSoftmax":
            more = {"axis": int(rng.integers(-1, 4)), "of_its_own": [("opset", int(rng.choice([12, 13])))]}
        if kind == "QLinearAveragePool":
            more = {
                "kernel_shape": [2, 3],
                "strides": [2, 1],
                "pads": [1, 1, 0, 1],
                "count_include_pad": int(rng.integers(2)),
            }
        weights |= scale_and_zero(rng, "y", dtype)
        return {
            "kind": kind, "domain": "com.microsoft", "inputs": inputs, "weights": weights, "names": names,
            "outputs": f"y:{dtype}", **more,
        }  # fmt: skip

    # Their sums of scaled floats are ordered otherwise, or tables of 256 entries: one step apart now and then.
    check_all(draw, rtol=0, atol=1, cases=50)


@pytest.mark.parametrize("kind", ["FusedConv", "FusedMatMul", "Gelu", "QuickGelu", "BiasGelu"])
def test_microsoft_fused(kind):
    def draw(rng):
        if kind == "FusedConv":
            activation = str(rng.choice(["Relu", "Sigmoid", "Tanh"]))
            return {"kind": kind, "domain": "com.microsoft", **draw_convolution(rng, False), "activation": activation}
        if kind == "FusedMatMul":
            m, k, n = rng.integers(1, 6, 3)
            flags = {name: int(rng.integers(0, 2)) for name in ("transA", "transB")}
            a = normal(rng, 2, *((k, m) if flags["transA"] else (m, k)))
            b = normal(rng, 2, *((n, k) if flags["transB"] else (k, n)))
            call = {"inputs": {"a": a, "b": b}, "alpha": 0.5, **flags}
        else:
            call = {"inputs": {"x": 3 * normal(rng, 2, 5, 7)}}
            if kind == "BiasGelu":
                call["weights"] = {"b": normal(rng, 7)}
        return {"kind": kind, "domain": "com.microsoft", **call}

    check_all(draw, cases=30)
