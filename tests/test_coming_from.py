"""The page for those who come from other tools: where it says that a number is the same, it is."""

import copy
import re
from pathlib import Path

import numpy as np
import pytest
import reference
import torch
from helpers import gaussian, perturbed
from sklearn.kernel_ridge import KernelRidge

import nfa
from nfa.rfm import RFMRegressor

PAGE = (Path(__file__).parent.parent / "docs" / "coming-from.md").read_text()
SAME = [
    (there, re.findall(r"`([^`]+)`", there), re.findall(r"`([^`]+)`", here)[0])
    for there, here, same in re.findall(r"^\| (.*?) \| (.*?) \| (.*) \|$", PAGE, re.MULTILINE)
    if same.startswith("yes")
]
"""Rows that promise the same number: the other tool's cell, the code in it, and the call of this package."""

X, NEW = gaussian(80, 5).numpy() * [1, 10, 0.1, 1, 3], gaussian(20, 5, seed=2).numpy() * [1, 10, 0.1, 1, 3]
Y = np.stack([np.sin(X[:, 0]) + 5, X[:, 1] ** 2], 1)


def laplace(A, B, M, L):
    U = A[:, None] - B[None]
    r = np.sqrt(np.einsum("ijk,kl,ijl->ij", U, M, U).clip(0))
    return np.exp(-r / L), r, U


def recursion(X, Y, L, ridge, n_iters):
    """Algorithm 1 of arXiv:2212.13881 as it is written: M and the coefficients of the last fit."""
    M = np.eye(X.shape[1])
    for iteration in range(n_iters + 1):
        K, r, U = laplace(X, X, M, L)
        a = np.linalg.solve(K + ridge * np.eye(len(X)), Y)
        if iteration == n_iters:
            return M, a
        slopes = np.divide(-K, L * r, out=np.zeros_like(K), where=r > 1e-10)
        J = np.einsum("xi,ij,xid->xjd", slopes, a, U @ M)
        M = np.einsum("xjd,xje->de", J, J) / len(X)
    return None


def recursive_feature_machine(theirs, ours):
    """Their L is 10, in the units of the rows, whose units differ here."""
    said = theirs[1]
    iters, ridge = (float(re.search(rf"{name}=([\d.e-]+)", said)[1]) for name in ("iters", "reg"))
    M, a = recursion(X, Y, 10, ridge, int(iters))
    model = eval(ours).fit(X, Y)
    np.testing.assert_allclose(model.M_, M, atol=1e-8 * M.max())
    np.testing.assert_allclose(model.predict(NEW), laplace(NEW, X, M, 10)[0] @ a, atol=1e-8 * np.abs(Y).max())


def kernel_ridge(theirs, ours):
    names = {"L": 2.5, "KernelRidge": KernelRidge, "RFMRegressor": RFMRegressor}
    one, other = (eval(code, names).fit(X, Y).predict(NEW) for code in (theirs[0], ours))
    np.testing.assert_allclose(other, one, atol=1e-10 * np.abs(Y).max())


def published(theirs, ours):
    init = nfa.MLP(5, [8], n_outputs=3, activation="tanh").double()
    net = perturbed(init, 1.0)
    audit = eval(ours, {"nfa": nfa, "net": net, "X": torch.from_numpy(X), "init": init})
    changed = copy.deepcopy(net)
    with torch.no_grad():
        changed.layers[0].weight.sub_(init.layers[0].weight)
    dW, J = reference.jacobians(changed, X)[0]
    agop, centered = (reference.gradient_outer_product(J, centered) for centered in (False, True))
    N = dW.T @ dW
    assert audit[0]["published_cosine"] == pytest.approx(reference.cosine(N, agop), abs=1e-6)
    for name, A in (("published_pearson_sqrt", agop), ("published_pearson_sqrt_centered", centered)):
        assert audit[0][name] == pytest.approx(reference.pearson(N, reference.power(A, 0.5)), abs=1e-3)


CHECKS = {"correlation of W'W": published, "rfm.py": recursive_feature_machine, "KernelRidge": kernel_ridge}


@pytest.mark.parametrize(("there", "theirs", "ours"), SAME, ids=[there[:60] for there, *_ in SAME])
def test_a_number_that_is_said_to_be_the_same_is(there, theirs, ours):
    [check] = [check for words, check in CHECKS.items() if words in there]
    check(theirs, ours)


def test_four_rows_promise_the_same():
    assert len(SAME) == 4
