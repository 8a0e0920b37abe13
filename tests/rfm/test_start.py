"""The first M."""

import numpy as np
import pandas as pd
import pytest
import torch
from helpers import gaussian
from rfm.bare import PlainRegressor

import nfa
from nfa import FactoredMatrix, InputError
from nfa.rfm.start import first_matrix

F = gaussian(3, 3)
M = F.T @ F


def test_none_is_the_identity():
    assert torch.equal(first_matrix(None, 3, diag=False), torch.eye(3, dtype=torch.float64))
    assert torch.equal(first_matrix(None, 3, diag=True), torch.ones(3, dtype=torch.float64))


KINDS = {
    "tensor": M,
    "float32 tensor": M.float(),
    "array": M.numpy(),
    "float32 array": M.numpy().astype(np.float32),
    "lists": M.tolist(),
    "tensor with a gradient": M.clone().requires_grad_(),
    "factored": FactoredMatrix(F),
    "factored with S": FactoredMatrix(torch.eye(3, dtype=torch.float64), M),
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_matrix(kind):
    for diag in (False, True):
        found = first_matrix(KINDS[kind], 3, diag)
        assert found.dtype == torch.float64
        assert not found.requires_grad
        torch.testing.assert_close(found, M.diagonal() if diag else M, rtol=1e-6, atol=1e-7)
        found += 1  # what was handed over stays as it was
    torch.testing.assert_close(first_matrix(KINDS[kind], 3, diag=False), M, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("values", [[1, 2, 0], np.array([1.0, 2.0, 0.0]), torch.tensor([1, 2, 0])])
def test_diagonals(values):
    expected = torch.tensor([1.0, 2.0, 0.0], dtype=torch.float64)
    assert torch.equal(first_matrix(values, 3, diag=True), expected)
    assert torch.equal(first_matrix(values, 3, diag=False), torch.diag(expected))


def test_whole_numbers_are_numbers():
    for values in (np.eye(2, dtype=int), np.eye(2, dtype=bool), torch.eye(2, dtype=torch.int32)):
        assert torch.equal(first_matrix(values, 2, diag=False), torch.eye(2, dtype=torch.float64))


@pytest.fixture
def all_warnings():
    """Also those that torch gives once and never again."""
    torch.set_warn_always(True)
    yield
    torch.set_warn_always(False)


@pytest.mark.usefixtures("all_warnings")
def test_what_is_read_only_is_read():
    """A data frame's array is, and a diagonal's."""
    torch.testing.assert_close(first_matrix(pd.DataFrame(M.numpy()), 3, diag=False), M)
    torch.testing.assert_close(first_matrix(M.numpy().diagonal(), 3, diag=True), M.diagonal())
    values = M.numpy().copy()
    values.flags.writeable = False
    torch.testing.assert_close(first_matrix(values, 3, diag=False), M)


@pytest.fixture(scope="module")
def audit():
    return nfa.audit(nfa.MLP(3, [5], n_outputs=2), gaussian(30, 3, dtype=torch.float32))


def test_a_layer_of_an_audit_gives_its_agop(audit):
    expected = audit[0].agop.dense()
    torch.testing.assert_close(first_matrix(audit[0], 3, diag=False), expected)
    torch.testing.assert_close(first_matrix(audit[0], 3, diag=True), expected.diagonal())
    torch.testing.assert_close(first_matrix(audit[0].nfm, 3, diag=False), audit[0].nfm.dense())
    X, y = gaussian(30, 3, dtype=torch.float32), gaussian(30, 1)[:, 0]
    model = PlainRegressor(n_iters=0, M_init=audit[0]).fit(X, y)
    np.testing.assert_allclose(model.M_, expected)


def test_refusals(audit):
    for given, message in [
        (torch.eye(2), r"M_init: shape \(2, 2\), expected \(3, 3\), or \(3,\) for a diagonal matrix"),
        (FactoredMatrix(torch.eye(2)), "M_init: a matrix of 2 features, expected 3 as in X"),
        (audit[1], "M_init: a matrix of 5 features, expected 3 as in X"),
        (audit, r"M_init: an audit of all layers; take the one that X reaches, such as audit\[0\]$"),
        ("identity", "M_init: str is no matrix of numbers"),
        ([[1, 2], [3]], "M_init: list is no matrix of numbers"),
        (object(), "M_init: object is no matrix of numbers"),
        ([[1j, 0], [0, 1]], "M_init: list is no matrix of numbers"),
        (torch.zeros(3, 3), "M_init: is 0, so that every two rows would be equal"),
        (np.zeros(3), "M_init: is 0, so that every two rows would be equal"),
        (F, "M_init: not symmetric"),
        (-M, "M_init: not positive semidefinite; its least eigenvalue is"),
        ([1, 1, -1], "M_init: not positive semidefinite; its least eigenvalue is -1"),
        ([1, 1, np.nan], "M_init: holds NaN or infinity; every entry must be finite"),
        (torch.eye(3) * 1j, "M_init: complex numbers, expected real ones"),
    ]:
        for diag in (False, True):
            with pytest.raises(InputError, match=f"^{message}"):
                first_matrix(given, 3, diag)


def test_a_complex_array_is_refused():
    with pytest.raises(InputError, match="M_init: "):
        first_matrix(np.eye(3) * 1j, 3, diag=False)


def test_a_seed_whose_kept_diagonal_would_be_zero_is_none():
    """diag takes the diagonal; of a positive semidefinite matrix that is 0 only where the matrix is."""
    tiny = first_matrix(1e-200 * torch.ones(2, 2, dtype=torch.float64), 2, diag=True)
    assert torch.equal(tiny, torch.full((2,), 1e-200, dtype=torch.float64))
