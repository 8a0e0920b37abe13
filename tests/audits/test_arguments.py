"""Arguments of another kind, or out of range: one line that names the argument, whatever takes them."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from helpers import gaussian

import nfa
from nfa.common import InputError
from nfa.network import Model
from nfa.network.scoring import score
from nfa.probe import Probe, activations
from nfa.rfm.layerwise import LayerwiseRFM

NOT_TRUE_OR_FALSE = ("yes", 3, 0, 1.0, None, [])
NO_TEXT = (3, 1.5, True, b"name", ["name"])
NO_COUNT = (0, -1, 1.5, math.nan, math.inf, True, "2", [])
NO_DECAY = (-0.1, math.nan, math.inf, True, "a", [], 1j)
NO_POWER = (0, -1.0, math.nan, True, "2", b"2", [], [0.5, "1"], [True])
NO_AUDIT = ("audit", 3, [], object())
NO_SHAPE = (3, 2.0, True, "23", [6], [1, 1, 2, 3], [2, -3], [2.5, 2])
CASES = {
    ("audit", "groups"): NOT_TRUE_OR_FALSE[:4],
    ("audit", "published"): NOT_TRUE_OR_FALSE[:4],
    ("audit", "name"): NO_TEXT,
    ("audit", "weight_decay"): NO_DECAY,
    ("audit", "feature_shape"): NO_SHAPE,
    **{(call, "batch_size"): NO_COUNT for call in ("audit", "track", "substitute", "score", "activations")},
    **{(call, "probes"): NO_COUNT for call in ("audit", "track")},
    **{(call, "samples"): NO_COUNT for call in ("audit", "track")},
    **{(call, "seed"): NO_COUNT[1:] for call in ("audit", "track", "substitute")},
    ("track", "at"): ("12", b"12", 3, [1.5], []),
    ("substitute", "alpha"): NO_POWER,
    ("substitute", "draws"): NO_COUNT,
    ("substitute", "audit"): NO_AUDIT,
    ("score", "rows"): NO_TEXT,
    ("layerwise", "audit"): NO_AUDIT,
    ("layerwise", "progress"): NOT_TRUE_OR_FALSE,
    ("layerwise", "kernel"): ([], 3),
    ("layerwise", "power"): (0, math.nan, True, "2"),
    ("layerwise", "ridge"): (-1, math.nan, True),
    ("train", "lr"): (0, math.nan, "a", True),
    ("train", "weight_decay"): NO_DECAY,
}


@pytest.fixture
def calls():
    net, X = nfa.MLP(6, [5], n_outputs=2), gaussian(24, 6, dtype=torch.float32)
    y = torch.arange(24) % 2
    rows = nfa.Dataset(X.numpy(), y.numpy())

    def run(**options):
        with Probe(net, X) as probe:
            activations(probe, **options)

    return {
        "audit": lambda **options: nfa.audit(net, (X, y), loss="cross_entropy", **options),
        "track": lambda **options: nfa.Tracker(net, (X, y), **options).record(epoch=1),
        "substitute": lambda **options: nfa.substitute(net, (X, y), **({"alpha": 1, "draws": 1} | options)),
        "score": lambda **options: score(net, (X, y), **options),
        "activations": run,
        "layerwise": lambda **options: LayerwiseRFM(net, **options).fit(rows.X, rows.y),
        "train": lambda **options: nfa.train(net, rows, epochs=1, **options),
    }


@pytest.mark.parametrize(("call", "argument"), CASES, ids="-".join)
def test_what_cannot_be_is_one_line_that_names_it(calls, call, argument):
    for value in CASES[call, argument]:
        with pytest.raises(InputError, match=rf"^{argument}: \S[^\n]*$"):
            calls[call](**{argument: value})


def test_numbers_of_numpy_are_numbers(calls):
    for call in ("audit", "track", "substitute", "score", "activations"):
        calls[call](batch_size=np.int64(7))
    calls["audit"](weight_decay=np.float32(0.1), groups=np.bool_(False), seed=np.int64(1), probes=np.int64(3))
    calls["substitute"](alpha=np.array([0.5, 1.0]), draws=np.int64(1))


def test_a_decay_of_0_is_as_good_as_none(calls):
    found = calls["audit"](weight_decay=0)
    assert all(math.isnan(layer["fact_residual"]) for layer in found)


@pytest.mark.parametrize("value", [-0.1, math.nan, "a", True])
def test_a_decay_that_a_file_says_is_checked_too(value):
    net, X = nfa.MLP(6, [5], n_outputs=2), gaussian(24, 6, dtype=torch.float32)
    known = replace(Model(net, "net"), settings={"optimizer": "sgd", "weight_decay": value})
    with pytest.raises(InputError, match=r"^net: its file says a weight_decay that is none: got .*of at least 0$"):
        nfa.audit(known, (X, torch.arange(24) % 2), loss="cross_entropy")
