"""The largest eigenvalues by block Lanczos, against a whole decomposition."""

import numpy as np
import pytest
import torch
from helpers import gaussian

from nfa.features import FactoredMatrix, subspace_overlap
from nfa.features.leading import SMALL
from nfa.features.leading import leading as largest

N = SMALL + 44
SPECTRA = {
    "gaussian": lambda: torch.linalg.svdvals(gaussian(N, N)) ** 2,
    "a spike over a bulk": lambda: torch.cat([torch.tensor([1e6]).double(), torch.linspace(2, 1, N - 1).double()]),
    "nearly all the same": lambda: 1 + 1e-6 * torch.linspace(1, 0, N).double(),
    "the identity": lambda: torch.ones(N, dtype=torch.float64),
    "low rank": lambda: torch.cat([torch.arange(6, 0, -1).double(), torch.zeros(N - 6).double()]),
    "zero": lambda: torch.zeros(N, dtype=torch.float64),
}


@pytest.mark.parametrize("name", SPECTRA)
def test_eigenpairs_of_any_spectrum(name):
    spectrum, Q = SPECTRA[name](), torch.linalg.qr(gaussian(N, N)).Q
    A = (Q * spectrum) @ Q.T
    values, vectors = largest(lambda X: A @ X, N, 10, 2e-16)
    size = max(1.0, float(spectrum[0]))
    np.testing.assert_allclose(values, spectrum[:10], atol=1e-12 * size)
    np.testing.assert_allclose(vectors.T @ vectors, np.eye(10), atol=1e-12)
    np.testing.assert_allclose(A @ vectors, vectors * values, atol=1e-12 * size)


@pytest.mark.parametrize(("k", "d"), [(N, N), (N, 2 * N), (N + 9, N)])
def test_the_overlap_of_large_matrices_is_that_of_whole_decompositions(k, d):
    W, rows = gaussian(k, d), gaussian(k, k, seed=1)
    rows[:, :5] *= 30
    S = rows.T @ rows
    overlap, _ = subspace_overlap(FactoredMatrix(W), FactoredMatrix(W, S))
    U, V = (np.linalg.eigh(M)[1][:, -10:] for M in ((W.T @ W).numpy(), (W.T @ S @ W).numpy()))
    assert overlap == pytest.approx(((U.T @ V) ** 2).sum() / 10, rel=1e-8)


@pytest.mark.parametrize("name", ["of lower rank", "nearly of lower rank", "with a row of zeros"])
def test_a_weight_whose_gram_matrix_has_no_cholesky_factor(name):
    W = gaussian(6, 9)
    W[5] = {"of lower rank": W[4], "nearly of lower rank": W[4] + 1e-9 * W[3], "with a row of zeros": 0 * W[4]}[name]
    rows = gaussian(20, 6, seed=3)
    A = FactoredMatrix(W, rows.T @ rows)
    expected = np.linalg.eigvalsh((W.T @ rows.T @ rows @ W).numpy())[::-1][: A.rank()]
    np.testing.assert_allclose(A.eigen[0], expected, rtol=1e-9)
    assert A.rank() == 5
