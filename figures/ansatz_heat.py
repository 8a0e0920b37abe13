"""NFM against AGOP, its excess over chance, and NFM against init, for every setting of the sweep and every layer."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle

from figures.ansatz_sweep import at_end
from figures.parts import letter
from nfa.plots import DOUBLE, ROLES, literal
from nfa.plots.conventions import HATCH
from nfa.plots.theme import DIVERGING, SEQUENTIAL

TABLE = "ansatz_sweep"
"""The analysis whose table is drawn."""
PANELS = {
    "cosine": ("NFM and AGOP", SEQUENTIAL, (0.0, 1.0)),
    "excess": ("{}, less by chance", DIVERGING, (-0.8, 0.8)),
    "init_cosine": ("NFM and init's NFM", SEQUENTIAL, (0.0, 1.0)),
}
"""Quantity -> title, colours, range."""


def draw(table: pd.DataFrame) -> Figure:
    """Draw a row for each data set: settings by layer, means over seeds; hatched where no seed has learned."""
    layers = at_end(table)
    # Alignment is what a cosine says beyond the spectra; older tables do not have it.
    similarity, null = ("alignment", "alignment_null") if "alignment" in layers else ("cosine", "null")
    layers = layers.assign(excess=layers[similarity] - layers[null])
    datasets = list(dict.fromkeys(layers["dataset"]))
    heights = [0.75 + 0.145 * layers.loc[layers["dataset"] == name, "level"].nunique() for name in datasets]
    fig = Figure(figsize=(DOUBLE, sum(heights) + 0.3))
    parts = np.atleast_1d(np.array(fig.subfigures(len(datasets), 1, height_ratios=heights), dtype=object))
    lettered = []
    for part, name in zip(parts, datasets, strict=True):
        rows = layers[layers["dataset"] == name]
        axes = part.subplots(1, len(PANELS), squeeze=False)[0]
        for number, (ax, quantity) in enumerate(zip(axes, PANELS, strict=True)):
            _map(rows, quantity, ax, similarity, named=number == 0)
        axes[0].set_ylabel(literal(name))
        lettered.append(axes[0])
    letter(lettered)
    chance = "gradients turned at random" if "rotated_cosine" in table else "untrained network"
    hatched = Patch(facecolor="white", edgecolor=ROLES["null"], hatch=HATCH, label="no seed has learned the task")
    fig.legend(handles=[hatched], loc="outside upper center", title=f"cosines, means over seeds; by chance: {chance}")
    return fig


def _map(rows: pd.DataFrame, quantity: str, ax: Axes, similarity: str, named: bool) -> None:
    title, colours, (low, high) = PANELS[quantity]
    levels = list(dict.fromkeys(rows["level"]))
    names = list(rows.drop_duplicates("layer").sort_values("layer")["name"])
    means = rows.pivot_table(index="level", columns="name", values=quantity).reindex(index=levels, columns=names)
    learned = rows.groupby("level")["learned"].any()
    values = means.to_numpy()
    image = ax.imshow(values, cmap=colours, vmin=low, vmax=high, aspect="auto")
    for line, column in np.ndindex(values.shape):
        value = values[line, column]
        if value == value:
            shade = image.cmap(image.norm(value))
            ink = "black" if np.dot(shade[:3], (0.299, 0.587, 0.114)) > 0.5 else "white"
            ax.text(
                column,
                line,
                f"{round(value, 2) + 0.0:.2f}".replace("-", "−"),
                ha="center",
                va="center",
                fontsize=7,
                color=ink,
                zorder=3,
            )
    for line, level in enumerate(levels):
        known = np.flatnonzero(~np.isnan(values[line]))
        if not learned[level] and len(known):
            place, size = (known[0] - 0.5, line - 0.5), known[-1] - known[0] + 1
            ax.add_patch(Rectangle(place, size, 1, fill=False, hatch=HATCH, edgecolor=ROLES["null"], linewidth=0))
    ax.set_title(title.format(similarity))
    ax.set_xticks(range(len(names)), [name.removeprefix("layers.") for name in names])
    ax.set_yticks(range(len(levels)), levels if named else [])
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    ax.set_xlabel("layers.N")
