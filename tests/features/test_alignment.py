"""The alignment's null in closed form, against dense Haar draws; scale, rounding, and where nothing can be aligned."""

import math

import numpy as np
import pytest
import torch
from helpers import gaussian

from nfa.features.alignment import alignment, rotated_cosine

DRAWS = 4000


def haar(k, draws=DRAWS, seed=0):
    """Orthogonal matrices, Haar on O(k): draws x k x k."""
    G = np.random.default_rng(seed).standard_normal((draws, k, k))
    Q, R = np.linalg.qr(G)
    return Q * np.sign(np.diagonal(R, axis1=1, axis2=2))[:, None, :]


def weight_and_S(k, d, W_rank, S_rank, seed=1):
    rng = np.random.default_rng(seed)
    W = rng.standard_normal((k, W_rank)) @ np.diag(np.arange(1.0, W_rank + 1)) @ rng.standard_normal((W_rank, d))
    D = rng.standard_normal((S_rank, k)) * np.arange(1.0, k + 1)
    return W, D.T @ D


SHAPES = [(2, 5, 2, 2), (3, 3, 1, 3), (6, 2, 2, 6), (12, 30, 12, 1), (16, 5, 5, 9), (24, 24, 3, 24)]
"""k, d, rank of W, rank of S: d below k too, and one direction alone."""


def draws_of(W, S):
    """Alignment and cosine(NFM, AGOP) with S turned, draw by draw, from dense matrices."""
    Q = haar(len(S))
    X = Q @ S @ Q.transpose(0, 2, 1)
    C, N = W @ W.T, W.T @ W
    A = W.T @ X @ W
    aligned = (X * C).sum((1, 2)) / np.linalg.norm(C) / np.linalg.norm(S)
    return aligned, (A * N).sum((1, 2)), (A * A).sum((1, 2)), np.linalg.norm(N)


@pytest.mark.parametrize(("k", "d", "W_rank", "S_rank"), SHAPES)
def test_mean_and_deviation_are_those_of_haar_draws(k, d, W_rank, S_rank):
    W, S = weight_and_S(k, d, W_rank, S_rank)
    drawn = draws_of(W, S)[0]
    found = alignment(torch.from_numpy(W @ W.T), torch.from_numpy(S))
    sd = drawn.std()
    assert abs(found.null - drawn.mean()) <= 4 * sd / math.sqrt(DRAWS)
    # The error of a deviation, from the draws' own fourth moment.
    fourth = ((drawn - drawn.mean()) ** 4).mean() / sd**4
    assert abs(found.null_sd / sd - 1) <= 4 * math.sqrt((fourth - 1) / (4 * DRAWS))
    direct = np.sum(W @ W.T * S) / np.linalg.norm(W @ W.T) / np.linalg.norm(S)
    assert found.value == pytest.approx(direct, abs=1e-12)
    assert found.z == pytest.approx((found.value - found.null) / found.null_sd, abs=1e-9)


GAPS = (0.09, 0.17, 0.13, 0.02, 0.07, 0.05)
"""How far the closed form of the cosine's null lies below the mean of draws, at most, in each of `SHAPES`."""


@pytest.mark.parametrize(("shape", "gap"), list(zip(SHAPES, GAPS, strict=True)))
def test_the_cosine_s_null_has_the_draws_moments_and_is_near_their_mean(shape, gap):
    W, S = weight_and_S(*shape)
    _, inner, square, norm = draws_of(W, S)
    found = rotated_cosine(torch.from_numpy(W @ W.T), torch.from_numpy(S))
    ratio = inner.mean() / norm / math.sqrt(square.mean())
    error = 4 * (inner.std() / inner.mean() + square.std() / square.mean() / 2) / math.sqrt(DRAWS)
    assert abs(found - ratio) <= error * ratio + 1e-12
    # A ratio of means is not the mean of ratios: it lies below, most where W has nearly one direction.
    mean = (inner / np.sqrt(square)).mean() / norm
    assert -0.01 <= mean - found <= gap


@pytest.mark.parametrize(("k", "d", "W_rank", "S_rank"), [(64, 128, 64, 10), (96, 200, 96, 3)])
def test_for_a_weight_of_many_directions_the_cosine_s_null_is_the_mean_of_draws(k, d, W_rank, S_rank):
    rng = np.random.default_rng(0)
    W, D = rng.standard_normal((k, d)), rng.standard_normal((S_rank, k))
    S = D.T @ D
    A = np.stack([W.T @ turned @ S @ turned.T @ W for turned in haar(k, 100)])
    N = W.T @ W
    mean = np.mean([np.sum(each * N) / np.linalg.norm(each) for each in A]) / np.linalg.norm(N)
    assert rotated_cosine(torch.from_numpy(W @ W.T), torch.from_numpy(S)) == pytest.approx(mean, abs=0.005)


def test_excess_is_0_at_the_null_and_1_where_C_is_proportional_to_S():
    W, S = weight_and_S(8, 8, 8, 8)
    assert alignment(torch.from_numpy(S), torch.from_numpy(3 * S)).excess == pytest.approx(1)
    C = torch.from_numpy(W @ W.T)
    turned = [alignment(C, torch.from_numpy(Q @ S @ Q.T)).excess for Q in haar(8, 500)]
    assert abs(np.mean(turned)) <= 4 * np.std(turned) / math.sqrt(500)


