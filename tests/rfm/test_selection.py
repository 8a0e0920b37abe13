"""Ranking by leave-one-out, judging by refitted paths."""

import numpy as np
import pytest
import torch
from helpers import gaussian
from rfm import kernel_reference as reference
from rfm.bare import BareRegressor

from nfa import InputError
from nfa.rfm import RFMRegressorCV, selection
from nfa.rfm.kernels import kernel_named
from nfa.rfm.losses import squared_loss
from nfa.rfm.recursion import Problem, Recipe
from nfa.rfm.selection import FIRST_UPDATES, LEFT_OUT_ROWS, CrossValidation, leave_one_out_rows, ranked, tried_paths
from nfa.rfm.solving.choosing import GIB

X, Y = gaussian(30, 3), gaussian(30, 2, seed=2)
IDENTITY = torch.eye(3, dtype=torch.float64)
RIDGES = [1e-3, 1e-1, 10.0]


def recipes(name="laplace", scale="median"):
    return [Recipe(kernel_named(name), bandwidth, scale) for bandwidth in (0.5, 2.0)]


def left_out(name, L, ridge, M, weights):
    """The loss of n machines, each without one row."""
    K, found = reference.matrix(name, X, X, M, L), []
    for i in range(len(X)):
        rest = np.delete(np.arange(len(X)), i)
        a = reference.coefficients(K[rest][:, rest], Y[rest], ridge, None if weights is None else weights[rest])
        found.append(K[i, rest] @ a)
    return squared_loss(torch.stack(found), Y, weights)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(("name", "scale"), [("laplace", "median"), ("gaussian", None), ("l1", "median")])
def test_every_pair_is_ranked_by_n_refits(name, scale, weighted):
    """Under a first M that is not the identity."""
    M = torch.diag(torch.tensor([2.0, 1.0, 0.3], dtype=torch.float64))
    weights = torch.linspace(0.5, 2, 30, dtype=torch.float64) if weighted and scale is None else None
    problem = Problem.of(X, Y, weights, kernel_named(name))
    found = ranked(problem, M, recipes(name, scale), RIDGES, squared_loss, 0, LEFT_OUT_ROWS)
    assert [each.loss for each in found] == sorted(each.loss for each in found)
    assert {(each.recipe.bandwidth, each.recipe.ridge) for each in found} == {
        (b, r) for b in (0.5, 2.0) for r in RIDGES
    }
    unit = 1.0 if scale is None else reference.median_distance(name, X, M)
    for each in found:
        expected = left_out(name, each.recipe.bandwidth * unit, each.recipe.ridge, M, weights)
        assert each.loss == pytest.approx(expected, rel=1e-8)


def test_of_many_rows_some_are_ranked_by():
    problem = Problem.of(X, Y, None, kernel_named("laplace"))
    few, again, all_rows = (ranked(problem, IDENTITY, recipes(), RIDGES, squared_loss, 3, n) for n in (10, 10, 30))
    assert [each.loss for each in few] == [each.loss for each in again]
    assert [each.loss for each in few] != [each.loss for each in all_rows]


def test_ranking_stays_within_the_budget():
    for budget in (4.0, 0.5, 0.01):
        n = leave_one_out_rows(budget)
        assert n == LEFT_OUT_ROWS or 0.99 * budget * GIB < selection.LEFT_OUT_MATRICES * n * n * 8 <= budget * GIB
    assert leave_one_out_rows(1e-9) == 2


def test_a_judged_path_is_that_of_estimators():
    splits = [(np.arange(20), np.arange(20, 30)), (np.arange(10, 30), np.arange(10))]
    told = []
    problem = Problem.of(X, 100 * Y, None, kernel_named("laplace"))
    judge = CrossValidation(problem, splits, squared_loss, 4.0, 0, told.append)
    assert judge.judged.tolist() == [*range(20, 30), *range(10)]
    found = judge.path(IDENTITY, recipes()[1], 2)
    assert told == [1, 1]
    for tried in found:
        model = BareRegressor(bandwidth=2.0, n_iters=tried.n_iters)
        outputs = [model.fit(X[train], 100 * Y[train]).predict(X[test]) for train, test in splits]
        np.testing.assert_allclose(tried.outputs, np.concatenate(outputs), rtol=1e-8)


def test_all_begin_and_the_best_goes_on():
    problem = Problem.of(X, X[:, :1] ** 2, None, kernel_named("laplace"))
    judge = CrossValidation(problem, [(np.arange(20), np.arange(20, 30))], squared_loss, 4.0, 0, lambda steps: None)
    ranking = ranked(problem, IDENTITY, recipes(), RIDGES, squared_loss, 0, LEFT_OUT_ROWS)[:3]
    found = tried_paths(judge, IDENTITY, ranking, 4)
    begun, gone_on = found[: 3 * (FIRST_UPDATES + 1)], found[3 * (FIRST_UPDATES + 1) :]
    assert [each.n_iters for each in begun] == [*range(FIRST_UPDATES + 1)] * 3
    assert [each.n_iters for each in gone_on] == [*range(FIRST_UPDATES + 1, 5)]
    assert {each.recipe for each in gone_on} == {min(begun, key=lambda each: each.loss).recipe}
    assert [each.n_iters for each in tried_paths(judge, IDENTITY, ranking, 0)] == [0, 0, 0]


def test_more_updates_are_chosen_where_they_help():
    rows = np.random.default_rng(0).normal(size=(200, 20))
    options = {"kernels": ["laplace"], "bandwidths": [1.0], "ridges": [1e-3]}
    assert RFMRegressorCV(**options).fit(rows, np.sign(rows[:, 0]) * np.abs(rows[:, 1])).best_params_["n_iters"] >= 2


def test_a_bandwidth_that_no_kernel_can_be_computed_with_is_refused_before_it_is_ranked():
    problem = Problem.of(X.float(), Y, None, kernel_named("quadratic"))
    tiny = Recipe(kernel_named("quadratic"), bandwidth=1e-12, bandwidth_scale=None)
    with pytest.raises(InputError, match=r"bandwidth: the kernel is as large as .*, beyond float32"):
        ranked(problem, IDENTITY, [tiny], RIDGES, squared_loss, 0, LEFT_OUT_ROWS)
