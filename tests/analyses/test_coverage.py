"""The table of networks that people have: its own small network, and those of libraries where they are installed."""

import pandas as pd
import pytest
import torch
from torch import nn

from analyses.analysis import Options
from analyses.coverage import ENOUGH, NETWORKS, cells, findings, measured, rows

SMALL = ("BERT", "GPT-2", "Llama", "T5", "U-Net", "ResNet-18 (torchvision)")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", SMALL)
def test_nearly_all_weights_are_measured(name):
    library = "" if name == "U-Net" else "torchvision" if "torchvision" in name else "transformers"
    try:
        __import__(library or "torch")
    except (ImportError, RuntimeError) as error:
        pytest.skip(f"{library} is not there ({error})")
    found = next(iter(rows({"network": name, "samples": 3, "seed": 0}, Options())))
    assert found["measured"] >= ENOUGH * found["weights"] > 0


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", [name for name in NETWORKS if name not in SMALL])
def test_nearly_all_weights_of_large_networks_are_measured(name):
    test_nearly_all_weights_are_measured(name)


def test_what_is_not_measured_counts_as_such_and_is_named():
    class Some(nn.Module):
        def __init__(self):
            super().__init__()
            self.table, self.bag, self.unused = nn.Embedding(9, 4), nn.EmbeddingBag(9, 4), nn.Linear(4, 5)
            self.inner, self.head = nn.Conv1d(4, 6, 2, bias=False), nn.Linear(6, 2)

        def forward(self, ids):
            h = self.inner(self.table(ids).mT).mean(2) + 0 * self.bag(ids).sum(1, keepdim=True)
            return self.head(torch.tanh(h))

    row = measured(Some(), torch.randint(9, (3, 5)))
    assert (row["weights"], row["measured"]) == (20 + 48 + 12, 48 + 12)
    assert (row["embeddings"], row["embeddings_measured"]) == (36, 36)
    assert row["layers"] == 3
    assert row["skipped"] == "bag, unused"
    table = pd.DataFrame([{"network": "some", **row}])
    assert findings(table) == [
        "some: 75.0% of 80 weights in linear maps, in 3 layers (too few); named as not measured: bag, unused."
    ]


def test_one_cell_for_each_network():
    assert [cell["network"] for cell in cells(Options())] == list(NETWORKS)
    assert [cell["network"] for cell in cells(Options(quick=True))] == ["U-Net"]
