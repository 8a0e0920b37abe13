"""Simplicity bias: where NFM, AGOP and M lie, and what is left without either half."""

import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure

from nfa.plots import DOUBLE, ROLES, figure, literal
from nfa.plots.parts.picture import picture

ACCURACIES = {
    "intact": "intact",
    "complex_shuffled": "complex half shuffled",
    "simple_shuffled": "simple half shuffled",
}
PICTURES = {"nfm_at": "network's NFM", "agop_at": "network's AGOP", "M_at": "RFM's M"}
MODELS = {"network": ROLES["network"], "rfm": ROLES["rfm"]}


def draw(table: pd.DataFrame) -> Figure:
    """Draw a row for each data set: accuracies with both halves, and the diagonals of seed 0."""
    datasets = list(dict.fromkeys(table["dataset"]))
    fig, axes = figure(len(datasets), 4, width=DOUBLE, height=0.6 + 1.3 * len(datasets), squeeze=False)
    both = table[table["halves"] == "both"]
    for line, dataset in zip(axes, datasets, strict=True):
        part = both[both["dataset"] == dataset]
        rows = part[part["quantity"].isin(ACCURACIES)]
        name = f"{literal(part['simple'].iloc[0])} beside\n{literal(dataset)}" if len(part) else literal(dataset)
        line[0].set_title(name)
        if len(rows):
            bars = {"hue": "model", "hue_order": list(MODELS), "palette": MODELS, "errorbar": ("pi", 100)}
            sns.barplot(
                rows.assign(accuracy=100 * rows["value"]), x="accuracy", y="quantity", order=list(ACCURACIES),
                err_kws={"linewidth": 1.0}, legend=dataset == datasets[0], ax=line[0], **bars,
            )  # fmt: skip
            line[0].set_yticks(range(len(ACCURACIES)), list(ACCURACIES.values()))
            line[0].set(xlabel="test accuracy, %", ylabel="", xlim=(0, 101))
        if line[0].get_legend() is not None:
            sns.move_legend(line[0], "lower left", bbox_to_anchor=(-0.9, 1.0), title="bars: range of seeds")
        for ax, (quantity, title) in zip(line[1:], PICTURES.items(), strict=True):
            ax.set_axis_off()
            entries = part[part["quantity"] == quantity]
            if len(entries):
                pixels = entries.pivot_table(index="row", columns="column", values="value").to_numpy()
                picture(pixels.ravel(), pixels.shape, ax)
                half = pixels[:, : pixels.shape[1] // 2].sum() / pixels.sum()
                ax.set_title(f"{title}:\nsimple half {100 * half:.0f} %")
    return fig
