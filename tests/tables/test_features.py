"""Names and shapes of a layer's inputs."""

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

import nfa
from nfa.rfm import RFMRegressor
from nfa.tables.features import has_names, input_names, input_shape, layer_features, matrix_table


class Tagger(nn.Module):
    """A look-up of 4 tokens in rows of 4 columns, so that both have the same number."""

    def __init__(self):
        super().__init__()
        self.table, self.head = nn.Embedding(4, 5), nn.Linear(5, 3)

    def forward(self, tokens):
        return self.head(torch.tanh(self.table(tokens.long()).sum(1)))


@pytest.fixture
def tagged():
    tokens = torch.randint(0, 4, (20, 4), generator=torch.Generator().manual_seed(0))
    data = nfa.Dataset(tokens.numpy(), feature_names=("age", "sex", "job", "pet"), feature_shape=(2, 2))
    return nfa.audit(Tagger(), data)


def test_entries_of_a_table_are_no_columns_of_the_data(tagged, tmp_path):
    tagged.save(tmp_path)
    for audit in (tagged, nfa.Audit.load(tmp_path)):
        table, head = audit
        assert (table["d_in"], table.one_hot, head.one_hot) == (4, True, False)
        assert not has_names(audit, table)
        assert input_names(audit, table) == ("token 0", "token 1", "token 2", "token 3")
        assert input_names(audit, head) == tuple(f"unit {i}" for i in range(5))
        assert input_shape(audit, table) == ()
        assert layer_features(audit, "table").to_frame()["input"].unique().tolist() == list(input_names(audit, table))


def test_a_first_linear_layer_has_the_data_s_names_and_shape():
    data = nfa.Dataset(torch.eye(4).numpy(), feature_names=("age", "sex", "job", "pet"), feature_shape=(2, 2))
    audit = nfa.audit(nn.Linear(4, 2), data)
    assert input_names(audit, audit[0]) == ("age", "sex", "job", "pet")
    assert input_shape(audit, audit[0]) == (2, 2)


def test_a_kernel_of_one_channel_is_a_picture():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(1, 3, (2, 3)), nn.ReLU(), nn.Conv2d(3, 2, 2), nn.Flatten(), nn.Linear(16, 2))
    audit = nfa.audit(net, torch.randn(6, 1, 6, 5))
    assert [input_shape(audit, layer) for layer in audit] == [(1, 2, 3), (), ()]


@pytest.mark.parametrize("seed", range(4))
def test_eigenvectors_of_the_agop_and_of_a_machine_have_the_sign_of_the_nfm_s(seed):
    net = nfa.MLP(6, [8], n_outputs=3, seed=seed)
    generator = torch.Generator().manual_seed(seed)
    root = torch.randn(6, 6, generator=generator)
    found = layer_features(nfa.audit(net, torch.randn(30, 6, generator=generator)), 0, M=(root @ root.T).numpy())
    panels = {(panel.matrix, panel.what): panel.values for panel in found.panels}
    for number in (1, 2, 3):
        own = panels["NFM", f"eigenvector {number}"]
        assert own[abs(own).argmax()] > 0
        for matrix in ("AGOP", "M"):
            assert own @ panels[matrix, f"eigenvector {number}"] >= 0


def test_one_hot_in_a_file_is_a_truth_value(tagged, tmp_path):
    tagged.save(tmp_path)
    file = tmp_path / "audit.json"
    file.write_text(file.read_text().replace('"one_hot": true', '"one_hot": 1'))
    with pytest.raises(nfa.InputError, match=r"^audit: .* does not hold a whole audit$"):
        nfa.Audit.load(tmp_path)


def test_a_sample_of_another_size_says_which_layer_takes_the_data():
    audit = nfa.audit(nfa.MLP(4, [6], n_outputs=2), torch.randn(9, 4))
    message = r"^sample: 4 entries, but layer layers.1 has 6 inputs; a row of the data \(--data\) fits a first layer"
    with pytest.raises(nfa.InputError, match=message):
        layer_features(audit, 1, sample=torch.zeros(4))
    with pytest.raises(nfa.InputError, match=r"^sample: 3 entries, but layer layers.0 has 4 inputs$"):
        layer_features(audit, 0, sample=torch.zeros(3))


def test_matrices_have_the_audit_s_own_null():
    audit = nfa.audit(nfa.MLP(6, [8], n_outputs=3), torch.randn(30, 6, generator=torch.Generator().manual_seed(0)))
    assert matrix_table(audit, 0)["null"].unique().tolist() == [audit[0]["rotated_cosine"]]


NAMES = ("age", "sex", "job", "pet")


@pytest.fixture
def named():
    X = torch.randn(9, 4, generator=torch.Generator().manual_seed(0)).numpy()
    return nfa.audit(nfa.MLP(4, [6], n_outputs=2), nfa.Dataset(X, feature_names=NAMES))


def values_of(audit, matrix, **given):
    found = layer_features(audit, 0, **given).to_frame()
    found = found[(found["matrix"] == matrix) & found["what"].isin(["", "diagonal"])]
    return dict(zip(found["input"], found["value"], strict=True))


def test_a_row_of_pandas_is_read_by_its_names(named):
    row = pd.Series({"pet": 4.0, "age": 1, "job": True, "sex": 2}, dtype=object)
    expected = {"age": 1, "sex": 2, "job": 1, "pet": 4}
    assert values_of(named, "sample", sample=row) == expected
    assert values_of(named, "sample", sample=row.to_frame().T) == expected
    # Numbers are no names.
    assert values_of(named, "sample", sample=pd.Series([1, 2, 3, 4])) == {"age": 1, "sex": 2, "job": 3, "pet": 4}
    for wrong, message in (
        (row.rename({"pet": "dog"}), "has no column 'pet', unlike the audit's data"),
        (pd.Series([1.0, 2, 3, 4], index=list("aabc")), "two columns have one name"),
        (pd.Series({**row, "dog": 1}), "has a column 'dog', unlike the audit's data"),
        (row.astype(str), "got Series of object, expected real numbers"),
    ):
        with pytest.raises(nfa.InputError, match=f"^sample: {message}"):
            layer_features(named, 0, sample=wrong)


def test_a_machine_is_read_by_the_names_of_its_columns(named):
    X = pd.DataFrame(np.random.default_rng(0).normal(size=(30, 4)), columns=["pet", "age", "job", "sex"])
    machine = RFMRegressor(n_iters=1, scale=None).fit(X, X["pet"] ** 2 + X["sex"])
    found = values_of(named, "M", M=machine)
    shares = np.diag(machine.M_) / np.trace(machine.M_)
    assert found == pytest.approx(dict(zip(X.columns, shares, strict=True)))
    other = RFMRegressor(n_iters=1).fit(X.rename(columns={"pet": "dog"}), X["pet"])
    with pytest.raises(nfa.InputError, match=r"^M: has no column 'pet', unlike the audit's data$"):
        layer_features(named, 0, M=other)


@pytest.mark.parametrize("given", [np.eye(4) * 1j, ["a"] * 4, [1.0, None, 2.0, 3.0], pd.to_datetime(["2020"] * 4)])
def test_what_is_no_real_number_is_refused(named, given):
    for argument in ("M", "sample"):
        with pytest.raises(nfa.InputError, match=rf"^{argument}: got .* expected real numbers$"):
            layer_features(named, 0, **{argument: given})
