"""By how much scores must differ: three standard errors, by simulation."""

import numpy as np
import pytest
import torch

from nfa.network.margins import margin, margin_over_constant, r2_error
from nfa.network.scoring import score_outputs

N, DRAWS = 400, 2000
G = np.random.default_rng(0)


def r2(y, f):
    return 1 - ((y - f) ** 2).sum(1) / ((y - y.mean(1, keepdims=True)) ** 2).sum(1)


@pytest.mark.parametrize("value", [0.05, 0.3, 0.7, 0.95])
def test_the_standard_error_of_an_r2_is_the_spread_over_draws(value):
    f = G.normal(size=(DRAWS, N)) * value**0.5
    y = f + G.normal(size=(DRAWS, N)) * (1 - value) ** 0.5
    found = r2(y, f)
    assert r2_error(value, N) == pytest.approx(found.std(), rel=0.1)


@pytest.mark.parametrize("value", [-0.05, -0.5, -3.0])
def test_and_of_outputs_that_do_not_depend_on_the_targets(value):
    f, y = G.normal(size=(DRAWS, N)) * (-value) ** 0.5, G.normal(size=(DRAWS, N))
    assert r2_error(value, N) == pytest.approx(r2(y, f).std(), rel=0.1)


@pytest.mark.parametrize("size", [0.02, 0.05, 0.15, 1.0])
def test_outputs_by_chance_are_above_a_constant_answer_in_one_of_some_hundred_draws_at_most(size):
    f, y = size * G.normal(size=(10 * DRAWS, N)), G.normal(size=(10 * DRAWS, N))
    assert (r2(y, f) > margin_over_constant("r2", 0.0, N)).mean() < 0.004


@pytest.mark.parametrize("shared", [0.0, 0.5, 0.9])
def test_two_networks_that_are_equally_good_differ_in_one_of_some_hundred_draws_at_most(shared):
    y = G.normal(size=(DRAWS, N))
    common = G.normal(size=(DRAWS, N))
    ones = [y / 3 + (shared**0.5 * common + (1 - shared) ** 0.5 * G.normal(size=(DRAWS, N))) * 2**0.5 / 3 for _ in "ab"]
    one, other = (r2(y, f) for f in ones)
    by = [margin("r2", a, b, N) for a, b in zip(one, other, strict=True)]
    assert (np.abs(one - other) > by).mean() < 0.006
    right = [np.where(G.random((DRAWS, N)) < shared, common > 0, G.random((DRAWS, N)) < 0.5).mean(1) for _ in "ab"]
    by = [margin("accuracy", a, b, N) for a, b in zip(*right, strict=True)]
    assert (np.abs(right[0] - right[1]) > by).mean() < 0.006


@pytest.mark.parametrize("metric", ["accuracy", "r2"])
def test_a_clear_difference_is_one(metric):
    assert margin(metric, 0.9, 0.5, N) < 0.2
    assert margin_over_constant(metric, 0.1, N) < 0.1


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("offset", [0.0, 1e4, 1e8])
def test_an_offset_of_targets_and_outputs_takes_nothing_of_the_score_but_its_dtype_s_digits(dtype, offset):
    f = torch.from_numpy(G.normal(size=(N, 2))) + offset
    y = f + 0.3 * torch.from_numpy(G.normal(size=(N, 2)))
    given = f.to(dtype)
    found = score_outputs(given, y)
    expected = 1 - float(((y - given.double()) ** 2).sum() / ((y - y.mean(0)) ** 2).sum())
    assert found.value == pytest.approx(expected, rel=1e-6, abs=1e-6)
    assert found.constant == (dtype == torch.float32 and offset == 1e8)
