"""The table of formats."""

import importlib
import re
from collections import Counter

import pytest

import nfa
from nfa.formats.readers import FORMATS, Reader, Requirement, suffixes


def test_every_entry_can_be_used_and_no_suffix_stands_twice():
    assert max(Counter(suffix for each in FORMATS for suffix in each.suffixes).values()) == 1
    for each in FORMATS:
        assert all(suffix.startswith(".") and suffix == suffix.lower() for suffix in each.suffixes)
        if isinstance(each, Reader):
            module, name = each.function.split(":")
            assert callable(getattr(importlib.import_module(module), name))


def test_messages_list_what_the_table_reads(tmp_path, monkeypatch):
    (tmp_path / "net.xyz").write_bytes(b"something")
    with pytest.raises(nfa.InputError, match=re.escape(f"({suffixes()}, or package.module:factory)")):
        nfa.load(tmp_path / "net.xyz")
    known = Reader((".xyz",), "nfa.formats.onnx.file:read_onnx", "an ONNX graph")
    monkeypatch.setattr("nfa.formats.readers.FORMATS", (known, *FORMATS))
    with pytest.raises(nfa.InputError, match=r"cannot read .* as ONNX"):
        nfa.load(tmp_path / "net.xyz")


def test_a_package_that_is_missing_is_named_with_its_extra():
    with pytest.raises(
        nfa.InputError, match=re.escape("model: .x files need nowhere: pip install 'neural-feature-ansatz[extra]'")
    ):
        Requirement("nowhere", "extra").check(".x", "model")


@pytest.mark.parametrize(
    ("name", "way"),
    [
        ("w.npz", "make a state dict of the arrays"),
        ("net.mat", "exportONNXNetwork"),
        ("net.tflite", "tf2onnx --tflite .*net.tflite converts them. Give the .onnx file"),
        ("net.pb", "tf2onnx"),
        ("net.nnet", "nnet2onnx"),
        ("net.msgpack", "make a state dict"),
        ("net.gguf", "quantized networks are not supported"),
    ],
)
def test_what_is_not_read_says_how_to_get_what_is(name, way, tmp_path):
    (tmp_path / name).write_bytes(b"x")
    with pytest.raises(nfa.InputError, match=way) as caught:
        nfa.load(tmp_path / name)
    assert "\n" not in str(caught.value)
