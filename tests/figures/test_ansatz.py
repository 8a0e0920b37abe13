"""The figures of the sweep over settings, of a small table: bars by layer, and the heat map."""

import numpy as np
import pandas as pd
import pytest

from figures import ansatz_heat, ansatz_sweep


def table(rotated=False):
    rows = [
        {
            **{"dataset": "made", "factor": factor, "level": level, "seed": seed, "epoch": epoch, "epochs": 2},
            **{
                "layer": layer,
                "cosine": 0.3 + 0.2 * layer + 0.1 * epoch + 0.02 * seed,
                "rows": 7,
                "trivial": layer == 2,
            },
            **{"init_cosine": 1 - 0.2 * epoch, "init_cosine_null": 0.5, "alpha_best": 0.5, "alpha_linear": 0.5},
            **{"score": 0.9 if level == "base" else 0.2, "baseline": 0.1},
            **({"rotated_cosine": 0.25} if rotated else {}),
        }
        for factor, level in (("base", "base"), ("init", "other"))
        for seed in (0, 1)
        for epoch in (0, 2)
        for layer in (0, 1, 2)
    ]
    return pd.DataFrame(rows)


@pytest.mark.parametrize(("rotated", "nulls"), [(False, [0.31, 0.51]), (True, [0.25, 0.25])])
def test_bars_are_the_base_settings_means_beside_their_nulls(rotated, nulls):
    bars = ansatz_sweep.draw(table(rotated)).axes[0]
    heights = [bar.get_height() for bar in bars.patches]
    for expected in (0.51, 0.71, 0.6, *nulls, 0.5):
        assert any(height == pytest.approx(expected) for height in heights), expected
    assert [label.get_text() for label in bars.get_xticklabels()] == ["layers.0", "layers.1"]


def test_the_heat_map_has_a_row_for_each_setting():
    cosine, beyond, _ = ansatz_heat.draw(table(rotated=True)).axes
    np.testing.assert_allclose(cosine.images[0].get_array(), [[0.51, 0.71]] * 2)
    np.testing.assert_allclose(beyond.images[0].get_array(), [[0.26, 0.46]] * 2)
    assert [label.get_text() for label in cosine.get_yticklabels()] == ["base", "other"]
    (hatched,) = cosine.patches
    assert hatched.get_y() == 0.5  # the second setting's networks have not learned
