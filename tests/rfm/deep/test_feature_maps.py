"""Random features against the kernels that they approximate."""

import math

import pytest
import torch
from helpers import gaussian

from nfa.common import InputError
from nfa.rfm.deep.feature_maps import FEATURE_MAPS, feature_map_named, unit_rows


def kernel(name, X, L):
    r = torch.cdist(X, X, compute_mode="donot_use_mm_for_euclid_dist")
    if name == "gaussian":
        return torch.exp(-(r**2) / (2 * L**2))
    if name == "laplace":
        return torch.exp(-r / L)
    lengths = X.norm(dim=1)
    size = lengths[:, None] * lengths
    t = torch.arccos((X @ X.T / size).clamp(-1, 1))
    return size * (t.sin() + (math.pi - t) * t.cos()) / math.pi


def error(name, width, seeds, L=1.7):
    X, found = gaussian(12, 5), []
    for seed in range(seeds):
        phi = feature_map_named(name, 5, width, L, torch.Generator().manual_seed(seed))(X)
        assert phi.shape == (12, width)
        found.append(((phi @ phi.T - kernel(name, X, L)) ** 2).mean())
    return float(torch.stack(found).mean().sqrt())


@pytest.mark.parametrize("name", FEATURE_MAPS)
def test_inner_products_near_the_kernel_as_one_over_the_root_of_the_width(name):
    errors = [error(name, width, 30) for width in (100, 1600, 25600)]
    assert errors[-1] < 0.1
    for wide, narrow in zip(errors[1:], errors, strict=False):
        assert 3 < narrow / wide < 5.5  # 4 for 16 times the width


@pytest.mark.parametrize("name", FEATURE_MAPS)
def test_features_are_those_of_the_seed_in_every_dtype_and_for_each_row_alone(name):
    X = gaussian(9, 4)
    first, again, other = (
        feature_map_named(name, 4, 30, 1.0, torch.Generator().manual_seed(seed))(X) for seed in (1, 1, 2)
    )
    assert torch.equal(first, again)
    assert not torch.allclose(first, other)
    Phi = feature_map_named(name, 4, 30, 1.0, torch.Generator().manual_seed(1))
    assert Phi(X.float()).dtype == torch.float32
    torch.testing.assert_close(Phi(X.float()).double(), first, rtol=0, atol=1e-3 if name == "laplace" else 1e-5)
    torch.testing.assert_close(torch.cat([Phi(x[None]) for x in X]), first, rtol=1e-9, atol=1e-12)


def test_rows_are_not_written_to():
    X = gaussian(3, 2)
    before = X.clone()
    for name in FEATURE_MAPS:
        feature_map_named(name, 2, 5, 1.0, torch.Generator())(X)
    unit_rows(X)
    assert torch.equal(X, before)


@pytest.mark.parametrize("size", [1.0, 1e-30, 1e30])
def test_rows_get_norm_1_whatever_their_size(size):
    X = torch.cat([gaussian(5, 3, dtype=torch.float32) * size, torch.zeros(1, 3)])
    expected = torch.tensor([1.0] * 5 + [0.0])
    torch.testing.assert_close(unit_rows(X).norm(dim=1), expected)
    torch.testing.assert_close(unit_rows(X), unit_rows(gaussian(5, 3, dtype=torch.float32).new_tensor(X.tolist())))


def test_an_unknown_map_is_refused():
    with pytest.raises(InputError, match="feature_map: 'rellu' is unknown; did you mean 'relu'"):
        feature_map_named("rellu", 2, 5, 1.0, torch.Generator())
