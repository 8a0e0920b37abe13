"""NFM against AGOP and against init, layer by layer beside their nulls; over epochs; and the best power."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from analyses.ansatz_summary import LINEAR, THEOREMS
from figures.parts import letter
from nfa.plots import DOUBLE, ROLES, literal
from nfa.plots.conventions import shades
from nfa.plots.layers import draw_layers
from nfa.plots.theme import INK, MARKERS


def draw(table: pd.DataFrame) -> Figure:
    """Draw the base setting's layers as bars for each data set, below them its epochs, and last the best powers."""
    layers = at_end(table)
    datasets = list(dict.fromkeys(layers["dataset"]))
    fig = Figure(figsize=(DOUBLE, 4.2))
    upper, lower = fig.subfigures(2, 1, height_ratios=[1.15, 1])
    bars = upper.subplots(1, len(datasets), squeeze=False)[0]
    for ax, name in zip(bars, datasets, strict=True):
        rows = layers[(layers["dataset"] == name) & (layers["factor"] == "base")]
        draw_layers(as_layers(rows), "cosine", ax)
        ax.set_xlabel(f"{literal(name)}, base, n = {int(rows['rows'].max()):,}")
        ax.set_ylabel("cosine, alignment" if "alignment" in rows else "cosine")
    legends = [ax.get_legend() for ax in bars]
    upper.legend(handles=legends[0].legend_handles, loc="outside upper center", ncols=5)
    for each in legends:
        each.remove()
    paths = lower.subplots(1, len(datasets) + 1, squeeze=False)[0]
    for ax, name in zip(paths, datasets, strict=False):
        _epochs(table[(table["dataset"] == name) & (table["factor"] == "base")], ax, name)
    _powers(table, layers, paths[-1])
    letter([*bars, *paths], left=16)
    return fig


def at_end(table: pd.DataFrame) -> pd.DataFrame:
    """Return the hidden layers at the end of training, with `null` (of the cosine), `learned` and `name`.

    The null is the cosine with the gradients turned at random, in tables that have it, else the untrained network's.
    """
    setting = ["dataset", "factor", "level", "seed", "layer"]
    before = table[table["epoch"] == 0].set_index(setting)["cosine"].rename("before")
    found = table[(table["epoch"] == table["epochs"]) & (table["dataset"] != LINEAR)].join(before, on=setting)
    found = found[~found["trivial"].astype(bool)].copy()
    turned = "rotated_cosine" in found
    found["null"] = found["rotated_cosine"] if turned else found["before"]
    found["null_kind"] = "rotated" if turned else "untrained"
    known = found["task_learned"] if "task_learned" in found else found["score"] >= (1 + found["baseline"]) / 2
    found["learned"] = known.astype(bool)
    return found.assign(name=[f"layers.{number}" for number in found["layer"]])


def as_layers(rows: pd.DataFrame) -> pd.DataFrame:
    """Return rows of `at_end` as a table of `nfa.tables.layers.layer_table`."""
    series: dict[str, tuple[str, str, str, str | None]] = {
        "init_cosine": ("NFM and init's NFM", "init", "init_cosine_null", "independent"),
        "cosine": ("NFM and AGOP", "agop", "null", None),
    }
    if "alignment" in rows and rows["alignment"].notna().any():
        series["alignment"] = ("alignment", "nfm", "alignment_null", "rotated")
    parts = [
        pd.DataFrame(
            {
                "network": "base",
                "run": rows["seed"].astype(str),
                "layer": rows["name"],
                "number": rows["layer"],
                "series": label,
                "column": column,
                "role": role,
                "value": rows[column],
                "low": float("nan"),
                "high": float("nan"),
                "null": rows[null],
                "null_kind": kind or rows["null_kind"],
                "trivial": False,
            }
        )
        for column, (label, role, null, kind) in series.items()
    ]
    return pd.concat(parts, ignore_index=True)


def _epochs(table: pd.DataFrame, ax: Axes, dataset: str) -> None:
    hidden = table[~table["trivial"].astype(bool)]
    numbers = sorted(hidden["layer"].unique())
    for column, role in (("cosine", "agop"), ("init_cosine", "init")):
        for layer, colour in zip(numbers, shades(role, len(numbers)), strict=True):
            means = hidden[hidden["layer"] == layer].groupby("epoch")[column].mean()
            ax.plot(means.index, means, color=colour, marker=MARKERS[role], markersize=3)
    score = table.groupby("epoch")["score"].mean()
    ax.plot(score.index, score, color=INK, linestyle="--")
    ax.set_xscale("symlog", linthresh=1)
    kept = [int(epoch) for epoch in score.index if epoch not in (2, 10)]
    ax.set_xticks(kept, [str(each) for each in kept])
    ax.minorticks_off()
    ax.set(xlabel="epoch (0: untrained)", ylabel="mean over seeds", ylim=(-0.03, 1.03))
    ax.grid(axis="y", alpha=0.25)
    ax.set_title(f"{literal(dataset)}; dashed: score;\ndarker: deeper layer", fontsize=7)


def _powers(table: pd.DataFrame, layers: pd.DataFrame, ax: Axes) -> None:
    """Draw best powers over 1/(linear layers to the output)."""
    linear = table[(table["dataset"] == LINEAR) & (table["epoch"] == table["epochs"])]
    handles = []
    learned = layers[layers["learned"] & ~layers["factor"].isin(THEOREMS)]
    for rows, role, label in ((learned, "agop", "trained"), (linear, "nfm", "deep linear")):
        groups = rows.groupby("alpha_linear")["alpha_best"]
        low, middle, high = groups.quantile(0.25), groups.median(), groups.quantile(0.75)
        ax.vlines(middle.index, low, high, color=ROLES[role], linewidth=1.2)
        ax.plot(middle.index, middle, MARKERS[role], color=ROLES[role])
        handles.append(Line2D([], [], color=ROLES[role], marker=MARKERS[role], linestyle="", label=label))
    ax.plot([0, 1], [0, 1], color=ROLES["null"], linewidth=0.8, linestyle="--")
    ax.axhline(0.5, color=ROLES["null"], linewidth=0.8, linestyle=":")
    ax.set(xlim=(0.1, 1.05), ylim=(0, 1.55), xlabel="1/(layers to the output)", ylabel="best α")
    ax.set_title("medians and quartiles", fontsize=7)
    ax.legend(handles=handles, loc="upper left", handletextpad=0.3)
