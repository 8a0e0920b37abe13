"""The sweep's cells; the power of deep linear networks, which is known; what the table says."""

import numpy as np
import pandas as pd
import pytest
import torch

import nfa
from analyses import ansatz_sweep
from analyses.analysis import Options
from analyses.ansatz_summary import findings, measured
from analyses.ansatz_training import stages
from analyses.setting import pictures
from figures import ansatz_heat
from figures.ansatz_sweep import draw


def test_one_factor_at_a_time_and_every_seed():
    cells = pd.DataFrame(ansatz_sweep.cells(Options(("digits",))))
    assert not cells.duplicated().any()
    settings = list(ansatz_sweep.BASE)
    for dataset in ("digits", "product"):
        rows = cells[cells["dataset"] == dataset]
        base = rows[rows["factor"] == "base"]
        assert list(base["seed"]) == [0, 1, 2]
        for (factor, level), part in rows[rows["factor"] != "base"].groupby(["factor", "level"]):
            assert sorted(part["seed"]) == [0, 1, 2]
            one, other = part[settings].iloc[0], base[settings].iloc[0]
            changed = ((one != other) & ~(one.isna() & other.isna())).sum()
            # A factor, with the step that belongs to an optimizer; or two, and the level says so; or a theorem's own.
            theorem = factor in ("one layer", "rest")
            assert changed == 1 or "SGD" in level or ("default init" in level and changed == 2) or theorem, level
    assert len(ansatz_sweep.cells(Options(quick=True))) < len(cells) / 3


TINY = {"n": 300, "n_test": 300, "width": 16, "depth": 2, "batch_size": 300, "epochs": 3}


def tiny(level, factor, **changes):
    return {"dataset": "digits", "factor": factor, "level": level, **ansatz_sweep.BASE, **TINY, **changes, "seed": 0}


def test_one_layer_alone_moves_from_almost_0():
    change = ansatz_sweep.FACTORS["one layer"]["layer 2 alone"]
    cell = tiny("layer 2 alone", "one layer", **change)
    (_, before), (epoch, after) = stages(pictures("digits", Options(), 300, 300, 0), cell)
    assert (epoch, change["alone"]) == (3, 1)
    sizes = [float(net.layers[1].weight.detach().norm()) for net in (before, after)]
    assert 0 < sizes[0] < 1e-4
    assert sizes[1] > 1e-3
    for number in (0, 2):
        assert torch.equal(before.layers[number].weight, after.layers[number].weight)


def test_full_batches_are_gradient_descent_with_momentum():
    decay = {"momentum": 0.9, "weight_decay": 0.1, "lr": 0.1, "optimizer": "sgd", "loss": "cross_entropy"}
    data = pictures("digits", Options(), 300, 300, 0)
    found = {
        epoch: net.layers[0].weight.detach().clone() for epoch, net in stages(data, tiny("r", "rest", **decay), (2,))
    }
    net = nfa.MLP(64, 16, 2, 10, init="factor:0.1")
    X, y = torch.from_numpy(data.part("train").X), torch.from_numpy(data.part("train").y)
    velocity = [torch.zeros_like(p) for p in net.parameters()]
    for step in (1, 2, 3):
        gradients = torch.autograd.grad(torch.nn.functional.cross_entropy(net(X), y), list(net.parameters()))
        with torch.no_grad():
            for p, g, v in zip(net.parameters(), gradients, velocity, strict=True):
                v.mul_(0.9).add_(g + 0.1 * p)
                p.sub_(0.1 * v)
        if step in (2, 3):
            torch.testing.assert_close(found[step], net.layers[0].weight.detach())
    assert list(found) == [0, 2, 3]


def test_published_numbers_are_in_the_rows_of_the_optimizers():
    for factor, level in (("optimizer", "SGD"), ("activation", "leaky ReLU")):
        cell = tiny(level, factor, **ansatz_sweep.FACTORS[factor][level])
        table = pd.DataFrame(ansatz_sweep.rows(cell, Options()))
        assert ("published_cosine_null" in table) == (factor == "optimizer")
        last = table[table["epoch"] == 3]
        assert last[["alignment_null", "alignment_z", "rotated_cosine", "moved"]].iloc[0].notna().all()
        assert list(last["verdict"])[-1] == "trivial"


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
    found = {"epoch": 5, "layer": 0, "alone": float("nan"), "verdict": "learned", "task_learned": True, "moved": 1.2}
    found |= {"alignment": 0.6, "alignment_null": 0.05, "alignment_z": 40.0, "untrained_alignment": 0.07}
    found |= {"cosine": 0.9, "rotated_cosine": 0.7, "untrained_cosine": 0.4, "untrained_cosine_sqrt": 0.5}
    found |= {"init_cosine": 0.2, "init_cosine_null": 0.5, "score": 0.9, "baseline": 0.1, "trivial": False}
    found |= {"alpha_linear": 0.25, "alpha_best": 0.5, "weight_decay": 0.0, "fact_rest": 0.2}
    similar = ("cosine_centered", "cosine_sqrt", "cosine_alpha_linear", "cosine_alpha_best")
    found |= dict.fromkeys((*similar, "fact_cosine", "fact_residual"), 0.8)
    return settings | found | changes


