"""Damaged ONNX files: cut, with flipped bits, and whole ones whose fields mislead."""

import random

import numpy as np
import pytest
import torch
from damage import assert_survives
from network_damage import of_onnx
from onnx_files import Nested, draw, exported, node, written

import nfa
from nfa import InputError


def whole_file(tmp_path):
    """A file with much that can break: names, shapes, constants, an ending."""
    nodes = [
        node("Constant", "", "shape", value_ints=[1, -1]),
        node("Reshape", "x shape", "flat"),
        node("Div", "flat most", "scaled"),
        node("Gemm", "scaled one.weight one.bias", "a", transB=1, alpha=0.5),
        node("BatchNormalization", "a scale shift mean variance", "n"),
        node("Relu", "n", "b"),
        node("Transpose", "two.weight", "t", perm=[1, 0]),
        node("MatMul", "b t", "c"),
        node("Clip", "c low", "d"),
        node("Unsqueeze", "d axes", "e"),
        node("Expand", "e wide", "f"),
        node("ReduceMean", "f", "g", axes=[2], keepdims=0),
        node("Softmax", "g", "y", axis=1),
    ]
    constants = {
        "most": np.float32(2), "one.weight": draw(5, 6), "one.bias": draw(5), "scale": draw(5), "shift": draw(5),
        "mean": draw(5), "variance": np.ones(5, np.float32), "two.weight": draw(3, 5), "low": np.float32(-9),
        "axes": np.array([2]), "wide": np.array([1, 1, 4]),
    }  # fmt: skip
    return written(tmp_path / "whole.onnx", nodes, constants, [1, 2, 3]).read_bytes()


def test_damaged_files(tmp_path):
    whole = whole_file(tmp_path)
    assert nfa.load(tmp_path / "whole.onnx").ending == "softmax"
    assert_survives(whole, ".onnx", tmp_path, 200, d=6)


def assert_survives_misleading(whole, folder, count, d, seed=0):
    rows = torch.linspace(-1, 1, 3 * d).reshape(3, d)
    path = folder / "misleading.onnx"
    draw, change = random.Random(seed), of_onnx(whole)
    for _ in range(count):
        path.write_bytes(change(draw)[1])
        try:
            nfa.audit(nfa.load(path).net, rows)
        except InputError as error:
            message = str(error)
            assert "\n" not in message
            assert len(message) < 1000


def test_misleading_files(tmp_path):
    assert_survives_misleading(whole_file(tmp_path), tmp_path, 200, d=6)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_many_damaged_files(seed, tmp_path):
    assert_survives(whole_file(tmp_path), ".onnx", tmp_path, 3000, d=6, seed=seed)


@pytest.mark.slow
def test_many_misleading_files(tmp_path):
    assert_survives_misleading(whole_file(tmp_path), tmp_path, 5000, d=6, seed=5)


@pytest.mark.slow
def test_many_damaged_exports(tmp_path):
    for dynamo in (True, False):
        whole = exported(Nested(), (3, 6), tmp_path / "net.onnx", dynamo).read_bytes()
        assert_survives(whole, ".onnx", tmp_path, 1000, d=18, seed=4)
        assert_survives_misleading(whole, tmp_path, 1000, d=18, seed=6)


SIDE = {"side": np.array([8000, 8000]), "large": np.array([1, 1, 3000, 3000])}
FULL = node("ConstantOfShape", "side", "m0")


