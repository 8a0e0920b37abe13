"""What an RFM gains from a network: errors by layer and start, over updates, and the score that AGOP^alpha keeps."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from figures.parts import above, letter
from nfa.plots import DOUBLE, ROLES, figure, literal
from nfa.plots.theme import INK, MARKERS

STARTS = {
    "identity": ("kernel", "identity"),
    "nfm": ("nfm", "NFM"),
    "agop": ("agop", "AGOP, AGOP^α"),
    "init_nfm": ("init", "NFM of init"),
    "random": ("null", "random, AGOP's spectrum"),
}
"""Start, or matrix in the NFM's place -> role of its colour, and label."""
LEVELS = {"nfm": "nfm", "init": "init_nfm", "random": "random"}
"""Matrices of a substitution that have no power, and the start of the same colour."""
PROJECTOR = "projector (directions without sizes)"


def draw(table: pd.DataFrame) -> Figure:
    """Draw a column for each data set: errors by layer, errors over updates on X, scores kept by a substitution."""
    datasets = list(table["dataset"].unique())
    fig, axes = figure(3, len(datasets), width=DOUBLE, height=5.6, squeeze=False)
    for column, (dataset, part) in enumerate(table.groupby("dataset", sort=False)):
        layers, timed, kept = (part[part["part"] == name] for name in ("layers", "time", "substitution"))
        _by_layer(axes[0, column], layers[layers["n_iters"] == 0])
        _over_updates(axes[1, column], timed)
        _substituted(axes[2, column], kept[kept["name"] == "all"])
        title = literal(str(dataset).removesuffix("-10clases"), 20)
        axes[0, column].set_title(f"{title},\n{layers['n'].max():.0f} test rows")
    for row, name in zip(
        axes, ("test errors, %,\nno updates", "test errors, %,\nRFM on X", "test accuracy, %"), strict=True
    ):
        row[0].set_ylabel(name)
    letter(list(axes[:, 0]))
    handles = [_handle(role, label) for role, label in STARTS.values()]
    handles.append(Line2D([], [], color=INK, linestyle=":", label=PROJECTOR))
    handles.append(Line2D([], [], color=INK, linestyle="--", label="network"))
    seeds = table["seed"].nunique()
    handles.append(Line2D([], [], color=INK, linewidth=0.8, label=f"range of {seeds} seeds"))
    above(fig, handles, columns=4)
    return fig


def _handle(role: str, label: str) -> Line2D:
    return Line2D([], [], color=ROLES[role], marker=MARKERS[role], markersize=4, label=label)


def _points(ax: Axes, rows: pd.DataFrame, x: str, y: str, start: str) -> None:
    role, _ = STARTS[start]
    groups = rows.groupby(x)[y]
    means = groups.mean()
    ax.vlines(means.index, groups.min(), groups.max(), color=ROLES[role], linewidth=0.8)
    ax.plot(means.index, means, color=ROLES[role], marker=MARKERS[role], markersize=3.5, linewidth=1)


def _by_layer(ax: Axes, rows: pd.DataFrame) -> None:
    rows = rows.assign(error=100 * rows["error"])
    for start in STARTS:
        _points(ax, rows[rows["features"] == start], "layer", "error", start)
    ax.axhline(100 * rows.drop_duplicates("seed")["network_error"].mean(), color=INK, linestyle="--", linewidth=0.8)
    numbers = sorted(rows["layer"].unique())
    ax.set_xticks(numbers, [f"{number:g}" for number in numbers])
    ax.set(xlabel="inputs of layers.N", ylim=(0, None))


def _over_updates(ax: Axes, rows: pd.DataFrame) -> None:
    rows = rows.assign(error=100 * rows["error"])
    for start in ("identity", "agop"):
        _points(ax, rows[rows["features"] == start], "n_iters", "error", start)
    ax.set(xlabel="updates of M on X", xticks=sorted(rows["n_iters"].unique()), ylim=(0, None))


def _substituted(ax: Axes, rows: pd.DataFrame) -> None:
    rows = rows.assign(kept=100 * rows["score"])
    for matrix, start in LEVELS.items():
        own, (role, _) = rows.loc[rows["matrix"] == matrix, "kept"], STARTS[start]
        ax.axhspan(own.min(), own.max(), color=ROLES[role], alpha=0.15, linewidth=0)
        ax.axhline(own.mean(), color=ROLES[role], linewidth=1)
    ax.axhline(rows.loc[rows["matrix"] == "projector", "kept"].mean(), color=INK, linestyle=":", linewidth=1)
    _points(ax, rows[rows["matrix"] == "agop"], "alpha", "kept", "agop")
    ax.axhline(100 * rows["score_before"].mean(), color=INK, linestyle="--", linewidth=0.8)
    ax.set(xlabel="α, in all hidden layers", ylim=(0, 102))
