"""What is said of a table."""

import math

import pandas as pd
import pytest

from nfa.rfm.layerwise.words import sentences, standard_error, updates_to_reach


def table(identity, agop, network=0.10, metric="error rate", note=""):
    rows = []
    for features, errors in (("identity", identity), ("agop", agop)):
        for number, error in enumerate(errors):
            rows.append({"features": features, "n_iters": number, "error": error, "note": note})
    about = {"layer": 1, "name": "layers.1", "d_in": 8, "network_error": network, "metric": metric, "n": 900}
    about["constant_error"] = 0.7
    return pd.DataFrame(rows).assign(**about)


SAID = [
    (table([0.30, 0.20, 0.10], [0.11, 0.1, 0.1]), "from the identity it takes 2 updates, which starting"),
    (table([0.30, 0.10, 0.10], [0.11, 0.1, 0.1]), "from the identity it takes 1 update, which starting"),
    (table([0.30, 0.20, 0.13], [0.11, 0.1, 0.1]), "from the identity 2 updates do not get there"),
    (
        table([0.12, 0.12, 0.12], [0.11, 0.1, 0.1]),
        "the identity does as well (12.0 % errors), so starting from the network saves nothing",
    ),
    (
        table([0.10, 0.20, 0.20], [0.11, 0.1, 0.1]),
        "the identity does as well (",
    ),
    (table([0.05], [0.11]), "the identity does better (5.0 % errors), so starting from the network saves nothing"),
    (table([0.30], [0.11]), "the identity does worse"),
    (table([0.30], [0.109]), "has 10.9 % errors without updates"),
    (table([0.30], [0.109]), "so these features are good enough for a kernel machine"),
    (table([0.30], [0.12]), "so these features are not yet good enough for a kernel machine"),
    (
        table([0.30], [0.12], 0.98),
        "the network has 98.0 % errors, more than a constant answer (70.0 % errors), so it is no measure of these "
        "features: the order of the labels may not be that of the network's outputs: classes= (--classes) says it.",
    ),
    (table([0.30], [0.12], 0.72), "so these features are good enough for a kernel machine"),
    (table([0.30], [0.12], math.nan), "the network's own error is not known"),
    (table([0.30], [0.12], metric="1 - R^2"), "has 1 - R^2 = 0.120 without updates"),
    (table([math.nan], [math.nan], note="dead"), "Layer layers.1 (8 inputs): no machine from the AGOP (dead)."),
]


@pytest.mark.parametrize("number", range(len(SAID)))
def test_sentences(number):
    found, expected = SAID[number]
    [sentence] = sentences(found, "agop")
    assert expected in sentence


def test_machines_from_the_identity_save_nothing():
    [sentence] = sentences(table([0.1], [0.1]), "identity")
    assert "saves" not in sentence


def test_updates_to_reach():
    found = table([0.3, 0.2, 0.1], [math.nan] * 3)
    assert [updates_to_reach(found, "identity", error) for error in (0.3, 0.25, 0.1, 0.05)] == [0, 1, 2, None]
    assert updates_to_reach(found, "agop", 1.0) is None


def test_standard_errors_are_never_zero():
    assert standard_error(0.0, 100, "error rate") > 0
    assert standard_error(0.5, 200, "1 - R^2") == pytest.approx(0.05)
