"""Weights from feature matrices against dense roots and polar factors of scipy's."""

import numpy as np
import pytest
import torch
from helpers import gaussian
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import linalg

from nfa.common import InputError
from nfa.features.polar import Polar, Spectral

SHAPES = [(4, 9), (9, 4), (6, 6), (1, 5), (5, 1), (1, 1)]


def low_rank(k, d, rank, seed=0):
    return gaussian(k, rank, seed) @ gaussian(rank, d, seed + 1)


def psd(k, rank=None, seed=3):
    rows = gaussian(rank or 2 * k, k, seed)
    return rows.T @ rows / len(rows)


def dense(M):
    V = M.vectors if M.basis is None else M.basis @ M.vectors
    return ((V * M.roots**2) @ V.T).numpy()


def root(M):
    """M^(1/2) by numpy's eigh: dense, and of positive semidefinite matrices that scipy's sqrtm warns about."""
    values, vectors = np.linalg.eigh(M)
    return (vectors * np.sqrt(np.clip(values, 0, None))) @ vectors.T


def partial_isometry(X, rank):
    """The polar factor of a matrix of that rank."""
    A, _, Bt = np.linalg.svd(X)
    return A[:, :rank] @ Bt[:rank]


@pytest.mark.parametrize(("k", "d"), SHAPES)
def test_polar_factor_and_root_equal_those_of_scipy(k, d):
    W = gaussian(k, d)
    polar = Polar(W)
    # With more columns than rows, scipy's root on the left makes the factor unique.
    U, half = linalg.polar(W.numpy(), side="right" if k >= d else "left")
    basis = polar.Q if k >= d else polar.P
    np.testing.assert_allclose(polar.factor, U, atol=1e-12)
    np.testing.assert_allclose((basis * polar.s) @ basis.T, half, atol=1e-12)
    np.testing.assert_allclose(dense(polar.nfm), W.T @ W, atol=1e-12)
    assert polar.rank == min(k, d)


@pytest.mark.parametrize(("k", "d", "rank"), [(7, 9, 3), (9, 7, 3), (6, 6, 5), (6, 6, 6)])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-13), (torch.float32, 1e-6)])
def test_the_nfm_gives_the_weight_back(k, d, rank, dtype, tolerance):
    W = low_rank(k, d, rank).to(dtype)
    polar = Polar(W)
    assert polar.rank == rank
    for M in (polar.nfm, polar.agop(torch.eye(k)), polar.projected(W.T), W.T):
        np.testing.assert_allclose(polar.weight(M), W, atol=tolerance * float(W.abs().max()))


@pytest.mark.parametrize("alpha", [0.3, 0.5, 1.0, 2.0])
@pytest.mark.parametrize(("k", "d"), [(4, 9), (9, 4), (6, 6)])
def test_a_power_of_the_agop_equals_scipys(k, d, alpha):
    W, S = gaussian(k, d), psd(k)
    polar = Polar(W)
    A = (W.T @ S @ W).numpy()
    if k >= d:
        powered = linalg.fractional_matrix_power(A, alpha)
        U, _ = linalg.polar(W.numpy() @ linalg.sqrtm(powered))
        got = polar.weight(polar.agop(S).power(alpha))
        np.testing.assert_allclose(got, U @ linalg.sqrtm(powered), atol=1e-10 * np.abs(powered).max())
    else:
        values, vectors = (part[..., -k:] for part in np.linalg.eigh(A))
        powered = (vectors * values**alpha) @ vectors.T
    np.testing.assert_allclose(dense(polar.agop(S).power(alpha)), powered, atol=1e-10 * np.abs(powered).max())


def cases(W, S, W0, seed=5):
    """What a substitution puts in W's place, by name: as the package has it."""
    polar = Polar(W)
    return polar, {
        "agop": polar.agop(S),
        "projector": polar.projector,
        "init": polar.projected(W0.T),
        "random": polar.random(torch.Generator().manual_seed(seed)),
    }


