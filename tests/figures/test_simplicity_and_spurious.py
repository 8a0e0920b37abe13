"""The figures of simplicity bias and of spurious features, of small tables, whole and in parts."""

import pandas as pd
import pytest

from figures import simplicity_bias, spurious_features


def halves():
    accuracies = [
        {"model": model, "seed": seed, "quantity": quantity, "value": 0.5 + 0.1 * seed}
        for model in ("network", "rfm")
        for seed in (0, 1)
        for quantity in ("intact", "simple_shuffled", "complex_shuffled")
    ]
    pixels = [
        {
            "model": "rfm",
            "seed": 0,
            "quantity": "M_at",
            "value": 0.4 if column == 0 else 0.1,
            "row": 0,
            "column": column,
        }
        for column in range(4)
    ]
    return pd.DataFrame(accuracies + pixels).assign(dataset="made", simple="digits", halves="both")


def test_the_picture_says_what_the_simple_half_holds():
    accuracies, nfm, agop, M = simplicity_bias.draw(halves()).axes
    assert accuracies.containers[0].datavalues.tolist() == pytest.approx([55] * 3)
    assert M.get_title() == "RFM's M:\nsimple half 71 %"
    assert M.images[0].get_array().shape == (1, 4)
    assert not nfm.images
    assert not agop.images


def test_halves_in_parts():
    whole = halves()
    assert len(simplicity_bias.draw(whole[whole["quantity"] == "M_at"]).axes) == 4
    assert len(simplicity_bias.draw(whole[whole["model"] == "network"]).axes) == 4


def marks():
    return pd.DataFrame(
        {"dataset": "made", "model": model, "seed": seed, "goes_with": goes_with, "quantity": quantity, "value": seed}
        for model in ("network", "rfm")
        for seed in (0, 1)
        for goes_with in (1.0, 0.5)
        for quantity in ("found", "removed")
    )


def test_bars_are_means_of_what_is_there():
    always, sometimes = spurious_features.draw(marks()).axes
    assert "100 %" in always.get_title()
    assert "50 %" in sometimes.get_title()
    assert always.containers[0].datavalues[0] == 50
    whole = marks()
    assert len(spurious_features.draw(whole[whole["goes_with"] == 1]).axes) == 1
    assert len(spurious_features.draw(whole[whole["model"] == "rfm"]).axes) == 2
