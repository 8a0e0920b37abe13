"""Accuracy of every method on every data set: how far below the best, and the means."""

import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure

from analyses.tabular_summary import mean_accuracies, summary
from nfa.plots import DOUBLE, ROLES, figure

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
    """Draw each data set's distance to the best method as a dot, its mean as a bar; methods by mean accuracy."""
    accuracies = mean_accuracies(table)
    means = summary(accuracies)["mean"].sort_values(ascending=False)
    below = 100 * accuracies.sub(accuracies.max(axis=1), axis=0)
    long = below.reset_index().melt("dataset", var_name="method", value_name="below")
    fig, axes = figure(width=DOUBLE, height=2.8)
    order = list(means.index)
    colours = {name: ROLES["rfm"] if name.startswith("rfm") else ROLES["null"] for name in order}
    sns.stripplot(
        long,
        x="below",
        y="method",
        order=order,
        hue="method",
        palette=colours,
        size=2.5,
        alpha=0.5,
        legend=False,
        ax=axes,
    )
    sns.pointplot(
        long, x="below", y="method", order=order, errorbar=("ci", 95), seed=0, color="black", linestyle="none",
        marker="|", markersize=7, err_kws={"linewidth": 1.2}, ax=axes,
    )  # fmt: skip
    axes.set_yticks(range(len(order)), [f"{LABELS[name]}  {means[name]:.1f} %" for name in order])
    axes.set(
        xlabel=f"accuracy below the best method's, points ({len(accuracies)} data sets; bar: mean and 95 % interval)",
        ylabel="",
        xlim=(-25, 1),
    )
    return fig
