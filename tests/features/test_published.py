"""The published numbers, against dense d x d matrices of the network with W - W0 put in by hand."""

import copy
import math

import numpy as np
import pytest
import reference
import torch
from helpers import gaussian, perturbed

import nfa
from nfa.features.polar import random_directions
from nfa.features.published import NUMBERS, PUBLISHED_DRAWS, published_columns
from nfa.probe import Probe


def dense(net, number, weight, X):
    """The definition as the scripts have it: put the weight in, take Jacobians, form d x d matrices, full roots."""
    changed = copy.deepcopy(net)
    with torch.no_grad():
        changed.layers[number].weight.copy_(weight)
    W, J = reference.jacobians(changed, X)[number]
    N = W.T @ W
    A, A_c = reference.gradient_outer_product(J), reference.gradient_outer_product(J, centered=True)
    return reference.cosine(N, A), reference.pearson(N, root(A)), reference.pearson(N, root(A_c))


def root(A):
    values, vectors = np.linalg.eigh(A)
    # Where k < d, A is singular: the root of what rounding makes of 0 is 1e-8, and is no part of the definition.
    return (vectors * np.sqrt(np.where(values > 1e-13 * values[-1], values, 0))) @ vectors.T


@pytest.mark.parametrize("widths", [[8, 5], [5, 9]])
def test_the_published_numbers_are_those_of_the_network_with_the_change_as_its_weight(widths):
    init = nfa.MLP(6, widths, n_outputs=7, activation="tanh", seed=3).double()
    net, X = perturbed(init, 1.0), gaussian(60, 6)
    with Probe(net, X) as probe:
        for number, layer in enumerate(probe.layers[:2]):
            W, W_0 = (each.layers[number].weight.detach() for each in (net, init))
            found = published_columns(probe, layer, W_0, seed=4)
            expected = dense(net, number, W - W_0, X)
            generator = torch.Generator().manual_seed(4)
            turned = [random_directions(len(W), len(W), generator) @ (W - W_0) for _ in range(PUBLISHED_DRAWS)]
            draws = np.array([dense(net, number, dW, X) for dW in turned])
            for name, value, drawn in zip(NUMBERS, expected, draws.T, strict=True):
                assert found[name] == pytest.approx(value, abs=1e-10)
                assert found[f"{name}_null"] == pytest.approx(drawn.mean(), abs=1e-10)
                assert found[f"{name}_null_high"] == pytest.approx(drawn.max(), abs=1e-10)


def test_the_network_is_as_it_was_and_the_next_measurement_too():
    init = nfa.MLP(6, [8], n_outputs=3, seed=3).double()
    net, X = perturbed(init), gaussian(30, 6)
    before = copy.deepcopy(net.state_dict())
    with Probe(net, X) as probe:
        plain = [delta for sweep in probe.sweeps() for _, delta in sweep.deltas]
        published_columns(probe, probe.layers[0], init.layers[0].weight)
        again = [delta for sweep in probe.sweeps() for _, delta in sweep.deltas]
    assert all(torch.equal(one, other) for one, other in zip(plain, again, strict=True))
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())


def test_a_layer_that_did_not_move_has_none():
    net = nfa.MLP(6, [8], n_outputs=3)
    with Probe(net, gaussian(30, 6, dtype=torch.float32)) as probe:
        found = published_columns(probe, probe.layers[0], net.layers[0].weight)
    assert all(math.isnan(value) for value in found.values())
