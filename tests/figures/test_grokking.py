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
    ).assign(dataset="made", n=7, scale=lambda rows: rows["model"].map({"rfm": "median"}), bandwidth=1.0)


def test_lines_are_means():
    fig = draw(table())
    network, rfm = fig.axes
    assert len(network.lines) == len(rfm.lines) == 3
    np.testing.assert_allclose(network.lines[1].get_xydata(), [[0, 1 / 16], [1, 5 / 16], [2, 9 / 16]])
    assert len(fig.legends[0].texts) == 3


def test_each_bandwidth_has_axes_and_the_network_the_first():
    rfm = table()[lambda rows: rows["model"] == "rfm"]
    raw = rfm.assign(scale="raw", bandwidth=10.0)
    axes = draw(pd.concat([raw, table()])).axes
    titles = [ax.get_title() for ax in axes]
    assert titles == ["made, 7 rows,\nnetwork", "RFM,\nL = 10, raw M", "RFM,\nL = 1 median"]
    assert [len(ax.lines) for ax in axes] == [3, 3, 3]


def test_what_a_data_set_lacks_leaves_its_axes_empty():
    other = table()[lambda rows: rows["model"] == "network"].assign(dataset="other")
    *_, network, rfm = draw(pd.concat([table(), other])).axes
    assert (len(network.lines), len(rfm.lines)) == (3, 0)
