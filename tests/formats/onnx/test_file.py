"""ONNX files from torch's exporters, from scikit-learn, and written node by node."""

import copy
import warnings
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from helpers import assert_same_table, gaussian
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator
from onnx_files import (
    TWO_LAYERS,
    TWO_WEIGHTS,
    Nested,
    draw,
    exported,
    node,
    same_tables,
    skip_old_exporter,
    two_layers,
    written,
)
from torch import nn

import nfa
from nfa import InputError
from nfa.formats.onnx.tensors import read_tensor

SEED = torch.Generator().manual_seed(3)


NETS = {
    "chain": (lambda: nfa.MLP(12, 8, 3, 4, activation="gelu"), (12,)),
    "pictures": (
        lambda: nn.Sequential(
            nn.Flatten(), nn.Linear(12, 8), nn.SiLU(), nn.LayerNorm(8), nn.Dropout(), nn.Linear(8, 5)
        ),
        (1, 3, 4),
    ),
    "nested": (Nested, (3, 6)),
    "double": (lambda: nn.Sequential(nn.Linear(5, 4), nn.ELU(), nn.Linear(4, 3)).double(), (5,)),
}


@pytest.mark.parametrize("symbolic", [True, False], ids=["any-batch", "fixed-batch"])
@pytest.mark.parametrize("dynamo", [True, False], ids=["dynamo", "legacy"])
@pytest.mark.parametrize("name", NETS)
def test_torch_exports(name, dynamo, symbolic, tmp_path):
    make, shape = NETS[name]
    torch.manual_seed(0)
    net = make().eval()
    dtype = next(net.parameters()).dtype
    rows = gaussian(60, int(np.prod(shape)), dtype=dtype).reshape(60, *shape)
    model = nfa.load(exported(net, shape, tmp_path / "net.onnx", dynamo, symbolic))
    assert (model.name, model.ending, model.notes) == ("net.onnx", None, ())
    assert next(model.net.parameters()).dtype == dtype
    torch.testing.assert_close(model.net(rows), net(rows), rtol=1e-4, atol=1e-5)
    same_tables(net, model, rows)


@pytest.mark.parametrize("dynamo", [True, False], ids=["dynamo", "legacy"])
def test_batch_normalisation(dynamo, tmp_path):
    if dynamo:
        skip_old_exporter()
    net = nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 3)).eval()
    net[1].running_mean.uniform_(-1, 1, generator=SEED)
    net[1].running_var.uniform_(0.5, 2, generator=SEED)
    model = nfa.load(exported(net, (6,), tmp_path / "net.onnx", dynamo))
    if dynamo:  # which merges the normalisation into the layer before it: so does the audited network
        net[0] = torch.nn.utils.fusion.fuse_linear_bn_eval(net[0], net[1])
        net[1] = nn.Identity()
    same_tables(net, model, gaussian(60, 6, dtype=torch.float32))


def test_fixed_batch_of_one(tmp_path):
    net = NETS["nested"][0]().eval()
    model = nfa.load(exported(net, (3, 6), tmp_path / "net.onnx", False, False, count=1))
    same_tables(net, model, gaussian(40, 18, dtype=torch.float32).reshape(40, 3, 6))


def test_a_module_used_twice_is_one_layer(tmp_path):
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.again = nn.Linear(6, 6, bias=False)
            self.head = nn.Linear(6, 2)

        def forward(self, x):
            return self.head(torch.tanh(self.again(torch.tanh(self.again(x)))).mean(1))

    net, rows = Twice().eval(), gaussian(40, 18, dtype=torch.float32).reshape(40, 3, 6)
    for dynamo in (True, False):
        same_tables(net, nfa.load(exported(net, (3, 6), tmp_path / f"{dynamo}.onnx", dynamo)), rows)


