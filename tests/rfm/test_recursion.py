"""The recursion: features found, M kept and scaled, what is drawn."""

import math
import warnings

import numpy as np
import pytest
import torch
from helpers import gaussian
from rfm import kernel_reference as reference
from rfm.bare import BareRegressor

from nfa import InputError
from nfa.common.scale import power_of_two
from nfa.rfm.kernels import KERNELS, kernel_named
from nfa.rfm.machine import KernelMachine
from nfa.rfm.recursion import Problem


def data(n=50, d=4, c=1, seed=1):
    X = gaussian(n, d, seed=seed)
    y = torch.stack([X[:, 0] * X[:, 1] + 0.3 * X[:, j % d] for j in range(c)], 1)
    return X.numpy(), (y if c > 1 else y[:, 0]).numpy()


def thresholds(seed, n=1500, d=100):
    """The authors' example: two of a hundred columns matter, by where they pass a threshold."""
    X = np.random.default_rng(seed).normal(size=(n, d)).astype(np.float32)
    return X, np.stack([X[:, 0] > 0, X[:, 1] < 0.1], 1).astype(np.float32)


@pytest.mark.parametrize("bandwidth", [{"bandwidth": 10.0, "bandwidth_scale": None}, {}], ids=["constant", "median"])
@pytest.mark.parametrize("diag", [False, True], ids=["full", "diagonal"])
@pytest.mark.parametrize("seed", [0, 1])
def test_two_coordinates_of_a_hundred_are_found_in_two_updates(seed, diag, bandwidth):
    """Source: the example of the authors' package, https://github.com/aradha/recursive_feature_machines."""
    X, Y = thresholds(seed)
    model = BareRegressor(n_iters=2, diag=diag, **bandwidth).fit(X, Y)
    diagonal = model.M_ if diag else model.M_.diagonal()
    assert diagonal[:2].sum() / diagonal.sum() > 0.95
    assert set(np.argsort(model.feature_importances_)[-2:]) == {0, 1}


@pytest.mark.parametrize("n_iters", [0, 1, 3])
@pytest.mark.parametrize(("kernel", "q"), [("laplace", 1.0), ("gaussian", 1.0), ("power", 0.7), ("l1", 1.0)])
def test_it_is_the_algorithm(kernel, q, n_iters):
    """Every step by the reference: median, solution, derivatives, division by the largest entry."""
    X, Y = data(c=2)
    diag = kernel == "l1"
    for weights in (None, np.linspace(0.2, 2, len(X))):
        if weights is not None and n_iters > 1:
            continue
        scale = 2.0 if weights is None else 1.0
        options = {} if weights is None else {"bandwidth_scale": None}
        model = BareRegressor(kernel, exponent=q, n_iters=n_iters, ridge=0.05, diag=diag, bandwidth=scale, **options)
        model.fit(X, Y, weights)
        M = torch.ones(4) if diag else torch.eye(4)
        if weights is None:
            M, L, a = reference.recursion(kernel, X, Y, M, 0.05, n_iters, scale, q, diag)
        else:
            L = 1.0
            for iteration in range(n_iters + 1):
                a = reference.coefficients(reference.matrix(kernel, X, X, M, L, q), Y, 0.05, weights)
                if iteration < n_iters:
                    M = reference.agop(kernel, X, X, a, M, L, q, weights)
                    M = M.diagonal() / M.diagonal().max() if diag else M / M.abs().max()
        kept = M.diagonal() if diag and M.ndim == 2 else M
        np.testing.assert_allclose(model.M_, kept, atol=1e-8)
        assert model.bandwidth_ == pytest.approx(L, rel=1e-8)
        new = gaussian(9, 4, seed=6)
        expected = reference.matrix(kernel, new, X, M, L, q) @ a
        np.testing.assert_allclose(model.predict(new.numpy()), expected, atol=1e-7)


def test_centered_gradients_and_powers_by_the_reference():
    X, Y = data(c=2)
    model = BareRegressor(n_iters=1, ridge=0.05, center_grads=True, agop_power=0.5).fit(X, Y)
    _, L, a = reference.recursion("laplace", X, Y, torch.eye(4), 0.05, 0)
    A = reference.agop("laplace", X, X, a, torch.eye(4), L, centered=True)
    expected = reference.root_of(A)
    np.testing.assert_allclose(model.M_, expected / expected.abs().max(), atol=1e-9)


