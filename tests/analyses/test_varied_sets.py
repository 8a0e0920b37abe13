"""The raw tables: each is what its name says, without a download, and the same for everybody."""

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import make_classification

from analyses.varied_sets import CLASSIFICATION, REGRESSION, SETS, TEST_ROWS, divided

ALL = [(task, name) for task, sets in SETS.items() for name in sets]


@pytest.mark.parametrize(("task", "name"), ALL)
def test_a_set_is_divided_with_its_seed(task, name):
    one, again, other = divided(task, name, 0), divided(task, name, 0), divided(task, name, 1)
    pd.testing.assert_frame_equal(one.X_train, again.X_train)
    np.testing.assert_array_equal(one.y_test, again.y_test)
    assert not one.X_train.reset_index(drop=True).equals(other.X_train.reset_index(drop=True))
    assert len(one.X_train) == len(one.y_train) == SETS[task][name].n_train
    assert len(one.X_test) == len(one.y_test) > 40
    assert not one.X_train.isna().any(axis=None)
    assert one.classes == (task == "classification")
    if one.classes:
        assert set(one.y_test) == set(one.y_train) == set(range(len(set(one.y_train))))
        assert np.bincount(one.y_train).min() >= 5


def test_there_are_more_than_twenty():
    assert len(ALL) > 20


@pytest.mark.parametrize("name", ["diabetes", "friedman2", "friedman3", "row-number"])
def test_columns_are_in_different_units(name):
    deviations = divided("regression", name, 0).X_train.std()
    assert deviations.max() > 10 * deviations.min()


def test_targets_far_from_zero_and_in_different_units():
    plain, far = (divided("regression", name, 0).y_train for name in ("friedman1", "friedman1+2000"))
    np.testing.assert_allclose(far, plain + 2000)
    deviations = divided("regression", "two-targets", 0).y_train.std(0)
    assert deviations[1] > 1000 * deviations[0]


def test_columns_of_categories_are_no_numbers():
    for task in SETS:
        data = divided(task, "categories", 0)
        assert data.categories == ["shop", "day"]
        assert data.X_train["shop"].nunique() == 8


def test_many_columns_few_rows_rare_and_many_classes():
    assert divided("regression", "wide", 0).X_train.shape == (80, 400)
    assert divided("regression", "few-rows", 0).X_train.shape == (40, 10)
    assert 0.02 < divided("classification", "imbalance", 0).y_test.mean() < 0.07
    assert len(np.unique(divided("classification", "many-classes", 0).y_train)) == 30


def test_three_labels_of_ten_are_flipped():
    X, clean = make_classification(*(3000, 20), n_informative=5, n_redundant=0, flip_y=0.0, random_state=3)
    rows, flipped = CLASSIFICATION["flipped"].draw(3000, 3)
    np.testing.assert_array_equal(rows, X)
    assert (flipped != clean).mean() == pytest.approx(0.3, abs=0.03)


def test_heights_are_those_at_their_places():
    X, y = REGRESSION["elevation"].draw(5000, 0)
    assert 100 < y.min() < y.max() < 1500
    nearest = [np.hypot(*(X.to_numpy() - place).T).argsort()[1] for place in X.to_numpy()[:200]]
    assert np.corrcoef(y[:200], y[nearest])[0, 1] > 0.9


def test_generated_sets_have_as_many_test_rows():
    assert len(divided("regression", "noisy", 0).y_test) == TEST_ROWS
