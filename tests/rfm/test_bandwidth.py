"""The median distance."""

import numpy as np
import pytest
import torch
from helpers import gaussian
from rfm import kernel_reference as reference

from nfa.rfm.bandwidth import MEDIAN_ROWS, median_distance
from nfa.rfm.kernels import KERNELS, Laplace, kernel_named
from nfa.rfm.points import Points
from nfa.rfm.recursion import Problem


def median(rows, weights=None, name="laplace", seed=0):
    return median_distance(kernel_named(name), Points(rows), weights, torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("n", [2, 3, 40, 41])
@pytest.mark.parametrize("name", KERNELS)
def test_it_is_the_median_over_pairs_that_differ(name, n):
    rows = gaussian(n, 4)
    rows = torch.cat([rows, rows[:2], rows[:1]])
    assert median(rows, name=name) == pytest.approx(reference.median_distance(name, rows, torch.eye(4)), rel=1e-12)


def test_a_row_of_weight_two_is_two_equal_rows():
    for seed in range(5):
        rows, weights = gaussian(31, 3, seed=seed), torch.arange(31) % 4
        repeated = rows.repeat_interleave(weights, 0)
        assert median(rows, weights.double()) == pytest.approx(median(repeated), rel=1e-12)
        assert median(rows, weights.double() * 1e-30) == median(rows, weights.double())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_weights_in_either_dtype(dtype):
    rows = gaussian(20, 3, dtype=dtype)
    assert median(rows, torch.ones(20, dtype=dtype)) == median(rows)
    heavy = torch.full((20,), 1e-6, dtype=dtype)
    heavy[3] = heavy[8] = 1
    largest = torch.finfo(dtype).max
    for scale in (largest, 1 / largest):  # neither the sum nor a product of two is a number of that dtype
        assert median(rows, torch.full((20,), scale, dtype=dtype)) == median(rows)
    assert median(rows, heavy) == pytest.approx(float((rows[3] - rows[8]).norm()), rel=1e-5)


@pytest.mark.parametrize("name", KERNELS)
def test_it_is_one_where_no_rows_differ(name):
    for rows in (torch.full((7, 3), 0.1), torch.zeros(4, 2), gaussian(1, 3), torch.full((MEDIAN_ROWS + 9, 1), 0.3)):
        assert median(rows, name=name) == 1
        assert median(rows, torch.ones(len(rows)), name=name) == 1
    rows = gaussian(3, 2)
    assert median(rows, torch.tensor([1.0, 0.0, 0.0]), name=name) == 1


def test_more_rows_are_represented_by_some_of_them():
    rows = gaussian(MEDIAN_ROWS + 700, 3)
    found = median(rows, seed=4)
    assert found == median(rows, seed=4)
    assert found != median(rows, seed=5)
    assert found == pytest.approx(float(torch.pdist(rows).median()), rel=0.03)
    # The same rows again: an order drawn with the seed, evenly over all of them.
    drawn = torch.randperm(len(rows), generator=torch.Generator().manual_seed(4))[:MEDIAN_ROWS]
    assert found == median(rows[drawn])
    weights = gaussian(len(rows), 1)[:, 0].abs()
    assert median(rows, weights, seed=4) == median(rows[drawn], weights[drawn])


def test_few_rows_draw_nothing():
    generator = torch.Generator().manual_seed(0)
    before = generator.get_state()
    median_distance(Laplace(), Points(gaussian(MEDIAN_ROWS, 2)), None, generator)
    assert torch.equal(generator.get_state(), before)


def test_it_grows_with_the_rows():
    rows = gaussian(30, 3)
    np.testing.assert_allclose(median(1e6 * rows), 1e6 * median(rows), rtol=1e-12)


@pytest.mark.parametrize("name", ["laplace", "l1"])
def test_copies_that_a_product_rounds_apart_are_no_pair_that_differs(name):
    """M takes away nearly all of the rows' length, and two products round otherwise."""
    kernel, X = kernel_named(name), gaussian(20, 1, seed=4) + 1e-3 * gaussian(20, 30)
    metric = Problem.of(X, X, None, kernel).metric(torch.eye(30, dtype=torch.float64) - 1 / 30)
    once = torch.cat([metric.rows(row[None]) for row in X])
    rows = torch.cat([*(metric.rows(X) for _ in range(3)), once])
    found = median_distance(kernel, Points(rows, metric.terms), None, torch.Generator())
    expected = median_distance(kernel, Points(once, metric.terms), None, torch.Generator())
    assert found == pytest.approx(expected, rel=1e-9)
