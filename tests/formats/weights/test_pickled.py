"""Files of torch.save that only somebody hostile would make: no memory beyond their size, no two ways to read them."""

import contextlib
import io
import struct
import zipfile

import pytest
import torch
from damage import damaged
from safetensors.torch import save_file
from torch import nn

import nfa
from nfa.common.checks import LONGEST_PATH


def refusal(path):
    with pytest.raises(nfa.InputError) as caught:
        nfa.load(path, activation="tanh")
    assert "\n" not in str(caught.value)
    return str(caught.value)


def rewritten(path, change, compression=zipfile.ZIP_STORED):
    """The archive with members changed by name."""
    out = io.BytesIO()
    with zipfile.ZipFile(path) as before, zipfile.ZipFile(out, "w", compression) as after:
        for name in before.namelist():
            after.writestr(name, change(name.split("/", 1)[1], before.read(name)))
    path.write_bytes(out.getvalue())


def test_compressed_members_are_refused(tmp_path):
    torch.save({"0.weight": torch.zeros(1000, 1000)}, tmp_path / "net.pt")
    rewritten(tmp_path / "net.pt", lambda name, content: content, zipfile.ZIP_DEFLATED)
    assert (tmp_path / "net.pt").stat().st_size < 100_000
    assert "compressed" in refusal(tmp_path / "net.pt")


def test_two_members_of_one_name_are_refused(tmp_path):
    torch.save({"0.weight": torch.zeros(2, 2)}, tmp_path / "net.pt")
    with pytest.warns(UserWarning, match="Duplicate name"), zipfile.ZipFile(tmp_path / "net.pt", "a") as archive:
        archive.writestr(archive.namelist()[0], b"")
    assert "two members" in refusal(tmp_path / "net.pt")


@pytest.mark.parametrize("legacy", [False, True])
def test_no_more_memory_than_the_file_is_asked_for(tmp_path, legacy):
    torch.save({"0.weight": torch.zeros(257, 263)}, tmp_path / "net.pt", _use_new_zipfile_serialization=not legacy)
    small, large = struct.pack("<I", 257 * 263), struct.pack("<I", 2_000_000_000)
    if legacy:
        whole = (tmp_path / "net.pt").read_bytes()
        assert whole.count(b"J" + small)
        (tmp_path / "net.pt").write_bytes(whole.replace(b"J" + small, b"J" + large))
    else:
        rewritten(tmp_path / "net.pt", lambda name, content: content.replace(b"J" + small, b"J" + large))
    assert "truncated or damaged" in refusal(tmp_path / "net.pt")


def test_a_tensor_beyond_its_storage_is_refused(tmp_path):
    torch.save({"0.weight": torch.zeros(257, 263)}, tmp_path / "net.pt")
    shape = b"M" + struct.pack("<H", 257) + b"M" + struct.pack("<H", 263)
    larger = b"M" + struct.pack("<H", 65000) + b"M" + struct.pack("<H", 65000)
    rewritten(tmp_path / "net.pt", lambda name, content: content.replace(shape, larger))
    assert "truncated or damaged" in refusal(tmp_path / "net.pt")


def test_a_shape_repeated_without_end_is_refused(tmp_path):
    torch.save({"0.weight": torch.zeros(1).expand(40_000, 40_000)}, tmp_path / "net.pt")
    assert "truncated or damaged" in refusal(tmp_path / "net.pt")


@pytest.mark.parametrize(
    "content",
    [
        # names that torch itself allows, and that would take all memory
        b"\x80\x02cbuiltins\nbytearray\n\x8a\x08" + struct.pack("<q", 1 << 45) + b"\x85R.",
        b"\x80\x02ctorch\nFloatTensor\n\x8a\x08" + struct.pack("<q", 1 << 45) + b"\x85R.",
        b"\x80\x05\x96" + struct.pack("<q", 1 << 45) + b".",
        b"\x80\x02}r\xff\xff\xff\x7f.",
    ],
)
def test_pickles_that_ask_for_memory(tmp_path, content):
    torch.save({"0.weight": torch.zeros(2, 2)}, tmp_path / "net.pt")
    rewritten(tmp_path / "net.pt", lambda name, old: content if name == "data.pkl" else old)
    refusal(tmp_path / "net.pt")


def fuzz_pickle(tmp_path, count, seed):
    """Damage the pickle alone, under a checksum that is right: what only a hostile file can be."""
    path = tmp_path / "net.pt"
    torch.save(
        {"state_dict": nn.Sequential(nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 3)).state_dict(), "epoch": 1}, path
    )
    whole = path.read_bytes()
    with zipfile.ZipFile(path) as archive:
        pickled = archive.read("net/data.pkl")
    for content in damaged(pickled, count, seed):
        path.write_bytes(whole)
        rewritten(path, lambda name, old, new=content: new if name == "data.pkl" else old)
        with contextlib.suppress(nfa.InputError):
            assert nfa.load(path, activation="tanh").net(torch.ones(2, 6)).shape[0] == 2


def test_damaged_pickles(tmp_path):
    fuzz_pickle(tmp_path, 300, 0)


@pytest.mark.slow
def test_many_damaged_pickles(tmp_path):
    fuzz_pickle(tmp_path, 10_000, 1)


