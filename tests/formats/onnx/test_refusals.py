"""What is no network, needs what is not supported, or looks for weights where it may not."""

import numpy as np
import onnx
import pytest
import torch
from helpers import gaussian
from onnx import TensorProto, helper
from onnx_files import TWO_LAYERS, TWO_WEIGHTS, draw, node, same_tables, two_layers, written

import nfa
from nfa import InputError


def test_unsupported_operators_are_all_named_at_once(tmp_path):
    nodes = [
        node("MatMul", "x w1", "a"),
        helper.make_node("LSTM", ["a", "w1", "w1"], ["b"], hidden_size=3),
        node("Twist", "b", "c", domain="com.strange"),
        node("QuantizeLinear", "c one", "y"),
        node("NonZero", "a", "unused"),
    ]
    path = written(tmp_path / "a.onnx", nodes, TWO_WEIGHTS | {"one": np.float32(1)}, ["n", 6])
    with pytest.raises(InputError) as caught:
        nfa.load(path)
    named = "operators that are not supported: LSTM, com.strange.Twist, QuantizeLinear"
    assert str(caught.value).endswith(f"{named}; give the network itself, as package.module:factory")


@pytest.mark.parametrize("operator", ["If", "Loop", "Scan"])
@pytest.mark.parametrize("depth", [1, 20])
def test_graphs_within_graphs_are_not_run(tmp_path, operator, depth):
    body = helper.make_graph([node("Relu", "x", "y")], "body", [], [])
    for _ in range(depth):
        inner = helper.make_node(operator, ["x"], ["y"], body=body)
        body = helper.make_graph([inner], "body", [], [])
    path = written(tmp_path / "a.onnx", [node("MatMul", "x w1", "a"), inner], TWO_WEIGHTS, ["n", 6])
    refused(path, f"operators that are not supported: {operator}; give ")


@pytest.mark.parametrize("depth", [200, 20_000])
def test_graphs_within_graphs_without_end(tmp_path, depth):
    """More than protobuf reads."""

    def field(number, content):
        length, size = b"", len(content)
        while size > 127:
            length, size = length + bytes([size % 128 + 128]), size // 128
        return bytes([8 * number + 2]) + length + bytes([size]) + content

    graph = b""
    for _ in range(depth):
        graph = field(1, field(4, b"If") + field(5, field(6, graph)))  # graph.node.attribute.g
    (tmp_path / "a.onnx").write_bytes(field(7, graph))
    refused(tmp_path / "a.onnx", "cannot read .*a.onnx as ONNX: it is truncated or of another kind")


def refused(path, words):
    with pytest.raises(InputError, match=words) as caught:
        nfa.load(path)
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith("model: ")


@pytest.mark.parametrize(
    ("nodes", "constants", "shape", "words"),
    [
        ([*TWO_LAYERS[1:], TWO_LAYERS[0]], TWO_WEIGHTS, ["n", 6], "reads 'a', which nothing before it computes"),
        (TWO_LAYERS, {"w1": TWO_WEIGHTS["w1"]}, ["n", 6], "'w2', which nothing before it"),
        ([*TWO_LAYERS, TWO_LAYERS[0]], TWO_WEIGHTS, ["n", 6], "'a' is computed twice"),
        (TWO_LAYERS[:2], TWO_WEIGHTS, ["n", 6], "nothing computes the output 'y'"),
        (TWO_LAYERS, TWO_WEIGHTS, ["n", 7], "MatMul '0': .*shapes"),
        (TWO_LAYERS, TWO_WEIGHTS, [], "a single number"),
        ([node("Identity", "w1", "y")], TWO_WEIGHTS, ["n", 6], "does not depend on its input"),
        ([node("Identity", "y", "y")], {}, ["n", 6], "reads 'y', which nothing"),
        ([node("MatMul", "x w1", "y", left=1)], TWO_WEIGHTS, ["n", 6], "attribute 'left' is unknown"),
        ([*TWO_LAYERS[:1], node("Sigmoid", "a", "b"), node("Squeeze", "b w2", "y")], TWO_WEIGHTS, ["n", 6],
         "Squeeze '2'"),
        ([*TWO_LAYERS[:1], node("Sigmoid", "a", "b"), node("Squeeze", "b", "y", transB=1)], TWO_WEIGHTS, ["n", 6],
         "attribute 'transB' is unknown"),
        ([node("Elu", "x", "y", alpha=1)], {}, ["n", 6], "attribute alpha is of another type"),
        ([node("Cast", "x", "y")], {}, ["n", 6], "attribute to is missing"),
        ([node("MatMul", "x", "y")], {}, ["n", 6], "has 1 inputs"),
        (TWO_LAYERS, TWO_WEIGHTS, ["n", 2**40], "input 'x' is larger than"),
        ([helper.make_node("Relu", ["x"], ["a", "y"])], {}, ["n", 6], "nothing computes the output 'y'"),
        ([helper.make_node("Split", ["x", "two"], ["a", "b", "y"], axis=1)], {"two": np.array([3, 3])}, ["n", 6],
         "2 parts for 3 outputs"),
        ([node("Softmax", "x", "a", axis=0), node("MatMul", "a w1", "y")], TWO_WEIGHTS, ["n", 6], "mixes samples"),
        ([node("ReduceMean", "x", "a", axes=[0]), node("Sub", "x a", "b"), node("MatMul", "b w1", "y")], TWO_WEIGHTS,
         ["n", 6], "mixes samples"),
        ([node("ReduceSum", "x", "y")], {}, ["n", 6], r"shape \(1, 1\) for 3 rows"),
        ([*TWO_LAYERS[:1], node("Reshape", "a one", "y")], TWO_WEIGHTS | {"one": np.array([-1, 1])}, ["n", 6],
         r"shape \(15, 1\) for 3 rows"),
        ([node("Squeeze", "x zero", "a"), node("MatMul", "a w1", "y")], TWO_WEIGHTS | {"zero": np.array([0])}, [1, 6],
         "is fixed to a batch of 1, and takes no other .*Squeeze"),
        ([node("Add", "x c", "a"), node("MatMul", "a w1", "y")], TWO_WEIGHTS | {"c": draw(4, 6)}, [4, 6],
         "is fixed to a batch of 4"),
        ([node("MatMul", "x bad", "y")], {"bad": draw(6, 3) * np.inf}, ["n", 6], "bad.weight: nan|bad.weight: -?inf"),
    ],
)  # fmt: skip
def test_what_makes_no_network_is_refused_in_one_line(nodes, constants, shape, words, tmp_path):
    refused(written(tmp_path / "a.onnx", nodes, constants, shape), words)


