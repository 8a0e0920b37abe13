"""Data in the form a loaded network was trained on."""

import numpy as np
import pandas as pd
import pytest
import torch
from helpers import assert_same_table
from torch.utils.data import DataLoader, TensorDataset

import nfa
from nfa.data import Scaling
from nfa.network import Model
from nfa.network.preparing import prepare

FEATURES, CLASSES = ("a", "b", "c"), ("ham", "spam")


@pytest.fixture
def rows():
    rng = np.random.default_rng(0)
    return rng.normal(3, 2, (30, 3)), rng.integers(0, 2, 30)


def model(**known):
    return Model(nfa.MLP(3, 4, 1, 2).double(), "net", **known)


def test_nothing_known_leaves_data_as_they_are(rows):
    X, y = rows
    for data in (X, (X, y), torch.from_numpy(X), DataLoader(TensorDataset(torch.from_numpy(X)))):
        same, said = prepare(model(), data)
        assert said == []
        assert same is data or all(one is other for one, other in zip(same, data, strict=True))


def test_scaling_and_columns_apply_to_arrays_tables_and_sets_alike(rows):
    X, y = rows
    scaling = Scaling.fit("standard", X)
    known = model(scaling=scaling, features=FEATURES, classes=CLASSES)
    labels = np.array(CLASSES)[y]
    expected = nfa.audit(known.net, (scaling.apply(X), y))
    table = pd.DataFrame(X, columns=list(FEATURES))[["c", "a", "b"]]
    dataset = nfa.Dataset(table.to_numpy(), 1 - y, "set", ("c", "a", "b"), ("spam", "ham"))
    for data in ((X, y), (torch.from_numpy(X), torch.from_numpy(y)), (table, labels), (X, labels.tolist()), dataset):
        got = nfa.audit(known, data)
        assert got.score == expected.score
        assert_same_table(got, expected, 1e-12)
        assert got.about.notes == ("Inputs scaled as in training (standard).",)
    assert nfa.audit(known, (X, y.astype(float)[:, None] * [1, 1])).score.metric == "r2"


def test_targets_are_matched_by_name_however_they_come(rows):
    X, _ = rows
    y = np.arange(30) % 2
    known = model(classes=("1", "2"))
    expected = nfa.audit(known.net, (X, y))
    tensors = TensorDataset(torch.from_numpy(X), torch.from_numpy(y + 1))
    for data in ((X, y + 1), (X, (y + 1).astype(float)), (X, (y + 1)[:, None]), tensors, DataLoader(tensors, 7)):
        got = nfa.audit(known, data)
        assert got.score == expected.score
    assert got.about.data == "DataLoader"
    far = nfa.Dataset(X, y, "far", class_names=("0", "30000000"))
    with pytest.raises(nfa.InputError, match="has a class 30000000; no network has so many outputs"):
        nfa.audit(model(), far)


def test_a_transform_comes_before_the_network(rows):
    X, y = rows
    known = model(transform=lambda table: np.asarray(table)[:, :3] * 2, features=("a", "b", "c", "d"))
    wide = np.hstack([X, X[:, :1]])
    expected = nfa.audit(known.net, (2 * X, y))
    table = pd.DataFrame(wide, columns=list("abcd"))
    for data in ((wide, y), (table, y), (torch.from_numpy(wide), y), nfa.Dataset(wide, y, "set", tuple("abcd"))):
        got = nfa.audit(known, data)
        assert_same_table(got, expected, 1e-12)
        assert got.score == expected.score
        assert got.about.notes == ("The pipeline's earlier steps were applied to the inputs.",)


def test_data_that_cannot_be_prepared_are_named(rows):
    X, _ = rows

    loader = DataLoader(TensorDataset(torch.from_numpy(X)))
    cases = {
        "data: no column 'b', unlike the network's": (model(features=FEATURES), pd.DataFrame(X, columns=list("axc"))),
        "y: class 'eggs' is not among the network's: ham, spam": (model(classes=CLASSES), (X, ["eggs"] * 30)),
        "data: a loader's inputs cannot be prepared": (model(scaling=Scaling.fit("max", X)), loader),
        "data: 2 features, but the inputs' scaling is for 3": (model(scaling=Scaling.fit("standard", X)), X[:, :2]),
    }
    for message, (known, data) in cases.items():
        with pytest.raises(nfa.InputError, match=message) as caught:
            nfa.audit(known, data)
        assert "\n" not in str(caught.value)


def test_text_counts_in_sorted_order_and_it_is_said(rows):
    X, y = rows
    says = "Classes in sorted order are outputs 0 to 1: ham, spam; classes= (--classes) says another order."
    labels = np.array(CLASSES)[y]
    for data in ((X, labels), (X, pd.Series(labels)), nfa.Dataset(X, y, class_names=CLASSES)):
        got = nfa.audit(model(), data)
        assert got.about.notes == (says,)
        assert got.score == nfa.audit(model(), (X, y)).score
