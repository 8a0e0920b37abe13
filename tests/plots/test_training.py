"""The figure of a training: what is drawn is what the tracker found; several runs; what is refused."""

import numpy as np
import pytest
import torch
from helpers import gaussian

import nfa
from nfa import InputError, plots
from nfa.plots.kinds import drawn_kind


def tracked(seed=0, epochs=(0, 1, 2), columns=("cosine", "rotated_cosine", "init_cosine"), width=5):
    """A tracker of a network whose weights are moved by chance in each epoch."""
    net, X = nfa.MLP(6, [8, width], n_outputs=3, seed=seed).double(), gaussian(40, 6)
    tracker = nfa.Tracker(net, (X, (X[:, 0] > 0).long()), columns=columns)
    generator = torch.Generator().manual_seed(seed)
    for epoch in epochs:
        tracker.record(epoch=epoch, loss=2.0**-epoch, lr=0.1)
        with torch.no_grad():
            for p in net.parameters():
                p.add_(0.2 * torch.randn(p.shape, generator=generator, dtype=p.dtype))
    return tracker


@pytest.fixture(scope="module")
def trackers():
    return [tracked(seed) for seed in range(2)]


def values(tracker, layer, column):
    frame = tracker.to_frame()
    return frame.loc[frame["name"] == layer, column].to_numpy(dtype=float)


def test_a_panel_for_each_layer_and_for_score_and_loss(trackers):
    tracker = trackers[0]
    panels = plots.training(tracker).axes
    # The head's gradient is the same for every row, so it is left out.
    assert [ax.get_title() for ax in panels] == ["layers.0", "layers.1", "score", "loss"]
    assert [ax.get_title(loc="left") for ax in panels] == list("abcd")
    drawn = {line.get_color(): line for line in panels[1].lines if line.get_linestyle() == "-"}
    assert drawn[plots.ROLES["agop"]].get_xdata().tolist() == [0, 1, 2]
    assert drawn[plots.ROLES["agop"]].get_ydata() == pytest.approx(values(tracker, "layers.1", "cosine"))
    assert drawn[plots.ROLES["init"]].get_ydata() == pytest.approx(values(tracker, "layers.1", "init_cosine"))
    dashed = [line.get_ydata() for line in panels[1].lines if line.get_linestyle() == "--"]
    assert any(np.allclose(each, values(tracker, "layers.1", "rotated_cosine")) for each in dashed)
    whole = tracker.to_frame().query("name == ''")
    score, constant = panels[2].lines
    assert score.get_ydata() == pytest.approx(whole["score"])
    assert constant.get_ydata() == pytest.approx(whole["score_baseline"])
    (loss,) = panels[3].lines
    assert loss.get_ydata().tolist() == [1, 0.5, 0.25]


@pytest.mark.parametrize("layers", [1, 2, 3])
@pytest.mark.parametrize("together", [False, True])
def test_time_is_named_below_the_lowest_panels(layers, together):
    net, X = nfa.MLP(6, [8] * layers, n_outputs=3), gaussian(40, 6)
    tracker = nfa.Tracker(net, (X, (X[:, 0] > 0).long()))
    for epoch in range(13):
        tracker.record(epoch=epoch, loss=1.0)
    panels = plots.training(tracker, together=together).axes
    lowest = max(ax.get_subplotspec().rowspan.stop for ax in panels)
    for ax in panels:
        place = ax.get_subplotspec()
        assert ax.get_xlabel() == ("epoch" if place.rowspan.stop == lowest else "")
        ax.figure.draw_without_rendering()
        low, high = ax.get_xlim()
        ticks = [tick for tick in ax.xaxis.get_major_ticks() if low <= tick.get_loc() <= high]
        labels = [tick.label1.get_text() for tick in ticks if tick.label1.get_visible()]
        assert all(each.isdigit() for each in labels)
        # A panel over another one of its width shares the numbers below it; any other has its own.
        others = [other.get_subplotspec() for other in panels]
        shared = any(each.colspan == place.colspan and each.rowspan.start > place.rowspan.start for each in others)
        assert bool(labels) != shared


def test_several_runs_are_lines_around_their_mean(trackers):
    first = plots.training(trackers, together=True).axes[0]
    lines = [line.get_ydata() for line in first.lines if line.get_linestyle() == "-"]
    own = [values(each, "layers.0", "cosine") for each in trackers]
    for expected in (*own, np.mean(own, axis=0)):
        assert any(np.allclose(line, expected) for line in lines)


def thick(ax):
    """The lines over runs: all but the thin ones."""
    return [line for line in ax.lines if line.get_linewidth() != 0.5 and len(line.get_xdata())]


def test_means_are_over_the_same_runs_at_each_point():
    some = [tracked(0, (0, 2, 4, 6)), tracked(1, (0, 1, 3, 5, 6))]
    panel, *_, score, loss = plots.training(some, together=True).axes
    for line in (*thick(panel), *thick(score), *thick(loss)):
        assert line.get_xdata().tolist() == [0, 6]
    at_ends = [values(each, "layers.0", "cosine")[[0, -1]] for each in some]
    assert any(line.get_ydata() == pytest.approx(np.mean(at_ends, axis=0)) for line in thick(panel))
    assert thick(loss)[0].get_ydata().tolist() == [1, 2.0**-6]


@pytest.mark.parametrize(("epochs", "shared"), [(((0, 2), (0, 3)), [0]), (((0, 2), (1, 3)), []), (((4,), (5,)), [])])
def test_no_mean_line_where_fewer_than_two_epochs_are_shared(epochs, shared):
    for ax in plots.training([tracked(seed, each) for seed, each in enumerate(epochs)]).axes:
        assert all(line.get_xdata().tolist() == shared for line in thick(ax))
        thin = [line for line in ax.lines if line.get_linewidth() == 0.5]
        assert {len(line.get_xdata()) for line in thin} == {len(epochs[0])}
        assert {line.get_marker() for line in thin} == {"." if len(epochs[0]) == 1 else ""}