def archive(pickled):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as members:
        members.writestr("archive/data.pkl", pickled)
    return stream.getvalue()


def test_keys_whose_hash_takes_forever_are_refused(tmp_path):
    """A tuple of twice the tuple before, 40 times: its hash visits 2^40 of them."""
    doubled = b"".join(b"h" + bytes([i, ord("h"), i]) + b"\x86q" + bytes([i + 1]) + b"0" for i in range(40))
    last = b"h\x28"
    for made in (b"}" + last + b"K\x01s.", b"}(" + last + b"K\x01u.", b"(" + last + b"K\x01d."):
        path = tmp_path / "net.pt"
        path.write_bytes(archive(b"\x80\x02)q\x000" + doubled + made))
        with pytest.raises(nfa.InputError, match="cannot be read"):
            nfa.load(path)


@pytest.mark.parametrize("first", [0, 100_000])
def test_many_keys_are_numbers_that_count_up(tmp_path, first):
    """Others can be chosen to stand in each other's way: of 2 MB, Python makes a dict for ten seconds."""
    numbers = dict.fromkeys(range(first, first + 60_000))
    torch.save({"state_dict": {"0.weight": torch.ones(2, 3)}, "tokens": numbers}, tmp_path / "net.pt")
    if first == 0:
        assert nfa.load(tmp_path / "net.pt", activation="tanh").net(torch.ones(1, 3)).tolist() == [[3.0, 3.0]]
    else:
        assert "truncated or damaged" in refusal(tmp_path / "net.pt")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"}q\x00", b"}r\x00\x10\x00\x00"),  # kept under number 4096, before anything else is
        (b"X\x03\x00\x00\x00cpu", b"K\x07"),  # where a storage lay
        (b"X\x01\x00\x00\x000", b"K\x00"),  # what it is called
    ],
)
def test_what_no_pickle_of_torch_has(tmp_path, old, new):
    torch.save({"a.weight": torch.ones(2, 3)}, tmp_path / "net.pt")
    with zipfile.ZipFile(tmp_path / "net.pt") as members:
        assert members.read("net/data.pkl").count(old) == 1
    rewritten(tmp_path / "net.pt", lambda name, content: content.replace(old, new))
    assert "truncated or damaged" in refusal(tmp_path / "net.pt")


@pytest.mark.parametrize("suffix", [".pt", ".pt2"])
def test_a_member_whose_name_the_list_leaves_empty(tmp_path, suffix):
    torch.save({"0.weight": torch.ones(2, 3)}, tmp_path / "net.pt")
    before, listed, rest = (tmp_path / "net.pt").read_bytes().rpartition(b"net/version")
    path = tmp_path / f"other{suffix}"
    path.write_bytes(before + b"\0" * len(listed) + rest)
    with pytest.raises(nfa.InputError, match="is damaged: the checksum of a member without a name is wrong"):
        nfa.load(path)


def test_marks_of_torchs_compiler_on_a_parameter_are_read_and_other_attributes_refused(tmp_path):
    """torch sets what a file says with `setattr`, so that an attribute could stand for one of the parameter's own."""
    net = nn.Sequential(nn.Linear(2, 3, bias=False))
    weight = net[0].weight
    weight._dynamo_static_input_type = "unguarded"  # as torch 2.5's export leaves it
    torch.save({"0.weight": weight}, tmp_path / "net.pt")
    assert torch.equal(nfa.load(tmp_path / "net.pt").net(torch.eye(2)), net(torch.eye(2)))
    weight.transpose = "mine"
    torch.save({"0.weight": weight}, tmp_path / "net.pt")
    assert "_rebuild_parameter_with_state" in refusal(tmp_path / "net.pt")


def test_a_tensor_without_a_name_is_not_left_aside(tmp_path):
    torch.save({"0.weight": torch.ones(2, 3), 7: torch.ones(2)}, tmp_path / "net.pt")
    with pytest.raises(nfa.InputError, match="names a tensor 7, expected text"):
        nfa.load(tmp_path / "net.pt")


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_modules_within_modules_without_end_are_refused(tmp_path, suffix):
    tensors = {"x." * 10_000 + "weight": torch.ones(2, 3)}
    path = tmp_path / f"net{suffix}"
    torch.save(tensors, path) if suffix == ".pt" else save_file(tensors, path)
    with pytest.raises(nfa.InputError, match="in 10000 modules within one another, at most 99 are read"):
        nfa.load(path)


def test_a_name_that_no_file_can_have_is_one_line():
    for source in ("a" * 300 + ".pt", "a" * 300, "a" * 300 + ".onnx"):
        with pytest.raises(nfa.InputError, match="cannot read") as caught:
            nfa.load(source)
        assert len(str(caught.value)) < LONGEST_PATH + 100


def test_a_tensor_that_safetensors_names_twice_is_refused(tmp_path):
    entry = b'"w.weight":{"dtype":"F32","shape":[1,1],"data_offsets":[0,4]}'
    header = b"{" + entry + b"," + entry + b"}"
    (tmp_path / "net.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + bytes(4))
    with pytest.raises(nfa.InputError, match=r"cannot read .* as safetensors"):
        nfa.load(tmp_path / "net.safetensors")
