"""Spurious features: how much of the mark is found, and what accuracy owes to it."""

import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure

from nfa.plots import DOUBLE, ROLES, figure, literal

QUANTITIES = {
    "found": "mark's pixels among\nthe largest of AGOP, M",
    "share": "mark's share of trace",
    "pixels": "mark's share of pixels",
    "as_trained": "accuracy, marked\nas in training",
    "removed": "accuracy, mark removed",
    "moved": "accuracy, mark on\nthe other class",
    "repaired": "accuracy, trained again\nwithout what was found",
}
MODELS = {"network": ROLES["network"], "rfm": ROLES["rfm"]}


def draw(table: pd.DataFrame) -> Figure:
    """Draw axes for each data set (rows) and mark (columns): means over seeds, bars their range."""
    datasets, marks = list(dict.fromkeys(table["dataset"])), sorted(table["goes_with"].unique(), reverse=True)
    size = {"width": DOUBLE, "height": 0.5 + 2.6 * len(datasets), "squeeze": False, "sharey": True, "sharex": True}
    fig, axes = figure(len(datasets), len(marks), **size)
    for line, dataset in zip(axes, datasets, strict=True):
        for ax, goes_with in zip(line, marks, strict=True):
            rows = table[(table["dataset"] == dataset) & (table["goes_with"] == goes_with)]
            first = ax is axes[0, 0]
            bars = {"hue": "model", "hue_order": list(MODELS), "palette": MODELS, "errorbar": ("pi", 100)}
            sns.barplot(
                rows.assign(percent=100 * rows["value"]), x="percent", y="quantity", order=list(QUANTITIES),
                err_kws={"linewidth": 1.0}, legend=first, ax=ax, **bars,
            )  # fmt: skip
            ax.set_yticks(range(len(QUANTITIES)), list(QUANTITIES.values()))
            ax.set_title(f"{literal(dataset)}: mark goes\nwith the class in {100 * goes_with:.0f} %")
            ax.set(xlabel=f"% ({table['seed'].nunique()} seeds, bars: range)", ylabel="", xlim=(0, 101))
            if first and ax.get_legend() is not None:
                sns.move_legend(ax, "lower left", bbox_to_anchor=(-0.8, 1.0), title=None)
    return fig
