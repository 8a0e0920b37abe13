"""The runner of the tabular analysis: what it computes, and that it resumes; each rival on a little data."""

import json

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_iris, make_classification

from analyses import tabular
from analyses.tabular_rivals import RIVALS
from analyses.tabular_summary import COLUMNS, read_table
from nfa.data.uci import PARTS


def write(folder, name, X, y, seed=0):
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(5):
        order = rng.permutation(len(y))
        found += [order[: 3 * len(y) // 4], order[3 * len(y) // 4 :]]
    np.savez(folder / f"{name}.npz", X=X, y=y, **dict(zip(PARTS, found, strict=True)))


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "uci"
    path.mkdir()
    iris = load_iris()
    write(path, "iris", iris.data, iris.target)
    X, y = make_classification(n_samples=60, random_state=0)
    write(path, "made", X, y)
    write(path, "big", np.zeros((201, 1)), np.arange(201) % 2)
    write(path, "trains", X[:10], np.arange(10) % 2)
    return path


@pytest.fixture
def calls(monkeypatch):
    """A method that is always right, and what it was called with."""
    seen = []

    def right(data, fold, seed):
        seen.append((data.name, fold, seed))
        return {"accuracy": 1.0, "ridge": 0.1}

    monkeypatch.setitem(tabular.METHODS, "right", right)
    return seen


@pytest.fixture
def go(folder, tmp_path):
    def run(*options):
        given = ["--data", str(folder), "--out", str(tmp_path / "deep" / "t.csv"), "--max-rows", "200", *options]
        return tabular.main(given)

    run.out = tmp_path / "deep" / "t.csv"
    return run


def test_one_row_for_each_cell_the_cheapest_set_first(go, calls, capsys):
    assert go("--methods", "right", "--jobs", "1", "--seed", "5") == 0
    assert calls == [(name, fold, 5) for name in ("iris", "made") for fold in range(4)]
    rows = pd.read_csv(go.out)
    assert tuple(rows.columns) == COLUMNS
    assert rows["dataset"].tolist() == ["iris"] * 4 + ["made"] * 4
    assert rows.iloc[0][["n", "d", "classes", "fold", "accuracy"]].tolist() == [150, 4, 3, 0, 1.0]
    assert json.loads(rows["chosen"][0]) == {"ridge": 0.1}
    said = capsys.readouterr().out
    assert "Left out, more than 200 rows: big." in said
    assert "accuracy on 2 data sets" in said


def test_a_second_run_computes_nothing(go, calls, capsys):
    go("--methods", "right", "--jobs", "1")
    before = go.out.read_bytes()
    calls.clear()
    capsys.readouterr()
    assert go("--methods", "right", "--jobs", "1") == 0
    assert calls == []
    assert go.out.read_bytes() == before
    assert "8 cells, 8 of them done already." in capsys.readouterr().out


@pytest.mark.parametrize("lost", [1, 2, 20, 45])
def test_a_torn_line_is_mended(go, calls, lost):
    go("--methods", "right", "--jobs", "1", "--sets", "made")
    whole = go.out.read_bytes()
    go.out.write_bytes(whole[:-lost])
    calls.clear()
    go("--methods", "right", "--jobs", "1", "--sets", "made")
    assert calls == [("made", 3, 0)]
    assert [line[:20] for line in go.out.read_bytes().splitlines()] == [line[:20] for line in whole.splitlines()]
    assert len(read_table(go.out)) == 4


def test_a_torn_header_is_mended(go, calls):
    go.out.parent.mkdir()
    go.out.write_text("dataset,n,d,cla")
    go("--methods", "right", "--jobs", "1", "--sets", "made")
    assert len(read_table(go.out)) == 4


def test_a_foreign_table_is_left_alone(go, calls, capsys):
    go.out.parent.mkdir()
    go.out.write_text("a,b\n1,2\nto")
    assert go("--methods", "right", "--jobs", "1") == 2
    assert go.out.read_text() == "a,b\n1,2\nto"
    assert calls == []
    assert "has columns a, b, expected dataset" in " ".join(capsys.readouterr().err.split())


def test_a_failing_cell_stops_nothing(go, monkeypatch, capsys):
    def fails(data, fold, seed):
        if fold == 1:
            raise ValueError("no [luck]")
        return {"accuracy": 0.5}

    monkeypatch.setitem(tabular.METHODS, "fails", fails)
    assert go("--methods", "fails", "--jobs", "1", "--sets", "made") == 1
    assert read_table(go.out)["fold"].tolist() == [0, 2, 3]
    assert "made, fold 1, fails: failed, ValueError: no [luck]" in capsys.readouterr().out


def test_several_processes(go):
    assert go("--methods", "svm", "--jobs", "2", "--sets", "iris") == 0
    rows = read_table(go.out)
    assert sorted(rows["fold"]) == [0, 1, 2, 3]
    assert rows["accuracy"].min() > 0.85
    assert set(json.loads(rows["chosen"][0])) == {"C", "gamma"}


def test_summary_only_prints(go, calls, capsys):
    go("--methods", "right", "--jobs", "1")
    calls.clear()
    before = go.out.read_bytes()
    assert tabular.main(["--data", "none", "--out", str(go.out), "--summary"]) == 0
    assert calls == []
    assert go.out.read_bytes() == before
    assert "right" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--methods", "rigth"], "methods: 'rigth' is unknown; did you mean 'right'?"),
        (["--sets", "irsi"], "sets: 'irsi' is unknown; did you mean 'iris'?"),
        (["--jobs", "0"], "jobs: got 0, expected a whole number of at least 1"),
        (["--data", "none"], "data: no such folder: none"),
        (["--out", "none.csv", "--summary"], "out: no such file: none.csv"),
    ],
)
def test_bad_options(go, calls, capsys, options, message):
    assert go("--methods", "right", *options) == 2
    assert message in " ".join(capsys.readouterr().err.split())
    assert calls == []


@pytest.mark.parametrize("name", RIVALS)
def test_every_rival_learns_and_copes_with_tiny_classes(name):
    if name == "xrfm":
        pytest.importorskip("xrfm")
    X, y = load_iris(return_X_y=True)
    # Every sixth row; a class with two members, and one number of a class that does not occur.
    X, y = X[::6], y[::6] * 2
    y[[0, 1]] = 5
    X[[0, 1]] += 5
    rival = RIVALS[name](0).fit(X, y)
    predicted = rival.predict(X)
    assert set(predicted) <= {0, 2, 4, 5}
    assert rival.score(X, y) == (predicted == y).mean() > 0.7
    assert json.loads(json.dumps(rival.best_params_))
    again = RIVALS[name](0).fit(X, y)
    assert again.best_params_ == rival.best_params_
    np.testing.assert_array_equal(again.predict(X), predicted)
