"""M as coordinates, and what a matrix must be."""

import numpy as np
import pytest
import torch
from helpers import gaussian
from rfm import kernel_reference as reference

from nfa import InputError
from nfa.rfm import RFMRegressor
from nfa.rfm.metric import Metric, checked_matrix, matrix_power
from nfa.rfm.moments import Moments

D = 4
F = gaussian(D, D, seed=3)
MATRICES = {
    "identity": torch.eye(D, dtype=torch.float64),
    "scaled identity": 9 * torch.eye(D, dtype=torch.float64),
    "full": F.T @ F,
    "rank 1": torch.outer(F[0], F[0]),
    "diagonal": torch.tensor([4.0, 0.0, 1e-8, 2.0], dtype=torch.float64),
    "diagonal, whole": torch.diag(torch.tensor([4.0, 0.0, 1e-8, 2.0], dtype=torch.float64)),
    "tiny": 1e-300 * (F.T @ F),
    "huge": 1e300 * (F.T @ F),
}


@pytest.mark.parametrize("kind", MATRICES)
def test_distances_of_rows_times_length_are_those_under_M(kind):
    M, X = MATRICES[kind], gaussian(9, D) + 5
    metric = Metric.of(M, X.mean(0), unit=8.0)
    size = float(M.max())
    shape = reference.dense(M) / size
    U = X[:, None] - X[None]
    expected = torch.einsum("ijd,de,ije->ij", U, shape, U).clamp(min=0).sqrt() * size**0.5
    found = metric.length * torch.cdist(metric.rows(X), metric.rows(X), compute_mode="donot_use_mm_for_euclid_dist")
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-14 * size**0.5)
    inner = metric.rows(X) @ metric.rows(X).T * metric.length**2
    centered = X - X.mean(0)
    torch.testing.assert_close(inner / size, centered @ shape @ centered.T, rtol=1e-12, atol=1e-13)
    assert torch.equal(metric.M, M)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("kind", MATRICES)
def test_rows_keep_their_dtype_and_identities_cost_nothing(kind, dtype):
    metric = Metric.of(MATRICES[kind], torch.zeros(D, dtype=torch.float64))
    assert metric.rows(gaussian(3, D, dtype=dtype)).dtype == dtype
    shape = {"identity": None, "scaled identity": None, "diagonal": 1, "diagonal, whole": 1}.get(kind, 2)
    assert (None if metric.root is None else metric.root.ndim) == shape


def test_the_root_of_a_matrix_of_low_rank_has_its_rank():
    """The root of what rounding leaves of 0 is 1e-8, no rounding any more."""
    for rank in (1, 2):
        M = F[:rank].T @ F[:rank]
        root = Metric.of(M, torch.zeros(D, dtype=torch.float64)).root
        expected = reference.root_of(M) / float(M.diagonal().max()) ** 0.5
        torch.testing.assert_close(root, expected, rtol=0, atol=1e-13)


@pytest.mark.parametrize("alpha", [0.05, 0.25, 0.5, 1.0, 2.0])
@pytest.mark.parametrize("rank", [5, 2])
def test_matrix_powers(alpha, rank):
    """What is 0 stays 0: rounding, 1e-17, would be 0.02 to the power 0.1."""
    Q = torch.linalg.qr(gaussian(5, 5))[0][:, :rank]
    values = torch.tensor([3.0, 1.0, 0.5, 0.2, 0.01], dtype=torch.float64)[:rank]
    M = (Q * values) @ Q.T
    expected = (Q * values**alpha) @ Q.T
    torch.testing.assert_close(matrix_power((M + M.T) / 2, alpha), expected, rtol=0, atol=1e-10)
    diagonal = torch.tensor([2.0, 0.0, -1e-20], dtype=torch.float64)
    torch.testing.assert_close(matrix_power(diagonal, alpha), torch.tensor([2.0**alpha, 0, 0]).double())


@pytest.mark.parametrize("kind", MATRICES)
@pytest.mark.parametrize("diag", [False, True])
def test_pulled_moments_are_those_of_gradients_in_the_rows_own_coordinates(kind, diag):
    """By the chain rule: rows z = F(x - center) / unit, gradients with respect to x / unit."""
    metric = Metric.of(MATRICES[kind], gaussian(1, D)[0], unit=8.0)
    if diag and metric.root is not None and metric.root.ndim == 2:
        return  # the diagonal alone does not say what its pull is
    J = gaussian(6, 2 * D, seed=7).reshape(6, 2, D)
    outer = torch.einsum("ncd,nce->de", J, J)
    found, sums = metric.pull(Moments(outer.diagonal() if diag else outer, J.sum(0)))
    root = torch.eye(D, dtype=torch.float64) if metric.root is None else reference.dense(metric.root)
    J = J @ root
    expected = torch.einsum("ncd,nce->de", J, J)
    torch.testing.assert_close(found, expected.diagonal() if diag else expected)
    torch.testing.assert_close(sums, J.sum(0))


def test_pulled_moments_are_float64():
    metric = Metric.of(MATRICES["full"], torch.zeros(D, dtype=torch.float64))
    outer, sums = metric.pull(Moments(torch.eye(D), torch.ones(1, D)))
    assert outer.dtype == sums.dtype == torch.float64