def test_history_tells_every_iteration():
    X, y = data()
    model = BareRegressor(n_iters=3).fit(X, y)
    history = model.history_
    columns = ["iteration", "bandwidth", "train_mse", "cosine_to_previous_M", "effective_rank"]
    assert list(history.columns) == columns
    assert list(history["iteration"]) == [0, 1, 2, 3]
    previous = np.eye(4)
    for iteration in range(4):
        one = BareRegressor(n_iters=iteration).fit(X, y)
        row, M = history.iloc[iteration], one.M_
        assert row["bandwidth"] == pytest.approx(one.bandwidth_, rel=1e-9)
        assert row["train_mse"] == pytest.approx(np.mean((one.predict(X) - y) ** 2), rel=1e-6)
        assert row["effective_rank"] == pytest.approx(np.trace(M) ** 2 / np.sum(M**2), rel=1e-9)
        cosine = np.sum(M * previous) / np.linalg.norm(M) / np.linalg.norm(previous)
        assert math.isnan(row["cosine_to_previous_M"]) if iteration == 0 else True
        if iteration:
            assert row["cosine_to_previous_M"] == pytest.approx(cosine, rel=1e-9)
        previous = M


def test_the_training_error_is_weighted_and_a_mean_over_targets():
    X, Y = data(c=3)
    weights = np.linspace(0.1, 2, len(X))
    model = BareRegressor(n_iters=1, ridge=0.2).fit(X, 1e5 * Y, weights)
    errors = ((model.predict(X) - 1e5 * Y) ** 2).mean(1)
    assert model.history_["train_mse"][1] == pytest.approx(np.average(errors, weights=weights), rel=1e-9)


def test_the_training_error_in_blocks_is_that_of_the_predictions():
    X, y = data(n=600)
    model = BareRegressor(n_iters=1, ridge=0.2, memory_budget=0.005).fit(X, y)
    assert "conjugate gradients" in model.solver_
    np.testing.assert_allclose(model.history_["train_mse"][1], np.mean((model.predict(X) - y) ** 2), rtol=1e-9)


@pytest.mark.parametrize("options", [{}, {"agop_samples": 300}])
def test_the_rows_drawn_are_the_same_in_blocks(options):
    """More rows than the median takes, and a solver that draws rows too."""
    X, y = data(n=1200)
    options = options | {"n_iters": 2, "ridge": 0.05}
    whole, blocks = (BareRegressor(**options, memory_budget=budget).fit(X, y) for budget in (4, 0.02))
    assert "conjugate gradients" in blocks.solver_
    assert "Cholesky" in whole.solver_
    np.testing.assert_allclose(blocks.history_["bandwidth"], whole.history_["bandwidth"], rtol=1e-6)
    np.testing.assert_allclose(blocks.predict(X), whole.predict(X), atol=1e-6 * np.abs(y).max())


@pytest.mark.parametrize("diag", [False, True])
def test_where_nothing_is_learned_the_last_M_stays(diag):
    X, _ = data()
    F = gaussian(4, 4, seed=3).numpy()
    M = (F.T @ F).diagonal().copy() if diag else F.T @ F
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = BareRegressor(n_iters=2, M_init=M, diag=diag).fit(X, np.zeros(len(X)))
    np.testing.assert_allclose(model.M_, M, rtol=1e-14)
    assert not model.predict(X).any()
    assert list(model.history_["train_mse"]) == [0, 0, 0]
    np.testing.assert_allclose(model.history_["cosine_to_previous_M"][1:], 1)
    # So it does where all rows are equal, and where there is only one.
    for rows, y in [(np.full((6, 4), 0.3), np.arange(6.0)), (X[:1], np.ones(1))]:
        model = BareRegressor(n_iters=2, M_init=M, diag=diag, ridge=0.5).fit(rows, y)
        np.testing.assert_allclose(model.M_, M, rtol=1e-14)
        np.testing.assert_allclose(model.predict(rows), y.sum() / (len(rows) + 0.5), rtol=1e-9)
        assert model.bandwidth_ == pytest.approx(model.history_["bandwidth"][0])


