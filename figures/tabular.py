"""Accuracy of every method on every data set, less that of the tuned RFM on the same folds."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from scipy.stats import t

from analyses.tabular_summary import LEAKING, mean_accuracies
from nfa.plots import DOUBLE, ROLES, figure
from nfa.plots.theme import INK

REFERENCE = "rfm_cv"
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
MARKS = {"rfm": "^", "leaks": "X", "other": "o"}
"""A kind of method is told by its mark too, not by colour alone."""


def draw(table: pd.DataFrame) -> Figure:
    """Draw each data set's difference as a tick, their mean and its 95 % interval; methods by that mean."""
    accuracies = 100 * mean_accuracies(table)
    reference = REFERENCE if REFERENCE in accuracies else accuracies.columns[0]
    differences = accuracies.drop(columns=reference).sub(accuracies[reference], axis=0)
    order = list(differences.mean().sort_values(ascending=False).index)
    fig, axes = figure(width=DOUBLE, height=0.7 + 0.27 * len(order))
    for y, method in enumerate(order):
        kind = "leaks" if method in LEAKING else "rfm" if method.startswith("rfm") else "other"
        colour = {"leaks": ROLES["init"], "rfm": ROLES["rfm"], "other": ROLES["null"]}[kind]
        values = differences[method].to_numpy()
        axes.plot(values, np.full(len(values), y), "|", color=colour, markersize=6, alpha=0.6, linestyle="")
        half = interval(values)
        axes.hlines(y, values.mean() - half, values.mean() + half, color=INK, linewidth=1.6, zorder=3)
        axes.plot(values.mean(), y, MARKS[kind], color=INK, markerfacecolor=colour, markersize=5, zorder=4)
    means = accuracies.mean()
    axes.set_yticks(range(len(order)), [f"{LABELS[name]}  {means[name]:.1f} %" for name in order])
    axes.set_ylim(len(order) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x", alpha=0.25)
    axes.axvline(0, color=INK, linewidth=0.8)
    against = f"{LABELS[reference]}, {means[reference]:.1f} %"
    axes.set_xlabel(
        f"accuracy less that of {against}, in points ({len(accuracies)} data sets)\n"
        "stroke: a data set; mark: mean with its 95 % interval over data sets (paired, Student's t)"
    )
    return fig


def interval(values: np.ndarray) -> float:
    """Return half the length of the 95 % interval of a mean.

    >>> round(interval(np.array([1.0, 2.0, 3.0])), 2)
    2.48
    """
    n = len(values)
    return float(t.ppf(0.975, n - 1) * values.std(ddof=1) / np.sqrt(n)) if n > 1 else float("nan")