def test_convolutions_are_layers(tmp_path):
    net = nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(4, 3, 2, bias=False),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 8), nn.ReLU(), nn.Linear(8, 4),
    ).eval()  # fmt: skip
    rows = gaussian(40, 64, dtype=torch.float32).reshape(40, 1, 8, 8)
    for dynamo in (True, False):
        model = nfa.load(exported(net, (1, 8, 8), tmp_path / f"{dynamo}.onnx", dynamo))
        same_tables(net, model, rows)
        audit = nfa.audit(model.net, rows.flatten(1))
        assert [layer["rows"] for layer in audit] == [40 * 64, 40 * 9, 40, 40]
        assert not audit.skipped


def test_weights_named_by_the_file_and_by_nobody(tmp_path):
    model = nfa.load(written(tmp_path / "a.onnx", TWO_LAYERS, TWO_WEIGHTS, ["n", 6]))
    same_tables(two_layers(), model, gaussian(50, 6, dtype=torch.float32), ["w1", "w2"])
    nodes = [
        node("MatMul", "x onnx::MatMul_1", "a", name="/model/net/net.0/MatMul"),
        node("Relu", "a", "b"),
        node("MatMul", "b onnx::MatMul_2", "y"),
    ]
    constants = {"onnx::MatMul_1": TWO_WEIGHTS["w1"], "onnx::MatMul_2": TWO_WEIGHTS["w2"]}
    model = nfa.load(written(tmp_path / "b.onnx", nodes, constants, ["n", 6]))
    same_tables(two_layers(), model, gaussian(50, 6, dtype=torch.float32), ["model.net.0", "MatMul_1"])


@pytest.mark.parametrize(
    "name", ["forward.weight", "output.weight", "a..b", "layers.0.weight\n", "", "type", "ü" * 300]
)
def test_any_name_a_file_gives_becomes_a_legal_one(name, tmp_path):
    name = name or "a b"
    nodes = [helper.make_node("MatMul", ["x", name], ["y"])]
    model = nfa.load(written(tmp_path / "a.onnx", nodes, {name: draw(6, 3)}, ["n", 6]))
    (found,) = [layer["name"] for layer in nfa.audit(model.net, gaussian(20, 6))]
    assert found.replace(".", "").isidentifier()
    assert found == "output" or name != "output.weight"
    assert len(found) < 200


@pytest.mark.parametrize("trans", [0, 1])
@pytest.mark.parametrize(
    ("alpha", "beta", "shape"), [(1.0, 1.0, (5,)), (1.0, 1.0, (1, 5)), (0.5, 2.0, (5,)), (3.0, 1.0, ())]
)
def test_gemm(trans, alpha, beta, shape, tmp_path):
    w1, bias = TWO_WEIGHTS["w1"], draw(*shape, seed=2) if shape else np.float32(0.3)
    nodes = [
        node("Gemm", "x one.weight one.bias", "a", transB=trans, alpha=alpha, beta=beta),
        node("Relu", "a", "b"),
        node("Gemm", "b two.weight", "y"),
    ]
    constants = {"one.weight": w1.T.copy() if trans else w1, "one.bias": bias, "two.weight": TWO_WEIGHTS["w2"]}
    net = two_layers()
    net[0] = nn.Linear(6, 5)
    net[0].weight.data = alpha * torch.from_numpy(w1.T.copy())
    net[0].bias.data = beta * torch.from_numpy(np.broadcast_to(bias, (1, 5))[0].copy())
    model = nfa.load(written(tmp_path / "a.onnx", nodes, constants, ["n", 6]))
    same_tables(net, model, gaussian(50, 6, dtype=torch.float32), ["one", "two"])