@pytest.mark.parametrize("size", [1e-40, 1e-150, 1e150])
def test_no_scale_matters(size):
    W, S = weight_and_S(6, 9, 4, 6)
    C, S = torch.from_numpy(W @ W.T), torch.from_numpy(S)
    plain, scaled = alignment(C, S), alignment(C * size, S * size)
    assert scaled.value == pytest.approx(plain.value, rel=1e-12)
    assert scaled.z == pytest.approx(plain.z, rel=1e-12)
    assert rotated_cosine(C * size, S * size) == pytest.approx(rotated_cosine(C, S), rel=1e-12)


@pytest.mark.parametrize("k", [4, 64, 512])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_an_orthogonal_weight_has_nothing_to_align(k, dtype):
    W = torch.nn.init.orthogonal_(torch.empty(k, k + 3), gain=1.7, generator=torch.Generator().manual_seed(0)).to(dtype)
    if dtype == torch.float64:
        W = torch.linalg.qr(W.T)[0].T
    rows = W.float() if dtype == torch.bfloat16 else W
    S = torch.from_numpy(weight_and_S(k, k, 1, min(k, 5))[1])
    found = alignment(rows @ rows.T, S, torch.finfo(dtype).eps)
    assert math.isnan(found.value)
    assert math.isnan(found.z)
    assert math.isnan(found.excess)
    assert found.undefined == "C = WW' is a multiple of the identity: there is nothing to align"


@pytest.mark.parametrize(("dtype", "size"), [(torch.float64, 1e-9), (torch.float32, 1e-4)])
def test_two_matrices_next_to_the_identity_have_nothing_to_align(dtype, size):
    C, S = (torch.eye(8, dtype=dtype) + size * gaussian(8, 8, seed).to(dtype) for seed in (1, 2))
    found = alignment(C + C.T, S + S.T)
    assert found.undefined == "C = WW' and S are nearly multiples of the identity: there is nothing to align"
    assert math.isnan(found.excess)
    # Beside a matrix with directions of its own, such a one is aligned or not.
    assert alignment(C + C.T, torch.diag(torch.arange(8.0)).to(dtype)).undefined == ""


def test_where_nothing_can_be_aligned_it_is_said():
    C = torch.diag(torch.tensor([3.0, 1.0]))
    assert alignment(torch.ones(1, 1), torch.ones(1, 1)).undefined.startswith("one unit")
    assert alignment(C, 2 * torch.eye(2)).undefined.startswith("S is a multiple of the identity")
    assert alignment(C, torch.zeros(2, 2)).undefined.startswith("S is 0")
    assert alignment(torch.zeros(2, 2), C).undefined.startswith("C = WW' is 0")
    assert rotated_cosine(torch.ones(1, 1), torch.ones(1, 1)) == 1
    assert rotated_cosine(C, 2 * torch.eye(2)) == pytest.approx(1)
    assert math.isnan(rotated_cosine(C, torch.zeros(2, 2)))


@pytest.mark.parametrize("k", [16, 512])
def test_a_random_weight_is_no_multiple_of_the_identity(k):
    # The widest weight that a machine holds: C's spread is sqrt(k / d) of its level.
    W = torch.randn(k, 20_000, generator=torch.Generator().manual_seed(0))
    S = torch.from_numpy(weight_and_S(k, k, 1, 3)[1])
    assert alignment(W @ W.T, S).undefined == ""


def test_blocks_are_turned_within_themselves():
    blocks = [weight_and_S(4, 6, 3, 2, seed) for seed in (1, 2, 3)]
    W, S = (torch.block_diag(*(torch.from_numpy(block[i]) for block in blocks)) for i in (0, 1))
    C = (W @ W.T).numpy()
    turned = np.zeros((DRAWS, 12, 12))
    for number, (_, each) in enumerate(blocks):
        Q, place = haar(4, seed=number), slice(4 * number, 4 * number + 4)
        turned[:, place, place] = Q @ each @ Q.transpose(0, 2, 1)
    found = alignment(W @ W.T, S, groups=3)
    cosines = (turned * C).sum((1, 2)) / np.linalg.norm(C) / np.linalg.norm(S)
    assert found.value == pytest.approx((C * S.numpy()).sum() / np.linalg.norm(C) / np.linalg.norm(S))
    assert found.null == pytest.approx(cosines.mean(), abs=4 * cosines.std() / math.sqrt(DRAWS))
    assert found.null_sd == pytest.approx(cosines.std(), rel=0.05)
    inner, squares = (turned * (C @ C)).sum((1, 2)), np.einsum("nij,jk,nkl,li->n", turned, C, turned, C, optimize=True)
    expected = inner.mean() / np.linalg.norm(C) / math.sqrt(squares.mean())
    assert rotated_cosine(W @ W.T, S, groups=3) == pytest.approx(expected, rel=0.02)


def test_blocks_with_nothing_to_align():
    S = torch.diag(torch.arange(1.0, 5.0)).double()
    assert alignment(S, S, groups=4).undefined.startswith("one unit in each group")
    level = torch.block_diag(torch.eye(2), 2 * torch.eye(2)).double()
    assert alignment(level, S, groups=2).undefined.startswith("C = WW' is a multiple of the identity in each group")
    first, second = torch.diag(torch.tensor([1.0, 2.0, 1.0, 1.0])), torch.diag(torch.tensor([1.0, 1.0, 1.0, 2.0]))
    assert "identity in each group" in alignment(first, second, groups=2).undefined
