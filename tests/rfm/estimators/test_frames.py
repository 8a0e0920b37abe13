"""Frames as they come: numbers kept as objects, missing categories, columns of very many categories."""

import re
import warnings
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
import sklearn
from sklearn.datasets import make_friedman1
from sklearn.model_selection import KFold
from sklearn.preprocessing import TargetEncoder

from nfa import CategoryWarning, InputError
from nfa.rfm import RFMClassifier, RFMClassifierCV, RFMRegressor, RFMRegressorCV, load

RNG = np.random.default_rng(0)
N = 90
NUMBERS = RNG.normal(size=(N, 2))
CITY = np.array([f"city {number % 60}" for number in RNG.permutation(N)])
Y = NUMBERS[:, 0] + (CITY > "city 3")
LABELS = np.array(["a", "b", "c"])[RNG.integers(3, size=N)]
MANY = r"^column 'city' has more than 50 categories: each becomes the mean of its targets \(TargetEncoder, cross-fit"


def table(**columns):
    return pd.DataFrame({"size": NUMBERS[:, 0], **columns, "weight": NUMBERS[:, 1]})


def test_numbers_in_objects_are_numbers():
    X, y = make_friedman1(200, 6, noise=0.5, random_state=0)
    frame, plain = pd.DataFrame(X).astype(object), RFMRegressor().fit(X[:150], y[:150])
    for rows in (frame, frame.apply(lambda column: column.map(lambda each: Decimal(repr(each))))):
        model = RFMRegressor().fit(rows[:150], y[:150])
        assert model.encoder_ is None
        np.testing.assert_array_equal(model.predict(rows[150:]), plain.predict(X[150:]))
    # Beside a column of text, whole numbers and truth values among them.
    mixed = table(kind=["u", "v"] * 45, count=np.arange(N), flag=NUMBERS[:, 0] > 0)
    objects = RFMRegressor().fit(mixed.astype(object), Y)
    np.testing.assert_array_equal(objects.predict(mixed), RFMRegressor().fit(mixed, Y).predict(mixed))
    assert objects.M_.shape == (6, 6)
    for column in (pd.Series(["7"] * N, dtype=dtype) for dtype in ("str", "object")):
        with pytest.raises(InputError, match=rf"^X: column 'count' is {column.dtype}, expected numbers, as in fit$"):
            objects.predict(mixed.assign(count=column))


@pytest.mark.parametrize("kind", ["object", "str", "category"])
def test_missing_categories_are_one_class_however_they_are_written(kind):
    colour = np.array(["red", None, "blue", None, "red", None] * 15, dtype=object)
    model = RFMRegressor(n_iters=1).fit(table(colour=pd.Series(colour, dtype=kind)), Y)
    assert list(model.encoder_.get_feature_names_out()[:3]) == ["colour_blue", "colour_red", "colour_None"]
    one_hot = np.column_stack([colour == each for each in ("blue", "red", None)])
    plain = RFMRegressor(n_iters=1).fit(np.hstack([one_hot, NUMBERS]), Y)
    for missing in ([None], [np.nan], [pd.NA], [None, np.nan, pd.NA], [pd.NaT]):
        new = colour.copy()
        new[new == None] = (missing * 45)[:45]  # noqa: E711
        np.testing.assert_array_equal(model.predict(table(colour=new)), plain.predict(np.hstack([one_hot, NUMBERS])))
        refitted = RFMRegressor(n_iters=1).fit(table(colour=new), Y)
        np.testing.assert_array_equal(refitted.M_, model.M_)


@pytest.mark.parametrize(
    "count", [pd.array([1, None] * 45, dtype="Int64"), [1.0, None] * 45, np.array([1, None] * 45, dtype=object)]
)
@pytest.mark.parametrize("text", [True, False])
def test_missing_numbers_are_refused_with_their_column_and_what_to_do(count, text):
    frame = table(count=count) if not text else table(kind=["u", "v"] * 45, count=count)
    message = r"^X: column 'count' has no number \(NaN\) in 45 of 90 rows; fill them in first, as sklearn.impute.Simple"
    with pytest.raises(InputError, match=message):
        RFMRegressor().fit(frame, Y)
    model = RFMRegressor(n_iters=0).fit(frame.assign(count=1), Y)
    with pytest.raises(InputError, match=message):
        model.predict(frame)


def test_a_column_of_several_kinds_is_refused():
    with pytest.raises(InputError, match=r"^X: column 'mixed' holds int, str, expected numbers, or categories of one"):
        RFMRegressor().fit(table(mixed=[1, "a"] * 45), Y)


def cross_fitted(values, target):
    """By scikit-learn's encoder, in the estimator's folds."""
    seed = np.random.RandomState(0).randint(2**31)
    old = tuple(int(part) for part in sklearn.__version__.split(".")[:2]) < (1, 9)
    folds = {"cv": 5, "random_state": seed} if old else {"cv": KFold(5, shuffle=True, random_state=seed)}
    encoder = TargetEncoder(target_type="continuous", **folds)
    return encoder.fit_transform(values[:, None], target), encoder


def test_a_column_of_many_categories_is_encoded_by_the_targets():
    frame = table(city=CITY)
    with pytest.warns(UserWarning, match=MANY):
        model = RFMRegressor(n_iters=2).fit(frame, 1e6 * Y)
    assert list(model.encoder_.get_feature_names_out()) == ["city", "size", "weight"]
    # In no units, as the others are: columns are not standardised.
    column, encoder = cross_fitted(CITY, (Y - Y.mean()) / Y.std())
    plain = RFMRegressor(n_iters=2).fit(np.hstack([column, NUMBERS]), 1e6 * Y)
    np.testing.assert_allclose(model.M_, plain.M_, atol=1e-9)
    np.testing.assert_allclose(
        model.predict(frame), plain.predict(np.hstack([encoder.transform(CITY[:, None]), NUMBERS])), rtol=1e-7
    )
    np.testing.assert_allclose(model.feature_importances_, plain.feature_importances_[[1, 0, 2]])


