"""The result of putting other feature matrices in a network's layers: a tidy table, and what it shows in words."""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nfa.common.notebook import ROWS_SHOWN, html_table
from nfa.common.shown import printable, printable_lines
from nfa.network.margins import margin
from nfa.network.scoring import rows_in_words

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = (
    *("name", "layers", "matrix", "alpha", "draws"),
    *("score", "score_std", "above_projector", "score_before", "same_predictions", "output_r2", "note"),
)
"""The columns of a substitution, in order."""

ALL = "all"
"""The name of the rows in which all layers have other weights at once."""

ABOVE, BELOW = "clearly above", "clearly below"
"""The words for a score that is more than three standard errors above or below another."""

CONTROLS = {
    "projector": "the projector alone",
    "init": "init's NFM",
    "random": "random matrices of the NFM's spectrum",
}
"""The matrices that the AGOP is compared with, and their names in sentences."""


@dataclass(frozen=True, eq=False)
class Substitution:
    """How a network does with other feature matrices in the place of its NFMs.

    Args:
        about: model, data, split (of the rows behind the AGOP), outputs, rows and n (scored), metric and baseline
            (None without targets), score_before, alpha, draws, seed, skipped, notes.
        rows: The columns of `COLUMNS`, for each layer and then for all together.
    """

    about: dict[str, Any]
    rows: tuple[dict[str, Any], ...]

    def __repr__(self) -> str:
        """Show what was substituted where, and the table."""
        about = self.about
        head = f"Substitution in {about['model']}, AGOP of {about['split']} rows, on {self._scored()}"
        if about["metric"] is not None:
            head += f"; {about['metric']} {about['score_before']:.4g} (constant answer {about['baseline']:.4g})"
        table = self._shown().to_string(index=False, float_format="{:.3f}".format, na_rep="", max_rows=ROWS_SHOWN)
        notes = dict.fromkeys(f"{row['name']}: {row['note']}" for row in self.rows if row["note"])
        return printable_lines("\n".join([head, table, *notes]))

    def _repr_html_(self) -> str:
        """Show sentences on what the AGOP carries beyond the controls, and the table."""
        shown = self._shown()
        rows = [["" if each != each else f"{each:.3f}" if isinstance(each, float) else str(each) for each in row]
                for row in shown.itertuples(index=False)]  # fmt: skip
        *layers, last = self.sentences()
        return html_table(last, list(shown.columns), rows, layers)

    def _shown(self) -> "pd.DataFrame":
        """Return the rows that were measured, with the columns that are read."""
        frame = self.to_frame()
        shown = [column for column in COLUMNS if column not in ("layers", "score_before", "note")]
        return frame.loc[frame["output_r2"].notna() | frame["score"].notna(), shown]

    def to_frame(self) -> "pd.DataFrame":
        """Return the table, a row for each layer (or "all"), matrix and alpha.

        name, layers: the layer, or "all", and how many layers have another weight.
        matrix, alpha: "nfm" (the network's own weights, built anew), "agop" to the power alpha, or a control.
        draws: random matrices averaged over; score_std is the standard deviation over them.
        score, score_before: with these weights and with the network's own.
        above_projector: score minus that of the projector in the same place.
        same_predictions: the share of rows (and positions) whose predicted class stays; NaN for real targets.
        output_r2: 1 - |f - f'|^2 / |f - mean f|^2, f and f' the outputs before and after.
        """
        import pandas as pd

        return pd.DataFrame(list(self.rows), columns=list(COLUMNS))

    def sentences(self) -> list[str]:
        """Return a sentence for each layer, and one for all together: what the AGOP carries beyond the controls."""
        names = dict.fromkeys((row["name"], row["layers"]) for row in self.rows)
        return [self._sentence([row for row in self.rows if (row["name"], row["layers"]) == place]) for place in names]

    def _sentence(self, rows: list[dict[str, Any]]) -> str:
        name = printable(rows[0]["name"])
        where = f"All {rows[0]['layers']} layers together" if rows[0]["layers"] > 1 else f"Layer {name}"
        column, before = "score", self.about["score_before"]
        what = "the network has " + ("accuracy" if self.about["metric"] == "accuracy" else "R^2")
        if self.about["metric"] is None:
            column, before, what = "output_r2", 1.0, "the network's outputs agree with its own to R^2"
        powers = [row for row in rows if row["matrix"] == "agop" and not math.isnan(row[column])]
        controls = {row["matrix"]: row[column] for row in rows if row["matrix"] in CONTROLS}
        controls = {matrix: value for matrix, value in controls.items() if not math.isnan(value)}
        if not powers or "projector" not in controls:
            return f"{where}: nothing can be said ({rows[0]['note'] or rows[-1]['note']})."
        best = max(powers, key=lambda row: row[column])
        of_many = f", the best of {len(powers)} powers on these rows" if len(powers) > 1 else ""
        says = (
            f"{where}: with AGOP^{best['alpha']:g} for the NFM{of_many}, {what} {best[column]:.3f} on "
            f"{self._scored()} ({before:.3f} as it is), against "
            + ", ".join(f"{value:.3f} with {CONTROLS[matrix]}" for matrix, value in controls.items())
        )
        floor = controls["projector"]
        rival = max(controls, key=lambda matrix: controls[matrix])
        against, against_rival = (self._stands(best[column], other) for other in (floor, controls[rival]))
        if (plain := self._stands(floor, before)) != BELOW:
            how = ABOVE if plain == ABOVE else "not clearly below"
            end = f"the projector alone is {how} the network, so a feature matrix has little to add"
            if against == BELOW:
                end += ", and with the AGOP the network is clearly below the projector"
        elif against == BELOW:
            end = "clearly below the projector, so the AGOP takes from what the network's own directions do"
        elif against != ABOVE:
            end = "not clearly above the projector, so the AGOP adds nothing here to the network's own directions"
        elif against_rival != ABOVE:
            end = f"above the projector, but {against_rival} {CONTROLS[rival]}"
        else:
            share = (best[column] - floor) / (before - floor)
            end = f"above every control, and {share:.0%} of the way from the projector to the network as it is"
        return f"{says}; {end}."

    def _stands(self, one: float, other: float) -> str:
        """Return how one score stands beside another, by three standard errors."""
        by = margin(self.about["metric"] or "r2", one, other, self.about["n"])
        return ABOVE if one - other > by else BELOW if other - one > by else "not clearly above"

    def _scored(self) -> str:
        return rows_in_words(self.about["n"], self.about["rows"])