@pytest.mark.parametrize("kind", ["agop", "projector", "init", "random"])
@pytest.mark.parametrize(("k", "d", "rank"), [(4, 9, 4), (9, 4, 4), (6, 6, 6), (7, 9, 3), (9, 7, 3)])
@pytest.mark.parametrize("s_rank", [None, 2])
def test_the_weight_of_each_matrix_equals_the_dense_one(kind, k, d, rank, s_rank):
    W, S, W0 = low_rank(k, d, rank), psd(k, s_rank), gaussian(k, d, 11)
    polar, found = cases(W, S, W0)
    project = linalg.pinv(W.numpy()) @ W.numpy()
    by_hand = {
        "agop": (W.T @ S @ W).numpy(),
        "projector": project,
        "init": project @ (W0.T @ W0).numpy() @ project,
        "random": dense(found["random"]),
    }[kind]
    M = found[kind]
    np.testing.assert_allclose(dense(M), by_hand, atol=1e-10 * np.abs(by_hand).max())
    assert M.rank == np.linalg.matrix_rank(by_hand, tol=1e-9 * np.abs(by_hand).max())
    half = root(by_hand)
    expected = partial_isometry(W.numpy() @ half, M.rank) @ half
    got = polar.weight(M)
    np.testing.assert_allclose(got, expected, atol=1e-7 * np.abs(expected).max())
    np.testing.assert_allclose(got.T @ got, by_hand, atol=1e-10 * np.abs(by_hand).max())


@pytest.mark.parametrize(
    ("k", "d", "rank", "m"), [(4, 9, 4, 9), (4, 9, 4, 3), (9, 4, 4, 4), (9, 4, 2, 4), (6, 6, 3, 5)]
)
def test_a_matrix_outside_the_row_space_keeps_what_the_weight_can_carry(k, d, rank, m):
    W, R = low_rank(k, d, rank), gaussian(d, m, 8)
    M = (R @ R.T).numpy()
    half, kept = root(M), min(rank, m)
    expected = partial_isometry(W.numpy() @ half, kept) @ half
    got = Polar(W).weight(R)
    np.testing.assert_allclose(got, expected, atol=1e-6 * np.abs(expected).max())
    assert np.linalg.matrix_rank(got.numpy(), tol=1e-8) == kept


def test_what_is_at_right_angles_to_the_row_space_is_lost():
    W = torch.zeros(3, 4, dtype=torch.float64)
    W[:, :2] = gaussian(3, 2)
    R = torch.diag(torch.tensor([1.0, 2.0, 5.0, 0.0], dtype=torch.float64))
    weight = Polar(W).weight(R)
    np.testing.assert_allclose(weight.T @ weight, np.diag([1.0, 4.0, 0.0, 0.0]), atol=1e-12)
    assert (Polar(W).weight(R[:, 2:3]) == 0).all()


def test_no_other_weight_of_the_same_nfm_is_nearer():
    W, S = gaussian(5, 7), psd(5)
    polar = Polar(W)
    nearest = polar.weight(polar.agop(S))
    for seed in range(20):
        turned = torch.linalg.qr(torch.eye(5, dtype=torch.float64) + 0.3 * gaussian(5, 5, seed)).Q @ nearest
        np.testing.assert_allclose(turned.T @ turned, nearest.T @ nearest, atol=1e-10)
        assert (W - turned).norm() > (W - nearest).norm()


def test_random_matrices_have_the_spectrum_and_every_direction_alike():
    polar = Polar(low_rank(5, 8, 3))
    generator = torch.Generator().manual_seed(0)
    drawn = [polar.random(generator) for _ in range(4000)]
    mean = sum(M.vectors[:, :1] @ M.vectors[:, :1].T for M in drawn) / len(drawn)
    np.testing.assert_allclose(mean, np.eye(3) / 3, atol=0.03)
    assert abs(float(sum(M.vectors[0, 0] for M in drawn)) / len(drawn)) < 0.05  # no sign is preferred
    for M in drawn[:3]:
        np.testing.assert_allclose(np.linalg.eigvalsh(dense(M))[-3:][::-1], polar.s**2, atol=1e-10)
        np.testing.assert_allclose(M.vectors.T @ M.vectors, np.eye(3), atol=1e-12)


@pytest.mark.parametrize("size", [1e-140, 1e-30, 1e30, 1e140])
@pytest.mark.parametrize("s_size", [1e-290, 1.0, 1e290])
def test_weights_and_gradients_of_any_size(size, s_size):
    W, S = gaussian(4, 6), psd(4)
    polar, plain = Polar(size * W), Polar(W)
    scaled = polar.agop(s_size * S).scaled(1.0).power(0.5).scaled(polar.nfm.size)
    expected = plain.weight(plain.agop(S).power(0.5).scaled(plain.nfm.size))
    np.testing.assert_allclose(polar.weight(scaled) / size, expected, atol=1e-10)
    np.testing.assert_allclose(polar.weight(polar.nfm) / size, W, atol=1e-12)


