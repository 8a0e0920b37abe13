"""Every operator of the table against ONNX's own reference implementation."""

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from nfa import InputError
from nfa.common.errors import Place
from nfa.formats.onnx.build import build
from nfa.formats.onnx.document import Document
from nfa.formats.onnx.fold import fold
from nfa.formats.onnx.operators import OPERATORS
from nfa.formats.onnx.running import ELEMENTS

F32 = np.float32


def draw(*shape, low=-3.0, high=3.0, seed=0):
    return np.random.default_rng(seed).uniform(low, high, shape).astype(F32)


def ints(*values):
    return np.array(values, dtype=np.int64)


def model_of(operator, opset, inputs, attributes, outputs=1, domain=""):
    """A graph with one node, whose first input is the graph's; the others are initializers (None: left out)."""
    names = [None if value is None else f"in{i}" for i, value in enumerate(inputs)]
    node = helper.make_node(
        operator, [name or "" for name in names], [f"out{i}" for i in range(outputs)], domain=domain, **attributes
    )
    first = helper.make_tensor_value_info(
        "in0", helper.np_dtype_to_tensor_dtype(inputs[0].dtype), ["n", *inputs[0].shape[1:]]
    )
    constants = [numpy_helper.from_array(v, n) for v, n in zip(inputs[1:], names[1:], strict=True) if v is not None]
    last = helper.make_tensor_value_info(f"out{outputs - 1}", TensorProto.UNDEFINED, None)
    graph = helper.make_graph([node], "g", [first], [last], constants)
    return helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", opset), helper.make_opsetid("ai.onnx.ml", 3)]
    )


def answer(model, x):
    graph = Document(model, Path(), Place("model"))
    output = model.graph.output[0].name
    return build(graph, fold(graph, graph.nodes(output)), output)(torch.from_numpy(x.copy()))


X = draw(3, 4)
P = draw(3, 4, low=0.2, high=4.0)
B = X > 0
PICTURE = draw(2, 3, 7, 6)
LINE = draw(2, 3, 9)

