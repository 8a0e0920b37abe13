"""Machines that start from a convolution, on patches and on whole pictures."""

import math

import numpy as np
import pytest
import torch
from helpers import gaussian
from rfm.bare import PlainRegressor
from torch import nn

import nfa
from nfa import InputError
from nfa.rfm import RFMClassifierCV

SHAPE = (2, 5, 6)


@pytest.fixture(scope="module")
def pictures():
    return gaussian(40, math.prod(SHAPE)).reshape(-1, *SHAPE)


@pytest.fixture(scope="module")
def audit(pictures):
    torch.manual_seed(0)
    conv = nn.Conv2d(2, 4, (3, 2), stride=(1, 2), padding=1, bias=False)
    inner = nn.Conv2d(4, 3, 2)
    net = nn.Sequential(conv, nn.Tanh(), inner, nn.Tanh(), nn.Flatten(), nn.Linear(36, 2)).double()
    return nfa.audit(net, pictures)


def test_rows_of_patches_take_the_patches_agop(audit):
    X, y = gaussian(30, 12), gaussian(30, 1)[:, 0]
    model = PlainRegressor(n_iters=0, M_init=audit[0]).fit(X, y)
    np.testing.assert_allclose(model.M_, audit[0].agop.dense())


@pytest.mark.parametrize("diag", [False, True])
def test_rows_of_pictures_take_it_at_every_place(audit, pictures, diag):
    X, y = pictures.flatten(1), gaussian(40, 1)[:, 0]
    model = PlainRegressor(n_iters=0, M_init=audit[0], diag=diag).fit(X, y)
    N = audit[0].patches.spread(audit[0].agop.dense())
    np.testing.assert_allclose(model.M_, N.diagonal() if diag else N, rtol=1e-9, atol=1e-12)


def test_the_weight_s_matrix_gives_distances_of_the_layer_s_outputs(audit, pictures):
    """With M of W'W, r is the distance between what the convolution makes of two pictures."""
    X, y = pictures.flatten(1), gaussian(40, 1)[:, 0]
    layer = audit[0]
    N = layer.patches.spread(layer.nfm.dense())
    model = PlainRegressor(n_iters=0, M_init=N, bandwidth=2.0, bandwidth_scale=None, ridge=0.1).fit(X, y)
    kernel = layer.weight.reshape(4, 2, 3, 2)
    Z = nn.functional.conv2d(pictures, kernel, None, (1, 2), 1).flatten(1)
    K = torch.exp(-torch.cdist(Z, Z) / 2)
    t = y - y.mean()
    f = K @ torch.linalg.solve(K + 0.1 * torch.eye(40, dtype=K.dtype), t) + y.mean()
    np.testing.assert_allclose(model.predict(X), f, rtol=1e-6, atol=1e-6)


def test_inner_convolutions_too(audit):
    h = gaussian(30, 4 * 5 * 4)
    model = PlainRegressor(n_iters=1, M_init=audit["2"]).fit(h, h[:, 0])
    assert model.M_.shape == (80, 80)


def test_a_search_takes_it(audit, pictures):
    X, y = pictures.flatten(1).numpy(), np.arange(40) % 2
    search = RFMClassifierCV(kernels=("laplace",), max_iters=1, cv=2, M_init=audit[0], progress=False).fit(X, y)
    assert search.predict(X).shape == (40,)


def test_rows_that_are_neither(audit):
    message = r"^M_init: a matrix of 12 features, or 60 of its whole inputs \(2, 5, 6\), expected 7 as in X$"
    with pytest.raises(InputError, match=message):
        PlainRegressor(M_init=audit[0]).fit(gaussian(30, 7), gaussian(30, 1)[:, 0])
