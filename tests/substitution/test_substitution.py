"""What a substitution says of itself: every ending of a sentence, and the shown table."""

import math

import pytest
import torch
from helpers import gaussian

import nfa
from nfa.substitution.substitution import COLUMNS, Substitution

ABOUT = {
    "model": "net.pt",
    "split": "train",
    "rows": "test",
    "n": 1000,
    "metric": "accuracy",
    "baseline": 0.1,
    "score_before": 0.95,
}


def made(values, name="0", layers=1, column="score", note="", **about):
    """A substitution with these scores by (matrix, alpha), or by matrix."""
    rows = []
    for kind, value in values.items():
        matrix, alpha = kind if isinstance(kind, tuple) else (kind, math.nan)
        row = dict.fromkeys(COLUMNS, math.nan) | {"name": name, "layers": layers, "matrix": matrix, "alpha": alpha}
        rows.append(row | {"draws": 1, column: value, "note": note})
    return Substitution(ABOUT | about, tuple(rows))


@pytest.mark.parametrize(
    ("agop", "projector", "init", "random", "ending"),
    [
        (0.93, 0.50, 0.60, 0.40, "above every control, and 96% of the way from the projector to the network as it is."),
        (0.93, 0.50, 0.92, 0.40, "above the projector, but not clearly above init's NFM."),
        (0.93, 0.50, 0.92, 0.94, "but not clearly above random matrices of the NFM's spectrum."),
        (0.93, 0.50, 0.92, 0.99, "above the projector, but clearly below random matrices of the NFM's spectrum."),
        (0.52, 0.50, 0.40, 0.40, "so the AGOP adds nothing here to the network's own directions."),
        (
            0.40,
            0.50,
            0.40,
            0.40,
            "clearly below the projector, so the AGOP takes from what the network's own directions do.",
        ),
        (0.93, 0.50, 0.98, 0.40, "above the projector, but clearly below init's NFM."),
        (
            0.95,
            0.94,
            0.40,
            0.40,
            "the projector alone is not clearly below the network, so a feature matrix has little to add.",
        ),
        (
            0.40,
            0.94,
            0.40,
            0.40,
            "the projector alone is not clearly below the network, so a feature matrix has little to add, and with the "
            "AGOP the network is clearly below the projector.",
        ),
        (
            0.99,
            0.99,
            0.40,
            0.40,
            "the projector alone is clearly above the network, so a feature matrix has little to add.",
        ),
    ],
)
def test_the_sentence_says_what_the_scores_show(agop, projector, init, random, ending):
    scores = {("agop", 0.5): agop - 0.02, ("agop", 1.0): agop, "projector": projector, "init": init, "random": random}
    [sentence] = made(scores).sentences()
    assert ending in sentence
    assert sentence.startswith(
        "Layer 0: with AGOP^1 for the NFM, the best of 2 powers on these rows, the network has accuracy "
        f"{agop:.3f} on 1000 test rows (0.950 as it is), against {projector:.3f} with the projector alone, "
        f"{init:.3f} with init's NFM, {random:.3f} with random matrices"
    )


def test_a_few_rows_show_less_than_many():
    scores = {("agop", 0.5): 0.93, "projector": 0.80, "random": 0.40}
    assert "above every control" in made(scores).sentences()[0]
    assert "not clearly" in made(scores, n=20).sentences()[0]
    assert "the best of" not in made(scores).sentences()[0]  # one power was tried


def test_real_targets_and_no_targets():
    scores = {("agop", 0.5): 0.8, "projector": 0.1, "random": -0.5}
    assert "the network has R^2 0.800 on 1000 test rows" in made(scores, metric="r2").sentences()[0]
    [sentence] = made(scores, column="output_r2", metric=None, score_before=math.nan).sentences()
    assert "the network's outputs agree with its own to R^2 0.800 on 1000 test rows (1.000 as it is)" in sentence


def test_all_layers_together_and_layers_with_nothing_to_say():
    scores = {("agop", 0.5): 0.93, "projector": 0.5, "random": 0.4}
    assert made(scores, name="all", layers=3).sentences()[0].startswith("All 3 layers together: with AGOP^0.5")
    nothing = dict.fromkeys(scores, math.nan)
    assert made(nothing, note="dead: why").sentences() == ["Layer 0: nothing can be said (dead: why)."]


def test_a_layer_called_all_is_not_all_layers():
    one, both = made({"projector": 0.5}, name="all"), made({"projector": 0.5}, name="all", layers=2)
    assert len(Substitution(ABOUT, one.rows + both.rows).sentences()) == 2


def test_the_table_is_shown_with_what_was_left_out(small):
    net, X = small
    y = torch.randint(3, (40,), generator=torch.Generator().manual_seed(2))
    found = nfa.substitute(net, (X, y), alpha=0.5, draws=1)
    text = repr(found)
    assert text.startswith("Substitution in MLP, AGOP of all rows, on all 40 rows; accuracy")
    assert "layers.2: trivial: its gradient is the same for every row" in text
    assert "all: without layers.2" in text
    assert [line.split()[0] for line in text.splitlines()[2:]].count("layers.0") == 4
    assert "no targets" in repr(nfa.substitute(net, gaussian(40, 6), alpha=0.5, draws=1))
