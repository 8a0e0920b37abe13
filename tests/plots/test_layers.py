"""The figure of layers: bars, nulls, intervals, points, names, and what is refused."""

import math
from itertools import pairwise

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.colors import to_hex

import nfa
from nfa import InputError, plots
from nfa.plots import conventions
from nfa.plots.conventions import short


def bars(ax, hatched):
    return [patch for patch in ax.patches if bool(patch.get_hatch()) == hatched]


def colour(patch):
    return to_hex(patch.get_edgecolor()).upper()


def legend(ax):
    return [text.get_text() for each in ax.findobj(plt.matplotlib.legend.Legend) for text in each.get_texts()]


def test_bars_are_the_columns_and_hatched_bars_their_nulls(audit, ax):
    assert plots.layers(audit, ax=ax) is ax
    heights = {(colour(bar), round(bar.get_height(), 9)) for bar in bars(ax, hatched=False)}
    nulls = {round(bar.get_height(), 9) for bar in bars(ax, hatched=True)}
    for layer in audit:
        assert (plots.ROLES["agop"], round(layer["cosine"], 9)) in heights
        assert (plots.ROLES["init"], round(layer["init_cosine"], 9)) in heights
        assert {round(layer["rotated_cosine"], 9), round(layer["init_cosine_null"], 9)} <= nulls
    assert {colour(bar) for bar in bars(ax, hatched=True)} == {plots.ROLES["null"]}
    assert [label.get_text() for label in ax.get_xticklabels()] == ["layers.0", "layers.1", "layers.2\n(trivial)"]
    assert legend(ax) == ["NFM and init's NFM", "NFM and AGOP", "by chance"]


def test_intervals_are_drawn_where_they_are(audit, ax):
    plots.layers(audit, ax=ax)
    ends = [part[:, 1].tolist() for lines in ax.collections for part in lines.get_segments() if len(part)]
    assert any(part == pytest.approx([audit[0]["ci_low"], audit[0]["ci_high"]]) for part in ends)


def test_runs_are_points_with_their_mean(runs, ax):
    plots.layers(runs, ax=ax)
    values = [audit[0]["cosine"] for audit in runs]
    mean = next(bar for bar in bars(ax, hatched=False) if colour(bar) == plots.ROLES["agop"])
    assert mean.get_height() == pytest.approx(np.mean(values))
    points = [line.get_ydata()[0] for line in ax.lines]
    assert set(np.round(values, 9)) <= set(np.round(points, 9))
    assert legend(ax)[0] == "3 runs" or "3 runs" in legend(ax)


def test_no_point_hides_the_interval_of_its_run(runs, ax):
    plots.layers(runs, ax=ax)
    points = {round(line.get_ydata()[0], 9): line for line in ax.lines}
    strokes = [(part, lines.get_zorder()) for lines in ax.collections for part in lines.get_segments() if len(part)]
    for audit in runs:
        point = points[round(audit[0]["cosine"], 9)]
        ends = [audit[0]["ci_low"], audit[0]["ci_high"]]
        part, above = next(each for each in strokes if each[0][:, 1].tolist() == pytest.approx(ends))
        assert part[0, 0] == pytest.approx(point.get_xdata()[0])
        assert above > point.get_zorder()


def test_networks_have_markers_of_their_own_and_count_alike(runs, wide, ax):
    plots.layers({"digits, SGD": runs, "digits, Adam": wide}, ax=ax)
    assert {"digits, SGD", "digits, Adam"} <= set(legend(ax))
    assert len({line.get_marker() for line in ax.lines}) == 2
    mean = next(bar for bar in bars(ax, hatched=False) if colour(bar) == plots.ROLES["agop"])
    assert mean.get_height() == pytest.approx((np.mean([a[0]["cosine"] for a in runs]) + wide[0]["cosine"]) / 2)
    expected = (np.mean([a[0]["rotated_cosine"] for a in runs]) + wide[0]["rotated_cosine"]) / 2
    nulls = [bar.get_height() for bar in bars(ax, hatched=True)]
    assert any(height == pytest.approx(expected) for height in nulls)


def test_the_published_figure(audit, ax):
    plots.layers(audit, "published_pearson_sqrt", ax=ax)
    heights = [round(bar.get_height(), 9) for bar in ax.patches]
    for column in ("published_pearson_sqrt", "published_pearson_sqrt_null", "init_pearson"):
        assert round(audit[0][column], 9) in heights
    assert ax.get_ylabel() == "correlation of entries"


def test_the_untrained_null_and_none(audit, ax):
    plots.layers(audit, null="untrained", ax=ax)
    assert round(audit[0]["untrained_cosine"], 9) in {round(bar.get_height(), 9) for bar in bars(ax, hatched=True)}
    bare = plots.figure()[1]
    plots.layers(audit, null=None, ax=bare)
    assert not bars(bare, hatched=True)


