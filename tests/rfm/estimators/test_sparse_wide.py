"""Sparse rows of more columns than rows: the answers of dense ones, and never dense."""

import pickle
import tracemalloc

import numpy as np
import pytest
from scipy import sparse

from nfa import InputError
from nfa.rfm import RFMClassifier, RFMClassifierCV, RFMRegressor, RFMRegressorCV, load

N, D = 25, 70


def rows(n, d, density, seed):
    """Sparse rows; the columns from d / 2 on are 0 but in one of five."""
    found = sparse.random(n, d, density=density, random_state=seed, format="lil")
    found[:, [k for k in range(d // 2, d) if k % 5]] = 0
    return sparse.csr_array(found)


X = rows(N, D, 0.08, 0)
NEW = sparse.csr_array(sparse.random(9, D, density=0.2, random_state=1))
"""With entries in columns that no training row uses."""
Y = np.random.default_rng(0).normal(size=(N, 2))
WEIGHTS = np.arange(N) % 3
KERNELS = {
    "laplace": {},
    "gaussian": {},
    "power": {"exponent": 0.7, "diag": True},
    "l1": {"diag": True},
    "l1 whole": {},
    "quadratic": {"bandwidth": 2.0},
}


def both(kind=RFMRegressor, y=Y, weights=None, **options):
    return kind(**options).fit(X, y, weights), kind(**options).fit(X.toarray(), y, weights)


def close(found, expected):
    np.testing.assert_allclose(found, expected, atol=1e-8 * max(1, np.abs(expected).max()))


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("scale", [None, "std"])
@pytest.mark.parametrize("updates", [0, 2])
def test_everything_is_as_of_dense_rows(kernel, scale, updates, tmp_path):
    options = {"n_iters": updates, "scale": scale, "ridge": 0.01, "M_scale": "trace", "n_components": 4}
    found, plain = both(kernel=kernel.split()[0], **options | KERNELS[kernel])
    assert found._support is not None
    for given in (X, NEW, NEW.toarray(), sparse.coo_array(NEW)):
        dense = given.toarray() if sparse.issparse(given) else given
        close(found.predict(given), plain.predict(dense))
        close(found.gradients(given), plain.gradients(dense))
        close(found.agop(given), plain.agop(dense))
        close(found.agop(given, centered=True), plain.agop(dense, centered=True))
        for one, other in zip(found.staged_predict(given), plain.staged_predict(dense), strict=True):
            close(one, other)
    for name in ("M_", "feature_importances_", "scale_", "bandwidth_", "components_"):
        close(getattr(found, name), getattr(plain, name))
    close(found.M_factor_.T @ found.M_factor_, plain.M_factor_.T @ plain.M_factor_)
    close(found.agop(), plain.agop())
    close(found.transform(NEW), plain.transform(NEW.toarray()))
    assert list(found.get_feature_names_out()) == list(plain.get_feature_names_out())
    np.testing.assert_allclose(found.history_, plain.history_, rtol=1e-7)
    assert found.solver_ == plain.solver_
    found.save(tmp_path / "m")
    for again in (load(tmp_path / "m"), pickle.loads(pickle.dumps(found))):
        np.testing.assert_allclose(again.predict(NEW), plain.predict(NEW.toarray()), atol=1e-6)
        close(again.M_, plain.M_)


def test_defaults_weights_classes_and_float32():
    found, plain = both(weights=WEIGHTS)
    close(found.predict(NEW), plain.predict(NEW.toarray()))
    assert found.solver_ == plain.solver_
    labels = np.digitize(Y[:, 0], [-0.4, 0.4])
    found, plain = both(RFMClassifier, labels)
    close(found.predict_proba(NEW), plain.predict_proba(NEW.toarray()))
    single = RFMRegressor(ridge=0.1).fit(X.astype(np.float32), Y).predict(NEW.astype(np.float32))
    assert single.dtype == np.float32
    np.testing.assert_allclose(single, RFMRegressor(ridge=0.1).fit(X, Y).predict(NEW), atol=1e-3)


@pytest.mark.parametrize("kind", [RFMRegressorCV, RFMClassifierCV])
def test_a_search(kind):
    y = Y if kind is RFMRegressorCV else (Y[:, 0] > 0).astype(int)
    few = {"kernels": ["laplace", "l1"], "bandwidths": [1.0, 2.0], "ridges": [0.01, 0.1], "max_iters": 2, "cv": 2}
    found, plain = kind(**few).fit(X, y), kind(**few).fit(X.toarray(), y)
    assert found.best_params_ == pytest.approx(plain.best_params_)
    close(found.predict(NEW), plain.predict(NEW.toarray()))
    held_out = (NEW, y[:9])
    found = kind(**few).fit(X, y, validation=held_out)
    plain = kind(**few).fit(X.toarray(), y, validation=(NEW.toarray(), y[:9]))
    np.testing.assert_allclose(found.cv_results_["loss"], plain.cv_results_["loss"], rtol=1e-7)


def test_empty_rows_and_no_entries_at_all():
    empty = sparse.csr_array((5, 30))
    for given in (empty, sparse.csr_array(np.eye(5, 30))):
        model, plain = (RFMRegressor(ridge=0.1).fit(each, np.arange(5.0)) for each in (given, given.toarray()))
        new = sparse.csr_array(np.eye(3, 30, 4))
        close(model.predict(new), plain.predict(new.toarray()))


def test_stored_zeros_and_doubled_entries():
    entries = np.array([2.0, 1.0, 0.0, 3.0, 4.0]), np.array([0, 0, 1, 2, 9]), np.array([0, 3, 5])
    doubled = sparse.csr_array(entries, shape=(2, 12))
    model, plain = (RFMRegressor(n_iters=0, ridge=0.1).fit(each, [0.0, 1.0]) for each in (doubled, doubled.toarray()))
    new = sparse.csr_array((np.array([3.0, 4.0, 1e200]), np.array([5, 5, 6]), np.array([0, 2, 3])), shape=(2, 12))
    close(model.predict(new), plain.predict(new.toarray()))


class Sparse(sparse.csr_array):
    """Rows that cannot be made dense where they are wide."""

    def toarray(self, *given, **options):
        assert self.shape[1] < 10_000, "dense"
        return super().toarray(*given, **options)


def test_a_million_columns():
    draw = np.random.default_rng(0)
    n, d, each = 200, 1_000_000, 20

    def made(count):
        columns = np.sort(draw.integers(0, d, (count, each - 5)), 1)
        columns = np.hstack([draw.permuted(np.tile(np.arange(30), (count, 1)), axis=1)[:, :5], columns + 30])
        values = draw.normal(size=columns.shape).ravel()
        return Sparse((values, columns.ravel() % d, np.arange(count + 1) * each), shape=(count, d))

    X, new = made(n), made(n)
    y = X[:, :30] @ np.arange(30.0)
    tracemalloc.start()
    model = RFMRegressor().fit(X, y)
    predicted = model.predict(new)
    assert model.feature_importances_.argmax() < 30
    assert tracemalloc.get_traced_memory()[1] < 2e8
    tracemalloc.stop()
    used = np.union1d(X.indices, new.indices)
    dense = RFMRegressor().fit(sparse.csr_array(X)[:, used].toarray(), y)
    close(predicted, dense.predict(sparse.csr_array(new)[:, used].toarray()))
    with pytest.raises(InputError, match=r"^M_: 1,000,000 x 1,000,000 is beyond memory_budget=4 GiB"):
        model.M_  # noqa: B018
