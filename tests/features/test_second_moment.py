"""S and its moments, against dense ones, with and without a part of low rank beside it."""

import pytest
import torch
from helpers import gaussian

from nfa import FactoredMatrix
from nfa.features.alignment import alignment, undefined
from nfa.features.second_moment import Whole
from nfa.probe import within_blocks

SIZES = [1.0, 1e-170, 1e140]
"""Of S, whose squares may leave float64."""


def made(k, size, groups=1):
    """Return S_c and B: the matrix S_c + B'B is made of a whole one and a part of low rank."""
    D, B = gaussian(2 * k, k), gaussian(3, k, seed=1)
    if groups > 1:
        B = within_blocks(B.T @ B, groups)
    return size * within_blocks(D.T @ D, groups), size**0.5 * B


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("k", [1, 5, 64, 150])
def test_moments_are_those_of_the_whole_matrix(k, size):
    S_c, B = made(k, size)
    found, S = Whole(S_c).plus(B), S_c + B.T @ B
    torch.testing.assert_close(found.matrix, S)
    torch.testing.assert_close(found.diagonal(), S.diagonal())
    assert found.trace() == pytest.approx(float(S.trace()))
    relative = S / S.abs().max()
    level = float(relative.trace()) / k
    rest = float((relative - level * torch.eye(k)).square().sum())
    for moments in (found.moments, found.split, Whole(S).moments):
        ratio = float(moments.levels) / level  # the unit is the moments' own
        assert float(moments.spreads) == pytest.approx(ratio**2 * rest, rel=1e-9, abs=1e-20)
        assert moments.square == pytest.approx(ratio**2 * float(relative.square().sum()))


@pytest.mark.parametrize("k", [8, 150])
def test_moments_of_blocks(k):
    S_c, B = made(k, 1.0, groups=2)
    found, half = Whole(S_c, 2).plus(B).moments, k // 2
    S = S_c + B.T @ B
    for block in range(2):
        own = S[block * half : (block + 1) * half, block * half : (block + 1) * half]
        level = float(own.trace()) / half
        assert float(found.levels[block]) == pytest.approx(level)
        assert float(found.spreads[block]) == pytest.approx(float((own - level * torch.eye(half)).square().sum()))


def test_parts_that_are_added_one_after_the_other():
    S_c, B = made(7, 1.0)
    both = Whole(S_c).plus(B).plus(2 * B)
    torch.testing.assert_close(both.matrix, S_c + 5 * B.T @ B)
    torch.testing.assert_close(both.diagonal(), both.matrix.diagonal())


@pytest.mark.parametrize(("k", "d"), [(4, 9), (9, 4), (6, 6), (300, 290)])
def test_a_feature_matrix_from_its_centered_one(k, d):
    W, (S_c, B) = gaussian(k, d, seed=4), made(k, 1.0)
    second = Whole(S_c).plus(B)
    base = FactoredMatrix(W, S_c)
    M, dense = second.raised(base, B), W.T @ (S_c + B.T @ B) @ W
    assert M.trace() == pytest.approx(float(dense.trace()))
    assert M.norm() == pytest.approx(float(dense.norm()))
    assert M.total() == pytest.approx(float(dense.sum()))
    assert M.inner(FactoredMatrix(base.weight)) == pytest.approx(float((dense * (W.T @ W)).sum()))
    torch.testing.assert_close(M.dense(), dense)


def test_why_nothing_can_be_aligned_needs_no_inner_product():
    for C, S in ((torch.eye(5), gaussian(5, 5) @ gaussian(5, 5).T), (gaussian(5, 5) @ gaussian(5, 5).T, torch.eye(5))):
        moments = [Whole(each.double()).moments for each in (C, S)]
        assert undefined(*moments) == alignment(C.double(), S.double()).undefined != ""
    D = gaussian(4, 100)
    split = Whole(D.T @ D).moments
    assert undefined(split, split) == ""
    assert alignment(split, split).value == pytest.approx(1)