@pytest.mark.parametrize(
    "nodes",
    [
        [FULL, *(node("MatMul", f"m{i} m{i}", f"m{i + 1}") for i in range(4))],
        [FULL, *(node("Gemm", f"m{i} m{i}", f"m{i + 1}") for i in range(4))],
        [FULL, *(node("Einsum", f"m{i} m{i}", f"m{i + 1}", equation="ij,jk->ik") for i in range(4))],
        [FULL, *(node("Neg", f"m{i}", f"m{i + 1}") for i in range(60))],
        [FULL, *(node("ReduceSum", "m0", f"m{i + 1}") for i in range(200))],
        [FULL, *(node("Gemm", "x m0", f"m{i + 1}", alpha=1.5 + i) for i in range(60))],
        [FULL, node("Sum", " ".join(["m0"] * 200), "m1")],
        [node("ConstantOfShape", "large", "m0"), node("MaxPool", "m0", "m1", kernel_shape=[1500, 1500])],
        [node("ConstantOfShape", "large", "m0"), node("Conv", "m0 m0", "m1", pads=[1000] * 4)],
    ],
    ids=["MatMul", "Gemm", "Einsum", "Neg", "ReduceSum", "alpha", "Sum", "MaxPool", "Conv"],
)
def test_a_small_file_takes_no_time(nodes, tmp_path):
    ends = [name for each in nodes for name in each.output]
    nodes = [*nodes, node("Sum", " ".join(ends), "all"), node("ReduceSum", "all", "one"), node("Add", "x one", "y")]
    written(tmp_path / "a.onnx", nodes, SIDE, ["n", 6])
    with pytest.raises(InputError, match=r"takes too long|grow too large|would make"):
        nfa.load(tmp_path / "a.onnx")


@pytest.mark.parametrize("n", [500, pytest.param(20_000, marks=pytest.mark.slow)])
@pytest.mark.parametrize("kind", ["layers", "tied", "shared by modules", "transposed", "for a batch"])
def test_a_long_chain(kind, n, tmp_path):
    """20,000 nodes take seconds, where reading is linear in them, and minutes where it is not."""
    W = np.linalg.qr(draw(6, 6))[0].astype(np.float32)
    constants, nodes, shape = {"w.weight": W}, [node("MatMul", "x w.weight", "v0")], ["n", 6]
    for i in range(n):
        before, after = f"v{i}", f"v{i + 1}"
        if kind == "layers":
            constants[f"layer{i}.weight"] = W
            nodes.append(node("MatMul", f"{before} layer{i}.weight", after))
        elif kind == "for a batch":
            shape, constants[f"shift{i}"] = [4, 6], np.ones((4, 6), np.float32)
            nodes.append(node("Add", f"{before} shift{i}", after))
        elif kind == "transposed":
            nodes += [node("Transpose", "w.weight", f"t{i}", perm=[1, 0]), node("MatMul", f"{before} t{i}", after)]
        else:
            module = f"/module{i}/MatMul" if kind == "shared by modules" else ""
            nodes.append(node("MatMul", f"{before} w.weight", after, name=module))
    nodes.append(node("Identity", f"v{n}", "y"))
    model = nfa.load(written(tmp_path / "a.onnx", nodes, constants, shape))
    X = torch.ones(4, 6, dtype=torch.float64)
    power = torch.from_numpy(np.linalg.matrix_power(W.astype(float), 1 if kind == "for a batch" else n + 1))
    if kind == "transposed":
        power = torch.from_numpy(np.linalg.matrix_power(W.astype(float).T, n - 1))
    expected = X @ power + (n if kind == "for a batch" else 0)
    torch.testing.assert_close(model.net(X.float()).double(), expected, rtol=2e-2, atol=2e-2)


def test_nor_do_its_rows(tmp_path):
    nodes = [
        node("ReduceMean", "x", "mean", axes=[1], keepdims=1),
        node("Unsqueeze", "mean axes", "m"),
        node("Expand", "m wide", "m0"),
        *(node("MatMul", f"m{i} m{i}", f"m{i + 1}") for i in range(4)),
        node("ReduceMean", "m4", "y", axes=[1], keepdims=0),
    ]
    constants = {"axes": np.array([2]), "wide": np.array([1, 8000, 8000])}
    written(tmp_path / "a.onnx", nodes, constants, ["n", 6])
    with pytest.raises(InputError, match="takes too long for a network of its size"):
        nfa.load(tmp_path / "a.onnx")
