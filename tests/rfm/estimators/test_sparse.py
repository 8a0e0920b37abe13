"""Sparse rows: the answers of the dense ones."""

import numpy as np
import pytest
from helpers import gaussian
from scipy import sparse
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from nfa import InputError
from nfa.rfm import DeepRFMRegressor, RFMClassifier, RFMRegressor, RFMRegressorCV

X = gaussian(40, 6).clamp(min=0).numpy()
NEW = gaussian(9, 6, seed=5).clamp(min=0).numpy()
Y = X[:, 0] ** 2 + X[:, 1]
FEW = {"kernels": ["laplace", "l1"], "bandwidths": [1.0], "ridges": [0.1], "max_iters": 1, "cv": 2}


@pytest.mark.parametrize("kind", [sparse.csr_array, sparse.csc_matrix, sparse.coo_array])
@pytest.mark.parametrize(
    "model", [RFMRegressor(), RFMRegressor("l1", diag=True), RFMRegressorCV(**FEW), DeepRFMRegressor(depth=2, width=8)]
)
def test_sparse_rows_have_the_answers_of_dense_ones(model, kind):
    dense = model.fit(X, Y)
    predicted, M = dense.predict(NEW), dense.M_
    found = model.fit(kind(X), Y)
    np.testing.assert_array_equal(found.M_, M)
    np.testing.assert_array_equal(found.predict(kind(NEW)), predicted)


@pytest.mark.parametrize("model", [RFMRegressor(), RFMClassifier(n_components=2)])
def test_features_of_sparse_rows(model):
    model.fit(X, Y > 1 if isinstance(model, RFMClassifier) else Y)
    for name in ("transform", "gradients", "agop"):
        np.testing.assert_array_equal(getattr(model, name)(sparse.csr_array(NEW)), getattr(model, name)(NEW))


def test_texts_and_categories_from_a_pipeline():
    docs, y = ["good film", "bad film", "great acting", "awful plot"] * 10, [1, 0, 1, 0] * 10
    for first, rows in ((TfidfVectorizer(), docs), (OneHotEncoder(), [[text] for text in docs])):
        assert make_pipeline(first, RFMClassifier()).fit(rows, y).score(rows, y) == 1


def test_columns_beyond_the_memory_budget_are_refused():
    wide = sparse.csr_array(sparse.random(20, 40_000, density=0.001, random_state=0))
    full = sparse.csr_array(np.ones((20, 40_000)))
    way_out = "fewer columns are enough, as sklearn.decomposition.TruncatedSVD makes in a pipeline$"
    message = rf"^X: sparse, of 40,000 columns, 40,000 of them in use: takes 11.9 GiB, .*; {way_out}"
    with pytest.raises(InputError, match=message):
        RFMRegressor("quadratic").fit(full, np.arange(20.0))
    message = rf"^X: sparse, of 40,000 columns: takes 11.9 GiB, beyond memory_budget=4; {way_out}"
    with pytest.raises(InputError, match=message):
        RFMRegressor(M_init=np.ones(40_000)).fit(wide, np.arange(20.0))
    with pytest.raises(InputError, match=r"^X: .*: takes 0.00596 GiB, beyond memory_budget=0.005"):
        RFMRegressor(memory_budget=0.005).fit(full, np.arange(20.0))
    # In the span of the rows there is no matrix of d x d.
    found, dense = (RFMRegressor(n_iters=1).fit(rows, np.arange(20.0)) for rows in (wide, wide.toarray()))
    np.testing.assert_allclose(found.predict(wide), dense.predict(wide.toarray()), atol=1e-8)
