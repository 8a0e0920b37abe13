"""The paper's figure: similarities layer by layer, each beside its null."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from nfa.plots.conventions import FREE, HATCH, THEME, axes_of, dressed, legend, name_layers
from nfa.plots.theme import INK, ROLES, literal
from nfa.tables.drawn import drawn
from nfa.tables.layers import known_layer_table
from nfa.tables.networks import Audits, layer_names, networks

_CALLED = {"rotated": "by chance", "independent": "by chance", "untrained": "untrained"}
_CLUSTER, _BAR = 0.84, 0.6  # of the place of a layer, and of the place of a bar's null
_MARGIN, _CAP = 0.39, 0.05  # of that place: from a bar's middle to beside its edge; half of an interval's end stroke


def layers(
    audits: Audits,
    column: str = "cosine",
    null: str | None = "rotated",
    *,
    ax: Axes | None = None,
    theme: str | None = THEME,
) -> Axes:
    r"""Draw a column of every layer beside its null, such as the cosine of NFM and AGOP, and of NFM and init's NFM.

    A bar is the value, with a hatched null behind it and its interval over samples (jackknife, 95 %) beside it. With
    several networks or runs, a bar is their mean, and each is a point with its interval over it.

    Args:
        audits: An `Audit`, a folder of one or of several, a list of these, or a dict from names to them or to lists.
        column: "cosine", "published_pearson_sqrt" (the published figure), or any other column of numbers.
        null: "rotated" (S turned at random) or "untrained", where the column has such a null; None for none.
        ax: Where to draw; by default the current axes of pyplot.
        theme: "paper", or None for the rcParams as they are.

    Raises:
        InputError: an unknown column or null, an audit without the column, networks of different layers.

    Source: arXiv:2212.13881, the figures of its deep neural feature ansatz.

    >>> import nfa, torch
    >>> ax = layers(nfa.audit(torch.nn.Linear(3, 2), torch.eye(3)), ax=nfa.plots.figure()[1])
    >>> ax.get_ylabel(), [label.get_text() for label in ax.get_xticklabels()]
    ('cosine', ['weight\n(trivial)'])
    """
    found = networks(audits)
    layer_names(found)
    table = known_layer_table(found, column, null)
    with dressed(theme):
        return draw_layers(table, column, axes_of(ax))


def draw_layers(table: pd.DataFrame, column: str, ax: Axes) -> Axes:
    """Draw a table of `nfa.tables.layers.layer_table` on axes."""
    order = table.drop_duplicates("layer").sort_values("number", kind="stable")
    places = {name: number for number, name in enumerate(order["layer"])}
    series = list(dict.fromkeys(table["column"]))
    slot = _CLUSTER / len(series)
    handles: list[Line2D | Patch] = []
    for number, each in enumerate(series):
        rows = table[table["column"] == each]
        x = rows["layer"].map(places).to_numpy(dtype=float) + slot * (number - (len(series) - 1) / 2)
        handles.append(_bars(rows, x, slot, ax))
    kinds = dict.fromkeys(_CALLED[kind] for kind in table.loc[table["null"].notna(), "null_kind"])
    if kinds:
        handles.append(_hatched(next(iter(kinds)) if len(kinds) == 1 else "null"))
    marks = _marks(table)
    drawn_networks = list(dict.fromkeys(table["network"]))
    points = [
        Line2D([], [], marker=marks[name], color=INK, mfc="white", linestyle="", label=literal(name, 22))
        for name in drawn_networks
    ]
    if len(table[["network", "run"]].drop_duplicates()) > len(drawn_networks) == 1:
        points[0].set_label(f"{table['run'].nunique()} runs")
    elif len(drawn_networks) == 1:
        points = []
    elif len(drawn_networks) > len(FREE):
        points = [points[0]]
        points[0].set_label(f"{len(drawn_networks)} networks")
    ax.set_xlim(-0.5, len(places) - 0.5)
    _scale(table, ax)
    ax.set_ylabel(drawn(column).axis)
    ax.grid(axis="y", alpha=0.25)
    ax.set_axisbelow(True)
    says_more = len(handles) > 1 or handles[0].get_label() != drawn(column).axis
    taken = legend(ax, handles if says_more else [], points)
    trivial = order["trivial"].astype(bool)
    name_layers(ax, list(order["layer"]), ["trivial" if each else "" for each in trivial], taken)
    return ax


def _bars(rows: pd.DataFrame, x: np.ndarray, slot: float, ax: Axes) -> Patch:
    """Draw one series: nulls, bars and, for several runs, points; return the legend's patch."""
    colour, light = ROLES[rows["role"].iloc[0]], rows["role"].iloc[0] == "init"
    face = "white" if light else colour
    marks, whole = _marks(rows), rows.assign(x=x)
    for place, of_layer in whole.groupby("x", sort=True):
        # Every network counts the same, however many runs it has.
        of_networks = of_layer.groupby("network", sort=False)[["value", "null"]].mean()
        center, (mean, null) = float(str(place)), of_networks.mean()
        if null == null:
            ax.bar(center, null, 0.96 * slot, color="none", edgecolor=ROLES["null"], hatch=HATCH, lw=0.5, zorder=1)
        ax.bar(center, mean, _BAR * slot, color=face, edgecolor=colour, lw=1.2, zorder=2)
        count = len(of_layer)
        spread = np.linspace(-0.5, 0.5, count + 2)[1:-1] * _BAR * slot
        ends = of_layer[["low", "high"]].to_numpy(dtype=float)
        # Beside the bar, or over each point, so that neither hides a narrow interval.
        beside = center + spread + (0.0 if count > 1 else _MARGIN * slot)
        ax.vlines(beside, ends[:, 0], ends[:, 1], color=INK, lw=1.0, zorder=5)
        if count == 1:
            for end in ends.T:
                ax.hlines(end, beside - _CAP * slot, beside + _CAP * slot, color=INK, lw=0.8, zorder=5)
        else:
            for offset, network, value in zip(spread, of_layer["network"], of_layer["value"], strict=True):
                ax.plot(center + offset, value, marks[network], color=INK, mfc="white", ms=3, mew=0.7, zorder=4)
    return Patch(facecolor=face, edgecolor=colour, linewidth=1.2, label=rows["series"].iloc[0])


def _marks(rows: pd.DataFrame) -> dict[str, str]:
    """Return the marker of each network; one for all if there are more networks than markers."""
    found = list(dict.fromkeys(rows["network"]))
    return dict(zip(found, FREE, strict=False)) if len(found) <= len(FREE) else dict.fromkeys(found, FREE[0])


def _hatched(label: str) -> Patch:
    return Patch(facecolor="none", edgecolor=ROLES["null"], hatch=HATCH, linewidth=0.5, label=label)


def _scale(table: pd.DataFrame, ax: Axes) -> None:
    """Set the range 0 to 1 for similarities; other columns have their own."""
    values = table[["value", "low", "high", "null"]].to_numpy(dtype=float)
    low = float(np.min(values, initial=0.0, where=np.isfinite(values)))
    high = float(np.max(values, initial=0.0, where=np.isfinite(values)))
    if high <= 1.0 + 1e-6:
        ax.set_ylim(1.05 * low, 1.03)