@pytest.mark.parametrize("labels", [LABELS, LABELS == "a"], ids=["three", "two"])
def test_classes_are_targets_one_by_one(labels):
    frame = table(city=CITY)
    with pytest.warns(UserWarning, match=MANY):
        model = RFMClassifier(n_iters=1).fit(frame, labels)
    values = np.unique(labels)[1:] if len(np.unique(labels)) == 2 else np.unique(labels)
    columns = [cross_fitted(CITY, (labels == each).astype(float))[0] for each in values]
    plain = RFMClassifier(n_iters=1).fit(np.hstack([*columns, NUMBERS]), labels)
    np.testing.assert_allclose(model.M_, plain.M_, atol=1e-9)
    assert model.feature_importances_.shape == (3,)


def test_several_targets_and_rows_without_weight():
    both, weights = np.column_stack([Y, -3 * Y**2]), (np.arange(N) % 3 > 0).astype(float)
    frame = table(city=CITY)
    with pytest.warns(UserWarning, match="'city'"):
        model = RFMRegressor(n_iters=1).fit(frame, both, weights)
    assert list(model.encoder_.get_feature_names_out()) == ["city_0", "city_1", "size", "weight"]
    kept = weights > 0
    with pytest.warns(UserWarning, match="'city'"):
        alone = RFMRegressor(n_iters=1).fit(frame[kept], both[kept])
    np.testing.assert_allclose(model.predict(frame[kept]), alone.predict(frame[kept]))
    np.testing.assert_allclose(model.M_, alone.M_)


def test_a_column_that_names_rows_is_as_none():
    """Free text beside one column of numbers: next to nothing of the importance."""
    frame = table(note=[f"free text {number}" for number in range(N)])
    with pytest.warns(UserWarning, match=r"'note' has more than 50 categories.* Leave out a column that only names"):
        model = RFMRegressor().fit(frame, np.sin(2 * NUMBERS[:, 0]))
    assert len(model.M_) == 3
    assert model.feature_importances_[1] < 0.05


def test_few_categories_stay_one_hot_in_few_rows():
    few = pd.DataFrame({"kind": list("abcdef") * 2, "x": np.arange(12.0)})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert RFMRegressor(n_iters=1).fit(few[:6], Y[:6]).M_.shape == (7, 7)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_dtype_is_that_of_the_numbers_beside_many_categories(dtype):
    frame = table(city=CITY).astype({"size": dtype, "weight": dtype})
    with pytest.warns(UserWarning, match=MANY):
        assert RFMRegressor(n_iters=0).fit(frame, Y).predict(frame).dtype == dtype


@pytest.mark.parametrize("model", [RFMRegressor(n_iters=1), RFMClassifier(n_iters=1)], ids=["numbers", "classes"])
def test_the_encodings_are_kept_in_a_file(model, tmp_path):
    frame = table(city=CITY, colour=["red", None, "blue"] * 30)
    with pytest.warns(UserWarning, match=MANY):
        model.fit(frame, Y if isinstance(model, RFMRegressor) else LABELS)
    model.save(tmp_path / "m")
    again, new = load(tmp_path / "m"), frame.assign(city="elsewhere")
    with pytest.warns(UserWarning, match=r"^column 'city' holds categories that fit has not seen \('elsewhere'\)"):
        found, expected = again.predict(new), model.predict(new)
    if isinstance(model, RFMRegressor):
        np.testing.assert_allclose(found, expected, rtol=1e-6)
        np.testing.assert_allclose(again.predict(frame), model.predict(frame), rtol=1e-6)
    else:
        np.testing.assert_array_equal(found, expected)
        np.testing.assert_allclose(again.predict_proba(frame), model.predict_proba(frame), rtol=1e-5)


def test_searches_take_such_columns():
    few = {"kernels": ["laplace"], "bandwidths": [1.0], "ridges": [0.1], "max_iters": 1, "cv": 3}
    for search, y in ((RFMRegressorCV(**few), Y), (RFMClassifierCV(**few), LABELS)):
        with pytest.warns(UserWarning, match=MANY):
            search.fit(table(city=CITY), y)
        assert search.predict(table(city=CITY)).shape == (N,)


@pytest.mark.parametrize("dtype", ["object", "str"])
def test_numbers_written_as_text_are_named_where_they_become_categories(dtype):
    text = pd.Series([f"{number:.3f}" for number in NUMBERS[:, 1]], dtype=dtype)
    with pytest.warns(CategoryWarning, match=r"They are numbers written as text, of which pandas.to_numeric makes num"):
        RFMRegressor(n_iters=0).fit(table(text=text), Y)
    with pytest.warns(CategoryWarning, match=r"Leave out a column that only names rows\.$"):
        RFMRegressor(n_iters=0).fit(table(text=[*text[1:], "none"]), Y)


def test_weights_that_the_means_of_categories_leave_out_are_named():
    alike = r"\(TargetEncoder, cross-fitted; every row counts alike, whatever its weight\)"
    for weights, said in ((np.arange(N) % 3, True), (np.full(N, 2.0), False), (np.arange(N) % 2, False)):
        with pytest.warns(CategoryWarning) as caught:
            RFMRegressor(n_iters=0).fit(table(city=CITY), Y, sample_weight=weights)
        assert bool(re.search(alike, str(caught[0].message))) is said