CASES = [
    *[(name, opset, [X], {}) for name in ("Neg", "Abs", "Exp", "Relu", "Sigmoid", "Tanh", "Floor", "Ceil")
      for opset in (7, 13)],
    *[(name, 13, [X], {}) for name in ("Erf", "Sign", "Sin", "Cos", "Softplus", "Softsign", "Identity", "Size")],
    *[(name, 13, [P], {}) for name in ("Sqrt", "Log", "Reciprocal")],
    ("HardSwish", 14, [X], {}),
    ("Mish", 18, [X], {}),
    ("Not", 13, [B], {}),
    ("LeakyRelu", 7, [X], {}),
    ("LeakyRelu", 16, [X], {"alpha": 0.3}),
    ("PRelu", 9, [X, draw(4)], {}),
    ("PRelu", 16, [X, draw(1)], {}),
    ("Elu", 7, [X], {"alpha": 0.5}),
    ("Celu", 12, [X], {"alpha": 2.0}),
    ("Selu", 7, [X], {}),
    ("Selu", 22, [X], {"alpha": 1.2, "gamma": 0.7}),
    ("Gelu", 20, [X], {}),
    ("Gelu", 20, [X], {"approximate": "tanh"}),
    ("HardSigmoid", 7, [X], {}),
    ("HardSigmoid", 13, [X], {"alpha": 0.4, "beta": 0.1}),
    ("Swish", 24, [X], {"alpha": 1.5}),
    ("Clip", 7, [X], {"min": -1.0, "max": 0.5}),
    ("Clip", 13, [X, F32(-1), F32(0.5)], {}),
    ("Clip", 13, [X, None, np.array(0.5, F32)], {}),
    ("Clip", 13, [X], {}),
    *[(name, opset, [draw(2, 3, 4)], attributes) for name in ("Softmax", "LogSoftmax")
      for opset, attributes in ((11, {"axis": 2}), (13, {}), (13, {"axis": 1}))],
    *[(name, 13, [X, other], {}) for name in ("Add", "Sub", "Mul", "Div")
      for other in (draw(4, low=1), draw(3, 1, low=1))],
    ("Div", 13, [ints(7, -7, 9), ints(2, 2, -4)], {}),
    ("Pow", 13, [P, np.array(2.5, F32)], {}),
    ("Pow", 13, [X, ints(2)], {}),
    ("Mod", 13, [ints(7, -7, 9), ints(3, 3, -4)], {}),
    ("Mod", 13, [X, draw(4, low=1)], {"fmod": 1}),
    *[(name, 13, [X, X[::-1].copy()], {}) for name in ("Equal", "Greater", "Less", "Min", "Max")],
    *[(name, 16, [X, X[::-1].copy()], {}) for name in ("GreaterOrEqual", "LessOrEqual")],
    ("Max", 13, [X, draw(4), draw(3, 1)], {}),
    ("Sum", 13, [X, draw(4), draw(3, 1)], {}),
    *[(name, 13, [B, B[::-1].copy()], {}) for name in ("And", "Or")],
    ("Where", 16, [B, X, draw(4)], {}),
    ("Cast", 13, [X], {"to": TensorProto.INT64}),
    ("Cast", 13, [X], {"to": TensorProto.DOUBLE}),
    ("CastLike", 15, [X, draw(1).astype(np.float64)], {}),
    ("Dropout", 7, [X], {}),
    ("Dropout", 13, [X, np.array(0.5, F32), np.array(False)], {}),
    ("MatMul", 13, [X, draw(4, 5)], {}),
    ("MatMul", 13, [draw(2, 3, 4), draw(4, 5)], {}),
    ("MatMul", 13, [draw(2, 3, 4), draw(2, 4, 5)], {}),
    *[("Gemm", 13, [X.T.copy() if a else X, draw(5, 4) if b else draw(4, 5), c],
       {"alpha": alpha, "beta": beta, "transA": a, "transB": b})
      for a in (0, 1) for b in (0, 1)
      for alpha, beta, c in ((1.0, 1.0, draw(5)), (0.5, 2.0, draw(1, 5)), (1.0, 0.5, draw(3, 5)), (2.0, 1.0, draw(1)))],
    ("Gemm", 13, [X, draw(4, 5)], {}),
    ("Gemm", 7, [X, draw(4, 5), draw(5)], {}),
    ("Einsum", 12, [X, draw(5, 4)], {"equation": "bi,oi->bo"}),
    ("Einsum", 12, [X, draw(4, 5)], {"equation": "ij, jk"}),
    ("BatchNormalization", 15, [LINE, draw(3), draw(3, seed=1), draw(3, seed=2), draw(3, low=1)], {"epsilon": 0.1}),
    ("LayerNormalization", 17, [LINE, draw(9), draw(9, seed=1)], {}),
    ("LayerNormalization", 17, [LINE, draw(3, 9), draw(3, 9, seed=1)], {"axis": 1, "epsilon": 0.1}),
    ("LayerNormalization", 17, [LINE, draw(1), None], {}),
    ("InstanceNormalization", 7, [PICTURE, draw(3), draw(3, seed=1)], {}),
    ("Shape", 13, [LINE], {}),
    ("Shape", 15, [LINE], {"start": 1, "end": -1}),
    ("ConstantOfShape", 9, [ints(2, 3)], {"value": helper.make_tensor("v", TensorProto.INT64, [1], [7])}),
    ("ConstantOfShape", 9, [ints(2, 3)], {}),
    ("Range", 11, [np.array(1, np.int64), np.array(9, np.int64), np.array(3, np.int64)], {}),
    ("Reshape", 13, [LINE, ints(0, -1)], {}),
    ("Reshape", 14, [LINE, ints(2, 27)], {"allowzero": 1}),
    *[("Flatten", 13, [LINE], {"axis": axis}) for axis in (0, 1, -1, 3)],
    ("Squeeze", 11, [draw(3, 1, 4, 1)], {"axes": [1, 3]}),
    ("Squeeze", 13, [draw(3, 1, 4, 1), ints(-1)], {}),
    ("Squeeze", 13, [draw(3, 1, 4, 1)], {}),
    ("Unsqueeze", 11, [X], {"axes": [0, 3]}),
    ("Unsqueeze", 13, [X, ints(-1, 0)], {}),
    ("Transpose", 13, [LINE], {}),
    ("Transpose", 13, [LINE], {"perm": [0, 2, 1]}),
    ("Concat", 13, [X, draw(3, 2), draw(3, 1)], {"axis": -1}),
    ("Concat", 13, [X, draw(1, 4)], {"axis": 0}),
    ("Split", 11, [X], {"axis": 1, "split": [1, 3]}),
    ("Split", 13, [X, ints(1, 3)], {"axis": 1}),
    ("Split", 13, [X], {"axis": 1}),
    ("Split", 18, [draw(3, 5)], {"axis": -1, "num_outputs": 2}),
    ("Slice", 9, [LINE], {"starts": [1, -5], "ends": [3, 100], "axes": [1, 2]}),
    ("Slice", 13, [LINE, ints(0, 1), ints(1, 9), ints(0, 2), ints(1, 3)], {}),
    ("Slice", 13, [LINE, ints(-1), ints(-(2**40)), ints(2), ints(-2)], {}),
    ("Slice", 13, [LINE, ints(1, 1), ints(2, 2)], {}),
    *[("Slice", 13, [LINE, ints(start), ints(end), ints(2), ints(step)], {})
      for start, end, step in ((7, 2, -1), (-2, -8, -3), (100, -100, -1), (2, 7, -1), (0, -100, -4), (8, 0, -8))],
    ("Gather", 13, [X, ints(3, -1, 0)], {"axis": 1}),
    ("Gather", 13, [X, np.array(1, np.int64)], {"axis": 0}),
    ("Gather", 13, [LINE, np.array([[0, 1], [2, 0]], np.int64)], {"axis": 1}),
    ("Expand", 13, [draw(3, 1), ints(2, 1, 4)], {}),
    ("Tile", 13, [X, ints(2, 3)], {}),
    ("Pad", 7, [X], {"pads": [0, 1, 0, 2], "value": 1.5}),
    ("Pad", 13, [X, ints(0, 1, 1, 2), np.array(0.5, F32)], {}),
    ("Pad", 13, [LINE, ints(0, 0, 2, 0, 0, 1)], {"mode": "reflect"}),
    ("Pad", 18, [LINE, ints(2, 1), None, ints(-1)], {"mode": "edge"}),
    *[(name, *rest) for name in ("ReduceMean", "ReduceSum", "ReduceMax", "ReduceMin", "ReduceL2")
      for rest in ((11, [LINE], {"axes": [1, -1]}), (18, [LINE, ints(1)], {"keepdims": 0}))],
    ("ReduceSum", 13, [LINE], {}),
    ("ReduceSum", 13, [LINE], {"noop_with_empty_axes": 1}),
    ("ArgMax", 13, [LINE], {"axis": 1, "keepdims": 0}),
    ("ArgMin", 13, [LINE], {"axis": -1}),
    ("Conv", 11, [LINE, draw(4, 3, 2), draw(4)], {"strides": [2], "pads": [1, 0]}),
    ("Conv", 11, [PICTURE, draw(4, 3, 3, 2)], {"dilations": [2, 1], "pads": [1, 1, 1, 1]}),
    ("Conv", 11, [PICTURE, draw(3, 1, 3, 3)], {"group": 3, "auto_pad": "SAME_UPPER", "strides": [2, 2]}),
    ("Conv", 11, [PICTURE, draw(2, 3, 2, 2)], {"auto_pad": "VALID"}),
    ("ConvTranspose", 11, [LINE, draw(3, 4, 2), draw(4)], {"strides": [2], "pads": [1, 0], "dilations": [2]}),
    ("ConvTranspose", 11, [PICTURE, draw(3, 2, 3, 2)], {"strides": [3, 2], "pads": [0, 1, 2, 1],
                                                        "output_padding": [1, 1]}),
    ("ConvTranspose", 11, [PICTURE, draw(3, 2, 3, 3)], {"auto_pad": "SAME_UPPER", "strides": [2, 1]}),
    ("ConvTranspose", 11, [PICTURE, draw(3, 2, 3, 4)], {"auto_pad": "SAME_LOWER", "strides": [2, 1]}),
    ("ConvTranspose", 11, [PICTURE, draw(3, 2, 2, 2)], {"auto_pad": "VALID", "strides": [2, 3]}),
    ("MaxPool", 12, [PICTURE], {"kernel_shape": [3, 2], "strides": [2, 2], "pads": [1, 1, 1, 1]}),
    ("MaxPool", 12, [PICTURE], {"kernel_shape": [2, 2], "pads": [0, 1, 1, 0]}),
    ("MaxPool", 12, [LINE], {"kernel_shape": [2], "strides": [2], "ceil_mode": 1}),
    ("AveragePool", 11, [PICTURE], {"kernel_shape": [3, 2], "strides": [2, 2], "pads": [1, 1, 1, 1]}),
    ("AveragePool", 11, [PICTURE], {"kernel_shape": [2, 2], "pads": [0, 1, 1, 0], "count_include_pad": 1}),
    ("AveragePool", 11, [LINE], {"kernel_shape": [3]}),
    ("GlobalAveragePool", 7, [PICTURE], {}),
    ("GlobalMaxPool", 7, [PICTURE], {}),
]  # fmt: skip


