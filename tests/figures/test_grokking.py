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


def test_accuracies_and_shares_stand_apart_and_lines_are_means():
    accuracies, rfm, shares, _ = draw(table()).axes
    training, test, chance = accuracies.lines
    np.testing.assert_allclose(training.get_xydata(), [[0, 1 / 16], [1, 5 / 16], [2, 9 / 16]])
    np.testing.assert_allclose(test.get_ydata(), training.get_ydata())
    assert set(chance.get_ydata()) == {0.5}
    assert len(rfm.lines) == 2  # test accuracy, chance
    np.testing.assert_allclose(shares.lines[0].get_ydata(), [1 / 16, 5 / 16, 9 / 16])


def test_each_bandwidth_is_a_line():
    rfm = table()[lambda rows: rows["model"] == "rfm"]
    raw = rfm.assign(scale="raw", bandwidth=10.0)
    figure = draw(pd.concat([raw, table()]))
    assert len(figure.axes[1].lines) == 3
    named = [text.get_text() for text in figure.legends[0].texts]
    assert {"RFM, L = 10, raw M", "RFM, L = 1 median"} <= set(named)


def test_diagonals_over_time_are_pictures():
    pixels = [
        {
            "model": "network",
            "seed": 0,
            "time": time,
            "quantity": "agop_at",
            "value": row + time,
            "row": row,
            "column": 0,
        }
        for time in (0, 2)
        for row in range(2)
    ]
    whole = pd.concat([table(), pd.DataFrame(pixels).assign(dataset="made", n=7)])
    *_, before, after = draw(whole).axes
    assert (before.get_title(), after.get_title()) == ("AGOP,\nepoch 0", "AGOP,\nepoch 2")
    np.testing.assert_allclose(after.images[0].get_array(), [[2], [3]])


def test_a_data_set_without_a_model_has_axes_for_the_other():
    other = table()[lambda rows: rows["model"] == "network"].assign(dataset="other")
    assert len(draw(pd.concat([table(), other])).axes) == 4 + 2