def test_M_scales():
    X, y = data()
    by = {scale: BareRegressor(n_iters=1, M_scale=scale).fit(X, y) for scale in ("max", "trace", None)}
    assert np.abs(by["max"].M_).max() == 1
    assert np.trace(by["trace"].M_) == pytest.approx(4)
    agop = BareRegressor(n_iters=0).fit(X, y).agop()
    np.testing.assert_allclose(by[None].M_, agop, rtol=1e-9, atol=1e-12)
    squared = BareRegressor(n_iters=1, M_scale=None, agop_power=2.0).fit(X, y)
    np.testing.assert_allclose(squared.M_, agop @ agop, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(
        BareRegressor(n_iters=1, M_scale=None, diag=True).fit(X, y).M_, agop.diagonal(), rtol=1e-9
    )


@pytest.mark.parametrize("samples", [1, 5, 30])
def test_drawn_rows_are_the_seeds(samples):
    X, y = data()
    options = {"n_iters": 2, "agop_samples": samples}
    one, other = (BareRegressor(**options, random_state=3).fit(X, y) for _ in range(2))
    np.testing.assert_array_equal(one.M_, other.M_)
    np.testing.assert_array_equal(one.predict(X), other.predict(X))
    another = BareRegressor(**options, random_state=4).fit(X, y)
    assert np.abs(one.M_ - another.M_).max() > 1e-6


@pytest.mark.parametrize("samples", [50, 51, None])
def test_as_many_drawn_rows_as_there_are_change_nothing(samples):
    X, y = data()
    model = BareRegressor(n_iters=2, agop_samples=samples).fit(X, y)
    np.testing.assert_array_equal(model.M_, BareRegressor(n_iters=2).fit(X, y).M_)


def test_drawn_rows_estimate_the_average():
    X, y = data(n=400)
    whole = BareRegressor(n_iters=1).fit(X, y).M_
    drawn = np.mean([BareRegressor(n_iters=1, agop_samples=100, random_state=s).fit(X, y).M_ for s in range(5)], 0)
    np.testing.assert_allclose(drawn, whole, atol=0.1)


@pytest.mark.parametrize("scale", [1e-100, 1e100])
@pytest.mark.parametrize("how", ["targets", "M_init", "columns"])
def test_numbers_far_from_one(how, scale):
    """Squares of M's squares leave float64; nothing asks for them."""
    X, y = data()
    usual = BareRegressor(n_iters=2, M_scale=None).fit(X, y)
    if how == "targets":
        model, factor = BareRegressor(n_iters=2, M_scale=None).fit(X, scale * y), scale
    elif how == "M_init":
        model, factor = BareRegressor(n_iters=2, M_scale=None, M_init=scale**2 * np.eye(4)).fit(X, y), 1.0
    else:
        model, factor = BareRegressor(n_iters=2, M_scale=None).fit(scale * X, y), 1.0
    new = X * scale if how == "columns" else X
    np.testing.assert_allclose(model.predict(new) / factor, usual.predict(X), atol=1e-8)
    columns = ["cosine_to_previous_M", "effective_rank"]
    np.testing.assert_allclose(model.history_[columns], usual.history_[columns], rtol=1e-8)


def test_problems_are_scaled_by_powers_of_two():
    for value, expected in [(0.0, 1.0), (1.0, 2.0), (0.75, 1.0), (-5.0, 8.0), (1e-40, 2.0**-132)]:
        assert power_of_two(torch.tensor([0.0, value], dtype=torch.float64)) == expected
    assert power_of_two(torch.empty(0)) == 1
    X, Y = gaussian(9, 3, dtype=torch.float32) + 100, 1e-30 * gaussian(9, 2)
    problem = Problem.of(X, Y, None, kernel_named("laplace"))
    assert 0.5 <= float(problem.Y.abs().max()) < 1
    assert problem.Y.dtype == torch.float32
    torch.testing.assert_close(problem.Y.double() * problem.unit, Y, rtol=1e-7, atol=0)
    torch.testing.assert_close(problem.center, X.double().mean(0))
    assert not Problem.of(X, Y, None, kernel_named("quadratic")).center.any()


def test_rows_of_weight_zero_are_not_fitted():
    X, Y, weights = gaussian(6, 2), gaussian(6, 1, seed=2), torch.tensor([1.0, 0, 2, 0, 0, 3])
    problem = Problem.of(X, Y, weights, kernel_named("laplace"))
    fitted = problem.fitted()
    assert torch.equal(fitted.X, X[[0, 2, 5]])
    assert torch.equal(fitted.weights, torch.tensor([1.0, 2, 3]))
    some = problem.fitted(torch.tensor([1, 5, 2]))
    assert torch.equal(some.X, X[[5, 2]])
    with pytest.raises(InputError, match="sample_weight: 0 for all the rows to fit, expected at least one above"):
        problem.fitted(torch.tensor([1, 3]))


@pytest.mark.parametrize("diag", [False, True])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("kernel", ["laplace", "gaussian", "power", "l1"])
def test_gradients_that_do_not_vary_leave_M_as_it_was(kernel, dtype, diag):
    """Of two rows, each has its gradient from the other: both are the same, and centered they are 0."""
    for seed in range(5):
        X = gaussian(2, 5, seed=seed).numpy().astype(dtype)
        model = BareRegressor(kernel, center_grads=True, diag=diag).fit(X, [1.0, -1.0])
        np.testing.assert_array_equal(model.M_, np.ones(5) if diag else np.eye(5))
        np.testing.assert_allclose(model.predict(X), [1, -1], atol=0.01)


@pytest.mark.parametrize("diag", [False, True])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("kernel", KERNELS)
def test_gradients_that_hardly_vary_give_a_feature_matrix(kernel, dtype, diag):
    """A linear target: what is left of the gradients without their mean is next to nothing."""
    X = gaussian(200, 5).numpy().astype(dtype)
    for bandwidth in (1, 300):
        model = BareRegressor(kernel, bandwidth=bandwidth, center_grads=True, diag=diag).fit(X, X @ np.arange(5.0))
        for M in (model.M_, model.agop(centered=True)):
            values = np.sort(M) if diag else np.linalg.eigvalsh(M)
            assert values[0] >= -1e-13 * values[-1]
        assert model.M_.max() > 0
        assert np.isfinite(model.predict(X)).all()


@pytest.mark.parametrize("center_grads", [False, True])
@pytest.mark.parametrize("size", [1e160, 1e300, 1e-170, 1e-300])
@pytest.mark.parametrize("of", ["targets", "rows"])
def test_sizes_whose_squares_leave_float64(of, size, center_grads):
    X, y = data()
    options = {"n_iters": 2, "center_grads": center_grads}
    expected = BareRegressor(**options).fit(X, y)
    times = (X, y * size) if of == "targets" else (X * size, y)
    for scale in ("max", "trace"):
        found = BareRegressor(**options, M_scale=scale).fit(*times)
        np.testing.assert_allclose(found.M_ / found.M_.max(), expected.M_, rtol=1e-9)
        unit = size if of == "targets" else 1.0
        np.testing.assert_allclose(found.predict(times[0]) / unit, expected.predict(X), rtol=1e-9)
    with pytest.raises(InputError, match=r"M_scale: got None, but .* largest entry is (inf|0|.*e-32.); expected"):
        BareRegressor(**options, M_scale=None).fit(*times)


@pytest.mark.parametrize(
    ("options", "X", "y", "message"),
    [
        (
            {"bandwidth": 1e-60},
            [[0.0], [1.0]],
            [0, 1],
            r"bandwidth: 1e-60 in the units of X under M, where rows are up to",
        ),
        ({"bandwidth": 1e60}, [[0.0], [1.0]], [0, 1], r"bandwidth: 1e\+60 in the units of X under M"),
        (
            {"kernel": "quadratic", "bandwidth": 1e-12, "dtype": "float32"},
            [[0.0], [1.0]],
            [0, 1],
            r"bandwidth: the kernel is as large as .*, beyond float32; expected a larger one",
        ),
        (
            {},
            [[1.6e308], [1.7e308]],
            [0, 1],
            "X: so large that the mean row is beyond float64; expected smaller numbers",
        ),
        (
            {"dtype": "float32"},
            [[0.0], [1.0]],
            [1e200, 0],
            r"y: predictions are as large as 9.99e\+199, beyond float32; expected smaller targets",
        ),
        (
            {"kernel": "quadratic", "ridge": 1e-310},
            [[0.0], [0.0]],
            [1, 2],
            "ridge: got 1e-310, of which coefficients are not finite; expected a larger one",
        ),
    ],
)
def test_what_has_no_finite_predictions_is_refused(options, X, y, message):
    with pytest.raises(InputError, match=message):
        BareRegressor(**{"bandwidth_scale": None, "n_iters": 1} | options).fit(np.array(X), np.array(y, dtype=float))


@pytest.mark.parametrize("factor", [3e38, 1e-38])
def test_targets_at_the_ends_of_float32(factor):
    """Their power of two is no float32."""
    X, y = data()
    X, y = X.astype(np.float32), np.sin(y)
    one, other = (BareRegressor(n_iters=1).fit(X, y * f) for f in (1.0, factor))
    found = other.predict(X)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found / np.float64(factor), one.predict(X), atol=1e-4)


@pytest.mark.parametrize("entry", [math.nan, math.inf])
def test_an_agop_that_is_not_finite_is_no_agop_of_zero(entry, monkeypatch):
    def broken(machine, *args):
        return torch.full((4, 4), entry, dtype=torch.float64), 1.0

    X, Y = data()
    monkeypatch.setattr(KernelMachine, "agop_in_units", broken)
    with pytest.raises(InputError, match="the AGOP of the fitted machine is not finite"):
        BareRegressor(n_iters=1).fit(X, Y)
