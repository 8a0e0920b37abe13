"""The factored matrix against the dense one."""

import numpy as np
import pytest
import torch
from helpers import gaussian

from nfa import FactoredMatrix, InputError, nfm
from nfa.features import PowerScan, cosine, pearson, subspace_overlap
from nfa.features.factored import trace_of_product


def make(k, d, rank=None, seed=0):
    W = gaussian(k, d, seed=seed)
    rows = gaussian(rank or 3 * k, k, seed=seed + 1)
    return W, rows.T @ rows / len(rows)


SHAPES = [(4, 9), (9, 4), (6, 6), (1, 5), (5, 1)]


@pytest.mark.parametrize("rank", [None, 2])
@pytest.mark.parametrize(("k", "d"), SHAPES)
def test_every_quantity_equals_the_dense_one(k, d, rank):
    W, S = make(k, d, rank)
    for M in (FactoredMatrix(W, S), FactoredMatrix(W)):
        D = (W.T @ (S if M.S is not None else torch.eye(k, dtype=W.dtype)) @ W).numpy()
        np.testing.assert_allclose(M.dense(), D)
        assert M.trace() == pytest.approx(np.trace(D))
        assert M.norm() == pytest.approx(np.linalg.norm(D))
        assert M.total() == pytest.approx(D.sum(), abs=1e-9)
        np.testing.assert_allclose(M.diagonal(), np.diag(D))
        v = gaussian(d, 3, seed=7)
        np.testing.assert_allclose(M @ v, D @ v.numpy(), atol=1e-12)
        np.testing.assert_allclose(M @ v[:, 0], D @ v[:, 0].numpy(), atol=1e-12)
        values, vectors = np.linalg.eigh(D)
        kept = values > 1e-6 * values[-1]
        assert M.rank() == kept.sum()
        top_values, top_vectors = M.top(3)
        np.testing.assert_allclose(top_values, values[::-1][: min(3, kept.sum())])
        np.testing.assert_allclose(D @ top_vectors.numpy(), top_vectors.numpy() * top_values.numpy(), atol=1e-9)
        np.testing.assert_allclose(top_vectors.T @ top_vectors, np.eye(len(top_values)), atol=1e-9)
        for alpha in (0.05, 0.5, 1, 2):
            dense_power = (vectors[:, kept] * values[kept] ** alpha) @ vectors[:, kept].T
            np.testing.assert_allclose(M.power(alpha).dense(), dense_power, atol=1e-8 * values[-1] ** alpha)
        assert M.effective_rank() == pytest.approx(np.trace(D) ** 2 / np.sum(D**2))


@pytest.mark.parametrize(("k1", "k2", "d"), [(4, 4, 9), (9, 7, 4), (9, 3, 4), (3, 9, 4), (6, 6, 6)])
def test_inner_products_across_weights(k1, k2, d):
    (W1, S1), (W2, S2) = make(k1, d), make(k2, d, seed=5)
    for a in (FactoredMatrix(W1, S1), FactoredMatrix(W1)):
        for b in (FactoredMatrix(W2, S2), FactoredMatrix(W2)):
            A, B = a.dense().numpy(), b.dense().numpy()
            assert a.inner(b) == pytest.approx(np.sum(A * B))
            assert cosine(a, b) == pytest.approx(np.sum(A * B) / np.linalg.norm(A) / np.linalg.norm(B))
            assert pearson(a, b) == pytest.approx(np.corrcoef(A.ravel(), B.ravel())[0, 1])


@pytest.mark.parametrize("computed_first", [False, True])
@pytest.mark.parametrize(("k", "d"), SHAPES)
def test_adding_an_outer_product(k, d, computed_first):
    W, S = make(k, d)
    B = gaussian(2, k, seed=9)
    M = FactoredMatrix(W, S)
    if computed_first:
        M.rank()
    total, plain = M.plus(B), FactoredMatrix(W, S + B.T @ B)
    assert total.norm() == pytest.approx(plain.norm())
    assert total.total() == pytest.approx(plain.total())
    torch.testing.assert_close(total.S, plain.S)
    np.testing.assert_allclose(total.top(3)[0], plain.top(3)[0])


@pytest.mark.parametrize("n", [300, 600])
def test_the_trace_of_a_product_of_many_blocks(n):
    A, B = gaussian(n, n), gaussian(n, n, seed=1)
    assert trace_of_product(A, B) == pytest.approx(float(torch.trace(A @ B)))
    assert trace_of_product(A, A) == pytest.approx(float(torch.trace(A @ A)))


@pytest.mark.parametrize(("k", "d"), [(300, 290), (300, 310), (300, 300)])
def test_many_rows_and_columns_are_summed_like_few(k, d):
    """Matrices of several blocks."""
    W, S = make(k, d)
    B = gaussian(2, k, seed=9)
    M, dense = FactoredMatrix(W, S).plus(B), W.T @ (S + B.T @ B) @ W
    assert M.norm() == pytest.approx(float(dense.norm()))
    assert M.inner(FactoredMatrix(W)) == pytest.approx(float((dense * (W.T @ W)).sum()))
    assert FactoredMatrix(W).norm() == pytest.approx(float((W.T @ W).norm()))


@pytest.mark.parametrize(("k", "d"), SHAPES)
def test_power_scans_and_overlaps(k, d):
    W, S = make(k, d)
    N, A = FactoredMatrix(W), FactoredMatrix(W, S)
    scan = PowerScan(N, A)
    for alpha in (0.05, 0.5, 1.0, 1.7):
        assert scan.cosine(alpha) == pytest.approx(cosine(N, A.power(alpha)))
        assert scan.pearson(alpha) == pytest.approx(pearson(N, A.power(alpha)), nan_ok=True)
    overlap, null = subspace_overlap(N, A)
    assert 0 <= overlap <= 1
    assert null == min(10, k, d) / d


def test_large_dense_sums_are_reduced_in_float64():
    """A float32 norm over many like entries loses digits; the factored one must not."""
    d = 6000
    W = torch.full((2, d), 0.1)
    W[1, ::2] = -0.1
    M = nfm(W)
    exact = (4 * (d * 0.01) ** 2 / 2) ** 0.5  # W's rows are orthogonal, of squared norm d / 100
    assert M.norm() == pytest.approx(exact, rel=1e-6)
    assert cosine(M, M) == pytest.approx(1.0, abs=1e-6)


def test_the_zero_matrix_has_no_similarity():
    zero, other = FactoredMatrix(torch.zeros(3, 4)), FactoredMatrix(torch.ones(3, 4))
    assert np.isnan(cosine(zero, other))
    assert np.isnan(zero.effective_rank())
    assert zero.rank() == 0
    assert np.isnan(pearson(other, other))  # constant
    assert np.isnan(subspace_overlap(other, FactoredMatrix(other.weight, torch.zeros(3, 3)))[0])


def test_bad_factors():
    with pytest.raises(InputError, match="S: shape \\(2, 2\\), expected \\(3, 3\\)"):
        FactoredMatrix(torch.ones(3, 4), torch.eye(2))
    with pytest.raises(InputError, match="other: 5 x 5, expected 4 x 4"):
        FactoredMatrix(torch.ones(3, 4)).inner(FactoredMatrix(torch.ones(3, 5)))
    with pytest.raises(InputError, match="alpha: got 0"):
        FactoredMatrix(torch.ones(3, 4)).power(0)
