"""Targets whose directions are known: the RFM finds them, and what the table says."""

import numpy as np
import pandas as pd
import pytest

from analyses import low_rank
from analyses.analysis import Options
from analyses.low_rank_summary import findings
from analyses.targets import TARGETS, directions, drawn, overlap, top_of
from figures.low_rank import draw
from nfa import InputError


@pytest.mark.parametrize("name", TARGETS)
def test_a_target_depends_on_its_directions_alone(name):
    U, data = directions(name, 4), drawn(name, 300, 100, 4)
    np.testing.assert_allclose(U.T @ U, np.eye(TARGETS[name].directions), atol=1e-12)
    z = data.X.astype(float) @ U
    y = TARGETS[name].function(z)
    np.testing.assert_allclose(data.y, (y - y[:300].mean()) / y[:300].std(), atol=1e-3)
    assert data.X.std() == pytest.approx(TARGETS[name].scale, rel=0.05)
    if TARGETS[name].directions > 1:
        # Each of them counts.
        for j in range(z.shape[1]):
            without = z.copy()
            without[:, j] = 0
            assert np.abs(TARGETS[name].function(without) - y).max() > 0.1


def test_rows_do_not_depend_on_n():
    few, many = drawn("staircase", 50, 20, 0), drawn("staircase", 80, 20, 0)
    np.testing.assert_array_equal(few.X[:50], many.X[:50])
    np.testing.assert_array_equal(few.part("test").X, many.part("test").X)


def test_leading_eigenvectors():
    M = np.diag([1.0, 5.0, 3.0, 0.0])
    np.testing.assert_allclose(np.abs(top_of(M, 2)), np.eye(4)[:, [1, 2]])
    assert overlap(top_of(M, 2), np.eye(4)[:, [2, 1]]) == pytest.approx(1)


def one(method, target="square", n=500):
    cells = low_rank.cells(Options((target,), quick=True))
    cell = next(c for c in cells if (c["method"], c["n"], c["seed"]) == (method, n, 0))
    [row] = low_rank.rows(cell, Options(quick=True))
    return row


def test_the_rfm_finds_the_direction_that_the_kernel_does_not_know():
    rfm, kernel = one("rfm"), one("kernel")
    assert rfm["test_error"] < 0.3 < 0.7 < kernel["test_error"]
    assert rfm["overlap"] > 0.9 > 0.5 > kernel["overlap"]
    assert rfm["overlap_null"] == 1 / 50


def test_the_network_finds_it_and_the_forest_has_no_directions():
    network, forest = one("network"), one("forest")
    assert min(network["overlap"], network["overlap_nfm"]) > 0.5
    assert network["train_error"] < network["test_error"] < 1
    assert forest["overlap"] is None
    assert forest["train_error"] < forest["test_error"]


def test_where_all_directions_count_there_is_nothing_to_find():
    assert one("rfm", "all", 125)["overlap"] is None


def test_cells():
    cells = pd.DataFrame(low_rank.cells(Options()))
    assert not cells.duplicated().any()
    assert (cells.groupby(["target", "n", "method"])["seed"].nunique() == 3).all()
    networks = cells[cells["method"] == "network"]
    assert ((networks["epochs"] * networks["n"] / 64 - 2000).abs() <= networks["n"] / 64).all()
    with pytest.raises(InputError, match=r"dataset: 'squares' is unknown; did you mean 'square'\?"):
        low_rank.cells(Options(("squares",)))


def table():
    errors = {"rfm": (0.5, 0.04), "kernel": (0.9, 0.08), "network": (0.7, 0.3), "forest": (1.0, 0.9)}
    return pd.DataFrame(
        {"target": "square", "d": 50, "n": n, "method": method, "seed": seed, "test_error": error, "overlap_null": 0.02}
        | {"overlap": None if method == "forest" else 0.9, "overlap_nfm": 0.6 if method == "network" else None}
        for method, both in errors.items()
        for n, error in zip((100, 1000), both, strict=True)
        for seed in (0, 1)
    )


def test_findings():
    said = findings(table())
    assert said[0] == "square: test error at n = 1,000 (2 seeds): rfm 0.04, kernel 0.08, network 0.3, forest 0.9."
    assert said[1] == "square: the updates of M divide the kernel's error by 2.0."
    assert "by rfm from n = 1,000, by kernel from n = 1,000, not by network, not by forest" in said[2]
    assert "square, network: the leading eigenvectors of the NFM hold 0.6 of the directions (random ones 0.02)." in said
    worse = table()
    worse.loc[worse["method"] == "rfm", "test_error"] = 0.16
    assert "square: the updates of M multiply it by 2.00." in findings(worse)


def test_findings_and_figure_of_an_incomplete_table():
    part = table()
    part = part[(part["method"] == "forest") & (part["n"] == 100)]
    assert findings(part)[0].startswith("square: test error at n = 100")
    assert draw(part).axes[0].get_title().endswith("d = 50")


def test_the_figure_draws():
    fig = draw(table())
    above, below = fig.axes
    assert above.get_xscale() == above.get_yscale() == "log"
    assert len(below.collections) == 4  # the forest has no directions, the network those of AGOP and NFM
