"""What the table of `analyses.ansatz_sweep` says: where the ansatz holds, which power, and its rival.

Only layers whose gradient changes from row to row count: in the head NFM and AGOP agree whatever was learned. A network
has *learned* if its test score is at least half-way from a constant answer's to 1; a layer has *moved* if its NFM's
cosine with init's is at least half-way from 1 down to that of independent weights, k/(k+d). The ansatz *holds* in
a layer of a network that has learned if the layer has moved and cosine(NFM, AGOP) is above the untrained network's.
"""

import pandas as pd

from analyses.spread import spread

LINEAR = "linear"
SETTING = ["dataset", "factor", "level", "seed"]


def measured(table: pd.DataFrame) -> pd.DataFrame:
    """Return the layers at the end of training, beside their nulls: a column `NAME_null` for each similarity.

    Adds `learned`, `moved` and `holds`. Heads are left out.
    """
    before = table[table["epoch"] == 0]
    after = table[(table["epoch"] == table["epochs"]) & (table["dataset"] != LINEAR)]
    nulls = ["cosine", "cosine_centered", "cosine_sqrt", "cosine_alpha_linear", "cosine_alpha_best", "fact_cosine"]
    found = after.merge(before[[*SETTING, "layer", *nulls]], on=[*SETTING, "layer"], suffixes=("", "_null"))
    found = found[~found["trivial"].astype(bool)].copy()
    found["learned"] = found["score"] >= (1 + found["baseline"]) / 2
    found["moved"] = found["init_cosine"] <= (1 + found["init_cosine_null"]) / 2
    found["holds"] = found["moved"] & (found["cosine"] > found["cosine_null"])
    return found


def findings(table: pd.DataFrame) -> list[str]:
    """Say where the ansatz holds and where not."""
    layers = measured(table)
    found = _deep_linear(table)
    for dataset, rows in layers.groupby("dataset", sort=False):
        found += _base(str(dataset), rows) + _over_settings(str(dataset), rows)
        found += _powers(str(dataset), rows) + _others(str(dataset), rows) + _rival(str(dataset), rows)
        found += _early(str(dataset), table[table["dataset"] == dataset])
    return found or ["No network has been trained to its end yet."]


def _deep_linear(table: pd.DataFrame) -> list[str]:
    rows = table[(table["dataset"] == LINEAR) & (table["epoch"] == table["epochs"])]
    below = rows[rows["alpha_linear"] < 1]
    if below.empty:
        return []
    exact, half, one = (below[name] for name in ("cosine_alpha_linear", "cosine_sqrt", "cosine"))
    return [
        f"Deep linear networks with weight decay ({_networks(below)} networks, layers below the head): "
        f"cosine(NFM, AGOP^alpha) is at least {exact.min():.5f} at alpha = 1/(linear layers from there to the output), "
        f"{half.min():.3f} to {half.max():.3f} at 1/2, {one.min():.3f} to {one.max():.3f} at 1; "
        f"|W'W - R| / |W'W| is at most {below['fact_residual'].max():.1e}."
    ]


def _base(dataset: str, rows: pd.DataFrame) -> list[str]:
    base = rows[rows["factor"] == "base"]
    found = []
    for layer, group in base.groupby("layer"):
        found.append(
            f"{dataset}, base, layer {layer}: cosine(NFM, AGOP) {spread(group['cosine'])}, untrained "
            f"{spread(group['cosine_null'])}; centered {spread(group['cosine_centered'])}, untrained "
            f"{spread(group['cosine_centered_null'])}; with init's NFM {spread(group['init_cosine'])}, by chance "
            f"{group['init_cosine_null'].mean():.2f}."
        )
    if len(base):
        scores = base.groupby("seed")["score"].first()
        found.append(f"{dataset}, base: test accuracy {spread(scores)}, means and ranges over {len(scores)} seeds.")
    return found


