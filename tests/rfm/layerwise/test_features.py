"""What machines start from, against dense float64 matrices."""

import math

import numpy as np
import pytest
import torch
from helpers import gaussian, perturbed
from reference import gradient_outer_product, jacobians, power

import nfa
from nfa.features import FactoredMatrix
from nfa.features.similarity import cosine
from nfa.rfm.layerwise.layer_machine import cosine_with
from nfa.rfm.start import layer_matrix, rotated

NET = nfa.MLP(7, [5, 9], n_outputs=3, activation="tanh", bias=True, seed=3).double()
INIT = perturbed(NET)
X = gaussian(40, 7)


@pytest.fixture(scope="module")
def audit():
    return nfa.audit(NET, X, INIT)


@pytest.mark.parametrize("alpha", [1.0, 0.5, 2.0])
@pytest.mark.parametrize("number", [0, 1, 2])
def test_every_seed_is_the_dense_matrix(audit, number, alpha):
    W, J = jacobians(NET, X)[number]
    W0, _ = jacobians(INIT, X)[number]
    expected = {"nfm": W.T @ W, "agop": gradient_outer_product(J), "init_nfm": W0.T @ W0}
    if number < 2:
        expected["agop_centered"] = gradient_outer_product(J, centered=True)
    for kind, M in expected.items():
        found = layer_matrix(audit[number], kind, alpha, seed=0)
        assert found.undefined == ""
        M = M if alpha == 1 else power(M, alpha)
        np.testing.assert_allclose(found.M.dense(), M, atol=1e-9 * np.abs(M).max(), err_msg=kind)
    values = np.linalg.eigvalsh(expected["agop"] if alpha == 1 else power(expected["agop"], alpha))
    drawn = layer_matrix(audit[number], "random", alpha, seed=0).M.dense()
    np.testing.assert_allclose(np.linalg.eigvalsh(drawn), values, atol=2e-6 * values[-1])
    assert layer_matrix(audit[number], "identity", alpha, seed=0).M is None


def test_random_features_depend_on_the_seed_alone():
    M = FactoredMatrix(gaussian(3, 6))
    assert torch.equal(rotated(M, 1).dense(), rotated(M, 1).dense())
    assert cosine(rotated(M, 1), rotated(M, 2)) < 0.99


def test_what_is_undefined_has_a_reason(audit):
    assert "trivial" in layer_matrix(audit[2], "agop_centered", 1.0, seed=0).undefined
    without = nfa.audit(NET, X)
    assert (
        layer_matrix(without[0], "init_nfm", 1.0, 0).undefined == "the network before training is not known: give init="
    )


@pytest.mark.parametrize(("k", "d"), [(3, 6), (8, 5)])
def test_cosines_with_what_was_measured(k, d):
    W, B, M = gaussian(k, d), gaussian(k, k, 2), gaussian(d, d, 3)
    M = M @ M.T
    for S in (None, B @ B.T):
        dense = W.T @ W if S is None else W.T @ S @ W
        expected = float((M * dense).sum() / (M.norm() * dense.norm()))
        assert cosine_with(M, FactoredMatrix(W, S)) == pytest.approx(expected, rel=1e-12)
        assert cosine_with(M, FactoredMatrix(1e12 * W, S)) == pytest.approx(expected, rel=1e-9)
    assert math.isnan(cosine_with(torch.zeros(d, d, dtype=torch.float64), FactoredMatrix(W)))
