"""The summary's numbers, on a table made by hand."""

import pandas as pd
import pytest

from analyses.tabular_summary import best_of, findings, mean_accuracies, summary

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


def table(methods=("a", "b", "c")):
    """Folds apart from their mean by amounts that cancel."""
    return pd.DataFrame(
        [
            {"dataset": name, "method": method, "fold": fold, "accuracy": means[method] + apart * (means[method] < 1)}
            for name, means in ACCURACIES.items()
            for method in methods
            for fold, apart in enumerate((-0.02, 0.01, -0.01, 0.02))
        ]
    )


def test_the_numbers():
    found = summary(mean_accuracies(table()))
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
    pd.testing.assert_frame_equal(found.rename_axis(columns=None), expected)


def test_the_best_is_of_the_compared_methods():
    found = summary(mean_accuracies(table(["a", "c"])))
    assert found.loc["a", "PMA"] == pytest.approx((100 + 100 + 80 + 100) / 4)


def test_a_leaking_method_has_a_mean_and_nobody_is_compared_with_it():
    honest = mean_accuracies(table())
    with_leak = honest.assign(rfm_authors=1.0)
    found = summary(with_leak)
    pd.testing.assert_frame_equal(found.drop(index="rfm_authors"), summary(honest), check_names=False)
    assert found.index[-1] == "rfm_authors"
    assert found.loc["rfm_authors", "mean"] == 100
    assert found.loc["rfm_authors", ["P90", "P95", "PMA", "rank"]].isna().all()
    pd.testing.assert_series_equal(best_of(with_leak), honest.max(axis=1))


def test_the_findings_mark_a_leaking_method():
    marked = findings(pd.concat([table(["a", "b"]), table(["c"]).assign(method="rfm_authors")]))
    assert marked[0].splitlines()[-1].split() == ["rfm_authors", "54.75", *4 * ["–"]]
    assert marked[2] == "rfm_authors leaks: test rows have chosen for it. The others are compared without it."
    assert len(findings(table())) == 2


def test_only_complete_data_sets_count():
    rows = table()
    rows = rows[~((rows["dataset"] == "two") & (rows["method"] == "c") & (rows["fold"] == 3))]
    rows = rows[~((rows["dataset"] == "three") & (rows["method"] == "a"))]
    assert set(mean_accuracies(rows).index) == {"one", "four"}
    text, count = findings(rows)
    assert count == "2 of 4 data sets count: all 4 folds of 3 methods are there."
    assert all(method in text for method in "abc")


def test_a_set_on_which_nobody_is_right():
    found = summary(pd.DataFrame({"a": [0.0, 1.0], "b": [0.0, 0.5]}))
    assert found["PMA"].tolist() == [100.0, 75.0]


def test_no_complete_set():
    assert findings(table()[:3]) == ["0 of 1 data sets count: all 4 folds of 1 methods are there."]