def _over_settings(dataset: str, rows: pd.DataFrame) -> list[str]:
    learned = rows[rows["learned"]]
    found = []
    if len(learned):
        levels = learned.groupby("level", sort=False)["holds"].mean()
        found.append(
            f"{dataset}: the ansatz holds in {learned['holds'].sum()} of {len(learned)} layers of networks that have "
            f"learned; in all layers and seeds of {(levels == 1).sum()} of {len(levels)} settings."
        )
        for level, group in learned[~learned["holds"]].groupby("level", sort=False):
            still, below = group[~group["moved"]], group[group["cosine"] <= group["cosine_null"]]
            parts = []
            if len(still):
                parts.append(f"{len(still)} near their init (cosine {spread(still['init_cosine'])})")
            if len(below):
                parts.append(
                    f"{len(below)} with a cosine no higher than untrained ({spread(below['cosine'])} against "
                    f"{spread(below['cosine_null'])})"
                )
            of = (learned["level"] == level).sum()
            found.append(f"{dataset}, {level}: it does not in {len(group)} of {of} layers: {', '.join(parts)}.")
    for level, group in rows[~rows["learned"]].groupby("level", sort=False):
        found.append(
            f"{dataset}, {level}: networks that have not learned: {_networks(group)} (score {spread(group['score'])}); "
            f"their cosine(NFM, AGOP) is {spread(group['cosine'])} all the same."
        )
    return found


def _powers(dataset: str, rows: pd.DataFrame) -> list[str]:
    # Where the theory's power is 1/2 itself nothing is to be told apart.
    layers = rows[rows["learned"] & ((rows["alpha_linear"] - 0.5).abs() > 0.01)]
    if layers.empty:
        return []
    to_half, to_linear = (layers["alpha_best"] - 0.5).abs(), (layers["alpha_best"] - layers["alpha_linear"]).abs()
    columns = ["cosine", "cosine_sqrt", "cosine_alpha_linear", "cosine_alpha_best"]
    one, half, theory, best = (f"{layers[c].mean():.3f} (untrained {layers[f'{c}_null'].mean():.3f})" for c in columns)
    return [
        f"{dataset}: the best power is nearer to 1/2 than to 1/(linear layers to the output) in "
        f"{(to_half < to_linear).sum()} of {len(layers)} layers (mean distances {to_half.mean():.2f} and "
        f"{to_linear.mean():.2f}), and {layers['alpha_best'].median():.2f} in the median. "
        f"Mean cosine at the best power {best}, at 1 {one}, at 1/2 {half}, at the theory's {theory}."
    ]


def _others(dataset: str, rows: pd.DataFrame) -> list[str]:
    layers = rows[rows["learned"]]
    if layers.empty:
        return []
    return [
        f"{dataset}, networks that have learned, means over layers: the authors' own number (change of weights on both "
        f"sides) {layers['cnfa_cosine'].mean():.3f}, change of weights against the AGOP "
        f"{layers['delta_cosine'].mean():.3f}, NFM against AGOP {layers['cosine'].mean():.3f}, against the centered "
        f"AGOP {layers['cosine_centered'].mean():.3f} (untrained {layers['cosine_centered_null'].mean():.3f}; above "
        f"the untrained network's in {(layers['cosine_centered'] > layers['cosine_centered_null']).sum()} of "
        f"{len(layers)} layers)."
    ]


def _rival(dataset: str, rows: pd.DataFrame) -> list[str]:
    found = []
    for level, group in rows[rows["learned"] & (rows["weight_decay"] > 0)].groupby("level", sort=False):
        found.append(
            f"{dataset}, {level}: the rival, W'W against -(1/lambda) W'dL/dW: cosine {spread(group['fact_cosine'])} "
            f"(untrained {spread(group['fact_cosine_null'])}), relative residual {spread(group['fact_residual'])} "
            f"(0 at a rest point of training); the ansatz's cosine {spread(group['cosine'])}."
        )
    return found


def _early(dataset: str, table: pd.DataFrame) -> list[str]:
    rows = table[(table["factor"] == "base") & ~table["trivial"].astype(bool) & (table["epoch"] > 0)]
    rows = rows[rows["score"] < (1 + rows["baseline"]) / 2]
    if rows.empty:
        return []
    first = rows[rows["epoch"] == rows["epoch"].min()]
    return [
        f"{dataset}: the cosine says nothing about learning on its own: after epoch {int(first['epoch'].iloc[0])}, at "
        f"accuracy {spread(first['score'])} (a constant answer: {first['baseline'].mean():.2f}), it is "
        f"{spread(first['cosine'])}."
    ]


def _networks(rows: pd.DataFrame) -> int:
    return len(rows[SETTING].drop_duplicates())
