"""Accuracy of every method on every data set: how far below the best, and the means."""

import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure

from analyses.tabular_summary import LEAKING, best_of, mean_accuracies, summary
from nfa.plots import DOUBLE, ROLES, figure
from nfa.plots.theme import INK

LABELS = {
    "rfm_cv": "RFM, tuned (rfm_cv)",
    "rfm_inside_fold": "RFM, authors' grid inside fold",
    "rfm_authors": "RFM, authors' protocol (leaks)",
    "random_forest": "random forest",
    "boosting": "gradient boosting",
    "svm": "support vector machine",
    "mlp": "MLP",
    "xrfm": "xRFM",
}


def draw(table: pd.DataFrame) -> Figure:
    """Draw each data set's distance to the best method as a tick, and their mean; methods by mean accuracy."""
    accuracies = mean_accuracies(table)
    means = summary(accuracies)["mean"].sort_values(ascending=False)
    below = 100 * accuracies.sub(best_of(accuracies), axis=0)
    long = below.reset_index().melt("dataset", var_name="method", value_name="below")
    fig, axes = figure(width=DOUBLE, height=2.8)
    order = list(means.index)
    colours = {name: ROLES["rfm"] if name.startswith("rfm") else ROLES["null"] for name in order}
    colours |= dict.fromkeys(LEAKING, ROLES["init"])
    dots = {"order": order, "ax": axes, "jitter": False, "marker": "|", "linewidth": 0.8, "size": 6, "legend": False}
    sns.stripplot(long, x="below", y="method", hue="method", palette=colours, alpha=0.6, **dots)
    spread = {"errorbar": ("ci", 95), "seed": 0, "linestyle": "none", "err_kws": {"linewidth": 1.2}}
    sns.pointplot(long, x="below", y="method", order=order, color=INK, marker="D", markersize=3, ax=axes, **spread)
    axes.set_yticks(range(len(order)), [f"{LABELS[name]}  {means[name]:.1f} %" for name in order])
    axes.axvline(0, color=INK, linewidth=0.8, alpha=0.4)
    unit = f"accuracy minus the best of the methods that do not leak, points ({len(accuracies)} data sets)"
    axes.set(xlabel=f"{unit}\ntick: one data set; diamond: mean, 95 % bootstrap interval", ylabel="")
    return fig
