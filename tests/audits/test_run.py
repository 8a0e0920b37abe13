"""The audit against dense Jacobians in float64, for every kind of network and input the contract names."""

import copy
import math
import sys

import numpy as np
import pandas as pd
import pytest
import torch
from helpers import assert_rows_equal, gaussian, perturbed
from reference import ACTIVATIONS, expected_rows
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import nfa
from nfa.audits.init import UNCHANGED
from nfa.features.columns import COLUMNS, names

NEEDS_INIT = [column.name for column in COLUMNS.values() if column.needs_init]


def check(arguments, n=37, outputs="logits", dtype=torch.float64, tolerance=1e-10, skip=(), **audit_arguments):
    init = nfa.MLP(**arguments).to(dtype)
    net = perturbed(init)
    X = gaussian(n, arguments["d"], dtype=dtype)
    audit = nfa.audit(net, X, init, outputs, **audit_arguments)
    assert_rows_equal(audit, expected_rows(net, X, outputs, init), tolerance, skip)
    return audit


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_equals_dense_jacobians_for_every_activation(activation, bias):
    check({"d": 7, "width": [9, 5], "n_outputs": 3, "activation": activation, "bias": bias})


@pytest.mark.parametrize("depth", [0, 1, 2, 5, 8])
def test_equals_dense_jacobians_at_every_depth(depth):
    check({"d": 7, "width": 6, "depth": depth, "n_outputs": 3, "activation": "tanh"})


@pytest.mark.parametrize("width", [[3, 3], [20, 20], [20, 3], [3, 20]])
def test_equals_dense_jacobians_for_widths_above_and_below_d(width):
    check({"d": 8, "width": width, "n_outputs": 4, "activation": "gelu"})


@pytest.mark.parametrize("c", [1, 100])
def test_equals_dense_jacobians_for_one_and_many_outputs(c):
    check({"d": 7, "width": 12, "depth": 2, "n_outputs": c})


@pytest.mark.parametrize("outputs", ["logits", "output:1", "predicted", "margin", "probabilities"])
def test_equals_dense_jacobians_for_every_choice_of_outputs(outputs):
    check({"d": 7, "width": 12, "depth": 2, "n_outputs": 4}, outputs=outputs)


def test_probabilities_of_a_single_output_are_its_sigmoid():
    check({"d": 7, "width": 12, "depth": 2, "n_outputs": 1}, outputs="probabilities")


@pytest.mark.parametrize("n", [2, 9, 10, 11, 23])
def test_equals_dense_jacobians_for_few_samples(n):
    check({"d": 7, "width": 9, "depth": 2, "n_outputs": 3, "activation": "tanh"}, n=n)


def test_one_sample_has_no_centered_columns_and_no_interval():
    audit = check({"d": 7, "width": 9, "depth": 2, "n_outputs": 3}, n=1)
    for layer in audit:
        assert math.isnan(layer["cosine_centered"])
        assert math.isnan(layer["ci_low"])
        assert "too few samples" in layer["note"]


@pytest.mark.parametrize("activation", ["relu", "tanh", "sine", "sigmoid", "identity"])
@pytest.mark.parametrize("init", ["default", "factor:0.1"])
def test_float32_agrees_with_float64_to_1e_4(activation, init):
    arguments = {"d": 20, "width": [30, 16, 30], "n_outputs": 4, "activation": activation, "init": init}
    # The overlap of subspaces is defined to that accuracy only where eigenvalues are apart.
    skip = ["subspace_overlap", "alpha_best"]
    if init != "default":
        # Almost linear: delta varies by as little as rounding, and what varies is not known to four digits.
        skip += ["cosine_centered", "trivial"]
    check(arguments, n=300, dtype=torch.float32, tolerance=1e-4, skip=skip)


def test_centered_columns_survive_a_delta_that_hardly_changes():
    """A tanh network near 0 is almost linear: its centered AGOP is 1e-7 of the AGOP, as small as float32's rounding."""
    net = nfa.MLP(10, [12, 12], n_outputs=3, activation="tanh", init="factor:0.1")
    X = gaussian(200, 10, dtype=torch.float32)
    layer = nfa.audit(net, X)[1]
    expected = expected_rows(net, X)[1]
    assert not layer["trivial"]
    assert "few digits" in layer["note"]
    assert float(layer.agop_centered.trace() / layer.agop.trace()) < 1e-6
    assert layer["cosine_centered"] == pytest.approx(expected["cosine_centered"], abs=1e-3)


