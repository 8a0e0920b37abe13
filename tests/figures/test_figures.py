"""Every figure draws from its analysis's quick table; the command."""

import pandas as pd
import pytest

from analyses.running import RESULTS
from figures.__main__ import HERE, drawn, main, names
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
    made = drawn(name, HERE.parent / RESULTS / f"{name}.csv", tmp_path / f"{name}.png")
    assert made.stat().st_size > 20_000