def test_any_column_of_numbers_can_be_drawn(audit, ax):
    plots.layers(audit, "agop_effective_rank", ax=ax)
    assert [bar.get_height() for bar in ax.patches] == pytest.approx([layer["agop_effective_rank"] for layer in audit])
    assert ax.get_ylabel() == "agop effective rank"


def test_without_axes_the_current_ones_are_taken(audit):
    _, own = plt.subplots()
    assert plots.layers(audit) is own
    plt.close("all")
    drawn = plots.layers(audit)
    assert drawn is plt.gca()
    assert tuple(drawn.figure.get_size_inches()) == pytest.approx((plots.SINGLE, 0.75 * plots.SINGLE))
    plt.close("all")
    assert audit.plot() is plt.gca()


def test_without_a_theme_the_user_s_settings_stand(audit):
    with plt.rc_context({"xtick.labelsize": 13, "figure.figsize": (4, 3)}):
        ax = plots.layers(audit, theme=None)
        assert ax.get_xticklabels()[0].get_fontsize() == 13
        assert tuple(ax.figure.get_size_inches()) == (4, 3)


@pytest.mark.parametrize("many", [3, 24])
def test_text_is_seven_points_in_sight_and_apart(many):
    widths = [8] * (many - 1)
    net = nfa.MLP(6, widths, n_outputs=3).double()
    fig, ax = plots.figure()
    plots.layers(nfa.audit(net, np.random.default_rng(0).normal(size=(12, 6))), ax=ax)
    fig.canvas.draw()
    texts = [text for text in fig.findobj(plt.matplotlib.text.Text) if text.get_text() and text.get_visible()]
    assert min(text.get_fontsize() for text in texts) >= 7
    for text in [*ax.get_xticklabels(), *ax.get_legend().get_texts()]:
        box = text.get_window_extent()
        assert box.x0 >= -1
        assert box.x1 <= fig.bbox.x1 + 1
    assert ax.get_legend().get_window_extent().height < 0.1 * fig.bbox.height
    if many == 3:
        boxes = [label.get_window_extent() for label in ax.get_xticklabels()]
        assert all(one.x1 < other.x0 for one, other in pairwise(boxes))


def test_long_names_stay_apart():
    names = [f"encoder.stack.block.{i}.feed_forward.linear" for i in range(8)]
    labels = short([*names, "head"], 16)
    assert labels == [*(f"…block.{i}…" for i in range(8)), "head"]
    parts = ["attention.self.query", "attention.self.value", "attention.output.dense", "intermediate.dense"]
    labels = short([f"bert.encoder.layer.{i}.{part}" for i in range(2) for part in parts], 16)
    assert len(set(labels)) == len(labels)
    # The block and the part are told in each.
    assert all(f"…{i}" in each for i, four in enumerate((labels[:4], labels[4:])) for each in four)
    assert labels[:2] == ["…0…self.query", "…0…self.value"]
    assert short(["a" * 30, "a" * 31], 10)[0] != short(["a" * 30, "a" * 31], 10)[1]
    assert short(["a", "b"], 10) == ["a", "b"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"column": "cosin"}, r"^column: 'cosin' is unknown; did you mean 'cosine'"),
        ({"column": "verdict"}, r"^column: verdict is no measured number: there is nothing to draw"),
        ({"null": "turned"}, r"^null: 'turned' is unknown.*known: rotated, untrained"),
        ({"column": "fact_cosine"}, r"^audits: .* is without fact_cosine; loss= \(--loss\) adds it"),
        ({"theme": "dark"}, r"^theme: 'dark' is unknown.*known: paper"),
    ],
)
def test_what_is_not_there_is_named(audit, arguments, message):
    with pytest.raises(InputError, match=message):
        plots.layers(audit, **arguments)


def test_columns_that_only_some_audits_have_are_refused(runs, wide, named):
    with pytest.raises(InputError, match=r"^audits: .* is without published_cosine; published=True \(--published\)"):
        plots.layers({"one": runs[0], "two": runs[1]}, "published_cosine")
    with pytest.raises(InputError, match=r"^audits: .* is without init_cosine; init= \(--init\)"):
        plots.layers(named, "init_cosine")
    with pytest.raises(InputError, match=r"^audits: every audit is without untrained_cosine; init="):
        plots.layers(named, null="untrained")
    with pytest.raises(InputError, match=r"^audits: b has the layers layers.0, layers.1, but a has "):
        plots.layers({"a": wide, "b": named})


def test_a_network_without_init_has_one_series(named, ax):
    plots.layers(named, ax=ax)
    assert len(bars(ax, hatched=False)) == len(named)
    assert not any(math.isnan(bar.get_height()) for bar in bars(ax, hatched=True))


def test_shades_of_layers_are_told_apart():
    for role in plots.ROLES:
        for count in (2, 3, 4):
            shades = np.array(conventions.shades(role, count))
            grey = np.cbrt(shades**2.2 @ [0.2126, 0.7152, 0.0722])
            steps = -np.diff(grey)
            assert steps.min() > 0.9 * steps.max()
            assert grey[0] - grey[-1] > 0.3
            assert grey[0] < 0.9  # clear on white
