"""More columns than rows: computed in the rows' span, with the answers of M as a matrix."""

import pickle

import numpy as np
import pytest
from helpers import gaussian
from rfm.bare import PlainClassifier, PlainRegressor
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.pipeline import make_pipeline

from nfa import InputError
from nfa.rfm import RFMRegressor, RFMRegressorCV, load
from nfa.rfm.estimators import search

N, D = 20, 60
X, NEW = gaussian(N, D).numpy(), gaussian(9, D, seed=5).numpy()
Y = X[:, 0] * X[:, 1] + X[:, 2]
WEIGHTS = np.arange(N) % 3


def both(kind=PlainRegressor, y=Y, weights=None, rows=X, **options):
    """The estimator, and the same from the identity as a matrix, which is computed on the rows themselves."""
    return kind(**options).fit(rows, y, weights), kind(M_init=np.eye(D), **options).fit(rows, y, weights)


@pytest.mark.parametrize("updates", [0, 1, 3])
@pytest.mark.parametrize("scale", ["max", "trace", None])
@pytest.mark.parametrize("kernel", ["laplace", "gaussian", "power"])
def test_everything_is_as_on_the_rows_themselves(kernel, scale, updates):
    q = {"exponent": 0.7} if kernel == "power" else {}
    found, plain = both(kernel=kernel, M_scale=scale, n_iters=updates, ridge=0.01, **q)
    for rows in (X, NEW):
        np.testing.assert_allclose(found.predict(rows), plain.predict(rows), atol=1e-9)
        np.testing.assert_allclose(found.gradients(rows), plain.gradients(rows), atol=1e-9)
        for centered in (False, True):
            np.testing.assert_allclose(
                found.agop(rows, centered=centered), plain.agop(rows, centered=centered), atol=1e-9
            )
    size = np.abs(plain.M_).max()
    np.testing.assert_allclose(found.M_, plain.M_, atol=1e-9 * size)
    for model in (found, plain):
        np.testing.assert_allclose(model.M_factor_.T @ model.M_factor_, plain.M_, atol=1e-9 * size)
    assert found.M_factor_.shape == ((N - 1, D) if updates else (D, D))
    np.testing.assert_allclose(found.feature_importances_, plain.feature_importances_, atol=1e-9)
    np.testing.assert_allclose(found.history_, plain.history_, rtol=1e-7)
    assert found.bandwidth_ == pytest.approx(plain.bandwidth_, rel=1e-9)
    for one, other in zip(found.staged_predict(NEW), plain.staged_predict(NEW), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-9)


def test_float32_rows_that_are_nearly_equal_keep_what_they_differ_in():
    """Their differences are digits of float32, of which the targets ask for steep functions."""
    rows = X[:3].repeat(3, 0).astype(np.float32)
    rows *= 1 + 2e-6 * gaussian(9, D, seed=7).numpy().astype(np.float32)
    found, plain = both(rows=rows, y=np.arange(9.0) % 3, ridge=1e-5, n_iters=1, M_scale="trace")
    assert np.trace(found.M_) == pytest.approx(D)
    assert found.M_factor_.shape == (8, D)
    np.testing.assert_allclose(found.M_, plain.M_, atol=0.02 * plain.M_.max())
    assert found.bandwidth_ == pytest.approx(plain.bandwidth_, rel=0.02)


@pytest.mark.parametrize(
    "options",
    [{"center_grads": True}, {"agop_power": 0.5}, {"agop_samples": 8}, {"bandwidth_scale": None, "bandwidth": 9.0}],
    ids=str,
)
def test_options_and_weights(options):
    found, plain = both(weights=WEIGHTS, n_iters=2, ridge=0.01, **options)
    np.testing.assert_allclose(found.predict(NEW), plain.predict(NEW), atol=1e-8)
    np.testing.assert_allclose(found.M_, plain.M_, atol=1e-8)


def test_it_is_as_after_a_full_pca():
    rotated = make_pipeline(PCA(), PlainRegressor()).fit(X, Y)
    np.testing.assert_allclose(PlainRegressor().fit(X, Y).predict(NEW), rotated.predict(NEW), atol=1e-7)


def test_classes_float32_and_several_targets():
    labels = np.digitize(X[:, 0], [-0.4, 0.4])
    found, plain = both(PlainClassifier, labels, ridge=0.01)
    np.testing.assert_allclose(found.predict_proba(NEW), plain.predict_proba(NEW), atol=1e-8)
    found, plain = both(y=np.column_stack([Y, X[:, 3]]), rows=X.astype(np.float32), ridge=0.01)
    assert found.predict(NEW.astype(np.float32)).dtype == np.float32
    np.testing.assert_allclose(found.predict(NEW), plain.predict(NEW), atol=1e-3)


def test_components_lie_in_the_span():
    found, plain = both(n_components=2)
    np.testing.assert_allclose(found.components_, plain.components_, atol=1e-7)
    np.testing.assert_allclose(found.transform(NEW), plain.transform(NEW), atol=1e-6)


