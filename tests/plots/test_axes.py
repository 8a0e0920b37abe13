"""What each figure draws is what its table says."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex

from nfa import InputError
from nfa.plots import ROLES, alpha_scan, bars, figure, heat_map, picture, similarities, spectra

NAN = np.nan


@pytest.fixture
def ax():
    return figure()[1]


def texts(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


def points(ax, colour):
    """Places of the markers of one colour."""
    found = [line.get_xydata() for line in ax.lines if to_hex(line.get_color()).upper() == colour.upper()]
    return np.concatenate(found)


def rows(*values):
    columns = ["layer", "series", "role", "value", "low", "high", "untrained", "chance"]
    return pd.DataFrame(values, columns=columns)


def test_similarities_stand_where_they_are_with_intervals_and_nulls(ax):
    table = rows(
        ("a", "AGOP", "agop", 0.8, 0.7, 0.9, 0.4, 0.5),
        ("a", "init", "init", 0.2, NAN, NAN, NAN, 0.5),
        ("b", "AGOP", "agop", NAN, NAN, NAN, NAN, 0.3),
    )
    similarities(table, ax)
    assert [label.get_text() for label in ax.get_yticklabels()] == ["a", "b"]
    agop = points(ax, ROLES["agop"])
    assert {0.7, 0.8, 0.9} <= set(agop[agop[:, 1] < 0.5, 0])
    parts = [
        (to_hex(lines.get_color()[0]).upper(), part)
        for lines in ax.collections
        for part in lines.get_segments()
        if len(part)
    ]
    assert [part[:, 0].tolist() for colour, part in parts if colour == ROLES["agop"]] == [[0.7, 0.9]]
    strokes = [part for _, part in parts if len({*part[:, 0]}) == 1]
    assert {0.4, 0.5, 0.3} <= {float(part[0, 0]) for part in strokes}
    assert texts(ax) == ["AGOP", "init", "untrained network", "independent weights, k/(k+d)"]
    assert ax.get_xlabel() == "cosine, 95 % interval over samples"


def test_similarities_without_nulls_and_intervals_claim_none(ax):
    table = rows(("a", "one", "agop", 0.8, NAN, NAN, NAN, NAN)).drop(columns="role")
    similarities(table, ax)
    assert texts(ax) == ["one"]
    assert ax.get_xlabel() == "cosine"


def test_series_without_a_role_take_no_null_s_colour(ax):
    table = pd.concat([rows(("a", f"s{i}", "", 0.5, NAN, NAN, NAN, NAN)) for i in range(20)]).drop(columns="role")
    similarities(table, ax)
    looks = {(line.get_color(), line.get_marker()) for line in ax.lines if line.get_marker() not in ("|", "None")}
    assert len(looks) == 20
    colours = {to_hex(line.get_color()).upper() for line in ax.lines}
    assert len(colours - {"#262626"}) == 6
    assert not colours & {ROLES["init"], ROLES["null"]}


def test_similarities_below_zero_are_in_sight(ax):
    similarities(rows(("a", "AGOP", "agop", -0.3, -0.5, -0.1, NAN, NAN)), ax)
    assert ax.get_xlim()[0] < -0.5


def test_nothing_known_is_an_empty_figure(ax):
    similarities(rows(("a", "AGOP", "agop", NAN, NAN, NAN, NAN, NAN)), ax)
    ax.figure.canvas.draw()


def test_the_scan_draws_every_layer_and_a_dot_at_its_maximum(ax):
    alphas = [0.5, 1.0, 1.5]
    table = pd.DataFrame(
        {"layer": ["a"] * 3 + ["b"] * 3, "alpha": alphas * 2, "cosine": [0.5, 0.9, 0.7, NAN, NAN, NAN]}
    )
    nulls = pd.DataFrame({"layer": ["a"], "alpha": [1.0], "cosine": [0.3]})
    alpha_scan(table, ax, nulls)
    assert any(np.array_equal(line.get_xydata(), table[["alpha", "cosine"]][:3]) for line in ax.lines)
    dots = [line.get_xydata().tolist() for line in ax.lines if line.get_marker() == "o"]
    assert dots == [[[1.0, 0.9]], []]
    hollow = [line.get_xydata().tolist() for line in ax.lines if line.get_marker() == "D"]
    assert [[1.0, 0.3]] in hollow
    assert texts(ax) == ["a", "b", "untrained"]


def test_of_many_layers_the_legend_names_some_and_the_last(ax):
    layers = [f"l{i}" for i in range(40)]
    alpha_scan(pd.DataFrame({"layer": layers, "alpha": 1.0, "cosine": 0.5}), ax)
    assert len(texts(ax)) <= 10
    assert texts(ax)[-1] == "l39"


def test_spectra_fall_on_logarithmic_axes(ax):
    table = pd.DataFrame({"layer": ["a", "a", "b"], "index": [1, 2, 1], "share": [1.0, 0.01, 1.0]})
    spectra(table, ax, "NFM")
    assert (ax.get_xscale(), ax.get_yscale()) == ("log", "log")
    assert [line.get_ydata().tolist() for line in ax.lines] == [[1.0, 0.01], [1.0]]
    assert ax.get_ylim()[0] < 0.01
    assert ax.get_ylabel() == "eigenvalue of NFM / largest"


def test_spectra_of_nothing_are_an_empty_figure(ax):
    spectra(pd.DataFrame(columns=["layer", "index", "share"]), ax, "NFM")
    ax.figure.canvas.draw()


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


@pytest.mark.parametrize(("shape", "order"), [((3, 1, 2), [0, 2, 4, 1, 3, 5]), ((1, 2, 3), None), ((2, 1, 3), None)])
def test_channels_in_front_or_behind_are_colours(ax, shape, order):
    vector = np.array([0.0, 1.0, 2.0, 3.0, 4.0, -5.0])
    picture(vector, shape, ax, signed=True)
    if shape == (1, 2, 3):  # one channel in front, not three behind
        assert ax.images[0].get_array().shape == (2, 3)
        return
    colours = vector if order is None else vector[order]
    np.testing.assert_allclose(ax.images[0].get_array().ravel(), (colours / 5 + 1) / 2)


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