def test_transposed_and_shared_weights(tmp_path):
    nodes = [
        node("Transpose", "one.weight", "t"),
        node("Identity", "one.weight", "same"),
        node("MatMul", "x t", "a"),
        node("Tanh", "a", "b"),
        node("MatMul", "b t", "c"),
        node("Tanh", "c", "d"),
        node("Gemm", "d same", "e", transB=1),
        node("MatMul", "e one.weight", "y"),
    ]
    weight = draw(4, 4)

    class Shared(nn.Module):
        def __init__(self):
            super().__init__()
            self.one = nn.Linear(4, 4, bias=False)
            self.one.weight.data = torch.from_numpy(weight.copy())

        def forward(self, x):
            return self.one(torch.tanh(self.one(torch.tanh(self.one(x))))) @ self.one.weight

    model = nfa.load(written(tmp_path / "a.onnx", nodes, {"one.weight": weight}, ["n", 4]))
    assert [name for name, _ in model.net.named_parameters()] == ["one.weight"]
    same_tables(Shared(), model, gaussian(50, 4, dtype=torch.float32))


def test_weights_made_of_constants_are_folded_and_keep_their_name(tmp_path):
    nodes = [
        node("Mul", "one.weight mask", "masked"),
        node("Cast", "masked", "cast", to=TensorProto.FLOAT),
        node("Transpose", "cast", "t"),
        node("MatMul", "x t", "y"),
    ]
    constants = {"one.weight": draw(3, 6).astype(np.float64), "mask": np.array([[2.0], [0.5], [1.0]])}
    model = nfa.load(written(tmp_path / "a.onnx", nodes, constants, ["n", 6]))
    net = nn.Sequential(nn.Linear(6, 3, bias=False))
    net[0].weight.data = torch.from_numpy(constants["one.weight"] * constants["mask"]).float()
    same_tables(net, model, gaussian(40, 6, dtype=torch.float32), ["one"])


SHAPES = {
    "a row": ([1, 12], (12,)),
    "a picture for rows": (["n", 1, 3, 4], (12,)),
    "a column": ([1, 12, 1], (12,)),
    "fixed to four": ([4, 3, 4], (3, 4)),
    "rows for pictures": (["n", 12], (1, 3, 4)),
    "open": ([None, None], (12,)),
}


@pytest.mark.parametrize("name", SHAPES)
def test_rows_in_other_shapes(name, tmp_path):
    shape, row = SHAPES[name]
    batch = shape[0] if isinstance(shape[0], int) else -1
    nodes = [node("Reshape", "x shape", "flat"), node("MatMul", "flat w", "y")]
    weight = draw(12, 5)
    path = written(tmp_path / "a.onnx", nodes, {"shape": np.array([batch, 12]), "w": weight}, shape)
    rows = gaussian(30, 12, dtype=torch.float32)
    model = nfa.load(path)
    expected = rows @ torch.from_numpy(weight)
    torch.testing.assert_close(model.net(rows.reshape(30, *row)), expected)
    torch.testing.assert_close(model.net(rows.reshape(30, *row)[:1]), expected[:1])
    if name != "open":
        with pytest.raises(InputError, match="data: rows of shape 7"):
            model.net(rows[:, :7])


@pytest.mark.parametrize("target", [[1, -1], [1, 12], [-1, 12], [0, 12], [0, -1]])
def test_a_reshape_for_one_row_takes_many(target, tmp_path):
    nodes = [node("Reshape", "x shape", "flat"), node("MatMul", "flat w", "y")]
    for batch in (1, "n"):
        path = written(tmp_path / "a.onnx", nodes, {"shape": np.array(target), "w": draw(12, 5)}, [batch, 3, 4])
        assert nfa.load(path).net(torch.zeros(7, 12)).shape == (7, 5)