@pytest.mark.parametrize(("operator", "opset", "inputs", "attributes"), CASES)
def test_as_the_reference(operator, opset, inputs, attributes):
    if opset > onnx.defs.onnx_opset_version():
        pytest.skip("this onnx does not know the operator")
    if "auto_pad" in attributes and operator == "Conv" and onnx.__version__.startswith("1.17."):
        pytest.skip("the reference of onnx 1.17 pads otherwise than its definition says")
    outputs = {"Split": 2}.get(operator, 1)
    inputs = [None if value is None else np.asarray(value) for value in inputs]
    constant = operator in ("ConstantOfShape", "Range")  # whose inputs are no rows
    model = model_of(operator, opset, inputs, attributes, outputs)
    expected = np.asarray(ReferenceEvaluator(model).run(None, {"in0": inputs[0]})[0])
    if constant:
        model.graph.initializer.append(numpy_helper.from_array(inputs[0], "in0"))
        del model.graph.input[:]
        model.graph.input.append(helper.make_tensor_value_info("x", TensorProto.FLOAT, [3, 4]))
        graph = Document(model, Path(), Place("model"))
        got = fold(graph, graph.nodes("out0")).constants["out0"]
    else:
        got = answer(model, inputs[0])
    assert str(got.dtype).removeprefix("torch.") == str(expected.dtype)
    np.testing.assert_allclose(got.numpy(), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("operator", ["Softmax", "LogSoftmax"])
@pytest.mark.parametrize(("opset", "attributes", "kept"), [(9, {}, 1), (12, {"axis": 1}, 1), (11, {"axis": -2}, 1)])
def test_before_version_13_a_softmax_is_over_all_later_axes(operator, opset, attributes, kept):
    x = draw(2, 3, 4)
    flat = np.exp(x.reshape(*x.shape[:kept], -1).astype(np.float64))
    expected = (flat / flat.sum(-1, keepdims=True)).reshape(x.shape)
    got = answer(model_of(operator, opset, [x], attributes), x).numpy()
    np.testing.assert_allclose(np.exp(got) if operator == "LogSoftmax" else got, expected, rtol=1e-5)


@pytest.mark.parametrize("opset", [7, 9])
def test_batch_normalisation_with_one_output_uses_the_files_mean_and_variance(opset):
    scale, shift, mean, variance = draw(3), draw(3, seed=1), draw(3, seed=2), draw(3, low=1)
    got = answer(model_of("BatchNormalization", opset, [LINE, scale, shift, mean, variance], {"epsilon": 0.1}), LINE)
    column = (slice(None), None)
    expected = (LINE - mean[column]) / np.sqrt(variance[column] + 0.1) * scale[column] + shift[column]
    np.testing.assert_allclose(got.numpy(), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("size", "left"), [(18, 1), (17, 2), (20, 0), (21, 0)])
def test_a_transposed_convolution_of_a_stated_size(size, left):
    """What is too much is cut off at both ends, the odd one in front; what lacks is added behind."""
    W = draw(3, 4, 4)
    model = model_of("ConvTranspose", 11, [LINE, W], {"strides": [2], "output_shape": [size]})
    whole = torch.nn.functional.conv_transpose1d(torch.from_numpy(LINE), torch.from_numpy(W), stride=2)
    expected = torch.nn.functional.pad(whole, (0, max(0, size - whole.shape[2])))[:, :, left:][:, :, :size]
    assert expected.shape[2] == size
    torch.testing.assert_close(answer(model, LINE), expected)


def test_every_operator_is_looked_at():
    looked_at = {case[0] for case in CASES}
    others = {"Constant", "ai.onnx.ml.ZipMap", "ai.onnx.ml.Scaler"}  # in the next tests, and in test_onnx_file.py
    assert set(OPERATORS) - looked_at == others


@pytest.mark.parametrize(
    "attributes",
    [
        {"value_float": 2.0},
        {"value_floats": [1.0, 2.0, 3.0, 4.0]},
        {"value": numpy_helper.from_array(draw(4), "v")},
        {"value": helper.make_tensor("v", TensorProto.FLOAT, [4], [1.0, 2.0, 3.0, 4.0])},
    ],
)
def test_constants(attributes):
    nodes = [helper.make_node("Constant", [], ["c"], **attributes), helper.make_node("Add", ["x", "c"], ["y"])]
    entry = helper.make_tensor_value_info("x", TensorProto.FLOAT, [3, 4])
    graph = helper.make_graph(nodes, "g", [entry], [helper.make_tensor_value_info("y", TensorProto.FLOAT, [3, 4])])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)])
    np.testing.assert_allclose(answer(model, X).numpy(), ReferenceEvaluator(model).run(None, {"x": X})[0], rtol=1e-6)


