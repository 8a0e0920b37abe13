"""Spurious features: a mark that tells the class is found, one that does not is not; the findings' words."""

import pandas as pd
import pytest

from analyses.analysis import Options
from analyses.spurious_features import cells, findings, rows


@pytest.mark.parametrize("model", ["rfm", "network"])
def test_the_mark_is_found_where_it_tells(model):
    found = {}
    for cell in cells(Options(quick=True)):
        if cell["model"] == model and cell["seed"] == 0 and cell["goes_with"] != 0.9:
            found[cell["goes_with"]] = {row["quantity"]: row["value"] for row in rows(cell, Options(quick=True))}
    assert found[1.0]["found"] == 1
    assert found[1.0]["as_trained"] > 0.98
    assert found[1.0]["moved"] < 0.4
    assert found[1.0]["repaired"] > 0.95
    assert found[0.5]["found"] == 0
    assert found[0.5]["moved"] > 0.95


def test_findings():
    table = pd.DataFrame(
        {"dataset": "made", "model": "rfm", "goes_with": 0.9, "seed": seed, "quantity": "found", "value": seed / 2}
        for seed in (0, 1)
    )
    (said,) = findings(table)
    assert "made, rfm, mark goes with the class in 90 %" in said
    assert "largest of AGOP or M 25 (0 to 50)" in said
    assert findings(table.assign(quantity="removed"))[0].endswith("mark removed 25 (0 to 50).")
