"""The parts of figures: what is drawn is what the table says."""

import numpy as np
import pandas as pd
import pytest
import torch

import nfa
from nfa import InputError
from nfa.plots import features, figure
from nfa.plots.parts.bars import bars
from nfa.plots.parts.heat_map import heat_map
from nfa.plots.parts.picture import picture
from nfa.tables.features import in_colour


@pytest.fixture
def ax():
    return figure()[1]


def texts(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


def test_a_heat_map_of_signed_entries_has_zero_in_the_middle(ax):
    image = heat_map(np.array([[1.0, -3.0], [0.0, 2.0]]), ax, ["a", "b"], label="entry")
    assert (image.norm.vmin, image.norm.vmax, image.get_cmap().name) == (-3, 3, "RdBu_r")
    assert [label.get_text() for label in ax.get_xticklabels()] == ["a", "b"]
    unsigned = heat_map(np.array([[1.0, 3.0]]), figure()[1], signed=False)
    assert (unsigned.norm.vmin, unsigned.norm.vmax) == (1, 3)


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((2, 3), [[0, 1, 2], [3, 4, 5]]),
        ((1, 2, 3), [[0, 1, 2], [3, 4, 5]]),
        ((2, 3, 1), [[0, 1, 2], [3, 4, 5]]),
    ],
)
@pytest.mark.parametrize("signed", [False, True])
def test_a_picture_has_the_data_s_shape_and_its_zero_in_place(ax, shape, expected, signed):
    picture(np.arange(6.0), shape, ax, signed)
    (image,) = ax.images
    assert image.get_array().tolist() == expected
    assert (image.norm.vmin, image.norm.vmax) == (-5 if signed else 0, 5)


@pytest.mark.parametrize(
    ("shape", "order"), [((3, 1, 2), [0, 2, 4, 1, 3, 5]), ((1, 2, 3), None), ((3, 2, 1), [0, 2, 4, 1, 3, 5])]
)
def test_channels_in_front_or_behind_are_colours(ax, shape, order):
    vector = np.array([0.0, 1.0, 2.0, 3.0, 4.0, -5.0])
    picture(vector, shape, ax, signed=True)
    if shape == (1, 2, 3):  # one channel in front, not three behind
        assert ax.images[0].get_array().shape == (2, 3)
        return
    colours = vector if order is None else vector[order]
    np.testing.assert_allclose(ax.images[0].get_array().ravel(), (colours / 5 + 1) / 2)


@pytest.mark.parametrize(
    ("shape", "drawn"),
    [((1, 3, 3), (3, 3)), ((3, 3, 3), (3, 3, 3)), ((3, 2, 4), (2, 4, 3)), ((5, 3, 3), (3, 15)), ((4, 5, 3), (4, 5, 3))],
)
def test_three_columns_of_a_kernel_are_no_colours(ax, shape, drawn):
    picture(np.arange(float(np.prod(shape))), shape, ax)
    assert ax.images[0].get_array().shape == drawn
    assert in_colour(shape) == (len(drawn) == 3)


def test_a_kernel_of_one_channel_has_the_bars_of_numbers(small):
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Conv2d(1, 4, 3), torch.nn.Flatten(), torch.nn.Linear(64, 2))
    drawn = features(nfa.audit(net, torch.randn(9, 1, 6, 6)), 0)
    bars_of = [ax for ax in drawn.axes if ax.get_xlabel() in ("share of the trace", "entry of the eigenvector")]
    assert [ax._colorbar.cmap.name for ax in bars_of] == ["viridis", "RdBu_r"]


def test_a_picture_of_zeros_is_drawn(ax):
    picture(np.zeros(4), (2, 2), ax)
    ax.figure.canvas.draw()


@pytest.mark.parametrize("shape", [(5,), (2, 2), (2, 2, 2), (1, 1, 1, 5)])
def test_a_shape_that_does_not_fit_is_refused(ax, shape):
    with pytest.raises(InputError, match="shape: got"):
        picture(np.zeros(5), shape, ax)


def test_bars_are_as_long_as_their_values_and_strokes_stand_across(ax):
    table = pd.DataFrame(
        {
            "feature": ["x", "y"] * 3,
            "series": ["NFM"] * 2 + ["AGOP"] * 2 + ["before"] * 2,
            "role": ["nfm"] * 2 + ["agop"] * 2 + ["init"] * 2,
            "value": [0.5, -0.25, 0.125, 0.75, 0.3, 0.2],
        }
    )
    bars(table, ax, "share")
    assert [bar.get_width() for bar in ax.patches] == [0.5, -0.25, 0.125, 0.75]
    assert [float(part[0, 0]) for part in ax.collections[0].get_segments()] == [0.3, 0.2]
    assert [label.get_text() for label in ax.get_yticklabels()] == ["x", "y"]
    assert texts(ax) == ["NFM", "AGOP", "before"]
    assert ax.get_xlabel() == "share"


def test_two_series_of_bars_are_told_apart_without_colour(ax):
    rows = [("a", "NFM", "nfm", 0.3), ("a", "AGOP", "agop", 0.5)]
    bars(pd.DataFrame(rows, columns=["feature", "series", "role", "value"]), ax, "share")
    on_white = [
        np.dot([0.299, 0.587, 0.114], 1 - a * (1 - np.array(rgb)))
        for *rgb, a in (bar.get_facecolor() for bar in ax.patches)
    ]
    assert abs(on_white[0] - on_white[1]) > 0.25
    assert [patch.get_facecolor() for patch in ax.get_legend().get_patches()] == [
        bar.get_facecolor() for bar in ax.patches
    ]


def test_other_channels_stand_side_by_side(ax):
    picture(np.arange(8.0), (2, 2, 2), ax)
    assert ax.images[0].get_array().tolist() == [[0, 1, 4, 5], [2, 3, 6, 7]]
