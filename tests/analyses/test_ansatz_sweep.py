"""The sweep's cells; the power of deep linear networks, which is known; what the table says."""

import numpy as np
import pandas as pd
import pytest

from analyses import ansatz_sweep
from analyses.analysis import Options
from analyses.ansatz_summary import findings, measured
from figures.ansatz_sweep import draw


def test_one_factor_at_a_time_and_every_seed():
    cells = pd.DataFrame(ansatz_sweep.cells(Options(("digits",))))
    assert not cells.duplicated().any()
    pictures = cells[cells["dataset"] == "digits"]
    base = pictures[pictures["factor"] == "base"]
    assert list(base["seed"]) == [0, 1, 2]
    settings = list(ansatz_sweep.BASE)
    for (_, level), rows in pictures[pictures["factor"] != "base"].groupby(["factor", "level"]):
        assert sorted(rows["seed"]) == [0, 1, 2]
        changed = (rows[settings].iloc[0] != base[settings].iloc[0]).sum()
        # A factor, with the step that belongs to an optimizer; or two, and the level says so.
        assert changed == 1 or "SGD" in level or ("default init" in level and changed == 2), level
    assert len(ansatz_sweep.cells(Options(quick=True))) < len(cells) / 3


def test_deep_linear_networks_come_to_rest_at_the_power_that_theory_says():
    cell = next(cell for cell in ansatz_sweep.cells(Options(quick=True)) if cell["dataset"] == "linear")
    rows = pd.DataFrame(ansatz_sweep.rows(cell, Options(quick=True)))
    before, after = rows[rows["epoch"] == 0], rows[rows["epoch"] == cell["epochs"]]
    np.testing.assert_allclose(after["alpha_linear"], [1 / 4, 1 / 3, 1 / 2, 1])
    assert (after["cosine_alpha_linear"] > 0.9999).all()
    np.testing.assert_allclose(after["alpha_best"], after["alpha_linear"], atol=0.026)
    # Not because powers are hard to tell apart, nor from the start.
    assert after["cosine"].iloc[0] < 0.95
    assert (before["cosine_alpha_linear"].iloc[:3] < 0.9).all()
    # The rival is exact there, too.
    assert (after["fact_residual"] < 0.01).all()
    assert (after["fact_lambda"] - cell["weight_decay"]).abs().max() < 1e-3


def test_the_linear_task_is_what_it_says():
    data = ansatz_sweep.linear_task(50, 20, 3)
    train = data.part("train")
    np.testing.assert_allclose(train.X.T @ train.X / 50, np.eye(12), atol=1e-5)
    B = np.linalg.lstsq(data.X, data.y, rcond=None)[0]
    np.testing.assert_allclose(np.linalg.svd(B, compute_uv=False), ansatz_sweep.SINGULAR_VALUES, rtol=1e-4)


def row(**changes):
    settings = {"dataset": "digits", "factor": "base", "level": "base", "seed": 0, "epochs": 5, "rows": 10}
    found = {"epoch": 5, "layer": 0, "cosine": 0.9, "init_cosine": 0.2, "init_cosine_null": 0.5, "score": 0.9}
    found |= {"baseline": 0.1, "trivial": False, "alpha_linear": 0.25, "alpha_best": 0.5, "weight_decay": 0.0}
    similar = ("cosine_centered", "cosine_sqrt", "cosine_alpha_linear", "cosine_alpha_best", "cnfa_cosine")
    found |= dict.fromkeys((*similar, "delta_cosine", "fact_cosine", "fact_residual"), 0.8)
    return settings | found | changes


def table(*trained):
    """Rows at the end, and the same layers untrained."""
    untrained = {"epoch": 0, "cosine": 0.6, "init_cosine": float("nan"), "score": 0.1}
    return pd.DataFrame([each for one in trained for each in (row(**one) | untrained, row(**one))])


def test_findings_say_where_it_holds_and_where_not():
    decay = {"factor": "weight decay", "level": "decay", "weight_decay": 0.1, "alpha_best": 0.3}
    said = findings(
        table(
            {},
            {"layer": 1, "trivial": True, "cosine": 1.0},
            {"level": "stuck", "factor": "init", "init_cosine": 0.9},
            {"level": "low", "factor": "init", "cosine": 0.5},
            {"level": "idle", "factor": "optimizer", "score": 0.2},
            decay,
        )
    )
    text = "\n".join(said)
    assert "digits, base, layer 0: cosine(NFM, AGOP) 0.9, untrained 0.6; " in text
    assert "layer 1" not in text
    assert "digits: the ansatz holds in 2 of 4 layers" in text
    assert "of 2 of 4 settings" in text
    assert "digits, stuck: it does not in 1 of 1 layers: 1 near their init (cosine 0.9)." in text
    assert (
        "digits, low: it does not in 1 of 1 layers: 1 with a cosine no higher than untrained (0.5 against 0.6)." in text
    )
    assert "digits, idle: networks that have not learned: 1 (score 0.2)" in text
    assert "nearer to 1/2 than to 1/(linear layers to the output) in 3 of 4 layers" in text
    assert "centered AGOP 0.800 (untrained 0.800; above the untrained network's in 0 of 4 layers)." in text
    assert "digits, decay: the rival" in text
    assert "relative residual 0.8" in text


def test_early_cosines_without_learning_are_named():
    early = row(epoch=1, score=0.1, cosine=0.97)
    said = "\n".join(findings(pd.concat([table({}), pd.DataFrame([early])])))
    assert "after epoch 1, at accuracy 0.1 (a constant answer: 0.10), it is 0.97." in said


@pytest.mark.parametrize("keep", [0, 1, 3])
def test_findings_survive_an_incomplete_table(keep):
    whole = table({}, {"dataset": "linear", "factor": "linear", "level": "linear"})
    assert findings(whole.iloc[:keep])


def test_a_layer_counts_only_with_its_null():
    layers = measured(table({}, {"layer": 1}))
    assert list(layers["cosine_null"]) == [0.6, 0.6]
    assert layers["holds"].all()


def test_the_figure_draws():
    whole = table(
        *({"seed": seed, "layer": layer} for seed in (0, 1) for layer in (0, 1, 2)),
        {"level": "SGD", "factor": "optimizer", "score": 0.2},
        {"dataset": "linear", "factor": "linear", "level": "linear", "alpha_best": 0.25},
    )
    fig = draw(whole)
    titles = [ax.get_title() for ax in fig.axes]
    assert titles[:3] == ["digits, n = 10, layer 1", "layer 2", "layers 3 and up"]
    assert [label.get_text() for label in fig.axes[0].get_yticklabels()] == ["base", "SGD"]
    assert len(fig.axes) == 6
