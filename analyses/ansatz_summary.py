"""What the table of `analyses.ansatz_sweep` says: where the ansatz holds, which power, two theorems, published numbers.

Only layers whose gradient changes from row to row count, since in the head NFM and AGOP agree whatever was learned;
and where one layer is trained alone, that one. The ansatz *holds* in a layer whose verdict is `learned`
(nfa.audits.verdict: a network that has learned its task, weights that moved, and that point where the output's
gradients do). Beside a cosine of NFM and AGOP stands what it is with the gradients turned at random
(`rotated_cosine`), and the untrained network's.
"""

import pandas as pd

from analyses.spread import spread
from nfa.report.words import AT_REST

LINEAR = "linear"
SETTING = ["dataset", "factor", "level", "seed"]
THEOREMS = ("one layer", "rest")
"""Factors that are settings of theorems, not of networks as they are trained elsewhere."""
UNTRAINED = ("cosine_centered", "cosine_alpha_linear", "cosine_alpha_best", "fact_cosine")
"""Similarities whose untrained value an audit does not have beside them."""
PUBLISHED = ("published_cosine", "published_pearson_sqrt", "published_pearson_sqrt_centered")


def measured(table: pd.DataFrame) -> pd.DataFrame:
    """Return the layers at the end of training; adds `untrained_NAME` for each name in `UNTRAINED`, and `holds`.

    Left out are deep linear networks, heads, and layers that were not trained.
    """
    before = table[table["epoch"] == 0][[*SETTING, "layer", *UNTRAINED]]
    before = before.rename(columns={name: f"untrained_{name}" for name in UNTRAINED})
    after = table[(table["epoch"] == table["epochs"]) & (table["dataset"] != LINEAR)]
    found = after.merge(before, on=[*SETTING, "layer"])
    found = found[~found["trivial"].astype(bool) & (found["alone"].isna() | (found["alone"] == found["layer"]))].copy()
    found["task_learned"] = found["task_learned"].astype(bool)
    found["holds"] = found["verdict"] == "learned"
    return found


def findings(table: pd.DataFrame) -> list[str]:
    """Say where the ansatz holds and where not."""
    layers = measured(table)
    found = _deep_linear(table)
    for name, rows in layers.groupby("dataset", sort=False):
        dataset, usual = str(name), rows[~rows["factor"].isin(THEOREMS)]
        found += _base(dataset, usual) + _over_settings(dataset, usual) + _powers(dataset, usual)
        found += _published(dataset, usual) + _one_layer(dataset, rows[rows["factor"] == "one layer"])
        found += _rival(dataset, usual) + _at_rest(dataset, table[table["dataset"] == dataset])
        found += _early(dataset, table[table["dataset"] == dataset])
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
    found = [
        f"{dataset}, base, layer {layer}: {_alignment(group)}; untrained {spread(group['untrained_alignment'])}; "
        f"{_cosine(group)}; centered {spread(group['cosine_centered'])}, untrained "
        f"{spread(group['untrained_cosine_centered'])}; with init's NFM {spread(group['init_cosine'])}, by chance "
        f"{group['init_cosine_null'].mean():.2f}."
        for layer, group in base.groupby("layer")
    ]
    if len(base):
        scores = base.groupby("seed")["score"].first()
        found.append(f"{dataset}, base: test score {spread(scores)}, means and ranges over {len(scores)} seeds.")
    return found


def _over_settings(dataset: str, rows: pd.DataFrame) -> list[str]:
    learned = rows[rows["task_learned"]]
    found = []
    if len(learned):
        levels = learned.groupby("level", sort=False)["holds"].mean()
        holds = learned[learned["holds"]]
        least = f", z {holds['alignment_z'].min():.0f} or more" if len(holds) else ""
        above = (learned["cosine"] > learned[["rotated_cosine", "untrained_cosine"]].max(axis=1)).sum()
        found += [
            f"{dataset}: the ansatz holds (verdict learned{least}) in {len(holds)} of {len(learned)} layers of "
            f"networks that have learned; in all layers and seeds of {(levels == 1).sum()} of {len(levels)} settings.",
            f"{dataset}: in these {len(learned)} layers cosine(NFM, AGOP) is {learned['cosine'].mean():.2f} on "
            f"average, {learned['rotated_cosine'].mean():.2f} with the gradients turned and "
            f"{learned['untrained_cosine'].mean():.2f} untrained, and above both in {above}; against the centered AGOP "
            f"{learned['cosine_centered'].mean():.2f}, untrained {learned['untrained_cosine_centered'].mean():.2f}.",
        ]
        for level, group in learned[~learned["holds"]].groupby("level", sort=False):
            parts = [
                f"{len(part)} {verdict} (moved {spread(part['moved'], 2)}; {_alignment(part)})"
                for verdict, part in group.groupby("verdict")
            ]
            of = (learned["level"] == level).sum()
            found.append(f"{dataset}, {level}: it does not in {len(group)} of {of} layers: {', '.join(parts)}.")
    for level, group in rows[~rows["task_learned"]].groupby("level", sort=False):
        found.append(
            f"{dataset}, {level}: networks that have not learned: {_networks(group)} (score {spread(group['score'])}); "
            f"{_alignment(group)}; {_cosine(group)} all the same."
        )
    return found


