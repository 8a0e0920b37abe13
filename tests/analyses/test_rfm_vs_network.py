"""On a target of known directions RFM and network find the same; what the table says; the figure."""

import numpy as np
import pandas as pd
import pytest

from analyses import rfm_vs_network
from analyses.analysis import Options
from analyses.rfm_vs_network_summary import after_updates, errors, findings, over_updates, pair
from figures.rfm_vs_network import draw
from nfa import InputError

QUICK = Options(quick=True)


def table_of(task, optimizer="sgd"):
    cells = rfm_vs_network.cells(QUICK)
    cell = next(c for c in cells if (c["task"], c["optimizer"], c["seed"]) == (task, optimizer, 0))
    return pd.DataFrame([{**cell, **row} for row in rfm_vs_network.rows(cell, QUICK)])


@pytest.fixture(scope="module")
def product():
    return table_of("product", "adam")


@pytest.fixture(scope="module")
def digits():
    return table_of("digits")


def test_both_find_the_directions_of_a_known_target(product):
    for name in ("nfm", "agop"):
        assert pair(product, "overlap", "rfm", name).item() > 0.8
    assert pair(product, "overlap", "rfm", "init").item() < 0.5
    assert pair(product, "overlap", "rfm", "chance").item() == 3 / 20
    nulls = [pair(product, "cosine", "rfm", name).item() for name in ("init", "covariance")]
    assert pair(product, "cosine", "rfm", "agop").item() > 0.7 > max(nulls)
    # The entries are those of M: large where the two factors are.
    entries = product[(product["quantity"] == "entry") & (product["a"] == "rfm")].sort_values("index")
    M = entries["value"].to_numpy().reshape(20, 20)
    np.testing.assert_allclose(M, M.T, atol=1e-3)
    assert set(np.argsort(M.diagonal())[-2:]) == {0, 1}
    assert np.abs(M).max() == 1


def test_the_rfm_alone_over_its_updates():
    cell = next(c for c in rfm_vs_network.cells(QUICK) if (c["task"], c["optimizer"]) == ("product", None))
    assert {cell[key] for key in ("loss", "lr", *rfm_vs_network.NETWORK)} == {None}
    path = pd.DataFrame([{**cell, **row} for row in rfm_vs_network.rows(cell | {"n_iters": 4}, QUICK)])
    found = over_updates(path)
    assert list(found.columns) == [0, 1, 2, 4]
    assert (np.diff(found.loc[0]) < 0).all()
    cosines = path[path["b"] == "last"].set_index("index")["value"]
    assert list(cosines.index) == [1, 2]
    assert cosines[1] < cosines[2] < 1


def test_the_last_of_the_updates_is_the_rfm_that_networks_are_compared_with(product):
    cell = next(c for c in rfm_vs_network.cells(QUICK) if (c["task"], c["optimizer"]) == ("product", None))
    path = over_updates(pd.DataFrame([{**cell, **row} for row in rfm_vs_network.rows(cell, QUICK)])).loc[0]
    assert path.iloc[0] == pytest.approx(errors(product)["kernel"].item(), rel=1e-6)
    assert path.iloc[-1] == pytest.approx(errors(product)["rfm"].item(), rel=1e-6)


def test_cosines_over_the_updates_end_in_those_of_the_last(product):
    found = after_updates(product).pivot_table(index="index", columns="b", values="value")
    assert list(found.index) == [1, 2]
    for name in ("nfm", "agop", "init"):
        assert found[name][2] == pytest.approx(pair(product, "cosine", "rfm", name).item(), rel=1e-6)
    assert found["nfm"][1] != found["nfm"][2]


def test_pictures_of_one_seed_and_errors(digits):
    found = errors(digits)
    assert max(found["rfm"].item(), found["kernel"].item()) < 0.1
    assert found["network"].item() < 0.5 < found["constant"].item()
    for quantity in ("diagonal", "eigenvector"):
        for name in ("rfm", "nfm", "agop"):
            values = digits[(digits["quantity"] == quantity) & (digits["a"] == name)]
            assert list(values["index"]) == list(range(64))
            assert values["value"].abs().max() == 1
    assert digits.loc[digits["quantity"] == "rows", "value"].item() == 500
    # Pixels that are always 0 have no variance, and the RFM's gradient there is 0.
    diagonal = digits[(digits["quantity"] == "diagonal") & (digits["a"] == "rfm")]["value"]
    assert diagonal.iloc[0] == 0


