"""Figures of sweeps, spectra, powers, features and matrices, and what they refuse."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

import nfa
from nfa import InputError, plots
from nfa.plots.kinds import KINDS, drawn_kind


def dense(layer):
    """NFM and AGOP of a layer, as arrays."""
    W, S = layer.weight.numpy(), layer.S.numpy()
    return W.T @ W, W.T @ S @ W


def cosine(A, B):
    """The cosine of two matrices."""
    return np.sum(A * B) / np.linalg.norm(A) / np.linalg.norm(B)


def power(M, alpha):
    values, vectors = np.linalg.eigh(M)
    kept = values > 1e-6 * values.max()
    return (vectors[:, kept] * values[kept] ** alpha) @ vectors[:, kept].T


def lines(ax, style="-"):
    return [line for line in ax.lines if line.get_linestyle() == style and len(line.get_xdata()) > 1]


def test_a_sweep_has_a_line_for_each_layer_through_means(runs, wide, ax):
    plots.sweep([*runs, wide], x="width", ax=ax)
    first, _ = lines(ax)  # the head, whose gradient is the same for every row, is left out
    assert first.get_xdata().tolist() == [8, 16]
    assert first.get_ydata() == pytest.approx([np.mean([a[0]["cosine"] for a in runs]), wide[0]["cosine"]])
    (null, *_) = lines(ax, "--")
    assert null.get_ydata()[1] == pytest.approx(wide[0]["rotated_cosine"])
    assert ax.get_xlabel() == "width"


def test_a_sweep_over_a_named_setting_and_a_column(runs, ax):
    plots.sweep({"lr=0.1": runs[0], "lr=0.01": runs[1]}, x="lr", ax=ax)
    assert lines(ax)[0].get_xdata().tolist() == [0.01, 0.1]
    assert ax.get_xscale() == "log"
    other = plots.figure()[1]
    plots.sweep({"a": runs[0], "b": runs[1]}, x="nfm_effective_rank", column="alignment", ax=other)
    expected = sorted(audit[0]["nfm_effective_rank"] for audit in runs[:2])
    assert lines(other)[0].get_xdata().tolist() == pytest.approx(expected)
    words = plots.figure()[1]
    plots.sweep({"opt=sgd": runs[0], "opt=adam": runs[1]}, x="opt", ax=words)
    assert [label.get_text() for label in words.get_xticklabels()] == ["adam", "sgd"]


def test_a_sweep_as_a_heat_map(runs, wide, ax):
    plots.sweep({"narrow": runs, "wide": wide}, x="width", heat=True, ax=ax)
    values = ax.images[0].get_array()
    assert values[0, 1] == pytest.approx(wide[0]["cosine"])
    assert f"{wide[0]['cosine']:.2f}\n({wide[0]['rotated_cosine']:.2f})" in {text.get_text() for text in ax.texts}


def test_what_no_audit_can_be_swept_over(runs):
    with pytest.raises(InputError, match=r"^x: no audit has 'lr' \(known: width, depth, .*'lr=0.1' give"):
        plots.sweep(runs, x="lr")
    with pytest.raises(InputError, match=r"^x: b has no 'lr'"):
        plots.sweep({"lr=0.1": runs[0], "b": runs[1]}, x="lr")


def test_a_spectrum_is_that_of_the_dense_matrices(audit, ax):
    plots.spectrum(audit, "layers.0", ax=ax)
    for line, matrix in zip(lines(ax), dense(audit[0]), strict=True):
        values = np.linalg.eigvalsh(matrix)[::-1]
        np.testing.assert_allclose(line.get_ydata(), values[values > 1e-6 * values[0]] / values[0], rtol=1e-6)
    ranks = [line.get_xdata()[0] for line in lines(ax, "--")]
    assert ranks == pytest.approx([audit[0]["nfm_effective_rank"], audit[0]["agop_effective_rank"]])
    assert [to_hex(line.get_color()).upper() for line in lines(ax)] == [plots.ROLES["nfm"], plots.ROLES["agop"]]


def test_powers_are_those_of_the_dense_matrices_beside_their_null(audit, ax):
    plots.powers(audit, 0, ax=ax)
    N, A = dense(audit[0])
    (line,) = [line for line in lines(ax) if len(line.get_xdata()) == 40]
    expected = [cosine(N, power(A, alpha)) for alpha in line.get_xdata()]
    np.testing.assert_allclose(line.get_ydata(), expected, atol=1e-8)
    (null,) = lines(ax, "--")
    # A few draws estimate the exact null at alpha = 1.
    assert null.get_ydata()[19] == pytest.approx(audit[0]["rotated_cosine"], abs=0.1)
    with pytest.raises(InputError, match=r"^audits: got 2 networks \(a, b\), expected one"):
        plots.powers({"a": audit, "b": audit})


def test_powers_of_runs_are_thin_lines_beside_their_mean(runs, ax):
    plots.powers(runs, 0, ax=ax)
    *own, mean = [line for line in lines(ax) if len(line.get_xdata()) == 40]
    assert len(own) == len(runs)
    for line, audit in zip(own, runs, strict=True):
        N, A = dense(audit[0])
        expected = [cosine(N, power(A, alpha)) for alpha in line.get_xdata()]
        np.testing.assert_allclose(line.get_ydata(), expected, atol=1e-8)
        assert line.get_linewidth() < mean.get_linewidth()
    np.testing.assert_allclose(mean.get_ydata(), np.mean([line.get_ydata() for line in own], 0))


def test_features_of_pictures_are_in_their_shape_with_colour_bars(pictures):
    assert pictures.about.feature_shape == (3, 2, 2)
    fig = plots.features(pictures, 0, sample=np.arange(12.0), M=np.eye(12))
    shown = [ax for ax in fig.axes if ax.images]
    assert all(ax.images[0].get_array().shape == (2, 2, 3) for ax in shown)
    assert {ax.get_ylabel() for ax in shown} >= {"NFM", "AGOP", "M"}
    assert {"init's NFM", "a sample", "diagonal"} <= {ax.get_title() for ax in shown}
    assert {"share of the trace", "entry of the eigenvector"} <= {ax.get_xlabel() for ax in fig.axes}
    _, A = dense(pictures[0])
    agop = next(ax for ax in shown if ax.get_ylabel() == "AGOP").images[0].get_array()
    most = max(
        np.max(np.diag(M) / np.trace(M))
        for M in (*dense(pictures[0]), pictures[0].init_nfm.dense().numpy(), np.eye(12))
    )
    np.testing.assert_allclose(agop, (np.diag(A) / np.trace(A)).reshape(3, 2, 2).transpose(1, 2, 0) / most, atol=1e-6)


def test_features_of_a_table_are_bars_with_names(named):
    fig = plots.features(named, "layers.0", sample=[1.0, 2.0, 3.0, 4.0])
    diagonals, _, sample = fig.axes
    names = [label.get_text() for label in diagonals.get_yticklabels()]
    assert set(names) == {"age", "income", r"<b>\$x\$</b>", "size"}
    _, A = dense(named[0])
    widths = [bar.get_width() for bar in diagonals.patches[4:]]
    np.testing.assert_allclose(widths, np.sort(np.diag(A) / np.trace(A))[::-1], atol=1e-9)
    assert {bar.get_width() for bar in sample.patches} == {1.0, 2.0, 3.0, 4.0}
    assert [ax.get_title(loc="left") for ax in fig.axes] == ["a", "b", "c"]


def test_matrices_share_a_scale_and_stand_below_their_cosine(audit):
    fig = plots.matrices(audit, 0, alpha=0.5)
    left, right = fig.axes[:2]
    N, A = dense(audit[0])
    root = power(A, 0.5)
    np.testing.assert_allclose(left.images[0].get_array(), N / np.linalg.norm(N), atol=1e-9)
    np.testing.assert_allclose(right.images[0].get_array(), root / np.linalg.norm(root), atol=1e-6)
    assert left.images[0].get_clim() == right.images[0].get_clim()
    assert right.get_title() == "AGOP^0.5"
    assert f"cosine {audit[0]['cosine_sqrt']:.2f}, by chance" in fig.get_suptitle()


@pytest.mark.parametrize("draw", [plots.features, plots.matrices])
def test_whole_figures_are_new_or_drawn_on_what_is_given(audit, draw):
    fig = draw(audit, 0)
    assert isinstance(fig, Figure)
    assert plt.get_fignums() == []
    own = Figure(layout="constrained")
    left, right = own.subfigures(1, 2)
    assert draw(audit, 0, figure=left) is left
    assert not right.axes
    with pytest.raises(InputError, match=r"^ax: .* draws a whole figure .*, (spectrum|powers)\("):
        draw(audit, 0, ax=plots.figure()[1])


@pytest.mark.parametrize(
    ("draw", "message"),
    [
        (lambda audit: plots.features(audit, 7), r"^layer: no layer 7"),
        (lambda audit: plots.features(audit, True), r"^layer: got True, expected a layer's name or its number$"),
        (lambda audit: plots.spectrum(audit, 1.0), r"^layer: got 1.0, expected a layer's name or its number$"),
        (lambda audit: plots.spectrum(audit, "layer"), r"^layer: 'layer' is unknown"),
        (lambda audit: plots.features(audit, 0, sample=[1.0]), r"^sample: 1 entries, but layer layers.0 has 6 inputs"),
        (lambda audit: plots.features(audit, 0, M=np.eye(5)), r"^M: shape \(5, 5\), expected \(6, 6\) or \(6,\)"),
        (lambda audit: plots.features([audit, audit]), r"^audits: got 2 audits .*expected one"),
        (lambda audit: plots.matrices(audit, 0, alpha=0), r"^alpha: got 0, expected a power above 0"),
        (lambda audit: plots.layers([]), r"^audits: got none"),
        (lambda audit: plots.layers([1]), r"^audits: got int, expected an Audit or the folder of one"),
        (lambda audit: plots.layers(3), r"^audits: got int, expected an Audit or the folder of one"),
        (lambda audit: plots.layers({"one": 3}), r"^audits: got int, expected an Audit or the folder of one"),
        (lambda audit: plots.layers("gone"), r"^audit: no such file: gone"),
    ],
)
def test_bad_calls_name_the_argument(audit, draw, message):
    with pytest.raises(InputError, match=message):
        draw(audit)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_draws_and_has_a_table(kind, audit, tmp_path):
    tracker = nfa.Tracker(nfa.MLP(4, 3, 1, 2), torch.eye(4))
    tracker.record(epoch=0)
    fig, table = drawn_kind(kind, tracker if kind == "training" else audit, {})
    assert plots.save(fig, tmp_path / "a.png").stat().st_size > 1000
    assert len(table) > 0
    fig.canvas.draw()
    texts = [text for text in fig.findobj(plt.matplotlib.text.Text) if text.get_text() and text.get_visible()]
    assert min(text.get_fontsize() for text in texts) >= 7
    assert fig.get_figwidth() == plots.SINGLE


def test_layers_of_zeros_have_figures(ax):
    net = nfa.MLP(6, [8, 5], n_outputs=3)
    with torch.no_grad():
        net.layers[1].weight.zero_()
    audit = nfa.audit(net, torch.randn(20, 6, generator=torch.Generator().manual_seed(0)))
    plots.layers(audit, ax=ax)
    plots.spectrum(audit, 0, ax=plots.figure()[1])
    plots.powers(audit, ax=plots.figure()[1])
    with pytest.raises(InputError, match=r"^layer: the NFM or the AGOP of layers.1 is 0"):
        plots.matrices(audit, 1)
    with pytest.raises(InputError, match=r"^layer: the matrices of layers.1 are 0"):
        plots.features(audit, 1)