@pytest.mark.parametrize("batch_size", [1, 7, 64, 1000])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-10), (torch.float32, 1e-5)])
def test_no_measurement_depends_on_the_batch_size(batch_size, dtype, tolerance):
    init = nfa.MLP(9, [12, 7], n_outputs=3).to(dtype)
    net, X = perturbed(init), gaussian(101, 9, dtype=dtype)
    one, other = (nfa.audit(net, X, init, batch_size=size).to_frame() for size in (512, batch_size))
    numbers = [name for name in names() if COLUMNS[name].kind in (int, float) and name != "alpha_best"]
    np.testing.assert_allclose(one[numbers].astype(float), other[numbers].astype(float), rtol=tolerance, atol=tolerance)


def test_bfloat16_weights_are_accumulated_in_float32():
    net = nfa.MLP(8, [16, 16], n_outputs=3).to(torch.bfloat16)
    X = gaussian(2000, 8, dtype=torch.bfloat16)
    audit = nfa.audit(net, X)
    assert audit[0].S.dtype == torch.float64
    # The sums themselves: against the same network's bfloat16 deltas, added up in float64.
    from nfa.probe import Probe

    S = torch.zeros(16, 16, dtype=torch.float64)
    with Probe(net, X) as probe:
        for sweep in probe.sweeps():
            delta = sweep.deltas[0][1].flatten(0, 1).double()
            S += delta.T @ delta / len(X)
    torch.testing.assert_close(audit[0].S, S, rtol=1e-5, atol=1e-6 * float(S.abs().max()))
    for layer, row in zip(audit, expected_rows(net, X), strict=True):
        assert layer["cosine"] == pytest.approx(row["cosine"], abs=0.03)


def test_dead_units_and_dead_layers():
    net = nfa.MLP(6, [8, 8], n_outputs=2, bias=True).double()
    with torch.no_grad():
        net.layers[1].bias[:3] = -100.0
    X = gaussian(50, 6)
    audit = nfa.audit(net, X)
    assert_rows_equal(audit, expected_rows(net, X), 1e-10)
    dead = int((np.abs(audit[1].S.diagonal().numpy()) == 0).sum())
    assert dead >= 3
    assert f"{dead} of 8 units have no gradient" in audit[1]["note"]
    with torch.no_grad():
        net.layers[1].bias[:] = -100.0
    dead = nfa.audit(net, X)
    for layer in (dead[0], dead[1]):
        assert math.isnan(layer["cosine"])
        assert math.isnan(layer["alpha_best"])
        assert "dead" in layer["note"]
    assert dead[0]["agop_trace"] == 0.0


def test_constant_outputs_and_zero_weights_are_nan_with_a_note():
    net = nfa.MLP(6, [8], n_outputs=2).double()
    with torch.no_grad():
        net.layers[1].weight.zero_()
    audit = nfa.audit(net, gaussian(20, 6), nfa.MLP(6, [8], n_outputs=2).double())
    assert math.isnan(audit[0]["cosine"])
    assert "dead" in audit[0]["note"]
    assert math.isnan(audit[1]["cosine"])
    assert "zero" in audit[1]["note"]


def test_a_head_is_trivial_only_where_its_delta_is_the_same_for_every_row():
    net, X = nfa.MLP(6, [8], n_outputs=3).double(), gaussian(30, 6)
    assert [layer["trivial"] for layer in nfa.audit(net, X)] == [False, True]
    assert [layer["trivial"] for layer in nfa.audit(net, X, outputs="probabilities")] == [False, False]
    linear = nfa.MLP(6, [8], n_outputs=3, activation="identity").double()
    assert [layer["trivial"] for layer in nfa.audit(linear, X)] == [True, True]
    assert [layer["trivial"] for layer in nfa.audit(linear, X, probes=3)] == [True, True]


def test_every_kind_of_input_gives_the_same_table(small):
    net, X = small
    y = torch.arange(40) % 3
    # The verdict hangs on there being targets.
    expected = nfa.audit(net, X).to_frame().drop(columns="verdict")
    table = pd.DataFrame(X.numpy(), columns=list("abcdef"))
    loaders = [DataLoader(TensorDataset(X, y), batch_size=size) for size in (1, 7, 100)]
    dataset = nfa.Dataset(X.numpy(), y.numpy())
    for data in (X.numpy(), table, (X, y), dataset, TensorDataset(X), *loaders):
        pd.testing.assert_frame_equal(nfa.audit(net, data).to_frame().drop(columns="verdict"), expected, rtol=1e-10)