def test_a_loss_that_a_run_lacks_at_an_epoch_has_no_mean_there():
    some = [tracked(seed) for seed in range(2)]
    some[1].history.moments[1].run["loss"] = float("nan")
    (line,) = thick(plots.training(some).axes[-1])
    assert line.get_xdata().tolist() == [0, 2]
    assert line.get_ydata().tolist() == [1, 0.25]
    some[1].history.moments[1].layers[0]["cosine"] = float("nan")
    lines = [line.get_ydata() for line in thick(plots.training(some, null=None).axes[0])]
    own = [values(each, "layers.0", "cosine") for each in some]
    assert any(np.array_equal(each, np.mean(own, axis=0), equal_nan=True) for each in lines)


def test_a_saved_tracker_is_drawn_as_the_tracker_itself(trackers, tmp_path):
    for number, each in enumerate(trackers):
        each.save(tmp_path / f"seed-{number}")
    figure, table = drawn_kind("training", tmp_path, {})
    assert len(figure.axes) == 4
    assert set(table["run"]) == {str(tmp_path / "seed-0"), str(tmp_path / "seed-1")}
    of_layer = table.query("layer == 'layers.0' and column == 'cosine' and run.str.endswith('1')")
    assert of_layer["value"].tolist() == pytest.approx(values(trackers[1], "layers.0", "cosine"))


@pytest.mark.parametrize("names", [["blk.self_attn.out_proj"], ["encoder.embed_tokens", "gpt_neox.embed_memory_down"]])
def test_a_long_name_stays_beside_the_panel_s_letter(names):
    net = torch.nn.Sequential()
    for name in names:
        net.add_module(name.replace(".", "_"), torch.nn.Linear(4, 4))
    net.append(torch.nn.Tanh()).append(torch.nn.Linear(4, 2))
    tracker = nfa.Tracker(net, gaussian(20, 4, dtype=torch.float32))
    tracker.record(epoch=0, loss=1.0)
    figure = plots.training(tracker)
    figure.draw_without_rendering()
    for ax in figure.axes:
        assert not ax._left_title.get_window_extent().overlaps(ax.title.get_window_extent())


@pytest.mark.parametrize("epoch", [0, 1, 3])
def test_a_single_audit_has_its_epoch_alone_on_the_axis(epoch):
    axis = plots.training(tracked(epochs=(epoch,))).axes[-1]
    axis.figure.draw_without_rendering()
    low, high = axis.get_xlim()
    assert [tick for tick in axis.get_xticks() if low <= tick <= high] == [epoch]


def test_audits_that_become_rarer_have_a_logarithmic_axis():
    axis = plots.training(tracked(epochs=(0, 1, 3, 30))).axes[-1]
    assert axis.get_xscale() == "symlog"
    assert next(label.get_text() for label in axis.get_xticklabels()) == "30"
    assert plots.training(tracked(epochs=(1, 2))).axes[0].get_xscale() == "linear"


def test_steps_are_the_axis_where_epochs_are_not_known():
    tracker = nfa.Tracker(torch.nn.Linear(3, 2), torch.eye(3), every_n_steps=2)
    for step in (2, 4):
        tracker.record(step=step)
    assert plots.training(tracker).axes[-1].get_xlabel() == "step"


def test_what_cannot_be_drawn(trackers, tmp_path):
    with pytest.raises(InputError, match=r"^tracker: run 0 is empty: no audit was due yet$"):
        plots.training(tracked(epochs=()))
    with pytest.raises(InputError, match=r"^column: run 0 was tracked without alignment; columns= of the tracker"):
        plots.training(trackers[0], column="alignment")
    with pytest.raises(InputError, match=r"^tracker: no such file: .*tracker.safetensors"):
        plots.training(tmp_path)
    with pytest.raises(InputError, match=r"^tracker: got int, expected a Tracker or the folder of one"):
        plots.training([3])
    with pytest.raises(InputError, match=r"^tracker: got Audit, expected a Tracker"):
        plots.training(nfa.audit(torch.nn.Linear(3, 2), torch.eye(3)))
    with pytest.raises(InputError, match=r"^tracker: got none, expected at least one"):
        plots.training([])
    other = nfa.Tracker(torch.nn.Linear(3, 2), torch.eye(3))
    other.record(epoch=1)
    with pytest.raises(InputError, match=r"^tracker: run 1 has the layers weight, but run 0 has layers.0"):
        plots.training([trackers[0], other])
    with pytest.raises(InputError, match=r"^ax: training draws a whole figure and takes figure="):
        plots.training(trackers[0], ax=plots.figure()[1])


def test_an_audit_of_chosen_columns_is_drawn():
    audit = nfa.audit(torch.nn.Linear(3, 2), torch.eye(3), columns=["cosine", "rotated_cosine"])
    assert plots.layers(audit, ax=plots.figure()[1]).get_xticklabels()[0].get_text() == "weight\n(trivial)"


def test_epochs_beside_steps_are_refused(trackers):
    net, X = nfa.MLP(6, [8, 5], n_outputs=3).double(), gaussian(40, 6)
    steps = nfa.Tracker(net, (X, (X[:, 0] > 0).long()), every_n_steps=5)
    steps.record(step=5)
    with pytest.raises(InputError, match=r"^tracker: run 1 has no epochs and run 0 has no steps: draw each by itself$"):
        plots.training([trackers[0], steps])
