"""Random probes: unbiased, the same for any batches, and honest about their error."""

import numpy as np
import pytest
import torch
from helpers import gaussian

import nfa

NET = nfa.MLP(5, [9, 7], n_outputs=12, activation="tanh").double()
X = gaussian(60, 5)


@pytest.mark.parametrize("batch_size", [1, 13, 60])
def test_signs_do_not_depend_on_the_batches(batch_size):
    one = nfa.audit(NET, X, probes=3, seed=4).to_frame()
    other = nfa.audit(NET, X, probes=3, seed=4, batch_size=batch_size).to_frame()
    for column in ("cosine", "agop_trace", "probe_error", "cosine_centered", "ci_low"):
        np.testing.assert_allclose(one[column], other[column], rtol=1e-10)
    loader = torch.utils.data.DataLoader(X, batch_size=7)
    np.testing.assert_allclose(one["cosine"], nfa.audit(NET, loader, probes=3, seed=4).to_frame()["cosine"], rtol=1e-10)


def test_the_seed_decides():
    traces = [nfa.agop(NET, X, probes=2, seed=seed)["layers.0"].trace() for seed in (0, 0, 1)]
    assert traces[0] == traces[1] != traces[2]


@pytest.mark.parametrize("probes", [1, 4])
def test_the_agop_is_unbiased_over_seeds(probes):
    exact = nfa.agop(NET, X)
    draws = [nfa.agop(NET, X, probes=probes, seed=seed) for seed in range(300)]
    for name, matrix in exact.items():
        drawn = torch.stack([draw[name].dense() for draw in draws])
        error = drawn.std(0) / len(draws) ** 0.5
        z = (drawn.mean(0) - matrix.dense()) / error.clamp(min=1e-12)
        # Standard normal entries: their mean square is 1, and none of some 250 is beyond 5.
        assert float((z**2).mean()) < 2
        assert float(z.abs().max()) < 5


@pytest.mark.slow
@pytest.mark.parametrize("probes", [2, 5])
def test_the_stated_standard_error_is_the_observed_spread(probes):
    frames = [nfa.audit(NET, X, probes=probes, seed=seed).to_frame() for seed in range(250)]
    for layer in range(3):
        observed = np.std([frame["cosine"][layer] for frame in frames], ddof=1)
        stated = np.sqrt(np.mean([frame["probe_error"][layer] ** 2 for frame in frames]))
        assert stated == pytest.approx(observed, rel=0.2)


def test_what_random_probes_leave_undefined_is_said():
    audit = nfa.audit(NET, X, probes=1)
    assert np.isnan(audit[0]["probe_error"])
    assert "similarities and centered columns are not" in audit[0]["note"]
    assert np.isnan(nfa.audit(NET, X)[0]["probe_error"])


def test_many_probes_approach_the_exact_audit():
    exact, drawn = nfa.audit(NET, X).to_frame(), nfa.audit(NET, X, probes=400).to_frame()
    for column in ("cosine", "cosine_sqrt", "cosine_centered"):
        np.testing.assert_allclose(exact[column], drawn[column], atol=0.03)
