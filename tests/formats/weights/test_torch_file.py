"""Files of torch.save: what is in them comes back, and nothing in them runs."""

import argparse
import collections
import os
import pickle
import zipfile

import pytest
import torch
from damage import assert_survives
from same import assert_same_audit, randomised
from torch import nn

import nfa
from nfa.formats.weights.torch_file import read_state_dict

ROWS = torch.randn(40, 6, generator=torch.Generator().manual_seed(2))


def plain(dtype=torch.float32):
    return randomised(nn.Sequential(nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 3)).to(dtype))


def compiled(net):
    return torch.compile(net, backend="eager")


def refusal(path, **options):
    with pytest.raises(nfa.InputError) as caught:
        nfa.load(path, **({"activation": "tanh"} | options))
    assert "\n" not in str(caught.value)
    return str(caught.value)


class Trap:
    """Unpickling it creates a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 3))


@pytest.mark.parametrize("suffix", [".pt", ".pth", ".ckpt"])
@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("place", [None, "state_dict", "model_state_dict", "model"])
def test_an_audit_of_the_file_is_that_of_the_module(tmp_path, suffix, legacy, place):
    net = plain()
    weights = net.state_dict()
    content = weights if place is None else {"epoch": 3, "lr": 0.1, place: weights, "optimizer": {"state": {}}}
    torch.save(content, tmp_path / f"net{suffix}", _use_new_zipfile_serialization=not legacy)
    model = nfa.load(tmp_path / f"net{suffix}", activation="tanh")
    assert model.notes == ("Rebuilt as a chain: 0, 2, with tanh after each but the last.",)
    assert model.name == f"net{suffix}"
    assert_same_audit(model.net, net, ROWS)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float16])
def test_dtypes_are_kept(tmp_path, dtype):
    net = plain(dtype)
    torch.save(net.state_dict(), tmp_path / "net.pt")
    loaded = nfa.load(tmp_path / "net.pt", activation="tanh").net
    assert {p.dtype for p in loaded.parameters()} == {dtype}
    assert torch.equal(loaded(ROWS.to(dtype)), net(ROWS.to(dtype)))


@pytest.mark.parametrize(
    "wrap",
    [
        lambda net: nn.DataParallel(net),
        lambda net: compiled(net),
        lambda net: nn.DataParallel(compiled(net)),
        lambda net: compiled(nn.DataParallel(net)),
    ],
)
def test_wrappers_leave_no_trace_in_the_names(tmp_path, wrap):
    net = plain()
    torch.save(wrap(net).state_dict(), tmp_path / "net.pt")
    assert_same_audit(nfa.load(tmp_path / "net.pt", activation="tanh").net, net, ROWS)


def test_a_part_that_was_compiled_leaves_no_trace(tmp_path):
    net = Net()
    net.net = compiled(net.net)
    torch.save(net.state_dict(), tmp_path / "net.pt")
    names = list(read_state_dict(tmp_path / "net.pt", "model"))
    assert names == ["net.0.weight", "net.0.bias", "net.2.weight", "net.2.bias"]


@pytest.mark.parametrize("attribute", ["model", "net", "model._orig_mod", "net.module"])
def test_lightning_checkpoints(tmp_path, attribute):
    net = plain()
    checkpoint = {
        "epoch": 4,
        "global_step": 100,
        "pytorch-lightning_version": "2.5.0",
        "state_dict": collections.OrderedDict((f"{attribute}.{k}", v) for k, v in net.state_dict().items()),
        "loops": {"fit_loop": {}},
        "callbacks": {},
        "optimizer_states": [{"state": {0: {"exp_avg": torch.ones(5, 6)}}, "param_groups": [{"lr": 0.1}]}],
        "lr_schedulers": [],
        "hparams_name": "kwargs",
        "hyper_parameters": {"width": 5},
    }
    torch.save(checkpoint, tmp_path / "epoch=4.ckpt")
    assert_same_audit(nfa.load(tmp_path / "epoch=4.ckpt", activation="tanh").net, net, ROWS)


def test_an_attribute_of_the_user_s_own_network_stays_in_the_names(tmp_path):
    net = Net()
    torch.save(net.state_dict(), tmp_path / "net.pt")
    loaded = nfa.load(tmp_path / "net.pt", activation="tanh").net
    assert [name for name, _ in loaded.named_parameters()] == [name for name, _ in net.named_parameters()]


def test_tied_and_shared_tensors(tmp_path):
    base = torch.randn(10, 4)
    torch.save({"0.weight": base[:4], "2.weight": base[:4], "4.weight": base[6:]}, tmp_path / "net.pt")
    loaded = nfa.load(tmp_path / "net.pt", activation="relu").net
    assert len(list(loaded.parameters())) == 2
    assert [layer["name"] for layer in nfa.audit(loaded, torch.randn(9, 4)).layers] == ["0", "2", "4"]
    assert torch.equal(loaded.get_parameter("4.weight"), base[6:])


def test_what_else_a_checkpoint_holds_is_left_aside(tmp_path):
    net = plain()
    weights = net.state_dict() | {"epoch": 3, "name": "net", 7: "seven", "best": None}
    torch.save(weights, tmp_path / "net.pt")
    assert list(read_state_dict(tmp_path / "net.pt", "model")) == list(net.state_dict())
    # A tensor is not left aside: it may be a weight.
    torch.save(weights | {7: torch.ones(2)}, tmp_path / "net.pt")
    with pytest.raises(nfa.InputError, match="names a tensor 7, expected text as every tensor's name"):
        read_state_dict(tmp_path / "net.pt", "model")


@pytest.mark.parametrize("suffix", [".pt", ".ckpt"])
@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("protocol", [2, 4, 5])
@pytest.mark.parametrize("where", ["alone", "state_dict", "beside"])
def test_nothing_in_a_file_runs(tmp_path, suffix, legacy, protocol, where):
    trap, path = Trap(tmp_path / "sprung"), tmp_path / f"net{suffix}"
    content = {
        "alone": trap,
        "state_dict": {"state_dict": {"0.weight": torch.ones(2, 2), "1.weight": trap}},
        "beside": {"state_dict": plain().state_dict(), "hyper_parameters": trap},
    }[where]
    torch.save(content, path, pickle_protocol=protocol, _use_new_zipfile_serialization=not legacy)
    message = refusal(path)
    assert not (tmp_path / "sprung").exists()
    assert "mkdir" in message
    assert "weights.pt" in message
    torch.load(path, weights_only=False)  # the trap works
    assert (tmp_path / "sprung").exists()


def test_a_bare_pickle_does_not_run(tmp_path):
    (tmp_path / "net.pt").write_bytes(pickle.dumps(Trap(tmp_path / "sprung")))
    assert "mkdir" in refusal(tmp_path / "net.pt")
    assert not (tmp_path / "sprung").exists()


def test_whole_modules_and_custom_hyper_parameters_are_told_how_to_be_converted(tmp_path):
    torch.save(Net(), tmp_path / "net.pt")
    message = refusal(tmp_path / "net.pt")
    assert "Net" in message
    assert "torch.save(net.state_dict(), 'weights.pt')" in message
    torch.save({"state_dict": plain().state_dict(), "h": argparse.Namespace(a=1)}, tmp_path / "net.ckpt")
    message = refusal(tmp_path / "net.ckpt")
    assert "argparse.Namespace" in message
    assert "['state_dict'], 'weights.pt')" in message
    torch.save({"model": Net()}, tmp_path / "net.pt")
    assert "['model'].state_dict(), 'weights.pt')" in refusal(tmp_path / "net.pt")


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_torchscript_is_told_how_to_be_converted(tmp_path):
    torch.jit.trace(plain(), ROWS).save(str(tmp_path / "net.pt"))
    message = refusal(tmp_path / "net.pt")
    assert "TorchScript" in message
    assert "torch.jit.load" in message
    assert "weights.pt" in message


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({}, "no tensors"),
        ({"epoch": 3, "optimizer": {}}, "it holds epoch, optimizer"),
        (
            {"ema": {"w": torch.ones(2, 2)}, "net": {"w": torch.ones(2, 2)}},
            "holds several state dicts (ema, net); choose one with --key ema (key='ema')",
        ),
        (torch.ones(3), "holds a Tensor"),
        ([torch.ones(3)], "holds a list"),
        ({"w": torch.eye(3).to_sparse()}, "sparse"),
        ({"w": torch.ones(2, 2, dtype=torch.complex64)}, "w holds complex numbers; complex networks are not supported"),
        ({"w": torch.ones(2, 2, device="meta")}, "meta"),
        ({"w": torch.ones(2, 2, dtype=torch.uint16)}, "unsigned"),
        ({"0.weight": torch.tensor([[1.0, float("nan")]])}, "0.weight: nan at row 0, column 1"),
    ],
)
def test_what_no_network_can_be_made_of(tmp_path, content, words):
    torch.save(content, tmp_path / "net.pt")
    assert words in refusal(tmp_path / "net.pt")


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")
def test_quantized_tensors(tmp_path):
    torch.save({"w": torch.quantize_per_tensor(torch.ones(2, 2), 0.1, 0, torch.qint8)}, tmp_path / "net.pt")
    expected = "holds quantized weights; quantized networks are not supported: give the network before quantization"
    assert expected in refusal(tmp_path / "net.pt")
    net = torch.ao.quantization.quantize_dynamic(plain(), {nn.Linear}, dtype=torch.qint8)
    torch.save(net.state_dict(), tmp_path / "net.pt")
    assert expected in refusal(tmp_path / "net.pt")


def test_names_with_line_breaks_stay_on_one_line(tmp_path):
    torch.save({"a\nb": torch.ones(2, 2, 2)}, tmp_path / "net.pt")
    assert "a?b" in refusal(tmp_path / "net.pt")


def test_a_flipped_bit_in_a_weight_is_found(tmp_path):
    torch.save(plain().state_dict(), tmp_path / "net.pt")
    whole = bytearray((tmp_path / "net.pt").read_bytes())
    start = whole.index(plain().state_dict()["0.weight"].numpy().tobytes())
    whole[start + 5] ^= 1
    (tmp_path / "net.pt").write_bytes(whole)
    assert "checksum" in refusal(tmp_path / "net.pt")


def test_files_without_checksums_are_refused(tmp_path):
    before = torch.serialization.get_crc32_options()
    try:
        torch.serialization.set_crc32_options(False)
        torch.save(plain().state_dict(), tmp_path / "net.pt")
    finally:
        torch.serialization.set_crc32_options(before)
    assert "without checksums" in refusal(tmp_path / "net.pt")


def test_files_of_another_kind(tmp_path):
    for content in (b"\x93NUMPY", b"PK\x03\x04", b"hello", bytes(2000), pickle.dumps({"a": 1})):
        (tmp_path / "net.pt").write_bytes(content)
        refusal(tmp_path / "net.pt")
    with zipfile.ZipFile(tmp_path / "net.pt", "w") as archive:
        archive.writestr("hello.txt", "hello")
    assert "not written by torch.save" in refusal(tmp_path / "net.pt")


def fuzz(tmp_path, kind, count, seed):
    content = {"state_dict": plain().state_dict(), "epoch": 1} if kind == "ckpt" else plain().state_dict()
    suffix = ".ckpt" if kind == "ckpt" else ".pt"
    torch.save(content, tmp_path / f"whole{suffix}", _use_new_zipfile_serialization=kind != "legacy")
    whole = (tmp_path / f"whole{suffix}").read_bytes()
    assert_survives(whole, suffix, tmp_path, count, d=6, seed=seed, activation="tanh")


@pytest.mark.parametrize("kind", ["pt", "legacy", "ckpt"])
def test_damaged_files(tmp_path, kind):
    fuzz(tmp_path, kind, 200, 0)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["pt", "legacy", "ckpt"])
def test_many_damaged_files(tmp_path, kind):
    fuzz(tmp_path, kind, 3000, 1)
