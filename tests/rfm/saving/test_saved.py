"""What is saved comes back: predictions to 1e-6 of the largest, and all that is known of the fit."""

import pickle

import numpy as np
import pandas as pd
import pytest
import torch
from helpers import gaussian
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV
from sklearn.svm import SVR

from nfa import InputError
from nfa.rfm import RFMClassifier, RFMClassifierCV, RFMRegressor, RFMRegressorCV, load, save

X = gaussian(50, 3).numpy()
Y = X[:, 0] ** 2 + X[:, 1]
LABELS = np.array(["a", "b", "c"])[np.digitize(X[:, 0], [-0.4, 0.4])]
NEW = gaussian(20, 3, seed=7).numpy()
TABLE = pd.DataFrame(X, columns=["u", "v", "w"]).assign(kind=np.where(X[:, 2] > 0, "p", None), flag=X[:, 0] > 0)
FEW = {
    "kernels": ("laplace", "l1", "power"),
    "bandwidths": [1.0, 2.0],
    "ridges": np.array([1e-3, 1e-1]),
    "max_iters": 2,
    "cv": 3,
}


def outputs(model, rows):
    return model.predict_proba(rows) if hasattr(model, "predict_proba") else model.predict(rows)


def assert_near(found, expected):
    """To 1e-6 of the largest."""
    assert (found.shape, found.dtype) == (expected.shape, expected.dtype)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6 * np.abs(expected).max())


def assert_same(model, again, rows=NEW):
    assert type(again) is type(model)
    assert_near(outputs(again, rows), outputs(model, rows))
    if hasattr(model, "classes_"):
        np.testing.assert_array_equal(again.predict(rows), model.predict(rows), strict=True)
    np.testing.assert_array_equal(again.M_, model.M_, strict=True)
    np.testing.assert_array_equal(again.feature_importances_, model.feature_importances_)
    assert_near(again.agop(), model.agop())
    assert_near(again.agop(rows, centered=True), model.agop(rows, centered=True))
    pd.testing.assert_frame_equal(again.history_, model.history_)
    assert again.solver_ == model.solver_
    assert again.n_features_in_ == model.n_features_in_
    assert list(getattr(again, "feature_names_in_", [])) == list(getattr(model, "feature_names_in_", []))


