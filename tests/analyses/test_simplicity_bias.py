"""Simplicity bias: halves are what they should be, the simple one is found; the findings' words."""

import numpy as np
import pandas as pd

from analyses.analysis import Options
from analyses.simplicity_bias import cells, findings, halves_of, left_half, rows


def test_halves_are_as_large_and_tell_the_same_class():
    cell = cells(Options(quick=True))[0]
    data = halves_of(cell, Options(quick=True))
    simple, train = left_half(data), data.part("train").X
    assert data.feature_shape == (1, 8, 16)
    assert simple.sum() == 64
    for half in (simple, ~simple):
        np.testing.assert_allclose(train[:, half].mean(axis=0), 0, atol=1e-5)
        np.testing.assert_allclose((train[:, half] ** 2).mean(), 1, rtol=1e-4)


def test_the_simple_half_is_found():
    cell = next(cell for cell in cells(Options(quick=True)) if cell["model"] == "rfm" and cell["halves"] == "both")
    found = pd.DataFrame(rows(cell, Options(quick=True)))
    value = found[found["row"].isna()].set_index("quantity")["value"]
    assert value["M"] > 0.7
    assert value["pixels"] == 0.5
    assert value["simple_shuffled"] < 0.65
    assert value["complex_shuffled"] > 0.95
    assert (found["quantity"] == "M_at").sum() == 8 * 16


def test_findings():
    records = [("intact", "both", 1.0), ("intact", "complex", 0.8), ("M", "both", 0.9), ("pixels", "both", 0.5)]
    table = pd.DataFrame(records, columns=["quantity", "halves", "value"])
    table = table.assign(dataset="made", simple="digits", model="rfm", seed=0)
    shares, accuracies = findings(table)
    assert "holds of M 90 % (of the pixels 50 %)" in shares
    assert "intact 100, trained on the complex half alone 80." in accuracies
    assert len(findings(table[table["quantity"] == "intact"])) == 1
