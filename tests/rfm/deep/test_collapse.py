"""Neural collapse against a plain computation, and where it is known."""

import math

import numpy as np
import pytest
import torch
from helpers import gaussian

from nfa.rfm.deep.collapse import neural_collapse


def plain(X, classes):
    """NC1 and NC2, row by row."""
    numbers = sorted(set(classes.tolist()))
    means = np.array([X[classes == c].mean(0) for c in numbers])
    within = np.mean([np.sum((x - means[numbers.index(c)]) ** 2) for x, c in zip(X, classes, strict=True)])
    center = means.mean(0)
    between = np.mean([np.sum((m - center) ** 2) for m in means])
    C, total = len(numbers), 0.0
    for i in range(C):
        for j in range(C):
            a, b = means[i] - center, means[j] - center
            expected = 1.0 if i == j else -1 / (C - 1)
            total += (a @ b / np.linalg.norm(a) / np.linalg.norm(b) - expected) ** 2
    return within / between, total / C**2


@pytest.mark.parametrize("offset", [0.0, 1e4])
@pytest.mark.parametrize("C", [3, 5])
def test_a_plain_computation_agrees(C, offset):
    classes = torch.arange(50) ** 2 % 11 % C * 7  # of different sizes, and not numbered from 0
    X = gaussian(50, 6) + gaussian(40, 6, seed=3)[classes] + offset
    found = neural_collapse(X, classes)
    expected = plain(X.numpy(), classes.numpy())
    assert found.nc1 == pytest.approx(expected[0], rel=1e-8)
    assert found.nc2 == pytest.approx(expected[1], rel=1e-8)
    assert found.note == ""


def test_a_weight_counts_rows():
    X, classes = gaussian(20, 4), torch.arange(20) % 3
    weights = torch.arange(20) % 4
    repeated = neural_collapse(X.repeat_interleave(weights, 0), classes.repeat_interleave(weights))
    found = neural_collapse(X, classes, weights)
    assert found.nc1 == pytest.approx(repeated.nc1, rel=1e-12)
    assert found.nc2 == pytest.approx(repeated.nc2, rel=1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_collapsed_classes_have_nc1_0_and_a_simplex_nc2_0(dtype):
    C, Q = 4, torch.linalg.qr(gaussian(6, 6)).Q
    simplex = (torch.eye(C, 6, dtype=torch.float64) @ Q).to(dtype)
    classes = torch.arange(20) % C
    collapsed = neural_collapse(3 * simplex[classes] + 1, classes)
    assert collapsed.nc1 <= 1e-12
    assert collapsed.nc2 <= 1e-12
    spread = gaussian(20, 6, dtype=dtype)
    for c in range(C):
        spread[classes == c] -= spread[classes == c].mean(0)
    around = neural_collapse(simplex[classes] + spread, classes)
    assert around.nc1 > 1
    assert around.nc2 <= 1e-10
    skewed = simplex.clone()
    skewed[0] *= 5
    assert neural_collapse(skewed[classes], classes).nc1 <= 1e-12
    assert neural_collapse(skewed[classes], classes).nc2 > 0.1


def test_no_scale_and_no_rotation_matters():
    X, classes = gaussian(20, 4), torch.arange(20) % 3
    Q = torch.linalg.qr(gaussian(4, 4, seed=2)).Q
    one, other = neural_collapse(X, classes), neural_collapse(1e-3 * X @ Q - 2, classes)
    assert other.nc1 == pytest.approx(one.nc1, rel=1e-9)
    assert other.nc2 == pytest.approx(one.nc2, rel=1e-9)


def test_what_is_undefined_is_nan_with_its_reason():
    X = gaussian(6, 3)
    for classes, note in [(None, "real targets have no classes"), (torch.ones(6, dtype=torch.int64), "a single class")]:
        found = neural_collapse(X, classes)
        assert math.isnan(found.nc1)
        assert math.isnan(found.nc2)
        assert found.note == note
    same = neural_collapse(0.1 * torch.ones(6, 3), torch.arange(6) % 3)
    assert (math.isnan(same.nc1), math.isnan(same.nc2)) == (True, True)
    assert same.note == "all classes have the same mean"
    middle = neural_collapse(torch.tensor([[1.0], [0.0], [-1.0]]), torch.arange(3))
    assert (middle.nc1, math.isnan(middle.nc2)) == (0.0, True)
    assert middle.note == "a class has the mean of all, and so no direction"
    two = neural_collapse(X, torch.arange(6) % 2)
    assert two.nc2 <= 1e-12
    assert two.note == "two classes, whose NC2 is always 0"
