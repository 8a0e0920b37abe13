"""Where a layer's matrices are computed: what is made for them is made where they are."""

import math

import pytest
import torch
from helpers import gaussian, perturbed

import nfa
from nfa.features.columns import COLUMNS
from nfa.features.layer_measures import LayerMeasures
from nfa.features.measuring import measure
from nfa.features.row import row
from nfa.features.weight import place_of
from nfa.probe import Probe

WANTED = [name for name, column in COLUMNS.items() if column.group not in ("fact", "published") and name != "verdict"]

NETWORKS = {
    "more inputs than units": (nfa.MLP(20, 12, 2, 3, seed=0), None),
    "more units than inputs": (nfa.MLP(5, 12, 2, 3, seed=0), None),
    "random probes": (nfa.MLP(5, 12, 1, 3, seed=0), 4),
    "few rows": (nfa.MLP(30, 1100, 1, 2, seed=0), None),
    "few rows, few inputs": (nfa.MLP(3, 1100, 1, 2, seed=0), None),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_nothing_is_made_on_a_default_device(name):
    net, probes = NETWORKS[name]
    init, X = perturbed(net), gaussian(60, net.layers[0].in_features, dtype=torch.float32)
    rows = {}
    for device in ("meta", "cpu"):  # what is on "meta" cannot be added to a tensor on the processor
        with Probe(net, X) as probe, Probe(init, X) as before:
            # Anew for each, since what has been computed is kept.
            found = list(measure(probe, probe.layers, probes=probes, again=8))
            untrained = list(measure(before, before.layers, grouped=False))
        with torch.device(device):
            rows[device] = [
                row(LayerMeasures(0, measured, first.layer, first), WANTED)
                for measured, first in zip(found, untrained, strict=True)
            ]
    for one, two in zip(rows["meta"], rows["cpu"], strict=True):
        for column in WANTED:
            assert one[column] == two[column] or (math.isnan(one[column]) and math.isnan(two[column])), column


def test_narrow_layers_are_computed_on_the_processor():
    assert place_of(torch.zeros(1024, 3)) == torch.device("cpu")
    assert place_of(torch.zeros(1024, 3, device="meta")) == torch.device("cpu")
