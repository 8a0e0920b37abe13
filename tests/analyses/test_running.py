"""The runner of all analyses: what it computes, that it resumes, what it prints; a small analysis made by hand."""

import sys
import types

import pytest

from analyses import analysis as registry
from analyses.__main__ import main
from analyses.analysis import Analysis, benchmarks, docstring, names
from analyses.table import read
from nfa import InputError


class Squares:
    """An analysis that counts its calls: the squares of some numbers, two rows a cell."""

    def __init__(self):
        self.calls = []
        self.factor = 1.0

    def cells(self, options):
        numbers = [1] if options.quick else [1, 2, 3]
        sets = options.datasets or ("even",)
        return [
            {"dataset": name, "number": number, "factor": self.factor, "note": None}
            for name in sets
            for number in numbers
        ]

    def rows(self, cell, options):
        self.calls.append(cell["number"])
        if cell["number"] == 13:
            raise ValueError("no [luck]")
        return [{"power": power, "value": cell["number"] ** power / 3} for power in (2, 3)]

    def findings(self, table):
        return [f"{len(table)} values, [the largest] {table['value'].max():.3f}"]


@pytest.fixture
def squares(monkeypatch):
    made = Squares()
    module = types.ModuleType("analyses.squares")
    module.ANALYSIS = Analysis(made.cells, made.rows, made.findings)
    monkeypatch.setitem(sys.modules, "analyses.squares", module)
    monkeypatch.setattr(registry, "names", lambda: ["squares"])
    return made


@pytest.fixture
def go(tmp_path):
    def run(*options):
        return main(["squares", "--out", str(run.out), "--jobs", "1", *options])

    run.out = tmp_path / "deep" / "squares.csv"
    return run


def test_rows_stand_beside_their_settings_and_versions(go, squares, capsys):
    assert go() == 0
    table = read(go.out)
    assert list(table.columns) == [
        "dataset", "number", "factor", "note", "power", "value", "seconds", "nfa", "torch",
    ]  # fmt: skip
    assert table["number"].tolist() == [1, 1, 2, 2, 3, 3]
    assert table["value"].tolist() == pytest.approx([1 / 3, 1 / 3, 4 / 3, 8 / 3, 9 / 3, 27 / 3], rel=1e-9)
    said = capsys.readouterr().out
    assert "squares: 3 cells, 0 of them done already." in said
    assert "6 values, [the largest] 9.000" in said


def test_a_variant_has_a_table_of_its_own(squares, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    made = sys.modules["analyses.squares"].ANALYSIS
    assert main(["squares", "--jobs", "1"]) == 0
    other = Analysis(made.cells, made.rows, made.findings, lambda options: "_odd" if options.datasets else "")
    monkeypatch.setattr(sys.modules["analyses.squares"], "ANALYSIS", other)
    assert main(["squares", "--jobs", "1", "--dataset", "odd"]) == 0
    sets = {path.name: set(read(path)["dataset"]) for path in (tmp_path / "analyses" / "results").iterdir()}
    assert sets == {"squares.csv": {"even"}, "squares_odd.csv": {"odd"}}


def test_a_second_run_computes_nothing(go, squares, capsys):
    go()
    before = go.out.read_bytes()
    squares.calls.clear()
    assert go() == 0
    assert squares.calls == []
    assert go.out.read_bytes() == before
    assert "3 of them done already" in capsys.readouterr().out


def test_an_interrupted_run_goes_on(go, squares, monkeypatch):
    rows = squares.rows

    def interrupted(cell, options):
        if cell["number"] == 2:
            raise KeyboardInterrupt
        return rows(cell, options)

    module = sys.modules["analyses.squares"]
    monkeypatch.setattr(module, "ANALYSIS", Analysis(squares.cells, interrupted, squares.findings))
    with pytest.raises(KeyboardInterrupt):
        go()
    assert read(go.out)["number"].tolist() == [1, 1]
    monkeypatch.setattr(module, "ANALYSIS", Analysis(squares.cells, rows, squares.findings))
    squares.calls.clear()
    go()
    assert squares.calls == [2, 3]


def test_a_changed_setting_is_another_cell(go, squares):
    go("--only", "number=1")
    squares.factor = 0.1
    go("--only", "number=1")
    assert read(go.out)["factor"].tolist() == [1, 1, 0.1, 0.1]


def test_a_failing_cell_stops_nothing(go, squares, monkeypatch, capsys):
    monkeypatch.setattr(
        sys.modules["analyses.squares"],
        "ANALYSIS",
        Analysis(
            lambda options: [{"number": number} for number in (1, 13, 2)],
            squares.rows,
            squares.findings,
        ),
    )
    assert go() == 1
    assert read(go.out)["number"].tolist() == [1, 1, 2, 2]
    assert "13: failed, ValueError: no [luck]" in capsys.readouterr().out


def test_a_cell_without_rows_is_refused(go, squares, monkeypatch, capsys):
    nothing = Analysis(squares.cells, lambda cell, options: [], squares.findings)
    monkeypatch.setattr(sys.modules["analyses.squares"], "ANALYSIS", nothing)
    assert go() == 2
    assert "cell: no rows from even 1 1" in " ".join(capsys.readouterr().err.split())


def test_only_shows(go, squares, capsys):
    go()
    squares.calls.clear()
    assert main(["squares", "--out", str(go.out), "--show"]) == 0
    assert squares.calls == []
    assert "6 values" in capsys.readouterr().out


def test_options_reach_the_analysis(go, squares):
    go("--quick", "--dataset", "odd,even")
    assert read(go.out)[["dataset", "number"]].drop_duplicates().to_numpy().tolist() == [["odd", 1], ["even", 1]]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--jobs", "0"], "jobs: got 0, expected a whole number of at least 1"),
        (["--only", "numer=1"], "only: 'numer' is unknown; did you mean 'number'?"),
        (["--only", "number=9"], "only: number: '9' is unknown"),
        (["--only", "number"], "only: got 'number', expected SETTING=VALUE"),
    ],
)
def test_bad_options(go, squares, capsys, options, message):
    assert go(*options) == 2
    assert message in " ".join(capsys.readouterr().err.split())
    assert squares.calls == []


def test_a_foreign_table_is_left_alone(go, squares, capsys):
    go.out.parent.mkdir()
    go.out.write_text("a,b\n1,2\n")
    assert go() == 2
    assert "lacks the columns dataset, number" in " ".join(capsys.readouterr().err.split())
    assert go.out.read_text() == "a,b\n1,2\n"


@pytest.mark.parametrize("text", [b"\xff\xfe\x00", b"", b'a,b\n1,"2'])
def test_a_damaged_table_is_refused(tmp_path, text):
    (tmp_path / "t.csv").write_bytes(text)
    with pytest.raises(InputError, match=r"table: cannot read .*t\.csv"):
        read(tmp_path / "t.csv")


def test_a_missing_table_and_an_unknown_analysis(tmp_path, capsys):
    assert main(["tabular", "--out", str(tmp_path / "none.csv"), "--show"]) == 2
    assert "table: no such file" in capsys.readouterr().err
    assert main(["tabullar"]) == 2
    assert "did you mean 'tabular'?" in capsys.readouterr().err


def test_the_list_has_a_line_for_each(capsys):
    assert main([]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[: len(names())]] == names()
    assert [line.split()[0] for line in lines[-len(benchmarks()) :]] == benchmarks()
    assert all(len(line) > 30 for line in lines if line)


@pytest.mark.parametrize("name", names())
def test_every_analysis_says_what_would_refute_its_claim(name):
    text = docstring(name)
    assert "Claim" in text
    assert "efuted" in text