@pytest.mark.parametrize("kernel", ["laplace", "gaussian", "quadratic", "l1"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("options", [{}, {"diag": True}, {"n_iters": 0}, {"M_init": np.diag([1.0, 2.0, 0.0])}], ids=str)
def test_regressors(kernel, dtype, options, tmp_path):
    rows = X.astype(dtype)
    model = RFMRegressor(kernel, ridge=0.1, **options).fit(rows, 1e9 * Y, np.linspace(0, 2, 50))
    model.save(tmp_path / "model.safetensors")
    again = load(tmp_path / "model.safetensors")
    assert_same(model, again, NEW.astype(dtype))
    assert again.get_params() == {**model.get_params(), "M_init": None}


@pytest.mark.parametrize("scale", [1, 1e3])
def test_a_matrix_that_leaves_little_of_the_rows(scale, tmp_path):
    """Rows that are equal under M are so after reading, though their products with M^(1/2) round apart."""
    direction = np.array([[1.0, 2.0, 3.0]])
    away = scale * np.random.default_rng(0).normal(size=(50, 2)) @ [[2.0, -1.0, 0.0], [3.0, 0.0, -1.0]]
    rows = np.concatenate([X + away, X - away])
    model = RFMRegressor(n_iters=0, ridge=0.1, M_init=direction.T @ direction).fit(rows, np.tile(Y, 2))
    model.save(tmp_path / "m")
    assert_near(load(tmp_path / "m").predict(rows), model.predict(rows))
    assert_near(load(tmp_path / "m").predict(NEW), model.predict(NEW))


@pytest.mark.parametrize("shape", [(), (1,), (3,)])
def test_targets_of_every_shape(shape, tmp_path):
    targets = np.random.default_rng(0).normal(size=(50, *shape))
    model = RFMRegressor("power", exponent=0.7).fit(X, targets)
    model.save(tmp_path / "m")
    again = load(tmp_path / "m")
    assert again.predict(NEW).shape == (20, *shape)
    assert_same(model, again)


@pytest.mark.parametrize(
    "names",
    [
        np.array(["x", "y", "z"]),
        np.array(["x", "y", "z"], dtype=object),
        np.array([-1, 0, 5], dtype=np.int16),
        np.array([1, 2, 3], dtype=np.uint8),
        np.array([0.0, 1.0, 2.0]),
        np.array([1, 2, 3], dtype=object),
    ],
    ids=lambda names: str(names.dtype),
)
def test_labels(names, tmp_path):
    y = names[np.searchsorted(["a", "b", "c"], LABELS)]
    model = RFMClassifier().fit(X, y)
    model.save(tmp_path / "m")
    again = RFMClassifier.load(tmp_path / "m")
    assert again.classes_.dtype == model.classes_.dtype
    assert again.classes_.tolist() == model.classes_.tolist()
    assert_same(model, again)


def test_truth_values_as_labels(tmp_path):
    RFMClassifier().fit(X, X[:, 0] > 0).save(tmp_path / "m")
    assert load(tmp_path / "m").predict(NEW).dtype == bool


@pytest.mark.parametrize("names", [list(TABLE), [4, 3, 2, 1, 0]], ids=str)
def test_frames(names, tmp_path):
    table = TABLE.set_axis(names, axis=1)
    model = RFMRegressor(n_iters=1).fit(table, Y, np.linspace(0, 1, 50))
    model.save(tmp_path / "m")
    again = load(tmp_path / "m")
    assert_same(model, again, table)
    np.testing.assert_array_equal(again.encoder_.get_feature_names_out(), model.encoder_.get_feature_names_out())
    if names == list(TABLE):
        with pytest.raises(ValueError, match="Feature names must be in the same order"):
            again.predict(table[table.columns[::-1]])


@pytest.mark.parametrize("rows", [X, TABLE], ids=["array", "frame"])
def test_searches(rows, tmp_path):
    for model, y in ((RFMRegressorCV(**FEW), Y), (RFMClassifierCV(**FEW), LABELS)):
        model.fit(rows, y)
        model.save(tmp_path / "m")
        again = load(tmp_path / "m")
        assert_same(model, again, rows)
        assert again.best_params_ == model.best_params_
        assert again.best_score_ == model.best_score_
        pd.testing.assert_frame_equal(again.cv_results_, model.cv_results_)
        pd.testing.assert_frame_equal(again.loo_results_, model.loo_results_)
        assert list(again.ridges) == [1e-3, 1e-1]


def test_dtype_and_device(tmp_path):
    for dtype in (torch.float32, np.float32, "float32"):
        RFMRegressor(dtype=dtype).fit(X, Y).save(tmp_path / "m")
        assert load(tmp_path / "m", device="cpu").get_params()["dtype"] == "float32"
    assert load(tmp_path / "m", device="cpu").device == "cpu"
    with pytest.raises(InputError, match=r"^device: 'meta' is not available here$"):
        load(tmp_path / "m", device="meta")


def test_it_fits_again_after_loading(tmp_path):
    model = RFMRegressor(ridge=0.1).fit(X, Y)
    model.save(tmp_path / "m")
    np.testing.assert_array_equal(load(tmp_path / "m").fit(X, Y).predict(NEW), model.predict(NEW))


def test_pickles_predict_bit_for_bit():
    for model, y in ((RFMRegressor(), Y), (RFMClassifier(), LABELS), (RFMClassifierCV(**FEW), LABELS)):
        model.fit(TABLE, y)
        again = pickle.loads(pickle.dumps(model))
        assert_same(model, again, TABLE)
        np.testing.assert_array_equal(outputs(again, TABLE), outputs(model, TABLE), strict=True)
        np.testing.assert_array_equal(again.agop(), model.agop())


def test_what_is_not_kept_is_said(tmp_path):
    with pytest.raises(NotFittedError):
        RFMRegressor().save(tmp_path / "m")

    class Mine(RFMRegressor):
        """Another class."""

    with pytest.raises(InputError, match=r"^model: Mine is none of Pipeline, RFMClassifier, .*; pickle it$"):
        Mine().fit(X, Y).save(tmp_path / "m")
    searched = GridSearchCV(RFMRegressor(n_iters=0), {"ridge": [0.1]}, cv=2).fit(X, Y)
    with pytest.raises(
        InputError, match=r"^model: GridSearchCV is none of .*; save its best_estimator_, or pickle it$"
    ):
        save(searched, tmp_path / "m")
    other = GridSearchCV(SVR(), {"C": [1.0]}, cv=2).fit(X, Y)
    with pytest.raises(InputError, match=r"^model: GridSearchCV is none of .*RFMRegressorCV; pickle it$"):
        save(other, tmp_path / "m")
    labels = np.empty(50, dtype=object)
    labels[:] = [(0, label) for label in LABELS]
    with pytest.raises(InputError, match=r"^model: classes_ hold tuple; a file keeps str, int, float and bool only"):
        RFMClassifier().fit(X, labels).save(tmp_path / "m")
    assert not (tmp_path / "m").exists()
    with pytest.raises(InputError, match=r"^path: cannot write"):
        RFMRegressor().fit(X, Y).save(tmp_path / "missing" / "m")
    RFMRegressor().fit(X, Y).save(tmp_path / "m")
    with pytest.raises(InputError, match=r"^path: .*: holds an RFMRegressor, expected an RFMClassifier$"):
        RFMClassifier.load(tmp_path / "m")
