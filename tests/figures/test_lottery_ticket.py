"""The figure of lottery tickets, of a small table, whole and in parts."""

import numpy as np
import pandas as pd

from figures.lottery_ticket import draw


def table():
    return pd.DataFrame(
        {"model": model, "seed": seed, "choice": choice, "fraction": fraction, "accuracy": value}
        for model in ("network", "rfm")
        for seed in (0, 1)
        for choice, fraction, value in (
            ("all", 1.0, 0.9),
            ("agop", 0.1, 0.7 + 0.1 * seed),
            ("agop", 0.5, 0.8),
            ("random", 0.1, 0.5),
        )
    ).assign(dataset="made", task="pair")


def test_dots_are_means_in_percent():
    fig = draw(table())
    network, rfm = fig.axes
    whole, agop, _, chance = network.lines
    np.testing.assert_allclose(whole.get_ydata(), [90, 90])
    np.testing.assert_allclose(agop.get_xydata(), [[10, 75], [50, 80]])
    assert set(chance.get_ydata()) == {50}  # of two classes
    assert network.get_ylim() == rfm.get_ylim() == (0, 102)


def test_what_is_kept_is_drawn_as_a_mask():
    first = (table()["choice"] == "agop") & (table()["fraction"] == 0.1) & (table()["seed"] == 0)
    with_places = table().assign(d=4, places=first.map({True: "1 2", False: None}))
    pictures = [ax for ax in draw(with_places).axes if ax.images]
    assert [ax.get_title() for ax in pictures] == ["AGOP\n10 %", "M\n"]
    np.testing.assert_allclose(pictures[0].images[0].get_array(), [[0, 1], [1, 0]])


def test_incomplete_tables_draw():
    whole = table()
    for part in (whole[whole["choice"] == "agop"], whole[whole["model"] == "rfm"], whole[whole["choice"] == "all"]):
        assert len(draw(part).axes) == 2