def test_the_split_and_the_rows_are_recorded():
    data = nfa.load_data("digits").divide(test=0.2)
    net = nfa.MLP(64, 8, 1, 10)
    train = nfa.audit(net, data)
    assert (train.about.split, train.about.n_samples, train[0]["rows"]) == ("train", 1438, 1438)
    test = nfa.audit(net, data, split="test", samples=100)
    assert (test.about.split, test.about.n_samples) == ("test", 100)
    assert train.score.rows == "test"
    assert nfa.audit(net, nfa.load_data("digits"), samples=50).about.split == "all"


def test_without_init_what_needs_it_is_nan(small):
    frame = nfa.audit(*small).to_frame()
    assert frame[NEEDS_INIT].isna().all(axis=None)
    assert list(frame.columns) == list(names())


def test_an_init_with_the_network_s_weights(small, tmp_path):
    net, X = small
    audit = nfa.audit(net, X, copy.deepcopy(net))
    assert UNCHANGED in audit.about.notes
    assert audit[0]["init_cosine"] == pytest.approx(1)
    assert audit[0]["delta_norm"] == 0
    assert math.isnan(audit[0]["delta_cosine"])
    assert "those of init" in audit[0]["note"]
    torch.save(net.state_dict(), tmp_path / "net.pt")
    for same in (net.state_dict(), tmp_path / "net.pt"):
        assert UNCHANGED in nfa.audit(net, X, same).about.notes
    moved = copy.deepcopy(net)
    with torch.no_grad():
        next(moved.parameters())[0, 0] += 1e-9
    assert UNCHANGED not in nfa.audit(net, X, moved).about.notes


def test_an_init_that_is_the_network_itself_is_refused(small):
    net, X = small
    for init in (net, nn.DataParallel(net), nfa.load(net)):
        for call in (nfa.audit, nfa.substitute):
            with pytest.raises(nfa.InputError, match=r"^init: it is the network itself; copy.deepcopy\(net\) before"):
                call(net, X, init=init)
    nfa.Tracker(net, X, init=net).record(epoch=0)  # which copies it


def test_indexing_repr_and_the_matrices_behind_a_row(small):
    net, X = small
    audit = nfa.audit(net, X, copy.deepcopy(net))
    assert audit["layers.1"] is audit[1]
    assert "layers.1" in repr(audit)
    assert "all 40 rows" in repr(audit)
    assert [layer["name"] for layer in audit] == ["layers.0", "layers.1", "layers.2"]
    W, J = expected_matrices(net, X)[1]
    np.testing.assert_allclose(audit[1].nfm.dense(), W.T @ W)
    np.testing.assert_allclose(audit[1].agop.dense(), np.einsum("ncd,nce->de", J, J) / 40, atol=1e-12)
    centered = J - J.mean(0)
    np.testing.assert_allclose(
        audit[1].agop_centered.dense(), np.einsum("ncd,nce->de", centered, centered) / 40, atol=1e-12
    )
    np.testing.assert_allclose(audit[1].init_nfm.dense(), W.T @ W)
    with pytest.raises(nfa.InputError, match=r"did you mean 'layers\.1'"):
        audit["layer.1"]
    with pytest.raises(nfa.InputError, match="no layer 7"):
        audit[7]


def expected_matrices(net, X):
    from reference import jacobians

    return jacobians(net, X)


def test_layers_by_pattern_keep_their_numbers_and_their_place(small):
    net, X = small
    whole, part = nfa.audit(net, X), nfa.audit(net, X, layers="*.1")
    assert [layer["layer"] for layer in part] == [1]
    assert part[1]["alpha_linear"] == whole[1]["alpha_linear"] == 0.5
    assert part["layers.1"]["cosine"] == pytest.approx(whole["layers.1"]["cosine"], abs=1e-12)
    with pytest.raises(nfa.InputError, match=r"did you mean 'layers\.1'"):
        nfa.audit(net, X, layers="layer.1")


