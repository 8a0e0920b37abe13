"""An independent float64 reference of recursive feature machines: kernels as written, gradients by vmap(jacrev).

Nothing here is shared with the package: dense matrices, numpy's linear algebra, torch's derivatives.
"""

import numpy as np
import torch
from torch.func import jacrev, vmap


def tensor(values):
    return torch.as_tensor(values).double()


def dense(M):
    M = tensor(M)
    return torch.diag(M) if M.ndim == 1 else M


def root_of(M):
    """M^(1/2), by numpy; entry by entry where M is diagonal, so that nothing leaks between columns."""
    M = dense(M).numpy()
    if np.array_equal(M, np.diag(np.diag(M))):
        return torch.from_numpy(np.sqrt(M))
    values, vectors = np.linalg.eigh(M)
    # The root of what rounding left of 0 would be no rounding any more.
    values[values < len(M) * np.finfo(np.float64).eps * values[-1]] = 0
    return torch.from_numpy((vectors * np.sqrt(values)) @ vectors.T)


def of_square(s, q):
    """s^(q/2) with a derivative of 0 at s = 0."""
    apart = s > 0
    return torch.where(apart, torch.where(apart, s, 1.0) ** (q / 2), 0.0)


def kernel(name, x, z, M, L, q=1.0):
    """k(x, z) of two rows under M, (d, d); for "l1" M is M^(1/2)."""
    u = x - z
    if name == "quadratic":
        return (x @ M @ z / L**2) ** 2
    if name == "l1":
        return torch.exp(-(M @ u).abs().sum() / L)
    s = u @ M @ u / L**2
    if name == "gaussian":
        return torch.exp(-s / 2)
    return torch.exp(-of_square(s, {"laplace": 1.0, "power": q}[name]))


def under(name, M):
    return root_of(M) if name == "l1" else dense(M)


def matrix(name, X, Z, M, L, q=1.0):
    """The kernel's values, m x n."""
    X, Z, M = tensor(X), tensor(Z), under(name, M)
    return vmap(lambda x: vmap(lambda z: kernel(name, x, z, M, L, q))(Z))(X)


def jacobians(name, X, Z, a, M, L, q=1.0):
    """J of f_j(x) = sum_i a_ij k(x, z_i) for each row x, m x c x d."""
    X, Z, a, M = tensor(X), tensor(Z), tensor(a), under(name, M)
    return vmap(jacrev(lambda x: vmap(lambda z: kernel(name, x, z, M, L, q))(Z) @ a))(X)


def average(J, weights=None, centered=False):
    """The mean of J'J over rows."""
    w = torch.ones(len(J), dtype=torch.float64) if weights is None else tensor(weights)
    w = w / w.sum()
    if centered:
        J = J - torch.einsum("n,ncd->cd", w, J)
    return torch.einsum("n,ncd,nce->de", w, J, J)


def agop(name, X, Z, a, M, L, q=1.0, weights=None, centered=False):
    return average(jacobians(name, X, Z, a, M, L, q), weights, centered)


def coefficients(K, Y, ridge, weights=None):
    """Solve (K + ridge W^-1) a = Y."""
    w = np.ones(len(K)) if weights is None else np.asarray(weights, dtype=np.float64)
    return torch.from_numpy(np.linalg.solve(tensor(K).numpy() + np.diag(ridge / w), tensor(Y).numpy()))


def median_distance(name, X, M):
    """The lower median over pairs of rows that differ under M."""
    X = tensor(X)
    U = X[:, None] - X[None]
    if name == "l1":
        r = (U @ root_of(M)).abs().sum(2)
    else:
        r = torch.einsum("ijd,de,ije->ij", U, dense(M), U).clamp(min=0).sqrt()
    i, j = np.triu_indices(len(X), 1)
    r = r[i, j]
    return float(r[r > 0].median())


def recursion(name, X, Y, M, ridge, n_iters, bandwidth=1.0, q=1.0, diag=False, centered=False, weights=None):
    """Fit, take the AGOP over its largest entry for M, and so on; the last machine's (M, L, a)."""
    M = tensor(M)
    for iteration in range(n_iters + 1):
        L = bandwidth * median_distance(name, X, M)
        a = coefficients(matrix(name, X, X, M, L, q), Y, ridge, weights)
        if iteration < n_iters:
            A = agop(name, X, X, a, M, L, q, weights, centered)
            A = torch.diag(A.diagonal()) if diag else A
            M = A / A.abs().max()
    return M, L, a