def table(*trained):
    """Rows at the end, and the same layers untrained."""
    untrained = {"epoch": 0, "cosine": 0.6, "cosine_centered": 0.3, "score": 0.1, "task_learned": False}
    return pd.DataFrame([each for one in trained for each in (row(**one) | untrained, row(**one))])


def test_findings_say_where_it_holds_and_where_not():
    decay = {"factor": "weight decay", "level": "decay", "weight_decay": 0.1, "alpha_best": 0.3}
    published = {f"published_{name}": 0.9 for name in ("cosine", "pearson_sqrt", "pearson_sqrt_centered")}
    published |= {f"{name}_{null}": 0.8 for name in published for null in ("null", "null_high")}
    said = findings(
        table(
            {},
            {"layer": 1, "trivial": True, "cosine": 1.0, "verdict": "trivial"},
            {"level": "stuck", "factor": "init", "verdict": "kept", "moved": 0.01},
            {"level": "low", "factor": "init", "verdict": "moved", "alignment_z": 1.0, "cosine": 0.6},
            {"level": "idle", "factor": "optimizer", "verdict": "unclear", "task_learned": False, "score": 0.2},
            {"level": "SGD", "factor": "optimizer", **published},
            {"level": "layer 1 alone", "factor": "one layer", "alone": 0},
            {"level": "layer 1 alone", "factor": "one layer", "alone": 0, "layer": 1, "verdict": "kept"},
            {"level": "at rest", "factor": "rest", "fact_cosine": 0.99, "fact_rest": 0.1},
            decay,
        )
    )
    text = "\n".join(said)
    alignment, cosine = (
        "alignment 0.6, by chance 0.05 (z 40)",
        "cosine(NFM, AGOP) 0.9, with the gradients turned 0.7, untrained 0.4",
    )
    assert f"digits, base, layer 0: {alignment}; untrained 0.07; {cosine}; centered 0.8, untrained 0.3; " in text
    assert "layer 1:" not in text
    assert "digits: the ansatz holds (verdict learned, z 40 or more) in 3 of 5 layers" in text
    assert "of 3 of 5 settings" in text
    assert "0.84 on average, 0.70 with the gradients turned and 0.40 untrained, and above both in 4; against" in text
    assert "centered AGOP 0.80, untrained 0.30." in text
    assert f"digits, stuck: it does not in 1 of 1 layers: 1 kept (moved 0.01; {alignment})." in text
    assert (
        "digits, low: it does not in 1 of 1 layers: 1 moved (moved 1.2; alignment 0.6, by chance 0.05 (z 1))." in text
    )
    assert f"digits, idle: networks that have not learned: 1 (score 0.2); {alignment}; {cosine} all the same." in text
    assert "nearer to 1/2 than to 1/(linear layers to the output) in 4 of 5 layers" in text
    assert "digits, SGD, layer 0: published_cosine 0.9 (turned: mean 0.8, largest 0.8), published_pearson_sqrt" in text
    assert f"digits, layer 1 alone trained, from almost 0 (score 0.9): {alignment}; {cosine}; with the root" in text
    assert "verdicts: learned." in text
    assert "digits, decay: Features at Convergence Theorem (FACT)" in text
    assert "digits, at rest, 5 steps (score 0.9): FACT's cosine layer 0 0.99 (rest 0.1); " in text


def test_early_numbers_without_learning_are_named():
    early = row(epoch=1, score=0.1, cosine=0.97, task_learned=False)
    said = "\n".join(findings(pd.concat([table({}), pd.DataFrame([early])])))
    assert "after epoch 1, at score 0.1 (a constant answer: 0.10), cosine(NFM, AGOP) 0.97, with the" in said


@pytest.mark.parametrize("keep", [0, 1, 3])
def test_findings_survive_an_incomplete_table(keep):
    whole = table({}, {"dataset": "linear", "factor": "linear", "level": "linear"})
    assert findings(whole.iloc[:keep])


def test_a_layer_counts_beside_its_null_and_only_if_it_was_trained():
    layers = measured(table({}, {"layer": 1}, {"level": "one", "alone": 1}, {"level": "one", "alone": 1, "layer": 1}))
    assert list(layers["untrained_cosine_centered"]) == [0.3, 0.3, 0.3]
    assert list(layers["layer"]) == [0, 1, 1]
    assert layers["holds"].all()


def test_the_figure_draws():
    whole = table(
        *({"seed": seed, "layer": layer} for seed in (0, 1) for layer in (0, 1, 2)),
        {"level": "SGD", "factor": "optimizer", "score": 0.2, "task_learned": False},
        {"dataset": "linear", "factor": "linear", "level": "linear", "alpha_best": 0.25},
    )
    fig = draw(whole)
    bars, epochs, powers = fig.axes
    assert bars.get_xlabel() == "digits, base, n = 10"
    assert [label.get_text() for label in bars.get_xticklabels()] == ["layers.0", "layers.1", "layers.2"]
    assert epochs.get_title().startswith("digits; dashed: score")
    assert powers.get_ylabel() == "best α"
    settings = ansatz_heat.draw(whole).axes[0]
    assert [label.get_text() for label in settings.get_yticklabels()] == ["base", "SGD"]
