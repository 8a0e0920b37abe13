"""Sparse rows are those of the dense table."""

import numpy as np
import pytest
import scipy.sparse
import torch
from helpers import assert_same_table
from sklearn.neural_network import MLPClassifier
from torch import nn

import nfa
from nfa.data import as_samples

DENSE = scipy.sparse.random(60, 30, 0.2, format="csr", random_state=0, dtype=np.float32)
SPARSE = {
    "csr": lambda X: X,
    "coo": lambda X: X.tocoo(),
    "array": scipy.sparse.csc_array,
    "tensor": lambda X: torch.from_numpy(X.toarray()).to_sparse(),
    "csr tensor": lambda X: torch.from_numpy(X.toarray()).to_sparse_csr(),
}


@pytest.mark.filterwarnings("ignore:Sparse CSR tensor support")
@pytest.mark.parametrize("kind", SPARSE)
def test_sparse_rows_are_made_dense_batch_by_batch(kind):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(30, 5), nn.Tanh(), nn.Linear(5, 2))
    X, y = SPARSE[kind](DENSE), np.arange(60) % 2
    dense = DENSE.toarray()
    expected = nfa.audit(net, (dense, y), batch_size=16)
    audit = nfa.audit(net, (X, y), batch_size=16)
    assert_same_table(audit, expected, 1e-12)
    assert (audit.score, audit.about.data) == (expected.score, "sparse rows with targets")
    assert_same_table(nfa.audit(net, X, samples=20, seed=3), nfa.audit(net, dense, samples=20, seed=3), 1e-12)
    assert max(len(batch.x) for batch in as_samples(X).batches(16)) == 16


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_an_estimator_that_was_fitted_on_sparse_rows():
    y = np.arange(60) % 2
    net = MLPClassifier((8,), max_iter=5, random_state=0).fit(DENSE, y)
    assert_same_table(nfa.audit(net, (DENSE, y)), nfa.audit(net, (DENSE.toarray(), y)), 1e-12)


@pytest.mark.parametrize(
    ("X", "message"),
    [
        (scipy.sparse.csr_matrix((0, 4)), r"^data: sparse rows of shape \(0, 4\), expected \(samples, features\)$"),
        (
            scipy.sparse.csr_matrix([[0.0, np.nan]]),
            "^data: entries that are not 0: nan at row 0; every entry must be fin",
        ),
        (torch.zeros(2, 2, 2).to_sparse(), r"^data: sparse rows of shape \(2, 2, 2\), expected"),
        ((scipy.sparse.csr_matrix(np.eye(3)), [0, 1]), "^data: X has 3 rows, y has 2$"),
    ],
)
def test_sparse_rows_that_cannot_be_used(X, message):
    with pytest.raises(nfa.InputError, match=message):
        as_samples(X)