def _powers(dataset: str, rows: pd.DataFrame) -> list[str]:
    # Where the theory's power is 1/2 itself nothing is to be told apart.
    layers = rows[rows["task_learned"] & ((rows["alpha_linear"] - 0.5).abs() > 0.01)]
    if layers.empty:
        return []
    to_half, to_linear = (layers["alpha_best"] - 0.5).abs(), (layers["alpha_best"] - layers["alpha_linear"]).abs()
    columns = ["cosine", "cosine_sqrt", "cosine_alpha_linear", "cosine_alpha_best"]
    one, half, theory, best = (
        f"{layers[name].mean():.3f} (untrained {layers[f'untrained_{name}'].mean():.3f})" for name in columns
    )
    return [
        f"{dataset}: the best power is nearer to 1/2 than to 1/(linear layers to the output) in "
        f"{(to_half < to_linear).sum()} of {len(layers)} layers (mean distances {to_half.mean():.2f} and "
        f"{to_linear.mean():.2f}), and {layers['alpha_best'].median():.2f} in the median. "
        f"Mean cosine at the best power {best}, at 1 {one}, at 1/2 {half}, at the theory's {theory}."
    ]


def _published(dataset: str, rows: pd.DataFrame) -> list[str]:
    if PUBLISHED[0] not in rows:
        return []
    trained = rows[rows["task_learned"] & rows[PUBLISHED[0]].notna()]
    found = []
    for (level, layer), group in trained.groupby(["level", "layer"], sort=False):
        numbers = ", ".join(
            f"{name} {spread(group[name], 2)} (turned: mean {spread(group[f'{name}_null'], 2)}, largest "
            f"{spread(group[f'{name}_null_high'], 2)})"
            for name in PUBLISHED
        )
        found.append(
            f"{dataset}, {level}, layer {layer}: {numbers}; {_cosine(group)}; {_alignment(group)}; with init's NFM "
            f"{spread(group['init_cosine'], 2)}."
        )
    return found


def _one_layer(dataset: str, rows: pd.DataFrame) -> list[str]:
    return [
        f"{dataset}, {level} trained, from almost 0 (score {spread(group['score'])}): {_alignment(group)}; "
        f"{_cosine(group)}; with the root of the AGOP {spread(group['cosine_sqrt'])}; verdicts: "
        f"{', '.join(sorted(set(group['verdict'])))}."
        for level, group in rows.groupby("level", sort=False)
    ]


def _rival(dataset: str, rows: pd.DataFrame) -> list[str]:
    return [
        f"{dataset}, {level}: Features at Convergence Theorem (FACT), W'W against -(1/lambda) W'dL/dW: cosine "
        f"{spread(group['fact_cosine'])} (untrained {spread(group['untrained_fact_cosine'])}); rest "
        f"{spread(group['fact_rest'])}, where above {AT_REST} it says nothing."
        for level, group in rows[rows["task_learned"] & (rows["weight_decay"] > 0)].groupby("level", sort=False)
    ]


def _at_rest(dataset: str, table: pd.DataFrame) -> list[str]:
    found = []
    rows = table[(table["factor"] == "rest") & (table["epoch"] > 0) & ~table["trivial"].astype(bool)]
    for (level, steps), group in rows.groupby(["level", "epoch"], sort=False):
        layers = ", ".join(
            f"layer {layer} {spread(part['fact_cosine'])} (rest {spread(part['fact_rest'], 2)})"
            for layer, part in group.groupby("layer")
        )
        found.append(
            f"{dataset}, {level}, {steps} steps (score {spread(group['score'])}): FACT's cosine {layers}; "
            f"{_cosine(group)}."
        )
    return found


def _early(dataset: str, table: pd.DataFrame) -> list[str]:
    rows = table[(table["factor"] == "base") & ~table["trivial"].astype(bool) & (table["epoch"] > 0)]
    rows = rows[~rows["task_learned"].astype(bool)]
    if rows.empty:
        return []
    first = rows[rows["epoch"] == rows["epoch"].min()]
    return [
        f"{dataset}: neither cosine nor alignment says anything about learning on its own: after epoch "
        f"{int(first['epoch'].iloc[0])}, at score {spread(first['score'])} (a constant answer: "
        f"{first['baseline'].mean():.2f}), {_cosine(first)}; {_alignment(first)}."
    ]


def _alignment(rows: pd.DataFrame) -> str:
    """Say what alignment is, beside its null; nothing where it is undefined."""
    rows = rows[rows["alignment"].notna()]
    if rows.empty:
        return "alignment undefined"
    return (
        f"alignment {spread(rows['alignment'], 2)}, by chance {rows['alignment_null'].mean():.2f} (z "
        f"{spread(rows['alignment_z'], 0)})"
    )


def _cosine(rows: pd.DataFrame) -> str:
    return (
        f"cosine(NFM, AGOP) {spread(rows['cosine'], 2)}, with the gradients turned "
        f"{spread(rows['rotated_cosine'], 2)}, untrained {spread(rows['untrained_cosine'], 2)}"
    )


def _networks(rows: pd.DataFrame) -> int:
    return len(rows[SETTING].drop_duplicates())
