"""Spurious features: how much of the mark is found, and what accuracy owes to it."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from figures.parts import above, dashed, dots, grid, letter, model_handles
from nfa.plots import DOUBLE, ROLES, figure, literal
from nfa.plots.parts.picture import photograph, picture

SHARES = {
    "found": "mark's pixels among the\nlargest of AGOP, M, %",
    "share": "mark's share of trace, %",
}
ACCURACIES = {
    "as_trained": "marked as in training",
    "removed": "mark removed",
    "moved": "mark on the other class",
    "repaired": "trained again without\nwhat was found",
}
PICTURES = {"sample_at": "a sample", "agop_at": "AGOP", "M_at": "M"}


def draw(table: pd.DataFrame) -> Figure:
    """Draw axes for each data set and mark: shares above accuracies; a sample and the diagonals of seed 0 beside."""
    datasets, marks = list(dict.fromkeys(table["dataset"])), sorted(table["goes_with"].unique(), reverse=True)
    pictures = bool(table["quantity"].isin(PICTURES).any())
    ratios = {"height_ratios": [len(SHARES), len(ACCURACIES)] * len(datasets), "squeeze": False}
    widths = {"width_ratios": [*[1] * len(marks), *([0.62] if pictures else [])]}
    fig, axes = figure(
        2 * len(datasets), len(marks) + pictures, width=DOUBLE, height=0.5 + 2.7 * len(datasets), **ratios, **widths
    )
    for number, dataset in enumerate(datasets):
        upper, lower = axes[2 * number], axes[2 * number + 1]
        of_set = table[table["dataset"] == dataset]
        for place, goes_with in enumerate(marks):
            rows = of_set[of_set["goes_with"] == goes_with]
            _panel(rows, upper[place], SHARES, named=place == 0)
            _panel(rows, lower[place], ACCURACIES, named=place == 0)
            pixels = rows.loc[rows["quantity"] == "pixels", "value"]
            if len(pixels):
                upper[place].axvline(100 * pixels.mean(), color=ROLES["null"], linestyle="--", linewidth=1)
            lower[place].axvline(50, color=ROLES["null"], linestyle="--", linewidth=1)
            upper[place].set_title(f"{literal(dataset)}, mark goes\nwith the class in {100 * goes_with:.0f} %")
            upper[place].tick_params(labelbottom=False)
            lower[place].set_xlabel("test accuracy, %")
        if pictures:
            _pictures(of_set[of_set["goes_with"] == marks[0]], upper[-1], lower[-1])
    letter([axes[2 * number, 0] for number in range(len(datasets))])
    handles = model_handles()
    handles[0].set_label(f"network (strokes: range of {table['seed'].nunique()} seeds)")
    above(fig, [*handles, dashed("chance: share of the pixels, one of two classes")])
    return fig


def _panel(rows: pd.DataFrame, ax: Axes, quantities: dict[str, str], named: bool) -> None:
    dots(rows.assign(value=100 * rows["value"]), quantities, ax, named=named)
    ax.set_xlim(-1, 101)


def _pictures(rows: pd.DataFrame, upper: Axes, lower: Axes) -> None:
    """Draw the sample above, AGOP and M below each other."""
    upper.set_axis_off()
    lower.set_axis_off()
    sample = rows[(rows["quantity"] == "sample_at") & (rows["model"] == "network")]
    if len(sample):
        pixels = grid(sample)
        photograph(pixels.ravel(), pixels.shape, upper)
        upper.set_title("a sample")
    for place, (quantity, label) in enumerate((("agop_at", "AGOP"), ("M_at", "M"))):
        entries = rows[rows["quantity"] == quantity]
        if len(entries):
            inset = lower.inset_axes((0, 0.53 * (1 - place), 1, 0.4))
            pixels = grid(entries)
            picture(pixels.ravel(), pixels.shape, inset)
            inset.set_title(f"{label}, diagonal", pad=2)
