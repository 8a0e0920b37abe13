"""Safetensors files that others wrote: weights alone, in no order."""

import pytest
import torch
from damage import assert_survives
from safetensors.torch import save_file
from same import assert_same_audit, randomised
from torch import nn

import nfa

ROWS = torch.randn(40, 6, generator=torch.Generator().manual_seed(2))


def network(dtype=torch.float32):
    layers = [nn.Linear(6, 5), nn.BatchNorm1d(5), nn.ReLU(), nn.Linear(5, 5), nn.ReLU(), nn.Linear(5, 2)]
    return randomised(nn.Sequential(*layers).to(dtype))


@pytest.mark.parametrize("metadata", [None, {"format": "pt"}])
@pytest.mark.parametrize("prefix", ["", "module.", "_orig_mod."])
def test_an_audit_of_the_file_is_that_of_the_module(tmp_path, metadata, prefix):
    net = network()
    weights = {prefix + name: tensor for name, tensor in net.state_dict().items()}
    save_file(weights, tmp_path / "net.safetensors", metadata)
    model = nfa.load(tmp_path / "net.safetensors", activation="relu")
    assert model.name == "net.safetensors"
    assert_same_audit(model.net, net, ROWS)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float16])
def test_dtypes_are_kept(tmp_path, dtype):
    net = network(dtype)
    save_file(net.state_dict(), tmp_path / "net.safetensors")
    loaded = nfa.load(tmp_path / "net.safetensors", activation="relu").net
    assert {p.dtype for p in loaded.parameters()} == {dtype}
    assert torch.equal(loaded(ROWS.to(dtype)), net(ROWS.to(dtype)))


def test_eight_bits_are_not_enough(tmp_path):
    save_file({"0.weight": torch.ones(2, 2, dtype=torch.float8_e4m3fn)}, tmp_path / "net.safetensors")
    with pytest.raises(nfa.InputError, match=r"0\.weight \(2, 2\)"):
        nfa.load(tmp_path / "net.safetensors")


def fuzz(tmp_path, count, seed):
    save_file(network().state_dict(), tmp_path / "whole.safetensors", {"format": "pt"})
    whole = (tmp_path / "whole.safetensors").read_bytes()
    assert_survives(whole, ".safetensors", tmp_path, count, d=6, seed=seed, activation="relu")


def test_damaged_files(tmp_path):
    fuzz(tmp_path, 200, 0)


@pytest.mark.slow
def test_many_damaged_files(tmp_path):
    fuzz(tmp_path, 3000, 1)