def test_whole_numbers_of_a_constant_make_a_shape():
    nodes = [
        helper.make_node("Constant", [], ["c"], value_ints=[-1, 2]),
        helper.make_node("Reshape", ["x", "c"], ["y"]),
    ]
    entry = helper.make_tensor_value_info("x", TensorProto.FLOAT, [3, 4])
    graph = helper.make_graph(nodes, "g", [entry], [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)])
    assert answer(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)]), X).shape == (6, 2)


def test_scaler():
    attributes = {"offset": [1.0, 2.0, 3.0, 4.0], "scale": [2.0]}
    model = model_of("Scaler", 13, [X], attributes, domain="ai.onnx.ml")
    expected = ReferenceEvaluator(model).run(None, {"in0": X})[0]
    np.testing.assert_allclose(answer(model, X).numpy(), expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("operator", "opset", "inputs", "attributes", "named"),
    [
        ("BatchNormalization", 15, [LINE, draw(3), draw(3), draw(3), draw(3)], {"training_mode": 1}, "training_mode"),
        ("Cast", 13, [X], {"to": TensorProto.STRING}, "to = 8"),
        ("Pad", 19, [X, ints(0, 1, 0, 1)], {"mode": "mirror"}, "mode = 'mirror'"),
        ("ArgMax", 13, [X], {"select_last_index": 1}, "select_last_index"),
        ("Add", 6, [draw(3, 3), draw(3)], {"axis": 0, "broadcast": 1}, "axis = 0"),
        ("Einsum", 12, [X, draw(4, 5)], {"equation": "...i,io->...o"}, "equation"),
        ("AveragePool", 19, [PICTURE], {"kernel_shape": [2, 2], "dilations": [2, 2]}, "dilations"),
        ("Conv", 11, [LINE, draw(4, 3, 2)], {"strides": [0]}, "strides"),
        ("Conv", 11, [LINE, draw(4, 3, 2)], {"auto_pad": "SOME"}, "auto_pad"),
        ("ConvTranspose", 11, [LINE, draw(3, 4, 2)], {"kernel_shape": [3]}, "kernel_shape"),
        ("ConvTranspose", 11, [LINE, draw(3, 4, 2)], {"output_padding": [-1]}, "output_padding"),
        ("Dropout", 13, [X, np.array(0.5, F32), np.array(True)], {}, "training_mode"),
    ],
)
def test_unsupported_attributes_are_named(operator, opset, inputs, attributes, named):
    with pytest.raises(InputError, match=named) as caught:
        answer(model_of(operator, opset, inputs, attributes), inputs[0])
    assert operator in str(caught.value)
    assert "\n" not in str(caught.value)


