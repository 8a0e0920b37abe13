"""`nfa figure`, as a user calls it; and the words of `nfa compare` on runs."""

import sys

import numpy as np
import pandas as pd
import pytest

import nfa
from nfa import cli


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Two runs and a network of other layers, as folders."""
    folder = tmp_path_factory.mktemp("runs")
    X = np.random.default_rng(0).normal(size=(20, 6))
    y = (X[:, 0] > 0).astype(int)
    for seed in (0, 1):
        nfa.audit(nfa.MLP(6, [8, 5], n_outputs=3, seed=seed).double(), (X, y)).save(folder / f"seed-{seed}")
    nfa.audit(nfa.MLP(6, [8], n_outputs=3).double(), (X, y)).save(folder / "short")
    np.savez(folder / "data.npz", X=X, y=y)
    return folder


def run(capsys, *arguments):
    sys.argv = ["nfa", *map(str, arguments)]
    with pytest.raises(SystemExit) as caught:
        cli.main()
    out, err = capsys.readouterr()
    return caught.value.code, out, err


@pytest.mark.parametrize("suffix", ["pdf", "png", "svg"])
def test_a_figure_and_its_table(folders, capsys, tmp_path, suffix):
    out, table = tmp_path / f"f.{suffix}", tmp_path / "t.csv"
    status, said, err = run(
        capsys, "figure", folders / "seed-0", folders / "seed-1", "--kind", "layers", "--out", out, "--table", table
    )
    assert (status, said, err) == (0, f"Wrote {out} and {table}.\n", "")
    assert out.stat().st_size > 1000
    audit = nfa.Audit.load(folders / "seed-1")
    rows = pd.read_csv(table)
    of_run = rows[(rows["run"] == "seed-1") & (rows["layer"] == "layers.0")]
    assert of_run["value"].tolist() == pytest.approx([audit[0]["cosine"]])


def test_a_sample_comes_from_the_data_and_a_layer_by_number(folders, capsys, tmp_path):
    out, table = tmp_path / "f.png", tmp_path / "t.csv"
    given = ("--layer", "0", "--data", folders / "data.npz", "--out", out, "--table", table)
    assert run(capsys, "figure", folders / "seed-0", "--kind", "features", *given)[0] == 0
    sample = pd.read_csv(table).query("matrix == 'sample'")["value"]
    np.testing.assert_allclose(sample, np.load(folders / "data.npz")["X"][0], rtol=1e-6)


def test_a_sample_has_its_columns_in_the_order_of_the_audit_s(capsys, tmp_path):
    rows = pd.DataFrame(np.random.default_rng(0).normal(size=(20, 4)), columns=list("abcd"))
    nfa.audit(nfa.MLP(4, [5]), nfa.Dataset(rows.to_numpy(), feature_names=tuple("abcd"))).save(tmp_path / "audit")
    rows[["d", "b", "a", "c"]].to_csv(tmp_path / "r.csv", index=False)
    given = ("--data", tmp_path / "r.csv", "--out", tmp_path / "f.png", "--table", tmp_path / "t.csv")
    assert run(capsys, "figure", tmp_path / "audit", "--kind", "features", *given)[0] == 0
    sample = pd.read_csv(tmp_path / "t.csv").query("matrix == 'sample'").set_index("input")["value"]
    assert sample.to_dict() == pytest.approx(rows.iloc[0].to_dict())
    rows.rename(columns={"d": "e"}).to_csv(tmp_path / "r.csv", index=False)
    status, _, err = run(capsys, "figure", tmp_path / "audit", "--kind", "features", *given)
    assert status == 2
    assert err.startswith("nfa: data: has no column 'd', unlike the audit's data (without --target all 4 columns")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--kind", "features", "--data", "digits"], "data: 64 entries, but layer layers.0 has 6 inputs"),
        (["--kind", "layers", "--data", "data.npz"], "data: the kind layers does not take it"),
        (["--kind", "lines"], "kind: 'lines' is unknown (known: layers, sweep,"),
        (["--kind", "layers", "--out", "f.tiff"], "out: '.tiff' is unknown"),
        (["--kind", "layers", "--out", "gone/f.png"], "out: cannot write gone/f.png"),
        (["--kind", "layers", "--table", "t.xlsx"], "table: got 't.xlsx', expected a .csv file"),
        (
            ["--kind", "layers", "--column", "published_cosine"],
            "audits: seed-0 is without published_cosine; ",
        ),
        (["--kind", "layers", "--column", "cosin"], "column: 'cosin' is unknown; did you mean 'cosine'?"),
        (
            ["--kind", "layers", "--column", "verdict"],
            "column: verdict is no measured number: there is nothing to draw",
        ),
        (["--kind", "layers", "--null", "untrained"], "audits: every audit is without untrained_cosine; init="),
        (["--kind", "layers", "--alpha", "2"], "alpha: the kind layers does not take it (kinds that do: matrices)"),
        (["--kind", "sweep", "--x", "lr"], "x: no audit has 'lr'"),
        (["--kind", "spectrum", "--layer", "9"], "layer: no layer 9"),
        (["short", "--kind", "layers"], "audits: short has the layers layers.0, layers.1, but seed-0 has"),
        (["short", "--kind", "features"], "audits: got 2 audits"),
        (["nothing", "--kind", "layers"], "audit: no such file: nothing/audit.json"),
    ],
)
def test_a_bad_call_is_one_line_and_status_2(folders, capsys, monkeypatch, arguments, message):
    monkeypatch.chdir(folders)
    given = arguments if "--out" in arguments else [*arguments, "--out", "f.png"]
    status, out, err = run(capsys, "figure", "seed-0", *given)
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert message in err


def test_compare_prints_means_over_runs(folders, capsys, tmp_path):
    status, said, err = run(capsys, "compare", folders / "seed-0", folders / "seed-1", "--out", tmp_path / "two.html")
    assert (status, err) == (0, "")
    values = [nfa.Audit.load(folders / f"seed-{seed}")[0]["cosine"] for seed in (0, 1)]
    assert f"{np.mean(values):.3f} ± {np.std(values, ddof=1):.3f}" in said
    assert "in 2 of 2 runs" in said
