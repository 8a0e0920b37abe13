"""The formulas of docs/algebra.md on numbers: each side by itself, in numpy."""

import numpy as np
import pytest
import torch

RNG = np.random.default_rng(0)
K, D, N, OUTPUTS = 6, 4, 10, 3
W = RNG.normal(size=(K, D))
DELTA = RNG.normal(size=(N, OUTPUTS, K))
S = np.einsum("nck,ncl->kl", DELTA, DELTA) / N
C, NFM, AGOP = W @ W.T, W.T @ W, W.T @ S @ W


def inner(A, B):
    return float((A * B).sum())


def cosine(A, B):
    return inner(A, B) / np.linalg.norm(A) / np.linalg.norm(B)


def power(M, alpha):
    values, vectors = np.linalg.eigh(M)
    return (vectors * values.clip(0) ** alpha) @ vectors.T


def test_one_layer():
    J = DELTA @ W
    np.testing.assert_allclose(np.einsum("ncd,nce->de", J, J) / N, AGOP)


def test_comparing_without_d_x_d():
    assert np.trace(NFM) == pytest.approx(np.trace(C))
    assert inner(NFM, AGOP) == pytest.approx(np.trace(C @ S @ C))
    assert inner(NFM, NFM) == pytest.approx(inner(C, C))
    assert inner(AGOP, AGOP) == pytest.approx(np.trace(S @ C @ S @ C))


def test_few_rows():
    some = DELTA[:2, :2]
    rows = some.reshape(4, K) / np.sqrt(2)
    S_few, G = rows.T @ rows, rows @ W
    np.testing.assert_allclose(S_few, np.einsum("nck,ncl->kl", some, some) / 2)
    agop = W.T @ S_few @ W
    np.testing.assert_allclose(np.linalg.eigvalsh(agop)[-4:], np.linalg.eigvalsh(G @ G.T), atol=1e-12)
    assert inner(NFM, agop) == pytest.approx(inner(G @ W.T, G @ W.T))
    assert inner(agop, agop) == pytest.approx(inner(G @ G.T, G @ G.T))
    assert inner(S_few, S_few) == pytest.approx(inner(rows @ rows.T, rows @ rows.T))
    assert inner(C, S_few) == pytest.approx(inner(G, G))


def test_the_interval():
    """The derivative by a group's weight; tests/features/test_interval.py has the jackknife and its coverage."""
    parts = [np.einsum("nck,ncl->kl", part, part) / N for part in np.split(DELTA, [2, 5])]
    A = [W.T @ part @ W for part in parts]
    theta, step = cosine(NFM, AGOP), 1e-6
    for A_g, S_g in zip(A, parts, strict=True):
        u = theta * (inner(NFM, A_g) / inner(NFM, AGOP) - inner(AGOP, A_g) / inner(AGOP, AGOP))
        change = cosine(NFM, AGOP + step * A_g) - cosine(NFM, AGOP - step * A_g)
        assert u == pytest.approx(change / (2 * step), rel=1e-6)
        for B in (NFM, AGOP):
            assert inner(B, A_g) == pytest.approx(inner(W @ B @ W.T, S_g))


@pytest.mark.parametrize("alpha", [0.25, 0.5, 2.0])
@pytest.mark.parametrize("weight", [W, W.T @ C @ RNG.normal(size=(K, 9))])
def test_powers(alpha, weight):
    k, d = weight.shape
    Q = np.linalg.qr(weight.T)[0][:, : min(k, d)]
    T = weight @ Q
    spread = S[:k, :k]
    values, v = np.linalg.eigh(T.T @ spread @ T)
    agop = power(weight.T @ spread @ weight, alpha)
    assert inner(weight.T @ weight, agop) == pytest.approx((values**alpha * ((T @ v) ** 2).sum(0)).sum(), rel=1e-5)
    assert inner(agop, agop) == pytest.approx((values ** (2 * alpha)).sum(), rel=1e-5)


def test_the_null_of_alignment():
    """Rotations and reflections of the plane, at even angles: for these moments their mean is exactly Haar's."""
    C, S = (A @ A.T for A in RNG.normal(size=(2, 2, 2)))
    drawn = []
    for angle in np.arange(16) * np.pi / 8:
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        drawn += [inner(C, O @ S @ O.T) for O in (turn, turn * [1, -1])]  # noqa: E741 (the page's letter)
    k, p = 2, 2
    C_0, S_0 = (A - np.trace(A) / k * np.eye(k) for A in (C, S))
    mean, variance = np.trace(C) * np.trace(S) / k, inner(C_0, C_0) * inner(S_0, S_0) / p
    assert np.mean(drawn) == pytest.approx(mean)
    assert np.var(drawn) == pytest.approx(variance)
    assert (inner(C, S) - mean) / np.sqrt(variance) == pytest.approx(np.sqrt(p) * cosine(C_0, S_0))


def test_deep_linear_networks():
    """Three balanced layers: one set of singular values, each layer's left vectors the next one's right ones."""
    V = [np.linalg.qr(RNG.normal(size=(4, 4)))[0] for _ in range(4)]
    sizes = np.array([3.0, 2.0, 1.0, 0.5])
    weights = [(V[i + 1] * sizes) @ V[i].T for i in range(3)]
    np.testing.assert_allclose(weights[0] @ weights[0].T, weights[1].T @ weights[1], atol=1e-12)
    for number in range(3):
        J, m = np.linalg.multi_dot([*reversed(weights[number:]), np.eye(4)]), 3 - number
        np.testing.assert_allclose(weights[number].T @ weights[number], power(J.T @ J, 1 / m), atol=1e-9)


def test_the_gradient_of_a_machine():
    X, a, x = RNG.normal(size=(N, D)), RNG.normal(size=N), torch.from_numpy(RNG.normal(size=D)).requires_grad_()
    M, L = NFM, 2.0
    r = torch.stack([((x - z) @ torch.from_numpy(M) @ (x - z)).sqrt() for z in torch.from_numpy(X)])
    (torch.from_numpy(a) @ torch.exp(-r / L)).backward()
    r, x, gradient = r.detach().numpy(), x.detach().numpy(), x.grad.numpy()
    slope = -np.exp(-r / L)
    np.testing.assert_allclose((a * slope / (r * L)) @ ((x - X) @ M), gradient)


@pytest.mark.parametrize("intercept", [True, False])
def test_leave_one_out(intercept):
    X, y, ridge = RNG.normal(size=(N, D)), RNG.normal(size=N) + 3, 0.1
    kernel = np.exp(-np.linalg.norm(X[:, None] - X[None], axis=2))
    inverse = np.linalg.inv(kernel + ridge * np.eye(N))
    for i in range(N):
        others = np.arange(N) != i
        b_i = y[others].mean() if intercept else 0.0
        a = np.linalg.solve(kernel[np.ix_(others, others)] + ridge * np.eye(N - 1), y[others] - b_i)
        residual = y[i] - b_i - kernel[i, others] @ a
        assert residual == pytest.approx((inverse @ (y - b_i))[i] / inverse[i, i])
        if not intercept:
            assert residual == pytest.approx((inverse @ y)[i] / inverse[i, i])