@pytest.mark.parametrize("updates", [0, 2])
def test_files_and_pickles(updates, tmp_path):
    model = PlainRegressor(n_iters=updates).fit(X, Y, np.linspace(0, 1, N))
    model.save(tmp_path / "m")
    again = load(tmp_path / "m")
    expected = model.predict(NEW)
    np.testing.assert_allclose(again.predict(NEW), expected, atol=1e-6 * np.abs(expected).max())
    np.testing.assert_allclose(again.M_, model.M_)
    np.testing.assert_allclose(again.agop(), model.agop(), atol=1e-7)
    kept = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(kept.predict(NEW), expected)
    np.testing.assert_array_equal(kept.M_, model.M_)


BEYOND = r"^{}: {} x 60,000 is beyond memory_budget={} GiB; {}$"


@pytest.mark.parametrize("updates", [0, 1])
@pytest.mark.parametrize("scale", [None, "std"])
def test_nothing_of_the_size_of_M_is_made_until_it_is_asked_for(updates, scale, tmp_path):
    """60,000 columns: M would take 27 GiB."""
    wide = gaussian(8, 60_000).numpy()
    model = RFMRegressor(n_iters=updates, scale=scale).fit(wide, wide[:, 0])
    expected = model.predict(wide)
    assert expected.shape == (8,)
    assert model.feature_importances_.shape == (60_000,)
    assert model.set_params(n_components=2).components_.shape == (2, 60_000)
    assert model.transform(wide).shape == (8, 2)
    assert len(model.get_feature_names_out()) == 2
    assert "RFMRegressor" in repr(model)
    assert not hasattr(clone(model), "fitted_")
    model.save(tmp_path / "m")
    assert (tmp_path / "m").stat().st_size < 16 * wide.nbytes
    for again in (load(tmp_path / "m"), pickle.loads(pickle.dumps(model)), model):
        np.testing.assert_allclose(again.predict(wide), expected, atol=1e-6 * np.abs(expected).max())
        asked = [("M_", lambda one: one.M_, "M_factor_ is R .*"), ("agop", RFMRegressor.agop, "gradients.*")]
        if updates:
            assert again.M_factor_.shape == (7, 60_000)
        else:
            asked += [("M_factor_", lambda one: one.M_factor_, "M is a multiple of the identity, or diagonal")]
            asked += [("components_", lambda one: one.set_params(n_components=None).components_, "n_components=.*")]
        for name, ask, instead in asked:
            with pytest.raises(InputError, match=BEYOND.format(name, "60,000", 4, instead)):
                ask(again)


def test_a_factor_beyond_the_budget_is_refused():
    wide = gaussian(8, 60_000).numpy()
    model = RFMRegressor(n_iters=1).fit(wide, wide[:, 0]).set_params(memory_budget=0.001)
    with pytest.raises(InputError, match=BEYOND.format("components_", 7, 0.001, "n_components= takes fewer")):
        model.components_  # noqa: B018


def test_equal_rows_and_constant_targets():
    for rows, y in ((np.ones((5, 9)), Y[:5]), (X[:1], Y[:1]), (X, np.zeros(N)), (X[:2], Y[:2])):
        model = PlainRegressor(ridge=0.1).fit(rows, y)
        assert np.isfinite(model.predict(rows)).all()
        assert np.isfinite(model.M_).all()


def test_a_search_computes_in_the_span_too(monkeypatch):
    few = {
        "scale": None,
        "kernels": ["laplace", "l1"],
        "bandwidths": [1.0, 2.0],
        "ridges": [0.01, 0.1],
        "max_iters": 2,
        "cv": 2,
    }
    found = RFMRegressorCV(**few).fit(X, Y)
    monkeypatch.setattr(search, "coordinates_for", lambda *given: None)
    plain = RFMRegressorCV(**few).fit(X, Y)
    assert found.best_params_ == plain.best_params_
    for name in ("cv_results_", "loo_results_"):
        np.testing.assert_allclose(getattr(found, name)["loss"], getattr(plain, name)["loss"], rtol=1e-7)


@pytest.mark.parametrize("seed", range(4))
def test_rows_that_are_close_beside_their_size_keep_their_places(seed):
    """The system's own answer at a training row is y - ridge a; a row that is shifted by rounding has another."""
    draw = np.random.default_rng(seed)
    near = 4000 * draw.normal(size=D) * (1 + 1e-7 * draw.normal(size=(2, D)))
    y = draw.normal(size=2)
    model = PlainRegressor(ridge=0.1, n_iters=1, fit_intercept=False).fit(near, y)
    a = model.machine_.a[:, 0].numpy() * model.machine_.unit
    np.testing.assert_allclose(model.predict(near), y - 0.1 * a, rtol=0, atol=1e-13)
