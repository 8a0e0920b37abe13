"""Safetensors files that others wrote: weights alone, in no order."""

import json

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


ENTRY = {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}


@pytest.mark.parametrize(
    "changes",
    [
        {"a.weight": {"data_offsets": [8, 32]}, "b.weight": {"data_offsets": [0, 24]}},  # both hold bytes 8 to 24
        {"b.weight": {"data_offsets": [0, 24]}},
        {"b.weight": {"data_offsets": [32, 56]}},  # bytes that belong to none
        {"b.weight": {"data_offsets": [24, 2**40]}},
        {"b.weight": {"data_offsets": [2**64 - 24, 2**64]}},
        {"b.weight": {"data_offsets": [24, 2**64]}},
        {"b.weight": {"data_offsets": [-24, 0]}},
        {"b.weight": {"data_offsets": [48, 24]}},
        {"b.weight": {"shape": [2**62, 2**62]}},
        {"b.weight": {"shape": [2**40, 0], "data_offsets": [24, 24]}},
        {"b.weight": {"shape": [2]}},
        {"b.weight": {"dtype": "F31"}},
        {"b.weight": {"shape": "[" * 1000}},
    ],
)
def test_headers_that_do_not_fit_the_file(tmp_path, changes):
    entries = {"a.weight": ENTRY, "b.weight": ENTRY | {"data_offsets": [24, 48]}}
    header = json.dumps({name: entry | changes.get(name, {}) for name, entry in entries.items()}).encode()
    for nested in (header, b"[" * 10_000 + header):
        (tmp_path / "net.safetensors").write_bytes(len(nested).to_bytes(8, "little") + nested + bytes(48))
        with pytest.raises(nfa.InputError, match=r"cannot read .*net\.safetensors as safetensors: it is truncated or"):
            nfa.load(tmp_path / "net.safetensors", activation="relu")


@pytest.mark.parametrize("length", [0, 1, 7, 10**6, 2**40, 2**63, 2**64 - 1])
def test_a_header_of_another_length_than_it_has(tmp_path, length):
    save_file(network().state_dict(), tmp_path / "net.safetensors")
    content = (tmp_path / "net.safetensors").read_bytes()
    (tmp_path / "net.safetensors").write_bytes(length.to_bytes(8, "little") + content[8:])
    with pytest.raises(nfa.InputError, match="as safetensors: it is truncated or"):
        nfa.load(tmp_path / "net.safetensors", activation="relu")


def fuzz(tmp_path, count, seed):
    save_file(network().state_dict(), tmp_path / "whole.safetensors", {"format": "pt"})
    whole = (tmp_path / "whole.safetensors").read_bytes()
    assert_survives(whole, ".safetensors", tmp_path, count, d=6, seed=seed, activation="relu")


def test_damaged_files(tmp_path):
    fuzz(tmp_path, 200, 0)


@pytest.mark.slow
def test_many_damaged_files(tmp_path):
    fuzz(tmp_path, 3000, 1)
