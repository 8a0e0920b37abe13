"""Every figure draws from its analysis's quick table; the command."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from analyses.running import RESULTS
from figures.__main__ import HERE, analysis_of, drawn, main, names
from figures.tabular import draw
from nfa import InputError


def test_the_command_lists_and_refuses(tmp_path, capsys):
    assert main([]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == names()
    assert all(len(line.split()) > 3 for line in lines)  # what it shows
    assert main(["tabullar"]) == 2
    assert "did you mean 'tabular'?" in capsys.readouterr().err
    assert main(["tabular", "--from", str(tmp_path / "none.csv")]) == 2
    assert "table: no such file" in capsys.readouterr().err


def test_the_same_table_gives_the_same_bytes(tmp_path):
    rows = [
        {"dataset": name, "fold": fold, "method": method, "accuracy": 0.5 + 0.1 * fold + 0.02 * len(method + name)}
        for name in ("one", "three")
        for fold in range(4)
        for method in ("svm", "rfm_cv")
    ]
    pd.DataFrame(rows).to_csv(tmp_path / "t.csv", index=False)
    one, two = (drawn("tabular", tmp_path / "t.csv", tmp_path / f"{n}.png").read_bytes() for n in (1, 2))
    assert one == two
    with pytest.raises(InputError, match="out: "):
        drawn("tabular", tmp_path / "t.csv", tmp_path / "t.docx")


@pytest.mark.parametrize("name", names())
def test_every_figure_draws_from_the_table_that_the_project_keeps(name, tmp_path):
    made = drawn(name, HERE.parent / RESULTS / f"{analysis_of(name)}.csv", tmp_path / f"{name}.png")
    assert made.stat().st_size > 20_000


def test_the_tabular_figure_shows_paired_differences(tmp_path):
    accuracies = {"svm": [0.5, 0.7, 0.9], "rfm_cv": [0.6, 0.7, 0.95]}
    rows = [
        {"dataset": f"set {number}", "fold": fold, "method": method, "accuracy": value}
        for method, values in accuracies.items()
        for number, value in enumerate(values)
        for fold in range(4)
    ]
    (axes,) = draw(pd.DataFrame(rows)).axes
    differences = np.array([-10.0, 0.0, -5.0])
    ticks, mean, *_ = axes.lines
    np.testing.assert_allclose(ticks.get_xdata(), differences, atol=1e-9)
    assert mean.get_xdata()[0] == pytest.approx(-5)
    low, high = axes.collections[0].get_segments()[0][:, 0]
    assert (low, high) == pytest.approx(stats.t.interval(0.95, 2, -5, stats.sem(differences)))