def test_save_and_load(small, tmp_path):
    net, X = small
    audit = nfa.audit(net, X, perturbed(net))
    audit.save(tmp_path / "out")
    loaded = nfa.Audit.load(tmp_path / "out")
    pd.testing.assert_frame_equal(loaded.to_frame(), audit.to_frame())
    assert loaded.about == audit.about
    for one, other in zip(loaded, audit, strict=True):
        for part in ("weight", "S", "S_centered", "init_weight"):
            assert torch.equal(getattr(one, part), getattr(other, part))


def test_json_has_the_contract_s_keys_and_null_for_nan(small, tmp_path):
    import json

    nfa.audit(*small).save(tmp_path)
    saved = json.loads((tmp_path / "audit.json").read_text())
    keys = {"schema", "nfa_version", "torch_version", "model", "data", "n_samples", "n_outputs", "outputs", "seed"}
    assert keys | {"score", "skipped", "layers"} <= set(saved)
    assert saved["schema"] == 2
    assert set(saved["layers"][0]) == {*names(), "row_shape", "one_hot", "patches"}
    assert saved["layers"][0]["untrained_cosine"] is None


@pytest.mark.parametrize("damage", ["missing", "truncated", "schema", "tensors"])
def test_a_damaged_audit_is_one_line(small, tmp_path, damage):
    nfa.audit(*small).save(tmp_path)
    table, matrices = tmp_path / "audit.json", tmp_path / "features.safetensors"
    if damage == "missing":
        matrices.unlink()
    elif damage == "truncated":
        table.write_text(table.read_text()[:50])
    elif damage == "schema":
        table.write_text(table.read_text().replace('"schema": 2', '"schema": 99'))
    else:
        matrices.write_bytes(matrices.read_bytes()[:100])
    with pytest.raises(nfa.InputError, match=r"^audit: .*$"):
        nfa.Audit.load(tmp_path)


def test_bad_calls_name_the_argument(small):
    net, X = small
    other = nfa.MLP(6, [8, 4], n_outputs=3).double()
    shallow = nfa.MLP(6, [8], n_outputs=5).double()
    narrow = nfa.MLP(5, [8, 5], n_outputs=3).double()
    fewer = nfa.MLP(6, [8, 5], n_outputs=2).double()
    foreign = torch.nn.Linear(7, 3).double()
    y = torch.arange(40) % 3
    rows = nfa.Dataset(X.numpy())
    bad = X.clone()
    bad[3, 2] = math.nan
    sick = copy.deepcopy(net)
    with torch.no_grad():
        sick.layers[1].weight[2, 4] = math.inf
    frame = pd.DataFrame({"a": [1.0, 2.0], "b": ["x", "y"]})
    for message, call in {
        "init: layer layers.1 has shape": lambda: nfa.audit(net, X, other),
        "init: it has no layer 'layers.2'": lambda: nfa.audit(net, X, shallow),
        r"init: layer layers.0 has shape \(8, 5\), expected \(8, 6\)": lambda: nfa.audit(net, X, narrow),
        r"init: layer layers.2 has shape \(2, 5\), expected \(3, 5\) as in the": lambda: nfa.audit(net, (X, y), fewer),
        r"init: it cannot be measured on the network's rows \(data: 6 features reach": lambda: nfa.audit(
            net, X, foreign
        ),
        "^batch_size: got -1": lambda: nfa.audit(net, X, batch_size=-1),
        "did you mean 'probabilities'": lambda: nfa.audit(net, X, outputs="probability"),
        "outputs: no output 3; the network has 3": lambda: nfa.audit(net, X, outputs="output:3"),
        "split: 'tests' is unknown; did you mean 'test'": lambda: nfa.audit(net, rows, split="tests"),
        "has no test rows": lambda: nfa.audit(net, rows, split="test"),
        "samples: got 0": lambda: nfa.audit(net, rows, samples=0),
        "batch_size: got 0": lambda: nfa.audit(net, X, batch_size=0),
        "probes: got 0": lambda: nfa.audit(net, X, probes=0),
        "data: 5 features reach layer layers.0, which takes 6": lambda: nfa.audit(net, X[:, :5]),
        "data: shape \\(0, 6\\)": lambda: nfa.audit(net, X[:0]),
        "data: nan at row 3, column 2": lambda: nfa.audit(net, bad),
        "net: weights layers.1.weight: inf at row 2, column 4": lambda: nfa.audit(sick, X),
        "data: column 'b' holds": lambda: nfa.audit(net, frame),
        "data: column 1 holds": lambda: nfa.audit(net, np.array([[1.0, "x"]], dtype=object)),
        "data: got int": lambda: nfa.audit(net, 3),
    }.items():
        with pytest.raises(nfa.InputError, match=message) as caught:
            call()
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("arguments", "outputs"),
    [
        ({"depth": 8, "activation": "relu", "init": "factor:0.1"}, "logits"),
        ({"depth": 8, "activation": "sigmoid", "init": "factor:0.1"}, "logits"),
        ({"depth": 2, "activation": "tanh"}, "probabilities"),
    ],
)
def test_tiny_gradients_are_not_dead(arguments, outputs):
    """Squares of such deltas leave the range of float32."""
    net = nfa.MLP(16, 32, n_outputs=5, **arguments)
    if outputs == "probabilities":
        with torch.no_grad():  # a saturated softmax
            net.layers[-1].weight *= 300
    X = gaussian(60, 16, dtype=torch.float32)
    audit = nfa.audit(net, X, outputs=outputs)
    for layer, row in zip(audit, expected_rows(net, X, outputs), strict=True):
        assert layer["cosine"] == pytest.approx(row["cosine"], abs=1e-4)
        assert layer["cosine_sqrt"] == pytest.approx(row["cosine_sqrt"], abs=1e-4)
        assert layer["agop_trace"] == pytest.approx(row["agop_trace"], rel=1e-3)
        assert layer["ci_low"] == pytest.approx(row["ci_low"], abs=1e-3)


