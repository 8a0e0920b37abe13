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
    accuracies, M, _ = simplicity_bias.draw(halves()).axes  # the last is the colour bar
    network = [line for line in accuracies.lines if line.get_marker() == "o"]
    assert [line.get_xdata()[0] for line in network] == pytest.approx([55] * 3)
    assert M.get_title() == "RFM's M:\nsimple half 71 %"
    assert M.images[0].get_array().shape == (1, 4)


def test_halves_in_parts():
    whole = halves()
    assert len(simplicity_bias.draw(whole[whole["quantity"] == "M_at"]).axes) == 3
    assert len(simplicity_bias.draw(whole[whole["model"] == "network"]).axes) == 1


def marks():
    return pd.DataFrame(
        {"dataset": "made", "model": model, "seed": seed, "goes_with": goes_with, "quantity": quantity, "value": seed}
        for model in ("network", "rfm")
        for seed in (0, 1)
        for goes_with in (1.0, 0.5)
        for quantity in ("found", "removed")
    )


def dots(axes, marker="o"):
    """Values and places of the network's dots."""
    return {round(line.get_ydata()[0]): line.get_xdata()[0] for line in axes.lines if line.get_marker() == marker}


def test_dots_are_means_of_what_is_there_beside_chance():
    always, sometimes, accuracies, _ = spurious_features.draw(marks()).axes
    assert "100 %" in always.get_title()
    assert "50 %" in sometimes.get_title()
    assert dots(always) == {0: 50}  # found, the first
    assert dots(accuracies) == {1: 50}  # removed, the second
    assert any(set(line.get_xdata()) == {50} and line.get_linestyle() == "--" for line in accuracies.lines)
    whole = marks()
    assert len(spurious_features.draw(whole[whole["goes_with"] == 1]).axes) == 2
    assert not dots(spurious_features.draw(whole[whole["model"] == "rfm"]).axes[0])