def test_inputs_are_normalised_by_the_graph(tmp_path):
    nodes = [
        node("Div", "x most", "a"),
        node("Sub", "a mean", "b"),
        node("Mul", "b scale", "c"),
        node("MatMul", "c layer.weight", "d"),
        node("Add", "d layer.bias", "y"),
    ]
    constants = {
        "most": np.float32(255),
        "mean": draw(1, 6),
        "scale": draw(6, seed=2),
        "layer.weight": draw(6, 3, seed=3),
        "layer.bias": draw(3, seed=4),
    }
    tensors = {name: torch.from_numpy(np.asarray(value)) for name, value in constants.items()}

    class Normalised(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(6, 3)
            self.layer.weight.data = tensors["layer.weight"].T.contiguous()
            self.layer.bias.data = tensors["layer.bias"]

        def forward(self, x):
            return self.layer((x / tensors["most"] - tensors["mean"]) * tensors["scale"])

    model = nfa.load(written(tmp_path / "a.onnx", nodes, constants, ["n", 6]))
    rows = 100 * gaussian(50, 6, dtype=torch.float32)
    same_tables(Normalised(), model, rows)
    assert nfa.audit(model.net, rows).skipped == []


@pytest.mark.parametrize(
    ("tail", "ending"),
    [
        ([node("Softmax", "z", "y")], "softmax"),
        ([node("Softmax", "z", "y", axis=1)], "softmax"),
        ([node("Softmax", "z", "p"), node("Identity", "p", "q"), node("Cast", "q", "y", to=1)], "softmax"),
        ([node("Sigmoid", "z", "p"), node("Flatten", "p", "y")], "sigmoid"),
        ([node("LogSoftmax", "z", "y")], None),
        ([node("Reshape", "z three", "r"), node("Softmax", "r", "y")], None),
    ],
)  # fmt: skip
def test_endings(tail, ending, tmp_path):
    nodes = [*TWO_LAYERS[:2], node("MatMul", "b w2", "z"), *tail]
    constants = TWO_WEIGHTS | {"three": np.array([-1, 3, 1])}
    model = nfa.load(written(tmp_path / "a.onnx", nodes, constants, ["n", 6]))
    assert model.ending == ending
    if ending is None:
        assert model.notes == ()
        return
    assert model.notes == (f"The file's network ends in {ending.capitalize()}; logits are its input.",)
    same_tables(two_layers(), model, gaussian(50, 6, dtype=torch.float32), ["w1", "w2"])


def test_several_outputs_are_named_and_whole_numbers_are_none(tmp_path):
    nodes = [*TWO_LAYERS, node("ArgMax", "y", "label", axis=1)]
    path = written(tmp_path / "a.onnx", nodes, TWO_WEIGHTS, ["n", 6], "label", "y")
    model = onnx.load(path)
    model.graph.output[0].type.tensor_type.elem_type = TensorProto.INT64
    onnx.save(model, path)
    same_tables(two_layers(), nfa.load(path), gaussian(50, 6, dtype=torch.float32), ["w1", "w2"])
    with pytest.raises(InputError, match=r"2 outputs .*\(y, a\)"):
        nfa.load(written(path, nodes, TWO_WEIGHTS, ["n", 6], "y", "a"))


SCIKIT = {
    "binary": (lambda n: np.arange(n) % 2, 1, ("0", "1"), "sigmoid"),
    "classes": (lambda n: np.array(list("abc"))[np.arange(n) % 3], 3, ("a", "b", "c"), "softmax"),
    "numbers": (lambda n: np.random.default_rng(0).standard_normal(n), 1, None, None),
}


@pytest.mark.parametrize("name", SCIKIT)
def test_scikit_learn_through_skl2onnx(name, tmp_path):
    import skl2onnx
    from sklearn.neural_network import MLPClassifier, MLPRegressor
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    targets, outputs, classes, ending = SCIKIT[name]
    X = np.random.default_rng(1).standard_normal((60, 6)).astype(np.float32) * 3 + 1
    kind = MLPRegressor if name == "numbers" else MLPClassifier
    estimator = make_pipeline(StandardScaler(), kind(hidden_layer_sizes=(5, 4), max_iter=30))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that thirty iterations are few; the converter's own
        estimator.fit(X, targets(60))
        (tmp_path / "a.onnx").write_bytes(skl2onnx.to_onnx(estimator, X[:1]).SerializeToString())
    model = nfa.load(tmp_path / "a.onnx")
    assert (model.classes, model.ending) == (classes, ending)
    answers = model.net(torch.from_numpy(X))
    assert answers.shape == (60, outputs)
    if name == "binary":
        expected, got = estimator.predict_proba(X)[:, 1:], answers.sigmoid()
    elif name == "classes":
        expected, got = estimator.predict_proba(X), answers.softmax(1)
    else:
        expected, got = estimator.predict(X)[:, None], answers
    np.testing.assert_allclose(got.numpy(), expected, rtol=1e-4, atol=1e-5)
    audit = nfa.audit(model.net, X)
    assert [layer["name"] for layer in audit] == ["coefficient", "coefficient1", "coefficient2"]
    assert audit.skipped == []


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_precisions(dtype, tmp_path):
    net = two_layers().to(dtype).eval()
    model = nfa.load(exported(net, (6,), tmp_path / "a.onnx"))
    assert next(model.net.parameters()).dtype == dtype
    same_tables(net, model, gaussian(50, 6, dtype=dtype))


def test_bfloat16_kept_as_numbers_of_32_bits():
    values = torch.tensor([1.5, -2.0, 3.0e38, -1.0e-30]).bfloat16()
    tensor = helper.make_tensor("w", TensorProto.BFLOAT16, [2, 2], [0.0] * 4)
    tensor.int32_data[:] = [int(bits) & 0xFFFF for bits in values.view(torch.int16)]
    assert torch.equal(read_tensor(tensor, Path()), values.reshape(2, 2))


def test_a_copy_in_another_precision(tmp_path):
    model = nfa.load(written(tmp_path / "a.onnx", TWO_LAYERS, TWO_WEIGHTS, ["n", 6]))
    rows = gaussian(50, 6)
    double = copy.deepcopy(model.net).double()
    torch.testing.assert_close(double(rows), two_layers().double()(rows))
    assert model.net(rows).dtype == torch.float32


@pytest.mark.parametrize("dynamo", [True, False], ids=["dynamo", "legacy"])
def test_a_transformer_encoder(dynamo, tmp_path):
    encoder = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
    net = nn.Sequential(encoder, nn.Flatten(), nn.Linear(24, 3)).eval()
    model = nfa.load(exported(net, (3, 8), tmp_path / "net.onnx", dynamo))
    rows = gaussian(10, 24, dtype=torch.float32).reshape(10, 3, 8)
    torch.testing.assert_close(model.net(rows), net(rows), rtol=1e-4, atol=1e-5)
    packed = encoder.self_attn.in_proj_weight.detach()  # q, k and v are one product here, of a name by the exporter
    assert any(layer.weight.shape == packed.shape and layer.weight.equal(packed) for layer in nfa.audit(model, rows))
    with pytest.raises(InputError, match=r"is fixed to a batch of 2, .* export it with a dynamic batch axis$"):
        nfa.load(exported(net, (3, 8), tmp_path / "net.onnx", dynamo, symbolic=False))


def test_dense_layers_written_as_convolutions(tmp_path):
    W1, W2 = gaussian(8, 4, dtype=torch.float32).numpy(), gaussian(2, 8, 2, dtype=torch.float32).numpy()
    nodes = [node("Conv", "x W1", "a"), node("Relu", "a", "b"), node("Conv", "b W2", "c"), node("Flatten", "c", "y")]
    constants = {"W1": W1.reshape(8, 1, 1, 4), "W2": W2.reshape(2, 8, 1, 1)}
    rows = gaussian(64, 4, dtype=torch.float32)
    audit = nfa.audit(nfa.load(written(tmp_path / "a.onnx", nodes, constants, ["n", 1, 1, 4])), rows)
    dense = nn.Sequential(nn.Linear(4, 8, bias=False), nn.ReLU(), nn.Linear(8, 2, bias=False))
    for number, W in ((0, W1), (2, W2)):
        dense[number].weight.data = torch.from_numpy(W)
    assert_same_table(audit, nfa.audit(dense, rows), names=False)


@pytest.mark.parametrize("dynamo", [True, False], ids=["dynamo", "legacy"])
def test_transposed_convolutions_in_groups(dynamo, tmp_path):
    net = nn.Sequential(
        nn.Conv2d(1, 4, 3, stride=2), nn.Tanh(),
        nn.ConvTranspose2d(4, 6, (3, 2), stride=(2, 1), padding=(1, 0), output_padding=(1, 0), groups=2), nn.Tanh(),
        nn.Flatten(), nn.Linear(6 * 6 * 4, 3),
    )  # fmt: skip
    model = nfa.load(exported(net, (1, 7, 7), tmp_path / "net.onnx", dynamo))
    rows = gaussian(12, 49, dtype=torch.float32).reshape(12, 1, 7, 7)
    torch.testing.assert_close(model.net(rows), net(rows), rtol=1e-4, atol=1e-5)
    same_tables(net, model, rows, ["0", "2", "5"])


COLUMNS = [
    node("MatMul", "V1 x", "a"), node("Add", "a b1", "b"), node("Relu", "b", "c"),
    node("MatMul", "V2 c", "d"), node("Add", "d b2", "y"),
]  # fmt: skip
SINGLE = {
    "columns": [*COLUMNS, node("Softmax", "y", "p", axis=0)],
    "rows": [node("MatMul", "x V1T", "a"), node("Add", "a b1", "b"), node("Relu", "b", "c"),
             node("MatMul", "c V2T", "d"), node("Sum", "d b2", "p")],
    "a batch of one": [node("Unsqueeze", "x zero", "r"), node("Gemm", "r V1 b1", "b", transB=1), node("Relu", "b", "c"),
                       node("Shape", "c", "s"), node("Reshape", "c s", "t"), node("Gemm", "t V2T b2", "y"),
                       node("Squeeze", "y zero", "p")],
    "a convolution": [node("Reshape", "x line", "r"), node("Conv", "r C1 b1", "b"), node("Relu", "b", "c"),
                      node("Conv", "c C2 b2", "y"), node("Reshape", "y flat", "p")],
}  # fmt: skip


@pytest.mark.parametrize("kind", SINGLE)
def test_a_network_for_one_row_without_a_batch_axis(kind, tmp_path):
    W1, W2 = gaussian(8, 5, seed=2, dtype=torch.float32).numpy(), gaussian(3, 8, seed=3, dtype=torch.float32).numpy()
    constants = {
        "V1": W1, "V2": W2, "b1": draw(8), "b2": draw(3), "V1T": W1.T.copy(), "V2T": W2.T.copy(),
        "C1": W1[:, None], "C2": W2[:, :, None], "line": np.array([1, 1, 5]), "flat": np.array([3]),
        "zero": np.array([0]),
    }  # fmt: skip
    path = written(tmp_path / "a.onnx", SINGLE[kind], constants, [5], "p")
    model = nfa.load(path)
    assert model.ending == ("softmax" if kind == "columns" else None)
    dense = nn.Sequential(nn.Linear(5, 8), nn.ReLU(), nn.Linear(8, 3))
    for layer, W, b in ((dense[0], W1, draw(8)), (dense[2], W2, draw(3))):
        layer.weight.data, layer.bias.data = torch.from_numpy(W), torch.from_numpy(b)
    rows = gaussian(40, 5, dtype=torch.float32)
    torch.testing.assert_close(model.net(rows).reshape(40, 3), dense(rows), rtol=1e-5, atol=1e-6)
    if kind == "columns":
        one = ReferenceEvaluator(str(path)).run(["p"], {"x": rows[7].numpy()})[0]
        torch.testing.assert_close(model.net(rows)[7].softmax(0), torch.from_numpy(one))
    assert_same_table(nfa.audit(model, rows), nfa.audit(dense, rows), names=False)


def test_what_is_not_read_for_one_row_is_named(tmp_path):
    path = written(tmp_path / "a.onnx", [node("Einsum", "x W", "y", equation="d,dk->k")], {"W": draw(5, 3)}, [5])
    with pytest.raises(InputError, match="Einsum '0': it is not read in a network for one row without an axis of sam"):
        nfa.load(path)
