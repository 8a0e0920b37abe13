"""The figure of grokking, of a small table, whole and in parts."""

import numpy as np
import pandas as pd

from figures.grokking import draw


def table():
    return pd.DataFrame(
        {"model": model, "seed": seed, "time": time, "quantity": quantity, "value": time / 4 + seed / 8}
        for model in ("network", "rfm")
        for seed in (0, 1)
        for time in range(3)
        for quantity in ("train_accuracy", "test_accuracy", "agop")
    ).assign(dataset="made", n=7)


def test_lines_are_means():
    fig = draw(table())
    network, rfm = fig.axes
    assert len(network.lines) == len(rfm.lines) == 3
    np.testing.assert_allclose(network.lines[1].get_xydata(), [[0, 1 / 16], [1, 5 / 16], [2, 9 / 16]])
    assert len(fig.legends[0].texts) == 3


def test_a_model_that_is_not_there_leaves_its_axes_empty():
    whole = table()
    network, rfm = draw(whole[whole["model"] == "network"]).axes
    assert (len(network.lines), len(rfm.lines)) == (3, 0)
