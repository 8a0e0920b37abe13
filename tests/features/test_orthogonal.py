"""Orthogonal weights in every dtype have nothing to align; random ones of the same dtype and shape have."""

import math

import pytest
import torch
from torch import nn

import nfa

DTYPES = (torch.float64, torch.float32, torch.bfloat16, torch.float16)
SHAPES = ((4, 4), (64, 64), (64, 256), (256, 256), (256, 784), (1024, 1024))
IDENTITY = "is a multiple of the identity: there is nothing to align"


def random(d, k, dtype):
    """A layer made in float64 where that is the dtype, else in float32."""
    return nn.Linear(d, k, dtype=torch.promote_types(dtype, torch.float32))


def orthogonal(d, k, dtype):
    linear = random(d, k, dtype)
    nn.init.orthogonal_(linear.weight, gain=1.7)
    return linear


def first_layer(net, d):
    X = torch.randn(64, d, generator=torch.Generator().manual_seed(1), dtype=next(net.parameters()).dtype)
    return nfa.audit(net, X, columns=["alignment", "alignment_null", "alignment_null_sd"])[0]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("k", "d"), SHAPES)
def test_an_orthogonal_weight_is_recognised_and_a_random_one_is_measured(k, d, dtype):
    for make, undefined in ((orthogonal, True), (random, False)):
        net = nn.Sequential(make(d, k, dtype), nn.Tanh(), nn.Linear(k, 3)).to(dtype)
        found = first_layer(net, d)
        assert math.isnan(found["alignment"]) == undefined
        assert (f"C = WW' {IDENTITY}" in found["note"]) == undefined


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("k", [4, 64, 256, 512])
def test_gradients_through_an_orthogonal_weight_are_recognised_too(k, dtype):
    """Behind a linear layer V, S = V'V."""
    for make, undefined in ((orthogonal, True), (random, False)):
        found = first_layer(nn.Sequential(nn.Linear(k, k), make(k, k, dtype)).to(dtype), k)
        assert (f"S {IDENTITY}" in found["note"]) == undefined
        assert math.isnan(found["alignment"]) == undefined


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("k", [32, 256])
def test_a_network_of_half_precision_has_the_alignment_of_its_copy_in_float32(k, dtype):
    net = nn.Sequential(nn.Linear(k, k), nn.Tanh(), nn.Linear(k, k), nn.Tanh(), nn.Linear(k, 4)).to(dtype)
    X = torch.randn(128, k, generator=torch.Generator().manual_seed(1))
    own, copied = nfa.audit(net, X.to(dtype)), nfa.audit(net.float(), X.to(dtype).float())
    for one, other in zip(own, copied, strict=True):
        assert one["alignment"] == pytest.approx(other["alignment"], abs=5e-3, nan_ok=True)
        assert math.isnan(one["alignment"]) == math.isnan(other["alignment"])
