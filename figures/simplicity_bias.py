"""Simplicity bias: where NFM, AGOP and M lie, and what is left without either half."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from numpy.typing import NDArray

from figures.parts import above, dashed, dots, grid, letter, model_handles
from nfa.plots import DOUBLE, ROLES, figure, literal
from nfa.plots.parts.picture import photograph, picture
from nfa.plots.theme import SEQUENTIAL

ACCURACIES = {
    "intact": "intact",
    "complex_shuffled": "complex half\nshuffled",
    "simple_shuffled": "simple half\nshuffled",
}
PICTURES = {"sample_at": "a sample", "nfm_at": "network's NFM", "agop_at": "network's AGOP", "M_at": "RFM's M"}
CLASSES = {"digits": 2}
"""Classes of a task by its complex set; of others ten. A guess is right in one of so many."""


def draw(table: pd.DataFrame) -> Figure:
    """Draw a row for each data set: accuracies with both halves, a sample, and the diagonals of seed 0."""
    both = table[table["halves"] == "both"]
    shown = [quantity for quantity in PICTURES if (both["quantity"] == quantity).any()]
    datasets = list(dict.fromkeys(table["dataset"]))
    ratios = {"width_ratios": [1.25, *[1] * len(shown)], "squeeze": False}
    fig, axes = figure(len(datasets), 1 + len(shown), width=DOUBLE, height=0.5 + 1.35 * len(datasets), **ratios)
    for line, dataset in zip(axes, datasets, strict=True):
        part = both[both["dataset"] == dataset]
        dots(part.assign(value=100 * part["value"]), ACCURACIES, line[0])
        chance = 100 / CLASSES.get(dataset, 10)
        line[0].axvline(chance, color=ROLES["null"], linestyle="--", linewidth=1)
        line[0].set(xlabel="test accuracy, %", xlim=(0, 101))
        simple = literal(part["simple"].iloc[0]) if len(part) else ""
        line[0].set_title(f"{simple} beside\n{literal(dataset)}")
        for ax, quantity in zip(line[1:], shown, strict=True):
            _picture(part[part["quantity"] == quantity], quantity, ax)
        if not shown:
            continue
        bar = fig.colorbar(
            ScalarMappable(Normalize(0, 1), SEQUENTIAL), ax=list(line[1:]), shrink=0.6, ticks=[0, 1], pad=0.01
        )
        bar.ax.set_yticklabels(["0", "largest"])
    letter(list(axes[:, 0]))
    seeds = table["seed"].nunique()
    handles = model_handles()
    handles[0].set_label(f"network (strokes: range of {seeds} seeds)")
    above(fig, [*handles, dashed("chance")])
    return fig


def _picture(entries: pd.DataFrame, quantity: str, ax: Axes) -> None:
    ax.set_axis_off()
    if entries.empty:
        return
    pixels = grid(entries)
    if quantity == "sample_at":
        photograph(pixels.ravel(), pixels.shape, ax)
        ax.set_title(f"{PICTURES[quantity]}\nsimple | complex")
        return
    picture(pixels.ravel(), pixels.shape, ax)
    ax.set_title(f"{PICTURES[quantity]}:\nsimple half {100 * _half(pixels):.0f} %")


def _half(pixels: NDArray) -> float:
    return float(pixels[:, : pixels.shape[1] // 2].sum() / pixels.sum())
