"""Data frames: columns kept, categories encoded."""

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import sparse
from sklearn.preprocessing import OneHotEncoder

from nfa import InputError
from nfa.rfm import RFMClassifier, RFMClassifierCV, RFMRegressor

RNG = np.random.default_rng(0)
NUMBERS = RNG.normal(size=(60, 2))
COLOUR = RNG.choice(["red", "green", "blue"], size=60)
Y = NUMBERS[:, 0] + 2.0 * (COLOUR == "red")


def frame(colour=COLOUR, names=("size", "colour", "weight")):
    table = pd.DataFrame({0: NUMBERS[:, 0], 1: colour, 2: NUMBERS[:, 1]})
    table.columns = list(names)
    return table


def test_columns_of_numbers_keep_their_names():
    table = pd.DataFrame(NUMBERS, columns=["a", "b"])
    model = RFMRegressor().fit(table, Y)
    assert list(model.feature_names_in_) == ["a", "b"]
    assert model.encoder_ is None
    np.testing.assert_array_equal(model.predict(table), RFMRegressor().fit(NUMBERS, Y).predict(NUMBERS))


@pytest.mark.parametrize("categorical", [False, True])
def test_columns_in_another_order_or_missing_are_refused(categorical):
    table = frame() if categorical else pd.DataFrame(NUMBERS, columns=["size", "weight"])
    model = RFMRegressor().fit(table, Y)
    with pytest.raises(ValueError, match="Feature names must be in the same order as they were in fit"):
        model.predict(table[table.columns[::-1]])
    with pytest.raises(ValueError, match="Feature names seen at fit time, yet now missing"):
        model.predict(table.drop(columns="weight"))
    with pytest.raises(ValueError, match="Feature names unseen at fit time"):
        model.predict(table.assign(more=1.0))


@pytest.mark.parametrize("kind", ["object", "str", "category"])
@pytest.mark.parametrize("names", [("size", "colour", "weight"), (2, 1, 0), (0, 1, 2)], ids=str)
def test_categories_are_encoded(kind, names):
    table = frame(pd.Series(COLOUR, dtype=kind), names)
    model = RFMRegressor(n_iters=2).fit(table, Y)
    encoded = OneHotEncoder(sparse_output=False).fit_transform(COLOUR[:, None])
    plain = RFMRegressor(n_iters=2).fit(np.hstack([encoded, NUMBERS]), Y)
    np.testing.assert_array_equal(model.predict(table), plain.predict(np.hstack([encoded, NUMBERS])))
    assert model.n_features_in_ == 3
    assert model.M_.shape == (5, 5)
    shares = plain.feature_importances_
    np.testing.assert_allclose(model.feature_importances_, [shares[3], shares[:3].sum(), shares[4]])
    if names[0] == "size":
        expected = ["colour_blue", "colour_green", "colour_red", "size", "weight"]
        assert list(model.encoder_.get_feature_names_out()) == expected


def test_a_category_not_seen_before_is_all_zeros():
    model = RFMRegressor(n_iters=1).fit(frame(), Y)
    new = frame(np.full(60, "violet"))
    zeros = np.hstack([np.zeros((60, 3)), NUMBERS])
    with pytest.warns(UserWarning, match=r"^column 'colour' holds categories that fit has not seen \('violet'\): they"):
        found = model.predict(new)
    np.testing.assert_array_equal(found, model.machine_.predict(torch.from_numpy(zeros))[:, 0])


def test_categories_of_rows_without_weight_are_not_learned():
    weights = (COLOUR != "red").astype(float)
    model = RFMRegressor().fit(frame(), Y, weights)
    assert list(model.encoder_.get_feature_names_out()) == ["colour_blue", "colour_green", "size", "weight"]
    kept = frame()[weights > 0]
    np.testing.assert_allclose(model.predict(kept), RFMRegressor().fit(kept, Y[weights > 0]).predict(kept))


def test_a_missing_category_is_one_more():
    table = frame(np.where(COLOUR == "red", None, COLOUR))
    names = RFMRegressor().fit(table, Y).encoder_.get_feature_names_out()
    assert len(names) == 5


def test_truth_values_whole_numbers_and_nullable_columns_are_numbers():
    table = pd.DataFrame(
        {
            "flag": NUMBERS[:, 0] > 0,
            "count": pd.Series(range(60), dtype="Int64"),
            "size": pd.Series(NUMBERS[:, 1], dtype="Float64"),
        }
    )
    model = RFMRegressor().fit(table, Y)
    assert model.encoder_ is None
    plain = np.column_stack([NUMBERS[:, 0] > 0, np.arange(60.0), NUMBERS[:, 1]])
    np.testing.assert_array_equal(model.predict(table), RFMRegressor().fit(plain, Y).predict(plain))
    table.loc[3, "size"] = pd.NA
    with pytest.raises(
        InputError, match=r"^X: column 'size' has no number \(NaN\) in 1 of 60 rows; fill them in first"
    ):
        RFMRegressor().fit(table, Y)


