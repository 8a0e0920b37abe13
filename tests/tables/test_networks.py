"""How audits are handed over, and which belong together."""

import math

import numpy as np
import pytest
from helpers import perturbed

import nfa
from nfa import InputError
from nfa.tables.networks import layer_names, networks, one_run, pooled
from nfa.tables.runs import run_table, verdicts


@pytest.fixture
def runs(small):
    net, X = small
    return [nfa.audit(perturbed(net, seed=seed), X, net) for seed in range(3)]


def shape(found):
    return {network.name: len(network.runs) for network in found}


def test_folders_whose_names_differ_in_the_seed_are_runs(runs, small, tmp_path):
    net, X = small
    for seed, audit in enumerate(runs):
        audit.save(tmp_path / "sgd" / f"seed-{seed}")
        nfa.audit(perturbed(net, seed=seed), X, net, seed=seed).save(tmp_path / "adam" / str(seed))
    assert shape(networks([tmp_path / "sgd", tmp_path / "adam"])) == {"sgd": 3, "adam": 3}
    assert shape(networks(tmp_path / "sgd")) == {"MLP": 3}
    assert shape(networks(tmp_path / "sgd" / "seed-1")) == {"seed-1": 1}


def test_bare_numbers_may_be_settings(runs, small, tmp_path):
    for size, audit in zip((32, 64, 128), runs, strict=True):
        audit.save(tmp_path / str(size))
    assert shape(networks(tmp_path)) == {"32": 1, "64": 1, "128": 1}
    net, X = small
    other = nfa.audit(perturbed(net, seed=9), X, net, seed=1)
    # The size and the seed differ, so that nobody can say what the number is.
    assert shape(pooled({"32, seed-0": runs[0], "64, seed-1": other})) == {"32, seed-0": 1, "64, seed-1": 1}
    assert shape(pooled({"32, 0": runs[0], "64, 1": other})) == {"32, 0": 1, "64, 1": 1}
    assert shape(pooled({"lr, 0": runs[0], "lr, 1": other})) == {"lr": 2}


def test_other_names_shapes_and_data_are_other_networks(runs, small):
    net, X = small
    narrow = nfa.audit(nfa.MLP(6, [4, 5], n_outputs=3).double(), X)
    fewer = nfa.audit(net, X[:30])
    assert shape(pooled({"a": runs[0], "b": runs[1]})) == {"a": 1, "b": 1}
    assert shape(pooled({"seed-0": runs[0], "seed-1": narrow, "seed-2": fewer})) == {
        "seed-0": 1, "seed-1": 1, "seed-2": 1,
    }  # fmt: skip
    assert shape(pooled({"w-64, seed=0": runs[0], "w-64, seed=1": runs[1], "w-128, seed=0": runs[2]})) == {
        "w-64": 2, "w-128, seed=0": 1,
    }  # fmt: skip


def test_no_two_networks_have_one_name(runs, small):
    X = small[1]
    narrow = nfa.MLP(6, [4, 5], n_outputs=3).double()
    others = [nfa.audit(perturbed(narrow, seed=seed), X, narrow) for seed in range(2)]
    whole = {f"net #1, seed {seed}": audit for seed, audit in enumerate([*runs[:2], *others])}
    found = pooled(whole)
    assert shape(found) == {"net #1": 2, "net #1 #2": 2}
    first = run_table(found, ["cosine"]).query("network == 'net #1'")
    expected = np.mean([[layer["cosine"] for layer in audit] for audit in runs[:2]], axis=0)
    np.testing.assert_allclose(first["mean"], expected)
    # A number that a name brings along is taken, too.
    assert shape(pooled({"a #2": runs[0], "a, seed 1": runs[1], "a, seed 2": others[0]})) == {
        "a #2": 1, "a, seed 1": 1, "a, seed 2": 1,
    }  # fmt: skip
    three = {f"b, seed {i}": each for i, each in enumerate([*runs[:2], *others])}
    assert shape(pooled({"b #2": runs[2]} | three)) == {"b #2": 1, "b": 2, "b #3": 2}


def test_names_that_no_file_can_hold_stay_apart(runs):
    named = {chr(0xD800): runs[0], chr(0xD801): runs[1]}
    assert shape(networks(named)) == shape(pooled(named)) == {"?": 1, "? #2": 1}


def test_a_list_of_audits_without_names_is_one_network_where_they_are_alike(runs, small):
    narrow = nfa.audit(nfa.MLP(6, [4, 5], n_outputs=3).double(), small[1])
    assert shape(networks([*runs, narrow])) == {"MLP": 3, "MLP (3)": 1}


def test_a_dict_s_list_is_one_network_of_one_architecture(runs, small):
    assert shape(networks({"digits, SGD": runs, "digits, Adam": runs[0]})) == {"digits, SGD": 3, "digits, Adam": 1}
    narrow = nfa.audit(nfa.MLP(6, [4, 5], n_outputs=3).double(), small[1])
    with pytest.raises(InputError, match=r"^audits: mixed has runs of different layers"):
        networks({"mixed": [runs[0], narrow]})
    assert layer_names(networks([*runs, narrow])) == ["layers.0", "layers.1", "layers.2"]
    with pytest.raises(InputError, match=r"^audits: got 3 audits"):
        one_run(networks(runs))


def test_means_and_deviations_over_runs_stand_beside_the_interval_over_rows(runs):
    table = run_table(pooled({f"seed-{seed}": audit for seed, audit in enumerate(runs)}), ["cosine"])
    values = np.array([[layer["cosine"] for layer in audit] for audit in runs])
    np.testing.assert_allclose(table["mean"], values.mean(0))
    np.testing.assert_allclose(table["std"], values.std(0, ddof=1))
    assert table["low"].iloc[0] == pytest.approx(np.mean([audit[0]["ci_low"] for audit in runs]))
    assert table["null"].iloc[0] == pytest.approx(np.mean([audit[0]["rotated_cosine"] for audit in runs]))
    assert table["runs"].tolist() == [3] * 3
    assert table["verdicts"].iloc[0] == "no score in 3 of 3 runs"
    assert run_table(pooled({"a": runs[0]}), ["cosine"]).empty


def test_a_run_without_a_value_counts_for_nothing_beside_it(small):
    net, X = small
    audits = [nfa.audit(perturbed(net, seed=seed), X, net) for seed in range(3)]
    first, second, third = (audit[0].row for audit in audits)
    first["cosine"] = math.nan
    del second["ci_low"]
    third["rotated_cosine"] = math.nan
    found = run_table(pooled({f"seed-{seed}": audit for seed, audit in enumerate(audits)}), ["cosine"]).iloc[0]
    assert found["runs"] == 3
    assert found[["mean_runs", "interval_runs", "null_runs"]].tolist() == [2, 1, 1]
    assert found["mean"] == pytest.approx((second["cosine"] + third["cosine"]) / 2)
    assert found["std"] == pytest.approx(abs(second["cosine"] - third["cosine"]) / 2**0.5)
    assert (found["low"], found["high"]) == pytest.approx((third["ci_low"], third["ci_high"]))
    assert found["null"] == pytest.approx(second["rotated_cosine"])


def test_verdicts_are_counted_in_words():
    assert verdicts(["learned"] * 5) == "learned in 5 of 5 runs"
    assert verdicts(["moved", "learned", "learned"]) == "learned in 2 of 3 runs, moved in 1"
    assert verdicts([None, None]) == ""
