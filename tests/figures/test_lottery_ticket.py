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
    whole, agop = network.lines[:2]
    np.testing.assert_allclose(whole.get_ydata(), [90, 90])
    np.testing.assert_allclose(agop.get_xydata(), [[10, 75], [50, 80]])
    assert rfm.get_xlabel() == "coordinates kept, %"


def test_incomplete_tables_draw():
    whole = table()
    for part in (whole[whole["choice"] == "agop"], whole[whole["model"] == "rfm"], whole[whole["choice"] == "all"]):
        assert len(draw(part).axes) == 2
