"""The measures of calibration against sums by hand, and what the table says."""

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import brier_score_loss, log_loss

from analyses import calibration
from analyses.analysis import Options
from analyses.calibration import METHODS, cells, expected_calibration_error, findings, rows
from analyses.varied_sets import divided
from nfa import InputError


def test_the_calibration_error_is_that_of_bins_by_hand():
    rng = np.random.default_rng(0)
    p = rng.dirichlet(np.ones(4), size=500)
    labels = rng.integers(4, size=500)
    expected = 0.0
    for low in np.arange(10) / 10:
        inside = (p.max(1) >= low) & (p.max(1) < low + 0.1)
        if inside.any():
            right = (p.argmax(1) == labels)[inside].mean()
            expected += inside.mean() * abs(right - p.max(1)[inside].mean())
    assert expected_calibration_error(p, labels, bins=10) == pytest.approx(expected)


def test_probabilities_that_are_right_have_no_calibration_error():
    labels = np.array([0] * 3 + [1])
    assert expected_calibration_error(np.tile([0.75, 0.25], (4, 1)), labels) == pytest.approx(0)
    assert expected_calibration_error(np.tile([1.0, 0.0], (4, 1)), labels) == pytest.approx(0.25)


def test_a_row_has_the_measures_of_scikit_learn():
    [row] = rows({"dataset": "breast-cancer-40", "split": 0, "method": "svm"}, Options())
    data = divided("classification", "breast-cancer-40", 0)
    model = METHODS["svm"]().fit(data.X_train, data.y_train)
    p = model.predict_proba(data.X_test)
    assert row["log_loss"] == pytest.approx(log_loss(data.y_test, p))
    assert row["brier"] == pytest.approx(2 * brier_score_loss(data.y_test, p[:, 1]))
    assert row["ece"] == pytest.approx(expected_calibration_error(p, data.y_test))
    assert (row["n"], row["classes"]) == (40, 2)


def test_the_uncalibrated_machine_is_the_same_machine():
    data = divided("classification", "breast-cancer-40", 0)
    one, other = (METHODS[name]().fit(data.X_train, data.y_train) for name in ("rfm", "rfm_uncalibrated"))
    np.testing.assert_array_equal(one.M_, other.M_)
    assert one.ridge_ == other.ridge_
    assert abs(one.predict_proba(data.X_test) - other.predict_proba(data.X_test)).max() > 0.01


def test_cells():
    found = cells(Options())
    assert len(found) == len(calibration.SETS) * calibration.SPLITS * len(METHODS)
    assert len(cells(Options(quick=True))) == len(METHODS)
    with pytest.raises(InputError, match=r"dataset: 'digit' is unknown; did you mean 'digits'\?"):
        cells(Options(("digit",)))


def test_the_findings_name_sets_on_which_a_measure_is_larger():
    losses = {"rfm": 0.3, "rfm_cv": 0.2, "rfm_uncalibrated": 0.25, "svm": 0.4, "logistic": 0.3}
    table = pd.DataFrame(
        [
            {"dataset": "xor", "split": split, "method": method, "accuracy": 0.9}
            | {"log_loss": loss + apart, "brier": loss, "ece": loss}
            for method, loss in losses.items()
            for split, apart in enumerate((-0.1, 0.1))
        ]
    )
    said = findings(table)
    assert "log_loss of rfm above that of rfm_uncalibrated on 1 of 1, xor +0.050" in said
    assert "brier of rfm above that of svm on 0 of 1" in said
    assert said[1].splitlines()[-1].split() == ["xor", "0.300", "0.200", "0.250", "0.400", "0.300"]
