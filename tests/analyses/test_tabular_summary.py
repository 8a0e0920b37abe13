"""The summary's numbers, on a table made by hand."""

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from analyses.tabular_summary import COLUMNS, mean_accuracies, print_summary, read_table, summary
from nfa import InputError

ACCURACIES = {
    # best 0.8: shares 1, 0.95, 0.9
    "one": {"a": 0.80, "b": 0.76, "c": 0.72},
    # best 1.0, twice: shares 1, 1, 0.5
    "two": {"a": 1.00, "b": 1.00, "c": 0.50},
    # best 0.5: shares 0.8, 0.8, 1
    "three": {"a": 0.40, "b": 0.40, "c": 0.50},
    # shares 0.94, 1, 0.94
    "four": {"a": 0.47, "b": 0.50, "c": 0.47},
}


def table():
    """Folds apart from their mean by amounts that cancel."""
    return pd.DataFrame(
        [
            (name, 10, 2, 2, fold, method, mean + (-0.02, 0.01, -0.01, 0.02)[fold] * (mean < 1), 0.5, "{}")
            for name, means in ACCURACIES.items()
            for method, mean in means.items()
            for fold in range(4)
        ],
        columns=COLUMNS,
    )


def test_the_numbers():
    found = summary(mean_accuracies(table(), ["a", "b", "c"]))
    assert list(found.index) == ["b", "a", "c"]
    expected = pd.DataFrame(
        {
            "mean": [266 / 4, 267 / 4, 219 / 4],
            "P90": [75.0, 75.0, 75.0],
            "P95": [75.0, 50.0, 25.0],
            "PMA": [(95 + 100 + 80 + 100) / 4, (100 + 100 + 80 + 94) / 4, (90 + 50 + 100 + 94) / 4],
            # ranks of a: 1, 1.5, 2.5, 2.5; of b: 2, 1.5, 2.5, 1; of c: 3, 3, 1, 2.5
            "rank": [7 / 4, 7.5 / 4, 9.5 / 4],
        },
        index=pd.Index(["b", "a", "c"], name="method"),
    )
    pd.testing.assert_frame_equal(found, expected)


def test_the_best_is_of_the_compared_methods():
    found = summary(mean_accuracies(table(), ["a", "c"]))
    assert found.loc["a", "PMA"] == pytest.approx((100 + 100 + 80 + 100) / 4)


def test_only_complete_data_sets_count(tmp_path):
    rows = table()
    rows = rows[~((rows["dataset"] == "two") & (rows["method"] == "c") & (rows["fold"] == 3))]
    rows = rows[~((rows["dataset"] == "three") & (rows["method"] == "a"))]
    assert set(mean_accuracies(rows, ["a", "b", "c"]).index) == {"one", "four"}
    assert set(mean_accuracies(rows, ["b"]).index) == set(ACCURACIES)
    rows.to_csv(tmp_path / "t.csv", index=False)
    console = Console(record=True, width=200, quiet=False)
    found = print_summary(tmp_path / "t.csv", None, console)
    text = console.export_text()
    assert len(found) == 3
    assert "accuracy on 2 data sets" in text
    assert "2 of 4 data sets count: all 4 folds of 3 methods are there." in text
    assert "Data sets with all folds: a 3, b 4, c 3." in text
    print_summary(tmp_path / "t.csv", ["a", "b"], console, sets=["one", "two"])
    assert "2 of 2 data sets count: all 4 folds of 2 methods are there.\n" in console.export_text()


def test_a_set_on_which_nobody_is_right():
    found = summary(pd.DataFrame({"a": [0.0, 1.0], "b": [0.0, 0.5]}))
    assert found["PMA"].tolist() == [100.0, 75.0]


def test_no_complete_set(tmp_path):
    table()[:3].to_csv(tmp_path / "t.csv", index=False)
    console = Console(record=True, width=200)
    print_summary(tmp_path / "t.csv", None, console)
    assert "0 of 1 data sets count" in console.export_text()


def test_reading(tmp_path):
    path = tmp_path / "t.csv"
    rows = table()
    pd.concat([rows, rows[:5].assign(accuracy=0.0)]).to_csv(path, index=False)
    with path.open("a") as file:
        file.write('one,10,2,2,3,d,0.7,0.5,"{""C')
    read = read_table(path)
    assert len(read) == len(rows)
    np.testing.assert_allclose(read["accuracy"], rows["accuracy"])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "damaged or of another kind"),
        ("a,b\n1,2\n", "has columns a, b, expected dataset, n,"),
        (f"{','.join(COLUMNS)}\none,1,2\n", "line 2 of .*t.csv is no row of this table"),
        (f"{','.join(COLUMNS)}\none,1,2,2,0,m,0.5,0.1,{{}}\none,1,2,2,4,m,0.5,0.1,{{}}\n", "line 3 of"),
        (f"{','.join(COLUMNS)}\none,1,2,2,0,m,high,0.1,{{}}\n", "line 2 of"),
        (f"{','.join(COLUMNS)}\n{'x,' * 30}\n", "line 2 of|damaged|columns"),
    ],
)
def test_bad_tables(tmp_path, text, message):
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(InputError, match=f"^out: .*{message}"):
        read_table(tmp_path / "t.csv")


def test_unknown_names(tmp_path):
    table().to_csv(tmp_path / "t.csv", index=False)
    with pytest.raises(InputError, match="methods: in the table: 'aa' is unknown"):
        print_summary(tmp_path / "t.csv", ["aa"], Console(quiet=True))
    with pytest.raises(InputError, match="sets: in the table: 'on' is unknown; did you mean 'one'"):
        print_summary(tmp_path / "t.csv", None, Console(quiet=True), ["on"])
    with pytest.raises(InputError, match="out: no such file"):
        print_summary(tmp_path / "none.csv", None, Console(quiet=True))
