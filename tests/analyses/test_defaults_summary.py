"""The summary's numbers, on a table made by hand."""

import numpy as np
import pandas as pd
import pytest

from analyses.defaults_summary import by_method, findings, losing, mean_ranks, summary

SCORES = {
    # ranks of rfm, rfm_cv, svm: 1, 2, 3
    "one": {"rfm": 0.80, "rfm_cv": 0.70, "svm": 0.60, "constant": 0.50, "svm_tuned": 0.82},
    # 3, 1.5, 1.5
    "two": {"rfm": 0.40, "rfm_cv": 0.90, "svm": 0.90, "constant": 0.50, "svm_tuned": 0.90},
}


def table(task="classification", methods=("rfm", "rfm_cv", "svm", "constant", "svm_tuned")):
    """Splits apart from their mean by amounts that cancel; a tuned machine has no probabilities."""
    rows = [
        {"task": task, "dataset": name, "split": split, "method": method, "fit_seconds": 2.0}
        | {"score": means[method] + apart}
        | {"log_loss": 1 - means[method] if task == "classification" and method != "svm_tuned" else np.nan}
        for name, means in SCORES.items()
        for method in methods
        for split, apart in enumerate((-0.05, 0.05))
    ]
    return pd.DataFrame(rows)


def test_scores_are_means_over_splits():
    found = by_method(table(), "score")
    assert found.loc["one"].to_dict() == pytest.approx(SCORES["one"])
    assert "svm_tuned" not in by_method(table(), "log_loss")


def test_a_set_that_a_method_lacks_does_not_count():
    rows = table()
    rows = rows[~((rows["dataset"] == "one") & (rows["method"] == "svm") & (rows["split"] == 1))]
    assert list(by_method(rows, "score").index) == ["two"]
    assert findings(rows)[0] == "classification: 1 of 2 sets count, 2 splits each: all methods are there."


def test_references_have_no_rank():
    ranks = mean_ranks(by_method(table(), "score"), largest_first=True)
    assert ranks.to_dict() == {"rfm": 2.0, "rfm_cv": 1.75, "svm": 2.25}


def test_the_table():
    found = summary(table())
    assert list(found.index[:3]) == ["rfm_cv", "rfm", "svm"]
    assert found.loc["rfm"].to_dict() == pytest.approx(
        {"rank": 2.0, "rank by log loss": 2.0, "log loss": 0.4, "mean": 0.6, "worst": 0.4, "seconds": 2.0}
    )
    assert found.loc[["constant", "svm_tuned"], "rank"].isna().all()
    assert "log loss" not in summary(table("regression"))


def test_where_a_method_loses():
    scores = by_method(table(), "score")
    assert losing(scores, "rfm", "constant").to_dict() == pytest.approx({"two": 0.1})
    assert losing(scores, "rfm", "svm_tuned", margin=0.03).to_dict() == pytest.approx({"two": 0.5})


def test_the_findings_say_where_machines_are_behind():
    said = findings(pd.concat([table("regression"), table()]))
    assert "regression: rfm behind a constant by R^2 on 1: two 0.100" in said
    assert "classification: rfm behind a constant by log loss on 1: two 0.100" in said
    assert "classification: rfm_cv behind a constant by accuracy on 0" in said
    assert "classification: rfm_cv behind the best rival on 1: one 0.100" in said
    assert (
        "classification: rfm_cv less svm_tuned: -6.00 points of accuracy on average; more than a point behind on 1: "
        "one 0.120" in said
    )
    assert said[-1] == "Not among the methods: catboost, xrfm (pip install '.[analyses]' brings them)."


def test_nothing_is_said_of_sets_that_do_not_count():
    rows = table()
    rows = rows[~((rows["method"] == "svm") & (rows["split"] == 1))]
    assert findings(rows)[0] == "classification: 0 of 2 sets count, 2 splits each: all methods are there."
    assert len(findings(rows)) == 2
