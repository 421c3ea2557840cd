"""The cases of `onnx.backend.test`, run through InferenceSession.

    python tests/io/onnx/conformance.py [--family conv pool ...] [--ops Conv MaxPool ...] [--kind base exp] [-v]

prints how many pass, and why the others do not.
"""

import argparse
import collections
import copy
import sys
import traceback
import warnings

import numpy as np

# Operators of convolutional networks, by family.
FAMILIES = {
    "conv": "Conv ConvInteger ConvTranspose Col2Im DeformConv QLinearConv",
    "pool": "AveragePool GlobalAveragePool GlobalMaxPool LpPool MaxPool MaxUnpool RoiAlign GridSample",
    "norm": "BatchNormalization GroupNormalization InstanceNormalization LRN LayerNormalization LpNormalization "
    "MeanVarianceNormalization RMSNormalization",
    "act": "Celu Clip Elu Erf Exp Gelu HardSigmoid HardSwish Hardmax LeakyRelu LogSoftmax Mish PRelu Relu Selu Sigmoid "
    "Softmax Softplus Softsign Sqrt Swish Tanh ThresholdedRelu",
    "gemm": "Gemm MatMul MatMulInteger QLinearMatMul",
    "arith": "Abs Add Div Log Max Mean Min Mul Neg Pow Reciprocal Sub Sum",
    "shape": "CenterCropPad Concat Constant ConstantOfShape DepthToSpace Dropout Expand Flatten Gather GatherElements GatherND "
    "Identity Pad Reshape Resize Shape Size Slice SpaceToDepth Split Squeeze Tile Transpose Unsqueeze Upsample Where",
    "reduce": "ArgMax ArgMin ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceMax ReduceMean ReduceMin ReduceProd "
    "ReduceSum ReduceSumSquare TopK",
    "cast": "Cast",
    "quant": "DequantizeLinear DynamicQuantizeLinear QuantizeLinear",
    "loss": "NegativeLogLikelihoodLoss SoftmaxCrossEntropyLoss",
    "detect": "NonMaxSuppression",
    "maths": "Acos Acosh AffineGrid Asin Asinh Atan Atanh Ceil Cos Cosh CumProd CumSum Det Einsum Floor Mod Round Shrink Sign Sin "
    "Sinh Tan Trilu",
    "logic": "And BitCast BitShift BitwiseAnd BitwiseNot BitwiseOr BitwiseXor CastLike Equal Greater GreaterOrEqual IsInf IsNaN "
    "Less LessOrEqual Not Or Xor",
    "pick": "Compress EyeLike NonZero OneHot Range ReverseSequence Scatter ScatterElements ScatterND Unique",
    "flow": "If Loop Scan",
}


def node_cases():
    """Return the cases of single operators as (name, operator, kind, TestCase); kind "exp" is an operator's function body."""
    from onnx.backend.test.loader import load_model_tests

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        cases = load_model_tests(kind="node")
    bases = {case.name: case.model.graph.node[0].op_type for case in cases if case.model is not None}
    for case in cases:
        base = case.name.rpartition("_expanded")[0]
        yield case.name, bases.get(base, bases[case.name]), "exp" if base else "base", case


def family_of(operator):
    """Return the family of an operator, "other" for those of other networks."""
    return next((family for family, names in FAMILIES.items() if operator in names.split()), "other")


def _arrays(value):
    """Return the array of a tensor of types that NumPy has not, as some cases give theirs."""
    from onnx import TensorProto, numpy_helper

    return numpy_helper.to_array(value) if isinstance(value, TensorProto) else value


def permuted(case):
    """Return (model, data sets) of a case whose inputs of several axes come in reverse order, and are transposed back."""
    import onnx

    model, reversed_names = copy.deepcopy(case.model), set()
    graph = model.graph
    version = next(o.version for o in model.opset_import if o.domain in ("", "ai.onnx"))
    for value in graph.input:
        tensor = value.type.tensor_type
        dims = list(tensor.shape.dim)[::-1]
        if len(dims) < 2 or (tensor.elem_type == onnx.TensorProto.BFLOAT16 and version < 13):
            continue
        reversed_names.add(value.name)
        node = onnx.helper.make_node("Transpose", [value.name + "_reversed"], [value.name])
        graph.node.insert(0, node)
        value.name += "_reversed"
        dims = [copy.deepcopy(dim) for dim in dims]
        del tensor.shape.dim[:]
        tensor.shape.dim.extend(dims)
    names = [value.name for value in case.model.graph.input]
    data_sets = [
        (
            [np.asarray(_arrays(x)).T if name in reversed_names else x for name, x in zip(names, inputs, strict=False)],
            outputs,
        )
        for inputs, outputs in case.data_sets
    ]
    return model, data_sets


def constant(case):
    """Return (model, data sets) of a case whose inputs are in the model: NumPy does all."""
    from onnx import numpy_helper

    model = copy.deepcopy(case.model)
    (inputs, outputs), *_ = case.data_sets
    model.graph.initializer.extend(
        numpy_helper.from_array(np.asarray(_arrays(x)), value.name)
        for x, value in zip(inputs, model.graph.input, strict=False)
    )
    return model, [([], outputs)]


# How a case is run -> (model, data sets) of it.
MODES = {"plain": lambda case: (case.model, case.data_sets), "permuted": permuted, "constant": constant}


def run_case(case, mode="plain"):
    """Run every data set of a case; raises where a result differs."""
    from fastconv.session import InferenceSession

    model, data_sets = MODES[mode](case)
    session = InferenceSession(model.SerializeToString())
    names = [value.name for value in session.get_inputs()]
    for inputs, expected in data_sets:
        inputs, expected = map(_arrays, inputs), map(_arrays, expected)
        results = session.run(None, dict(zip(names, inputs, strict=False)))
        for result, wanted in zip(results, expected, strict=True):
            wanted = np.asarray(wanted)
            assert result.shape == wanted.shape, f"shape {result.shape}, expected {wanted.shape}"
            assert result.dtype == wanted.dtype, f"dtype {result.dtype}, expected {wanted.dtype}"
            if wanted.dtype.kind in "OSU":
                np.testing.assert_array_equal(result, wanted)
            else:
                np.testing.assert_allclose(result, wanted, rtol=case.rtol, atol=case.atol)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--family", nargs="*", default=list(FAMILIES))
    parser.add_argument("--ops", nargs="*")
    parser.add_argument("--kind", nargs="*", default=["base", "exp"])
    parser.add_argument("--mode", choices=MODES, default="plain", help="inputs come transposed, or are in the model")
    parser.add_argument("-v", action="store_true", help="with tracebacks")
    args = parser.parse_args()
    passed, total = collections.Counter(), collections.Counter()
    for name, operator, kind, case in node_cases():
        family = family_of(operator)
        if kind not in args.kind or (operator not in args.ops if args.ops else family not in args.family):
            continue
        total[family, kind] += 1
        try:
            run_case(case, args.mode)
            passed[family, kind] += 1
        except Exception as error:
            print(f"{name}: {type(error).__name__}: {' '.join(str(error).split())[:200]}")
            if args.v:
                traceback.print_exc()
    for key in sorted(total):
        print(f"{key[0]:8} {key[1]:4} {passed[key]:4} of {total[key]}")
    print(f"total {sum(passed.values())} of {sum(total.values())}")


if __name__ == "__main__":
    sys.exit(main())
