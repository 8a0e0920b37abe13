"""Matrices carried through linear maps, known and unknown."""

import math

import pytest
import torch
from helpers import gaussian

from nfa.rfm.deep.transport import carried


@pytest.mark.parametrize(("n", "p", "d"), [(40, 6, 4), (40, 4, 6), (40, 6, 6)])
@pytest.mark.parametrize("offset", [0.0, 100.0])
def test_a_known_map_carries_a_known_matrix(n, p, d, offset):
    X, T, R = gaussian(n, p) + offset, gaussian(p, d, seed=2), gaussian(d, 3, seed=3)
    H = X @ T + 5  # distances do not depend on a constant
    TR, share = carried(R, H, X, ridge=0.0)
    torch.testing.assert_close(TR, T @ R, rtol=1e-9, atol=1e-9)
    assert share == pytest.approx(1.0, abs=1e-12)
    M, carried_M = R @ R.T, TR @ TR.T
    U, V = H[:5] - H[5:10], X[:5] - X[5:10]
    torch.testing.assert_close(((V @ carried_M) * V).sum(1), ((U @ M) * U).sum(1), rtol=1e-9, atol=1e-9)
    small, _ = carried(R, H, X, ridge=1e-12)
    torch.testing.assert_close(small, T @ R, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(("n", "p"), [(40, 6), (8, 20)])
@pytest.mark.parametrize("ridge", [1e-3, 1.0])
def test_ridge_regression_of_the_rows(n, p, ridge):
    X, H, R = gaussian(n, p), gaussian(n, 4, seed=2), gaussian(4, 3, seed=3)
    A, B = X - X.mean(0), H - H.mean(0)
    G = A.T @ A
    T = torch.linalg.solve(G + ridge * G.diagonal().mean() * torch.eye(p, dtype=G.dtype), A.T @ B)
    TR, share = carried(R, H, X, ridge)
    torch.testing.assert_close(TR, T @ R, rtol=1e-8, atol=1e-10)
    expected = 1 - ((B @ R - A @ T @ R) ** 2).sum() / ((B @ R) ** 2).sum()
    assert share == pytest.approx(float(expected), abs=1e-10)


def test_more_features_than_rows_take_the_solution_of_least_norm():
    X, H = gaussian(8, 20), gaussian(8, 4, seed=2)
    TR, share = carried(torch.eye(4), H, X, ridge=0.0)
    torch.testing.assert_close(TR, torch.linalg.pinv(X - X.mean(0)) @ (H - H.mean(0)), rtol=1e-9, atol=1e-10)
    assert share == pytest.approx(1.0)


def test_rows_that_are_all_the_same_carry_nothing():
    TR, share = carried(torch.eye(2), torch.ones(5, 2), gaussian(5, 3), ridge=1e-3)
    assert not TR.any()
    assert math.isnan(share)
    TR, share = carried(torch.eye(2), gaussian(5, 2), torch.ones(5, 3), ridge=0.0)
    assert not TR.any()
    assert share == 0.0