@pytest.mark.parametrize(
    ("column", "kind"),
    [
        (pd.date_range("2020", periods=60), "datetime64"),
        (pd.to_timedelta(np.arange(60), unit="D"), "timedelta64"),
        (NUMBERS[:, 0] + 1j, "complex"),
    ],
)
def test_other_columns_are_refused(column, kind):
    with pytest.raises(ValueError, match=rf"column 'when' is {kind}|Complex data not supported"):
        RFMRegressor().fit(frame().assign(when=column), Y)
    if kind != "complex":
        with pytest.raises(InputError, match=r"^X: column 'when' is .*, expected numbers, truth values or categories$"):
            RFMRegressor().fit(frame().assign(when=column), Y)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("categorical", [False, True])
def test_the_dtype_is_that_of_the_numbers(dtype, categorical):
    table = frame().astype({"size": dtype, "weight": dtype})
    table = table if categorical else table.drop(columns="colour")
    expected = np.float64 if dtype == np.float64 else np.float32
    assert RFMRegressor().fit(table, Y).predict(table).dtype == expected
    assert RFMRegressor().fit(frame()[["colour"]], Y).predict(frame()[["colour"]]).dtype == np.float64


def test_targets_may_be_a_column_or_a_frame():
    series, both = pd.Series(Y), pd.DataFrame({"one": Y, "two": -Y})
    plain = RFMRegressor().fit(frame(), Y).predict(frame())
    np.testing.assert_array_equal(RFMRegressor().fit(frame(), series).predict(frame()), plain)
    assert RFMRegressor().fit(frame(), both).predict(frame()).shape == (60, 2)
    with pytest.raises(ValueError, match="Input y contains NaN"):
        RFMRegressor().fit(frame(), series.where(series > 0))


@pytest.mark.parametrize("kind", ["boolean", "Int64", "str", "category", "object"])
def test_labels_in_a_column_of_any_type(kind):
    values = {"boolean": COLOUR == "red", "Int64": (COLOUR == "red").astype(int)}.get(kind, COLOUR)
    model = RFMClassifier().fit(frame(), pd.Series(values, dtype=kind))
    assert set(model.classes_.tolist()) == set(values.tolist())
    assert model.predict(frame()).tolist() == values.tolist()


DAYS = pd.date_range("2020-01-01", periods=60)


@pytest.mark.parametrize("model", [RFMRegressor, RFMClassifier])
@pytest.mark.parametrize(
    ("y", "message"),
    [
        (DAYS, "holds dates, expected numbers or labels; days since a date are numbers"),
        (DAYS.to_numpy(), "holds dates"),
        (pd.Series(DAYS.tz_localize("UTC")), "holds dates"),
        (pd.Series(DAYS).dt.to_period("M"), "holds dates"),
        (pd.Series(DAYS - DAYS[0]), "holds dates"),
        (DAYS.date.tolist(), "holds dates"),
        (pd.DataFrame({"a": Y, "b": DAYS}), "holds dates"),
        (pd.Series([*COLOUR[:-1], pd.NA], dtype="string"), "has a missing value at row 59"),
        (pd.Series([*COLOUR[:-1], None], dtype="category"), "has a missing value at row 59"),
        ([None, *COLOUR[1:]], "has a missing value at row 0"),
        (sparse.csr_array(Y[:, None]), r"is sparse, expected an array: y.toarray\(\)"),
    ],
)
def test_targets_that_are_neither_numbers_nor_labels(model, y, message):
    with pytest.raises(InputError, match=f"^y: {message}"):
        model().fit(NUMBERS, y)


def test_held_out_targets_are_checked_as_the_others():
    search = RFMClassifierCV(kernels=["laplace"], bandwidths=[1.0], ridges=[0.1], max_iters=0)
    with pytest.raises(InputError, match=r"^validation: has a missing value at row 1"):
        search.fit(NUMBERS, COLOUR, validation=(NUMBERS[:2], ["red", None]))


class Series:
    """A column of another library, whose dtype is its own, such as one of polars."""

    dtype = "Float64"

    def __init__(self, values):
        self.values = values

    def __len__(self):
        return len(self.values)

    def __array__(self, dtype=None, copy=None):
        return np.asarray(self.values, dtype)


def test_targets_may_be_a_column_of_another_library():
    found, expected = (RFMRegressor(n_iters=1).fit(NUMBERS, y).predict(NUMBERS) for y in (Series(Y), Y))
    np.testing.assert_array_equal(found, expected)
    labels = RFMClassifier(n_iters=0).fit(NUMBERS, Series(COLOUR))
    assert labels.classes_.tolist() == ["blue", "green", "red"]
