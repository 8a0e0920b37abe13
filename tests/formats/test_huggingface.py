"""Folders of Hugging Face."""

import json

import pytest
import torch
from helpers import assert_same_table

import nfa


def folder(tmp_path, config=None, weights=True):
    if config is not None:
        (tmp_path / "config.json").write_text(config if isinstance(config, str) else json.dumps(config))
    if weights:
        (tmp_path / "model.safetensors").write_bytes(b"x")
    return tmp_path


@pytest.mark.parametrize(
    ("config", "weights", "words"),
    [
        (None, True, r"is a folder without config\.json; give a file, or a folder of Hugging Face"),
        ({"architectures": ["BertModel"]}, False, "holds no weights in safetensors; net.save_pretrained"),
        ("{", True, r"config\.json does not name an architecture"),
        ({"architectures": []}, True, r"config\.json does not name an architecture"),
        ({"architectures": ["a", "b"]}, True, r"config\.json names a, b as architecture, expected one class"),
        ({"architectures": ["os.system"]}, True, r"names os\.system as architecture, expected one class"),
    ],
)
def test_other_folders(config, weights, words, tmp_path):
    with pytest.raises(nfa.InputError, match=words) as caught:
        nfa.load(folder(tmp_path, config, weights))
    assert "\n" not in str(caught.value)
    with pytest.raises(nfa.InputError, match=r"^activation: only for files of weights .*, not for a folder$"):
        nfa.load(tmp_path, activation="relu")


@pytest.mark.filterwarnings("ignore")
def test_a_network_of_transformers_own(tmp_path):
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    config = transformers.BertConfig(
        vocab_size=30, hidden_size=8, num_hidden_layers=2, num_attention_heads=2, intermediate_size=12, num_labels=3
    )
    net = transformers.BertForSequenceClassification(config).eval()
    net.save_pretrained(tmp_path, safe_serialization=True)
    model = nfa.load(tmp_path)
    assert model.notes == (f"Read by transformers {transformers.__version__} as BertForSequenceClassification.",)
    ids = torch.randint(30, (12, 5))
    audit, expected = nfa.audit(model, {"input_ids": ids}), nfa.audit(net, {"input_ids": ids})
    assert_same_table(audit, expected, 1e-4)
    config_file = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "own.py").write_text("raise SystemExit")
    own = {"architectures": ["OwnNet"], "auto_map": {"AutoModel": "own.OwnNet"}}
    (tmp_path / "config.json").write_text(json.dumps(config_file | own))
    with pytest.raises(nfa.InputError, match="is a OwnNet, which transformers does not have; code of a folder's own"):
        nfa.load(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps(config_file))
    (tmp_path / "model.safetensors").write_bytes(b"x")
    with pytest.raises(nfa.InputError, match="cannot be read by transformers: "):
        nfa.load(tmp_path)