def test_several_inputs_and_none(tmp_path):
    path = written(tmp_path / "a.onnx", TWO_LAYERS, TWO_WEIGHTS, ["n", 6])
    model = onnx.load(path)
    model.graph.input.append(helper.make_tensor_value_info("w1", TensorProto.FLOAT, [6, 5]))
    onnx.save(model, path)
    assert nfa.load(path).net(torch.zeros(2, 6)).shape == (2, 3)  # an input with a value of its own is none
    model.graph.input.append(helper.make_tensor_value_info("other", TensorProto.FLOAT, [6, 5]))
    onnx.save(model, path)
    refused(path, r"2 inputs \(x, other\)")
    del model.graph.input[:]
    onnx.save(model, path)
    refused(path, "0 inputs, expected one")


def test_a_version_that_nobody_knows(tmp_path):
    path = written(tmp_path / "a.onnx", TWO_LAYERS, TWO_WEIGHTS, ["n", 6])
    model = onnx.load(path)
    model.opset_import[0].version = 900
    onnx.save(model, path)
    refused(path, "version 900")
    refused(written(tmp_path / "b.onnx", [node("Gelu", "x", "y")], {}, ["n", 6], opset=9), "not supported: Gelu")


def external(path, location, data=None, **more):
    """The two layers, with the first weight in a file of its own."""
    model = onnx.load(written(path, TWO_LAYERS, TWO_WEIGHTS, ["n", 6]))
    tensor = model.graph.initializer[0]
    if data is not None:
        data.write_bytes(b"before" + tensor.raw_data)
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in {"location": location, "offset": "6", "length": "120", **more}.items():
        tensor.external_data.add(key=key, value=value)
    path.write_bytes(model.SerializeToString())
    return path


def test_weights_in_a_file_beside(tmp_path):
    (tmp_path / "inner").mkdir()
    rows = gaussian(50, 6, dtype=torch.float32)
    for location in ("data.bin", "inner/data.bin", "inner/../data.bin"):
        path = external(tmp_path / "a.onnx", location, (tmp_path / location).resolve())
        same_tables(two_layers(), nfa.load(path), rows, ["w1", "w2"])
    (tmp_path / "link.bin").symlink_to(tmp_path / "inner" / "data.bin")
    same_tables(two_layers(), nfa.load(external(tmp_path / "a.onnx", "link.bin")), rows, ["w1", "w2"])


def test_weights_in_a_file_elsewhere_are_not_looked_for(tmp_path):
    folder = tmp_path / "model"
    folder.mkdir()
    secret = tmp_path / "secret.bin"
    path = folder / "a.onnx"
    refused(external(path, "missing.bin"), "are missing: there is no file 'missing.bin'")
    refused(external(path, str(secret), secret), "expected a path relative")
    refused(external(path, "../secret.bin"), "outside the file's folder")
    refused(external(path, "../model/../secret.bin"), "outside the file's folder")
    (folder / "link.bin").symlink_to(secret)
    refused(external(path, "link.bin"), "outside the file's folder")
    (folder / "link").symlink_to(tmp_path)
    refused(external(path, "link/secret.bin"), "outside the file's folder")
    refused(external(path, ""), "expected a path relative")
    refused(external(path, "."), "are missing")
    (folder / "data.bin").write_bytes(b"x" * 20)
    refused(external(path, "data.bin"), "does not hold 120 bytes from byte 6")
    for more in ({"offset": "-1"}, {"length": str(2**62)}, {"offset": "six"}, {"length": "-1"}):
        refused(external(path, "data.bin", folder / "data.bin", **more), "hold|invalid literal")


def test_sizes_that_do_not_fit_the_data(tmp_path):
    path = written(tmp_path / "a.onnx", TWO_LAYERS, TWO_WEIGHTS, ["n", 6])
    for dims in ([2**40, 2**40], [-6, -5], [6, 6], [0, 5]):
        model = onnx.load(path)
        model.graph.initializer[0].dims[:] = dims
        (tmp_path / "b.onnx").write_bytes(model.SerializeToString())
        refused(tmp_path / "b.onnx", "initializer 'w1': shape")
