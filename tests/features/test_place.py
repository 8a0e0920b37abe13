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
    with Probe(net, X) as probe, Probe(init, X) as before:
        found = list(measure(probe, probe.layers, probes=probes, again=8))
        untrained = list(measure(before, before.layers, grouped=False))
    for measured, first in zip(found, untrained, strict=True):
        rows = []
        for device in ("cpu", "meta"):  # what is on "meta" cannot be added to a tensor on the processor
            with torch.device(device):
                rows.append(row(LayerMeasures(0, measured, first.layer, first), WANTED))
        for column in WANTED:
            one, two = (each[column] for each in rows)
            assert one == two or (math.isnan(one) and math.isnan(two)), column


def test_narrow_layers_are_computed_on_the_processor():
    assert place_of(torch.zeros(1024, 3)) == torch.device("cpu")
    assert place_of(torch.zeros(1024, 3, device="meta")) == torch.device("cpu")