def test_a_matrix_of_zeros_makes_all_rows_equal():
    for M in (torch.zeros(D, D).double(), torch.zeros(D).double()):
        metric = Metric.of(M, torch.zeros(D, dtype=torch.float64))
        assert not metric.rows(gaussian(3, D)).any()
        assert metric.length == 1


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16, torch.int64])
def test_checked_matrices_are_float64_and_exactly_symmetric(dtype):
    M = torch.tensor([[2, 1], [1, 3]], dtype=dtype)
    assert torch.equal(checked_matrix("M", M, 2), M.double())
    assert torch.equal(checked_matrix("M", M[0], 2), M[0].double())
    nearly = F.T @ F + 1e-9 * F
    found = checked_matrix("M", nearly, D)
    assert torch.equal(found, found.T)
    np.testing.assert_allclose(found, nearly, atol=1e-8)
    assert not checked_matrix("M", (F.T @ F).requires_grad_(), D).requires_grad


def test_what_rounding_left_below_zero_passes():
    vector = gaussian(30, 1, dtype=torch.float32)
    low = vector @ vector.T - 1e-8 * torch.eye(30)
    assert torch.linalg.eigvalsh(low.double())[0] < 0
    checked_matrix("M", low, 30)
    checked_matrix("M", torch.tensor([1.0, -1e-9]), 2)
    checked_matrix("M", torch.zeros(2, 2), 2)
    checked_matrix("M", 1e-300 * (F.T @ F), D)
    checked_matrix("M", 1e300 * (F.T @ F), D)


def test_a_gram_matrix_in_the_dtype_it_was_computed_in_passes():
    """Of fewer rows than columns, around 1: the rounding of 0 is relative to the largest eigenvalue, not entry."""
    G = (gaussian(100, 800) + 1).float()
    M = G.T @ G
    assert torch.linalg.eigvalsh(M.double())[0] < -1e-6 * M.max()
    assert checked_matrix("M", M, 800).dtype == torch.float64
    X = gaussian(20, 800).numpy()
    assert RFMRegressor(M_init=M.numpy(), n_iters=0).fit(X, X[:, 0]).M_.shape == (800, 800)
    half = (G[:3, :50].T @ G[:3, :50]).half()
    checked_matrix("M", half, 50)
    with pytest.raises(InputError, match="M: not positive semidefinite"):
        checked_matrix("M", half - 10 * torch.eye(50).half(), 50)


@pytest.mark.parametrize("kernel", ["laplace", "l1"])
def test_the_M_of_a_machine_in_float32_can_start_another(kernel):
    X = gaussian(300, 40, dtype=torch.float32).numpy()
    M = RFMRegressor(kernel, n_iters=2).fit(X, X[:, :8] * X[:, 1:9]).M_
    assert np.isfinite(RFMRegressor(kernel, M_init=M).fit(X, X[:, 0]).M_).all()


@pytest.mark.parametrize(
    ("M", "message"),
    [
        (torch.eye(3), r"M: shape \(3, 3\), expected \(2, 2\), or \(2,\) for a diagonal matrix"),
        (torch.ones(3), r"M: shape \(3,\), expected \(2, 2\), or \(2,\) for a diagonal matrix"),
        (torch.ones(2, 2, 1), r"M: shape \(2, 2, 1\), expected"),
        (torch.tensor(1.0), r"M: shape \(\), expected"),
        (torch.eye(2, dtype=torch.complex64), "M: complex numbers, expected real ones"),
        (torch.tensor([[1, torch.nan], [0, 1]]), "M: holds NaN or infinity; every entry must be finite"),
        (torch.tensor([torch.inf, 1]), "M: holds NaN or infinity; every entry must be finite"),
        (torch.tensor([[1.0, 0.5], [0.4, 1.0]]), "M: not symmetric"),
        (torch.tensor([[0.0, 1.0], [-1.0, 0.0]]), "M: not symmetric"),
        (torch.tensor([[1.0, 2.0], [2.0, 1.0]]), "M: not positive semidefinite; its least eigenvalue is -1"),
        (torch.tensor([3.0, -0.25]), "M: not positive semidefinite; its least eigenvalue is -0.25"),
        (-torch.eye(2), "M: not positive semidefinite; its least eigenvalue is -1"),
    ],
)
def test_refusals(M, message):
    with pytest.raises(InputError, match=f"^{message}"):
        checked_matrix("M", M, 2)


def test_what_is_below_zero_in_M_is_cut():
    """An AGOP in float32 may have negative eigenvalues; M has none, and the others stay as they were."""
    Q = torch.linalg.qr(gaussian(D, D))[0]
    for low in (-1e-5, -1e-9):
        M = (Q * torch.tensor([1.0, 0.5, 0.1, low], dtype=torch.float64)) @ Q.T
        M = (M + M.T) / 2
        found = Metric.of(M, torch.zeros(D, dtype=torch.float64)).M
        assert torch.equal(found, found.T)
        assert torch.linalg.eigvalsh(found)[0] > -1e-15
        torch.testing.assert_close(found, M, rtol=0, atol=1.1 * abs(low))
    found = Metric.of(torch.tensor([1.0, -1e-9]).double(), torch.zeros(2, dtype=torch.float64)).M
    assert found.tolist() == [1, 0]