def test_a_steep_spectrum_keeps_its_digits():
    """W'W would lose every singular value below 1e-8 of the largest, and W'SW with S = WW' below 1e-4."""
    P, Q = (torch.linalg.qr(gaussian(7, 7, seed)).Q for seed in (1, 2))
    s = 10.0 ** -torch.arange(0, 14, 2, dtype=torch.float64)
    W = (P * s) @ Q.T
    polar = Polar(W)
    np.testing.assert_allclose(polar.s, s, rtol=1e-3)
    np.testing.assert_allclose(polar.weight(polar.agop(torch.eye(7))), W, atol=1e-14)
    squared = polar.agop(torch.eye(7)).power(2.0)
    np.testing.assert_allclose(squared.roots[:4], s[:4] ** 2, rtol=1e-8)
    np.testing.assert_allclose(polar.weight(squared.power(0.5)), W, atol=1e-14)


@pytest.mark.parametrize("M", ["nfm", "projector"])
def test_a_weight_of_zeros_stays_zero(M):
    polar = Polar(torch.zeros(3, 5))
    assert polar.rank == 0
    matrix = getattr(polar, M).scaled(1.0)
    assert matrix.size == 0
    for found in (matrix, polar.agop(torch.eye(3)), polar.random(torch.Generator()), torch.eye(5)):
        assert (polar.weight(found) == 0).all()
        assert polar.weight(found).shape == (3, 5)


def test_gradients_of_zero_make_a_weight_of_zeros():
    polar = Polar(gaussian(3, 5))
    dead = polar.agop(torch.zeros(3, 3)).power(0.5).scaled(1.0)
    assert dead.rank == 0
    assert (polar.weight(dead) == 0).all()
    assert polar.projected(torch.zeros(5, 3)).rank == 0


def test_rounding_in_float32_makes_no_directions():
    W = (gaussian(64, 3) @ gaussian(3, 100, 2)).float()
    assert Polar(W).rank == 3
    delta = (gaussian(500, 2) @ gaussian(2, 64, 3)).float()
    assert Polar(gaussian(64, 100).float()).agop((delta.T @ delta).double()).rank == 2


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 7), st.integers(1, 7), st.integers(1, 7), st.floats(0.05, 2.0), st.integers(0, 99))
def test_turning_inputs_and_outputs_turns_the_weight(k, d, s_rank, alpha, seed):
    """W -> RWQ', S -> RSR': U_M M^(1/2) -> R U_M M^(1/2) Q'."""
    W, S = gaussian(k, d, seed), psd(k, s_rank, seed + 1)
    R, Q = (torch.linalg.qr(gaussian(n, n, seed + 2)).Q for n in (k, d))
    plain, turned = Polar(W), Polar(R @ W @ Q.T)
    expected = R @ plain.weight(plain.agop(S).power(alpha)) @ Q.T
    got = turned.weight(turned.agop(R @ S @ R.T).power(alpha))
    np.testing.assert_allclose(got, expected, atol=1e-6 * float(expected.abs().max()))


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 7), st.integers(1, 7), st.floats(0.1, 2.0), st.sampled_from([1e-8, 1e-3, 7.0, 1e6]))
def test_scaling_m_to_a_norm_forgets_its_own(k, d, alpha, factor):
    W, S = gaussian(k, d), psd(k)
    polar = Polar(W)
    one, other = (polar.agop(each).power(alpha).scaled(polar.nfm.size) for each in (S, factor * S))
    np.testing.assert_allclose(polar.weight(one), polar.weight(other), atol=1e-9)
    assert np.linalg.norm(polar.weight(one).T @ polar.weight(one)) == pytest.approx(np.linalg.norm(W.T @ W))


def test_bad_input():
    polar = Polar(gaussian(3, 5))
    with pytest.raises(InputError, match=r"W: shape \(3,\), expected a matrix"):
        Polar(torch.ones(3))
    with pytest.raises(InputError, match="W: nan at row 1, column 0"):
        Polar(torch.tensor([[1.0], [np.nan]]))
    with pytest.raises(InputError, match=r"S: shape \(2, 2\), expected \(3, 3\)"):
        polar.agop(torch.eye(2))
    for call in (polar.weight, polar.projected):
        with pytest.raises(InputError, match=r"R: shape \(3, 5\), expected \(5, m\)"):
            call(gaussian(3, 5))
    with pytest.raises(InputError, match="alpha: got 0, expected a power above 0"):
        polar.nfm.power(0)


def test_a_factor_of_no_columns_is_zero():
    assert Spectral.of_factor(torch.zeros(4, 0)).rank == 0