def test_eigenvectors_are_shown_in_one_sign(digits):
    vectors = digits[digits["quantity"] == "eigenvector"].pivot_table(index="index", columns="a", values="value")
    assert (vectors.T @ vectors["rfm"] >= 0).all()


def test_cells():
    cells = pd.DataFrame(rfm_vs_network.cells(Options(("digits",))))
    assert set(cells["task"]) == {"digits"}
    assert (cells.groupby("optimizer", dropna=False)["seed"].nunique() == 3).all()
    assert cells["optimizer"].nunique(dropna=False) == 3
    assert {cell["task"] for cell in rfm_vs_network.cells(Options(("staircase",)))} == {"staircase"}
    with pytest.raises(InputError, match=r"dataset: 'staircse' is unknown; did you mean 'staircase'\?"):
        rfm_vs_network.cells(Options(("staircse",)))
    assert {"product", "staircase"} < set(pd.DataFrame(rfm_vs_network.cells(QUICK))["task"])


def row(**changes):
    return {
        "task": "digits",
        "optimizer": "sgd",
        "seed": 0,
        "quantity": "cosine",
        "a": "rfm",
        "b": "nfm",
        "index": None,
    } | changes


def hand_made(claim):
    return pd.DataFrame(
        [
            row(value=claim),
            row(b="init", value=0.2),
            *(row(quantity="cosine_after", index=updates, value=updates / 10) for updates in (1, 4)),
            row(quantity="cosine_after", index=4, b="init", value=0.2),
            row(b="covariance", value=0.5),
            row(quantity="overlap", value=0.4),
            row(quantity="overlap", b="chance", value=0.1),
            row(quantity="error", a="rfm", b=None, value=0.03),
            row(quantity="rows", a=None, b=None, value=100),
        ]
    )


def test_findings():
    said = findings(hand_made(0.9))
    assert said == [
        "digits: missing: the RFM over its updates (the cells without an optimizer).",
        "digits, sgd: test error (1 seeds): rfm 0.03.",
        "digits, sgd: cosine: M and NFM 0.9, M and untrained NFM 0.2, M and covariance of x 0.5.",
        "digits, sgd: overlap of leading eigenvectors (by chance 0.1): M and NFM 0.4.",
        "digits, sgd: cosine by updates of M: M and NFM 1: 0.1, 4: 0.4; M and untrained NFM 4: 0.2.",
        "digits, sgd: in every seed M is more like the NFM than like untrained weights and the covariance of x.",
    ]
    assert findings(hand_made(0.4))[-1].startswith("digits, sgd: M is not in every seed more like")


def by_updates(*errors):
    records = [
        row(optimizer=None, seed=seed, quantity="error", b=None, index=updates, value=value + seed / 100)
        for seed in (0, 1)
        for updates, value in zip((0, 1, 4), errors, strict=True)
    ]
    return pd.DataFrame([*records, row(optimizer=None, b="last", index=1, value=0.9)])


@pytest.mark.parametrize(
    ("errors", "verdict"),
    [
        ((0.1, 0.2, 0.3), ["digits: in every seed the test error is higher after the last update than without any."]),
        ((0.3, 0.4, 0.1), ["digits: in every seed the test error is lower after the last update than without any."]),
        ((0.1, 0.2, 0.1), []),
    ],
)
def test_findings_say_whether_updates_hurt(errors, verdict):
    first, *rest, last = findings(by_updates(*errors))
    assert first.startswith(f"digits: test error by updates of M (2 seeds): 0: {errors[0] + 0.005:.3g} (")
    assert rest == verdict
    assert last == "digits: cosine of M and the last M by updates: 1: 0.9."


@pytest.mark.parametrize("rows", [1, 3, 6])
def test_findings_survive_an_incomplete_table(rows):
    assert findings(hand_made(0.9).iloc[:rows])


def test_the_figure_draws(product, digits):
    fig = draw(pd.concat([digits, product]))
    pictures = [ax for ax in fig.axes if ax.images]
    assert [ax.get_title() for ax in pictures[:3]] == ["a sample", "M", "NFM,\nSGD"]
    assert pictures[-1].images[0].get_array().shape == (5, 5)  # of the product's matrices the coordinates that count
    named = {ax.get_xlabel(): [label.get_text() for label in ax.get_yticklabels()] for ax in fig.axes}
    assert named["test error, %"] == ["digits"]
    assert named["test MSE / variance"] == ["product"]
    assert next(value for key, value in named.items() if key.startswith("cosine")) == ["digits", "product"]
    assert draw(hand_made(0.9).assign(loss="mse")).axes
