"""Warnings by their classes."""

import subprocess
import sys
import warnings

import numpy as np
import pandas as pd
import pytest
import sklearn.exceptions
from sklearn.model_selection import cross_val_score
from torch import nn

import nfa
from nfa.common import warned
from nfa.rfm import LayerwiseRFM, RFMRegressor
from nfa.rfm.solving import blocks

NAMES = ("CategoryWarning", "ConvergenceWarning", "SharedNetworkWarning", "SingularKernelWarning")
X = np.random.default_rng(0).normal(size=(60, 3))


def test_all_have_one_base_and_one_is_scikit_learn_s_too():
    assert all(issubclass(getattr(nfa, name), nfa.NfaWarning) for name in NAMES)
    assert issubclass(nfa.NfaWarning, UserWarning)
    assert issubclass(nfa.ConvergenceWarning, sklearn.exceptions.ConvergenceWarning)


def test_singular_systems_warn():
    doubled = np.concatenate([X, X])
    with pytest.warns(nfa.SingularKernelWarning):
        RFMRegressor(n_iters=0, ridge=0.0).fit(doubled, doubled[:, 0])


def test_columns_that_name_rows_and_unseen_categories_warn():
    table = pd.DataFrame({"a": X[:, 0], "b": [f"row {i}" for i in range(60)]})
    with pytest.warns(nfa.CategoryWarning, match="column 'b' has more than 50 categories"):
        RFMRegressor(n_iters=0).fit(table, X[:, 0])
    few = table.assign(b=np.where(X[:, 1] > 0, "u", "v"))
    machine = RFMRegressor(n_iters=0).fit(few, X[:, 0])
    with pytest.warns(nfa.CategoryWarning, match="fit has not seen"):
        machine.predict(few.assign(b="w"))


@pytest.mark.parametrize(("action", "times"), [("default", 1), ("always", 5), ("ignore", 0)])
def test_a_cross_validation_says_once_that_a_column_has_many_categories(action, times, monkeypatch):
    monkeypatch.setattr(warned, "SAID", set())
    cities = [f"city {number}" for number in np.random.default_rng(0).integers(0, 70, 200)]
    table = pd.DataFrame({"a": np.random.default_rng(1).normal(size=200), "b": cities})
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter(action)
        cross_val_score(RFMRegressor(n_iters=0), table, table["a"])
    said = [str(each.message) for each in heard]
    assert sum("more than 50 categories" in each for each in said) == times


def test_a_warning_that_is_an_error_stays_one():
    table = pd.DataFrame({"a": X[:, 0], "b": [f"row {i}" for i in range(60)]})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(2):
            with pytest.raises(nfa.CategoryWarning):
                RFMRegressor(n_iters=0).fit(table, X[:, 0])


def test_unfinished_conjugate_gradients_warn(monkeypatch):
    monkeypatch.setattr(blocks, "STEPS", 1)
    rows = np.random.default_rng(0).normal(size=(400, 3))
    with pytest.warns(nfa.ConvergenceWarning, match="conjugate gradients left"):
        RFMRegressor(n_iters=0, ridge=1e-3, memory_budget=0.0025).fit(rows, np.sin(5 * rows[:, 0]))


class Uncopied(nn.Sequential):
    def __deepcopy__(self, memo):
        raise RuntimeError("not this one")


def test_networks_that_cannot_be_copied_warn():
    net = Uncopied(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 1))
    with pytest.warns(nfa.SharedNetworkWarning, match="follow the network"):
        LayerwiseRFM.from_network(net, X.astype("f4"), X[:, 0], n_iters=0)


def test_a_name_costs_no_import_of_machines():
    code = "import nfa, sys, warnings; warnings.simplefilter('error', nfa.ConvergenceWarning)\n"
    subprocess.run([sys.executable, "-c", code + "assert 'nfa.rfm' not in sys.modules"], check=True)