HUGE = 2**40


@pytest.mark.parametrize(
    ("operator", "inputs", "attributes"),
    [
        ("Expand", [draw(1, 1), ints(HUGE, 3)], {}),
        ("Tile", [X, ints(HUGE, 1)], {}),
        ("Pad", [X, ints(0, 0, HUGE, 0)], {}),
        ("Add", [draw(3, 1, 1), np.zeros((1, ELEMENTS // 1024, 1), F32)], {}),
        ("Conv", [LINE, draw(4, 3, 2)], {"pads": [HUGE, 0]}),
        ("ConvTranspose", [LINE, draw(3, 4, 2)], {"strides": [HUGE]}),
        ("Gather", [draw(3, 1), np.zeros(ELEMENTS // 1024, np.int64)], {"axis": 1}),
        ("Einsum", [draw(3, 2), np.zeros(ELEMENTS // 1024, F32)], {"equation": "ab,c->abc"}),
        ("MatMul", [draw(3, 1), np.zeros((1, ELEMENTS // 1024), F32)], {}),
    ],
)
def test_huge_results_are_refused_before_they_are_made(operator, inputs, attributes, monkeypatch):
    monkeypatch.setattr("nfa.formats.onnx.running.ELEMENTS", 1024)
    with pytest.raises(InputError, match="entries"):
        answer(model_of(operator, 13, inputs, attributes), inputs[0])


def test_constants_that_grow_huge_are_refused():
    nodes = [helper.make_node("ConstantOfShape", ["shape"], ["c"]), helper.make_node("Add", ["x", "c"], ["y"])]
    entry = helper.make_tensor_value_info("x", TensorProto.FLOAT, [3, 4])
    graph = helper.make_graph(
        nodes,
        "g",
        [entry],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(ints(HUGE, 4), "shape")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)])
    with pytest.raises(InputError, match="ConstantOfShape"):
        answer(model, X)