@pytest.mark.parametrize("factor", [1e-13, 1e13])
def test_extreme_weights_change_no_similarity(factor):
    net, X = nfa.MLP(6, [8, 5], n_outputs=3), gaussian(40, 6, dtype=torch.float32)
    scaled = copy.deepcopy(net)
    with torch.no_grad():
        scaled.layers[0].weight *= factor
        scaled.layers[1].weight /= factor
    one, other = nfa.audit(net, X).to_frame(), nfa.audit(scaled, X).to_frame()
    for column in ("cosine", "pearson", "cosine_sqrt", "ci_low", "cosine_centered", "nfm_effective_rank"):
        np.testing.assert_allclose(one[column], other[column], atol=1e-4, err_msg=column)


@pytest.mark.parametrize("factor", [1e-150, 1e-80, 1e80, 1e150])
def test_float64_weights_whose_fourth_powers_leave_its_range_change_no_similarity(small, factor):
    net, X = small
    y, scaled, init = torch.arange(40) % 3, copy.deepcopy(net), perturbed(net)
    scaled_init = copy.deepcopy(init)
    with torch.no_grad():
        for each in (scaled, scaled_init):
            each.layers[0].weight *= factor
            each.layers[1].weight /= factor
    one, other = (
        nfa.audit(*each, loss="cross_entropy").to_frame()
        for each in ((net, (X, y), init), (scaled, (X, y), scaled_init))
    )
    sizes = [column for column in one if column in ("name", "note") or "trace" in column or column == "fact_lambda"]
    assert one["verdict"].tolist() == other["verdict"].tolist()
    same, got = (frame.drop(columns=[*sizes, "verdict"]).astype(float) for frame in (one, other))
    pd.testing.assert_frame_equal(got, same, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(other["nfm_trace"], one["nfm_trace"] * [factor**2, factor**-2, 1], rtol=1e-9)


@pytest.mark.parametrize("factor", [1e-200, 1e200])
def test_weights_whose_squares_leave_the_range_of_float64_are_named(small, factor):
    net, X = small
    with torch.no_grad():
        net.layers[0].weight *= factor
    with pytest.raises(nfa.InputError, match=r"net: the NFM of layer layers\.0 leaves the range of float64") as caught:
        nfa.audit(net, X)
    assert "\n" not in str(caught.value)


def test_gradients_whose_squares_leave_the_range_of_float64_are_named(small):
    net, X = small
    with torch.no_grad():
        net.layers[0].weight *= 1e100
        net.layers[1].weight *= 1e100
    with pytest.raises(nfa.InputError, match=r"net: the AGOP of layer layers\.0 leaves the range of float64"):
        nfa.audit(net, X)


def test_what_an_audit_holds_does_not_change_with_the_network(small, tmp_path):
    net, X = small
    audit = nfa.audit(net, X, copy.deepcopy(net))
    trace = audit[0].nfm.trace()
    with torch.no_grad():
        net.layers[0].weight.zero_()
    assert audit[0].nfm.trace() == trace
    audit.save(tmp_path)  # weight and init_weight are tensors of their own


def test_an_init_of_another_dtype_is_taken():
    net, X = nfa.MLP(6, [8, 5], n_outputs=3), gaussian(40, 6, dtype=torch.float32)
    same = nfa.audit(net, X, nfa.MLP(6, [8, 5], n_outputs=3, seed=1)).to_frame()
    other = nfa.audit(net, X, nfa.MLP(6, [8, 5], n_outputs=3, seed=1).double()).to_frame()
    np.testing.assert_allclose(same[NEEDS_INIT].astype(float), other[NEEDS_INIT].astype(float), atol=1e-5)


@pytest.mark.parametrize("d", [7, 50, 300, 1500])
def test_pearson_with_a_constant_matrix_is_nan(d):
    net = torch.nn.Linear(d, 4, bias=False)
    with torch.no_grad():
        net.weight.copy_(torch.tensor([[0.1], [0.3], [-0.7], [0.2]]).expand(4, d))
    layer = nfa.audit(net, gaussian(20, d, dtype=torch.float32), outputs="output:1")[0]
    assert math.isnan(layer["pearson"])
    assert math.isnan(layer["pearson_sqrt"])
    assert "Pearson is undefined" in layer["note"]


def test_layers_that_need_much_memory_are_measured_in_several_passes(small, monkeypatch):
    net, X = small
    expected = nfa.audit(net, X).to_frame()
    monkeypatch.setattr(sys.modules["nfa.features.measuring"], "GROUP_BUDGET", 1)
    pd.testing.assert_frame_equal(nfa.audit(net, X).to_frame(), expected, rtol=1e-12)


@pytest.mark.parametrize("init", ["default", "factor:0.1"])
def test_the_sums_by_group_of_sequences_equal_those_of_the_deltas(init):
    """Several rows per sample, several groups per batch, with and without a shift of nearly constant deltas."""
    from nfa.features.measuring import measure
    from nfa.probe import Probe

    inner = nfa.MLP(5, [6], n_outputs=4, activation="tanh", init=init).double()
    first = torch.nn.Linear(3, 5).double()
    net = torch.nn.Sequential(first, torch.nn.Flatten(0, 1), inner, torch.nn.Unflatten(0, (-1, 7)))
    X = gaussian(23 * 7, 3).reshape(23, 7, 3)
    sums = {}
    with Probe(net, X) as probe:
        for sweep in probe.sweeps(batch_size=8):
            for name, delta in sweep.deltas:
                for sample, rows in zip(sweep.samples.tolist(), delta, strict=True):
                    sums[name, sample % 10] = sums.get((name, sample % 10), 0) + rows.T @ rows
        found = list(measure(probe, probe.layers, batch_size=8))
    assert any(measured.sums.shift is not None for measured in found)
    for measured in found:
        k = len(measured.layer.weight)
        units = torch.eye(k * k, dtype=torch.float64).reshape(-1, k, k)  # a symmetric P for each entry of S
        entries = measured.sums.inner([(P + P.T) / 2 for P in units], 1.0)
        for group in range(10):
            total = entries[group, 0].reshape(k, k)
            torch.testing.assert_close(total, sums[measured.layer.name, group], rtol=1e-9, atol=1e-13)
        S = sum(sums[measured.layer.name, group] for group in range(10)) / (23 * 7)
        torch.testing.assert_close(measured.S, S, rtol=1e-9, atol=1e-13)


def test_targets_that_do_not_fit_are_refused(small):
    net, X = small
    y = torch.arange(40) % 3
    for message, targets in {
        "classes 5 to 7, but the network has outputs 0 to 2": y + 5,
        "classes -1 to 1": y - 1,
        "1 real targets, but the network has 3 outputs": y + 0.5,
        "y: nan at row 3": torch.where(torch.arange(40) == 3, torch.nan, y.double()),
        "whole numbers of shape": torch.nn.functional.one_hot(y, 3),
    }.items():
        with pytest.raises(nfa.InputError, match=message):
            nfa.audit(net, (X, targets))
    assert nfa.audit(net, (X, y[:, None])).score == nfa.audit(net, (X, y)).score
    names = np.array(["a", "b", "c"])[y.numpy()]
    assert nfa.audit(net, (X, pd.Series(names))).score == nfa.audit(net, (X, y)).score
    with pytest.raises(nfa.InputError, match="complex"):
        nfa.audit(net, X.to(torch.complex128))
    with pytest.raises(nfa.InputError, match="init: no such file"):
        nfa.audit(net, X, "init")


def test_a_score_that_is_nan_survives_saving(small, tmp_path):
    net = nfa.MLP(6, [8], n_outputs=1).double()
    audit = nfa.audit(net, (small[1], torch.ones(40, dtype=torch.float64)))
    assert math.isnan(audit.score.value)
    audit.save(tmp_path)
    assert math.isnan(nfa.Audit.load(tmp_path).score.value)
    assert "Audit of" in repr(nfa.Audit.load(tmp_path))


@pytest.mark.parametrize("loss", ["mse", "onehot_mse", "cross_entropy"])
def test_the_rival_s_columns_equal_dense_ones(loss, tmp_path):
    net, X = nfa.MLP(6, [8, 4], n_outputs=3, activation="tanh", bias=True).double(), gaussian(30, 6)
    y = gaussian(30, 3, seed=2) if loss == "mse" else torch.arange(30) % 3
    target = torch.nn.functional.one_hot(y, 3).double() if loss == "onehot_mse" else y
    criterion = torch.nn.functional.cross_entropy if loss == "cross_entropy" else torch.nn.functional.mse_loss
    weights = [layer.weight for layer in net.layers]
    gradients = torch.autograd.grad(criterion(net(X), target), weights)
    audit = nfa.audit(net, (X, y), loss=loss, weight_decay=0.01)
    for layer, W, G in zip(audit, weights, gradients, strict=True):
        N, R = (W.T @ W).detach().numpy(), (-W.T @ G / 0.01).detach().numpy()
        assert layer["fact_cosine"] == pytest.approx(np.sum(N * R) / np.linalg.norm(N) / np.linalg.norm(R), abs=1e-10)
        assert layer["fact_lambda"] == pytest.approx(float((-(W * G).sum() / (W * W).sum()).detach()), abs=1e-10)
        assert layer["fact_residual"] == pytest.approx(np.linalg.norm(N - R) / np.linalg.norm(N), rel=1e-10)
        decay = 0.01 * W
        assert layer["fact_rest"] == pytest.approx(float(((G + decay).norm() / decay.norm()).detach()), rel=1e-10)
    audit.save(tmp_path)
    pd.testing.assert_frame_equal(nfa.Audit.load(tmp_path).to_frame(), audit.to_frame())
    assert math.isnan(nfa.audit(net, (X, y), loss=loss)[0]["fact_residual"])
    assert "fact_cosine" not in nfa.audit(net, (X, y)).to_frame()


def test_where_weight_decay_rests_the_nfm_is_the_rival_s():
    X = gaussian(80, 4)
    data = nfa.Dataset(X.numpy(), (X @ gaussian(4, 2, seed=3)).numpy())
    net = nfa.MLP(4, 5, 1, 2, activation="identity").double()
    nfa.train(net, data, loss="mse", optimizer="sgd", lr=0.2, epochs=600, batch_size=80, weight_decay=0.1)
    audit = nfa.audit(net, data, loss="mse", weight_decay=0.1)
    for layer in audit:
        assert layer["fact_cosine"] == pytest.approx(1, abs=1e-6)
        assert layer["fact_lambda"] == pytest.approx(0.1, rel=1e-4)
        assert layer["fact_residual"] < 1e-3
        assert layer["fact_rest"] < 1e-3


def test_a_loss_needs_targets_and_a_name(small):
    with pytest.raises(nfa.InputError, match="loss: the data have no targets"):
        nfa.audit(*small, loss="mse")
    with pytest.raises(nfa.InputError, match="did you mean 'onehot_mse'"):
        nfa.audit(*small, loss="onehot")


@pytest.mark.parametrize("ending", [nn.Softmax(1), nn.Sigmoid(), None])
def test_a_note_says_that_outputs_are_probabilities(ending):
    net = nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3), *([] if ending is None else [ending]))
    X = gaussian(20, 4, dtype=torch.float32)
    notes = nfa.audit(net, X).about.notes
    assert any("look like probabilities" in note for note in notes) == (ending is not None)
    assert not any("look like" in note for note in nfa.audit(net, X, outputs="margin").about.notes)
